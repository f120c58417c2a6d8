// The inspector's anywidget module: the gallery of many samples, over the explorer of one.

import type { RenderProps } from "@anywidget/types";
import { hostOf } from "./host";
import { mountGallery } from "./inspection/root";
import { createGallery } from "./inspection/store";
import { createStore } from "./store";
import { fail, mount } from "./ui/root";
import "./widget.css";
import "./popup.css";
import "./inspection/inspect.css";

function render({ model, el, signal }: RenderProps & { signal?: AbortSignal }): () => void {
  const ended = new AbortController();
  const life = ended.signal;
  signal?.addEventListener("abort", () => ended.abort());
  try {
    const host = hostOf(model, life);
    const explore = (box: HTMLElement) => mount(box, createStore(host, life), life);
    mountGallery(el, createGallery(host, life), explore, life);
  } catch (error) {
    fail(el, error);
  }
  return () => ended.abort();
}

export default { render };
