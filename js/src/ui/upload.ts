// Three ways for a picture to come in: chosen, dropped, pasted.

import type { LiveStore } from "../store/live";
import { claim, listen, set } from "./element";

/** Take pictures at `root` from now on. */
export function takePictures(root: HTMLElement, store: LiveStore, life: AbortSignal): void {
  const input = root.querySelector<HTMLInputElement>("[data-testid=upload]")!;
  listen(input, {
    change() {
      send(store, input.files);
      input.value = "";
    },
  });
  takeDrops(root.querySelector<HTMLElement>("[data-testid=picture]")!, store, life);
  takePastes(root, store, life);
}

function send(store: LiveStore, files: FileList | null | undefined): boolean {
  const file = files?.[0];
  if (!file || store.kernelless.peek()) return false;
  void store.upload(file);
  return true;
}

/** Files dropped on `stage`. JupyterLab must not see them, or it would upload them to the server's folder. */
function takeDrops(stage: HTMLElement, store: LiveStore, life: AbortSignal): void {
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
function takePastes(root: HTMLElement, store: LiveStore, life: AbortSignal): void {
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
