// The fold that the tests of the map go into once the second file is here.

import type { Store } from "../store";
import { el, watch } from "./element";
import { slot } from "./slots";

export function tests(store: Store, life: AbortSignal): HTMLElement {
  const lacks = el("p.lg-note.lg-warn", { testid: "trust-lacks" });
  const ontoggle = () => element.open && store.second.want();
  const element = el(
    "details",
    { testid: "trust", ontoggle },
    el("summary", {}, "Test this map"),
    lacks,
    slot("tests"),
  );
  watch(life, () => {
    lacks.textContent = store.lacks.value || store.second.wait.value;
    lacks.hidden = !lacks.textContent;
  });
  return element;
}
