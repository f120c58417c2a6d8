// The anywidget front-end module: one store and one page for each view, and nothing outside a view. It is the first of
// two files: it shows an answer, and is stored in every notebook. The second one (live.ts) is handed over by a kernel.
//
//   host.ts    the anywidget model, the only file that knows it
//   wire.ts    what crosses to and from the kernel, checked; tools-, comparison-, export-wire.ts: for the second file
//   signals.ts values that others follow
//   store/     traits, the conversation with the kernel, what is shown: all logic, no page
//                second.ts brings the second file, live.ts is the store as its parts know it
//   heat/      merging, scaling, resampling, colouring, describing maps: mathematics alone
//   ui/        one factory for each control: draws signals of the store, calls its actions
//                slots.ts: the places that the second file's parts go to
//   inspect.ts, inspection/   the inspector's module: a gallery, and this widget for the sample that is open
//
// What takes a `LiveStore` belongs to the second file; the build refuses it in the first one.

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
