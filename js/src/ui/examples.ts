// A concept from pictures: "find things like these", chosen or dropped where prompts are typed.

import type { LiveStore } from "../store/live";
import { whyNot } from "../store/upload";
import { freshName } from "../wire";
import { claim, el, listen, set, watch } from "./element";

/** As in Python. */
export const MAX_EXAMPLES = 30;

export function examples(store: LiveStore, zone: HTMLElement, life: AbortSignal): HTMLElement {
  const input = el("input.lg-cover", {
    type: "file",
    accept: "image/*",
    multiple: true,
    testid: "examples",
    label: "Find things like pictures of yours",
    onchange: () => {
      void send(store, input.files);
      input.value = "";
    },
  });
  watch(life, () => {
    input.disabled = store.kernelless.value;
    input.title = input.disabled
      ? "Things like pictures of yours need a running kernel"
      : "Find things like these: choose pictures, or drop them here";
  });

  const over = (event: DragEvent) => {
    const files = event.dataTransfer;
    if (!files?.types.includes("Files") || store.kernelless.peek()) return;
    claim(event);
    set(zone, "data-dropping", event.type === "dragenter" || event.type === "dragover");
    if (event.type === "drop") void send(store, files.files);
  };
  listen(zone, { dragenter: over, dragover: over, dragleave: over, drop: over }, life);
  return el("label.lg-button", {}, input, "Like …");
}

/** One after the other, so that the kernel has one file at a time; where one is no picture, none is sent. */
async function send(store: LiveStore, list: FileList | null): Promise<void> {
  const files = [...(list ?? [])];
  const bad = files.find((file) => whyNot(file));
  if (bad) return store.upload(bad);
  const concept = freshName();
  // Of too many the first is sent: the kernel says what is wrong with the others.
  for (const [at, file] of files.slice(0, files.length > MAX_EXAMPLES ? 1 : MAX_EXAMPLES).entries()) {
    await store.upload(file, { concept, at, count: files.length });
    if (store.phase.peek().kind === "error") return;
  }
}
