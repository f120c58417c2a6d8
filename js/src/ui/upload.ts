// Three ways for a picture to come in: chosen, dropped, pasted.

import type { Store } from "../store";
import { claim, el, icon, listen, set, watch } from "./element";

export function chooser(store: Store, life: AbortSignal): HTMLElement {
  const input = el("input.lg-cover", {
    type: "file",
    accept: "image/*",
    testid: "upload",
    label: "Choose a picture",
    onchange: () => {
      send(store, input.files);
      input.value = "";
    },
  });
  watch(life, () => {
    input.disabled = store.kernelless.value;
    input.title = input.disabled
      ? "Another picture needs a running kernel"
      : "Choose, drop or paste a picture";
  });
  return el("label.lg-button", {}, input, icon("image"), "Picture");
}

function send(store: Store, files: FileList | null | undefined): boolean {
  const file = files?.[0];
  if (!file || store.kernelless.peek()) return false;
  void store.upload(file);
  return true;
}

/** Files dropped on `stage`. JupyterLab must not see them, or it would upload them to the server's folder. */
export function takeDrops(stage: HTMLElement, store: Store, life: AbortSignal): void {
  const over = (event: DragEvent) => {
    const files = event.dataTransfer;
    if (!files?.types.includes("Files") || store.kernelless.peek()) return;
    claim(event);
    set(stage, "data-dropping", event.type === "dragenter" || event.type === "dragover");
    if (event.type === "drop") send(store, files.files);
  };
  listen(stage, { dragenter: over, dragover: over, dragleave: over, drop: over }, life);
}

/** Pictures pasted while the focus is anywhere in `root`; pasted text goes where it always goes. */
export function takePastes(root: HTMLElement, store: Store, life: AbortSignal): void {
  listen(
    root,
    {
      paste(event) {
        if (send(store, event.clipboardData?.files)) claim(event);
      },
    },
    life,
  );
}
