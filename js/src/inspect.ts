// The inspector's anywidget module: the gallery of many samples, over the explorer of one.

import type { AnyModel, RenderProps } from "@anywidget/types";
import { hostOf } from "./host";
import { mountGallery } from "./inspection/root";
import { createGallery, type GalleryHost } from "./inspection/store";
import { createStore } from "./store";
import { onEnd } from "./store/watch";
import { fail, mount } from "./ui/root";
import "./widget.css";
import "./inspection/inspect.css";

/** The host, with the buffers that come with the kernel's messages. */
function galleryHostOf(model: AnyModel, life: AbortSignal): GalleryHost {
  return {
    ...hostOf(model, life),
    onBuffers(arrived) {
      const run = (content: unknown, buffers: unknown) =>
        arrived(content, Array.isArray(buffers) ? buffers : []);
      model.on("msg:custom", run);
      onEnd(life, () => model.off("msg:custom", run));
    },
  };
}

function render({ model, el, signal }: RenderProps & { signal?: AbortSignal }): () => void {
  const ended = new AbortController();
  const life = ended.signal;
  signal?.addEventListener("abort", () => ended.abort());
  try {
    const explore = (box: HTMLElement) => mount(box, createStore(hostOf(model, life), life), life);
    mountGallery(el, createGallery(galleryHostOf(model, life), life), explore, life);
  } catch (error) {
    fail(el, error);
  }
  return () => ended.abort();
}

export default { render };
