// The anywidget front-end module: one store and one page for each view, and nothing outside a view.

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
