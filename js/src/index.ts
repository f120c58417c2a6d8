// The anywidget front-end module: one store and one page for each view, and nothing outside a view.
//
//   host.ts    the anywidget model, the only file that knows it
//   wire.ts    what crosses to and from the kernel, checked
//   signals.ts values that others follow
//   store/     traits, the conversation with the kernel, what is shown: all logic, no page
//   heat/      merging, scaling, resampling, colouring, describing maps: mathematics alone
//   ui/        one factory for each control: draws signals of the store, calls its actions

import type { RenderProps } from "@anywidget/types";
import { hostOf } from "./host";
import { createStore } from "./store";
import { fail, mount } from "./ui/root";
import "./widget.css";

function render({ model, el, signal }: RenderProps & { signal?: AbortSignal }): () => void {
  const ended = new AbortController();
  signal?.addEventListener("abort", () => ended.abort());
  try {
    mount(el, createStore(hostOf(model, ended.signal), ended.signal), ended.signal);
  } catch (error) {
    fail(el, error);
  }
  return () => ended.abort();
}

export default { render };
