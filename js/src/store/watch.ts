import { effect } from "../signals";

/** Run when the view ends. */
export function onEnd(life: AbortSignal, run: () => void): void {
  life.addEventListener("abort", run);
}

/** An effect that ends with the view. */
export function watch(life: AbortSignal, run: () => void): void {
  if (!life.aborted) onEnd(life, effect(run));
}
