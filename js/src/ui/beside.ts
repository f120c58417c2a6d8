// Whether anything stands side by side with the map, and what; the second file shows it (ui/compare.ts).

import type { Store } from "../store";
import type { CompareMode } from "../store/traits";
import { el, watch } from "./element";
import { segments } from "./segments";
import { slot } from "./slots";

export function beside(store: Store, life: AbortSignal): HTMLElement {
  const by = segments("compare", "Compare", (value) => store.compareBy(value as CompareMode));
  by.offer([
    { value: "off", title: "Off" },
    { value: "methods", title: "Methods", hint: "The active prompt under several methods" },
    { value: "prompts", title: "Prompts", hint: "Every prompt under the one method" },
  ]);
  const wait = el("p.lg-note");
  watch(life, () => {
    const mode = store.trait("compare").value;
    by.mark(mode);
    if (mode !== "off") store.second.want();
    wait.textContent = mode === "off" ? "" : store.second.wait.value;
  });
  return el(
    "section.lg-stack.lg-compare",
    { testid: "compare", label: "Compare" },
    el("div.lg-row", {}, el("h3.lg-legend", {}, "Compare"), by.element, wait, slot("beside")),
    slot("compared"),
  );
}
