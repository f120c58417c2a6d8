// The button that asks for a picture; ui/upload.ts takes it.

import type { Store } from "../store";
import { el, icon, watch } from "./element";

export function chooser(store: Store, life: AbortSignal): HTMLElement {
  const input = el("input.lg-cover", {
    type: "file",
    accept: "image/*",
    testid: "upload",
    label: "Choose a picture",
  });
  watch(life, () => {
    input.disabled = store.kernelless.value || !store.live.value;
    input.title = store.kernelless.value
      ? "Another picture needs a running kernel"
      : "Choose, drop or paste a picture";
  });
  return el("label.lg-button", {}, input, icon("image"), "Picture");
}
