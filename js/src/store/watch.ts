import { effect } from "@preact/signals-core";

/** An effect that ends with the view. */
export function watch(life: AbortSignal, run: () => void): void {
  if (!life.aborted) life.addEventListener("abort", effect(run));
}
