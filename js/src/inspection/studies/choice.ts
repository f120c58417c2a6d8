// Something to tick before a computation begins.

import { type ReadonlySignal, signal } from "../../signals";
import { el, watch } from "../../ui/element";

/** `says`: what it means now; "": there is nothing to choose. */
export function choice(
  life: AbortSignal,
  testid: string,
  says: () => string,
): { readonly element: HTMLElement; readonly on: ReadonlySignal<boolean> } {
  const on = signal(false);
  const input = el("input", {
    type: "checkbox",
    testid,
    onchange: () => {
      on.value = input.checked;
    },
  });
  const words = el("span");
  const element = el("label.lg-row", {}, input, words);
  watch(life, () => {
    words.textContent = says();
    element.hidden = !words.textContent;
  });
  return { element, on };
}
