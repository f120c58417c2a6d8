// One number beside the score: would another prompt have given the same map?

import type { LiveStore } from "../store/live";
import type { Specificity } from "../store/specificity";
import { button, el, set, watch } from "./element";

/** A word that no model was taught, and no language has. */
const NONSENSE = "blicket";
const MEANS =
  "1 − the correlation of this map with the one of a control prompt, over the patches, for the layers that are chosen. " +
  "0: the method draws the same map whatever is asked. 1: the two have nothing in common. 2: one is the opposite of the other.";
const OWN = "own";

export function specificity(store: LiveStore, state: Specificity, life: AbortSignal): HTMLElement {
  const { control, showing } = state;
  const number = el("b", { testid: "specificity-value" });
  const words = el("p.lg-note", { testid: "specificity-note" });
  const own = el("input.lg-text", {
    type: "text",
    testid: "specificity-own",
    label: "Control prompt",
    placeholder: "Your control prompt …",
    dir: "auto",
    hidden: true,
    onchange: () => {
      if (own.value.trim()) control.value = own.value.trim();
    },
  });
  const select = el(
    "select",
    {
      testid: "specificity",
      label: "Specificity: what the map is held against",
      onchange() {
        own.hidden = select.value !== OWN;
        if (!own.hidden) own.focus();
        control.value = CHOICES[select.value] ?? (own.hidden ? null : own.value.trim() || null);
        if (control.value === null) showing.value = false;
      },
    },
    el("option", { value: "" }, "not measured"),
    el("option", { value: "empty" }, "empty prompt"),
    el("option", { value: "nonsense" }, "nonsense"),
    el("option", { value: OWN }, "own prompt …"),
  );
  const map = button(
    ".lg-button",
    {
      testid: "specificity-map",
      title: "Put the control's own map over the picture",
      onclick: () => {
        showing.value = !showing.peek();
      },
    },
    "Its map",
  );
  const element = el(
    "section.lg-stack.lg-specificity",
    { label: "Specificity" },
    el("div.lg-row", { title: MEANS }, el("span", {}, "Specificity ", number, " vs."), select, map),
    own,
    words,
  );
  // What was measured before the page was loaded anew, or saved.
  const known = control.peek();
  select.value = known === null ? "" : known === "" ? "empty" : known === NONSENSE ? "nonsense" : OWN;
  own.hidden = select.value !== OWN;
  if (!own.hidden) own.value = known!;
  watch(life, () => {
    select.disabled = own.disabled = !!store.lacks.value;
    element.hidden = !store.trait("_model").value.prompts || !store.entry.value;
    const value = state.value.value;
    number.textContent = value === null ? (state.awaiting.value ? "…" : "") : Math.max(0, value).toFixed(2);
    set(element, "aria-busy", state.awaiting.value);
    words.textContent = state.words.value;
    words.hidden = !words.textContent;
    map.hidden = !state.heat.value;
    set(map, "aria-pressed", showing.value);
  });
  return element;
}

const CHOICES: Readonly<Record<string, string>> = { empty: "", nonsense: NONSENSE };
