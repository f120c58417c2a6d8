// Folds that parts of the second file go into once it is here.

import type { Store } from "../store";
import { el, watch } from "./element";
import { type Slot, slot } from "./slots";

/** A fold that asks for the second file when it is opened, and says where that cannot come. */
export function fold(
  store: Store,
  testid: string,
  title: string,
  name: Slot,
  life: AbortSignal,
): HTMLDetailsElement {
  const lacks = el("p.lg-note.lg-warn", { testid: `${testid}-lacks` });
  const ontoggle = () => element.open && store.second.want();
  const element = el("details", { testid, ontoggle }, el("summary", {}, title), lacks, slot(name));
  watch(life, () => {
    lacks.textContent = store.lacks.value || store.second.wait.value;
    lacks.hidden = !lacks.textContent;
  });
  return element;
}

export const tests = (store: Store, life: AbortSignal): HTMLElement =>
  fold(store, "trust", "Test this map", "tests", life);
