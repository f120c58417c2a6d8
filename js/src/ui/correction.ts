// Background correction, which every method takes: a switch, and what it means.

import type { Store } from "../store";
import { el, set, watch } from "./element";

const MEANS =
  "Patches that light up for a prompt that names nothing are background: they are taken out of every map.";
/** As the reference code has it. */
const NOTHING = "a photo of a";
const [PROMPT, THRESHOLD, ORDER] = ["correction", "correction_threshold", "correction_order"] as const;

export function correction(store: Store, life: AbortSignal): HTMLElement {
  const knobs = () => store.method.peek()?.knobs.filter(({ name }) => name.startsWith(PROMPT)) ?? [];
  const on = el("input", {
    type: "checkbox",
    testid: "correction",
    onchange() {
      if (on.checked) store.setKnob(PROMPT, prompt.value.trim() || NOTHING);
      else for (const { name, default: plain } of knobs()) store.setKnob(name, plain);
    },
  });
  const prompt = el("input.lg-text", {
    type: "text",
    testid: "correction-prompt",
    value: NOTHING,
    dir: "auto",
    onchange() {
      prompt.value = prompt.value.trim() || NOTHING;
      store.setKnob(PROMPT, prompt.value);
    },
  });
  const threshold = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    testid: "correction-threshold",
    onchange: () => store.setKnob(THRESHOLD, Number(threshold.value)),
  });
  const level = el("output.lg-small");
  const order = el("select", {
    testid: "correction-order",
    title: "Zero, before the map is scaled; or its lowest value, after",
    onchange: () => store.setKnob(ORDER, order.value),
  });
  const ordered = el("label.lg-knob", {}, el("span", {}, "Background becomes"), order);
  order.append(
    el("option", { value: "before_norm" }, "zero"),
    el("option", { value: "after_norm" }, "the lowest"),
  );
  const more = el(
    "div.lg-stack",
    {},
    el("p.lg-note", {}, MEANS),
    el("label.lg-knob", {}, el("span", {}, "Prompt that names nothing"), prompt),
    el("label.lg-slider", {}, el("span", {}, "Cut-off"), threshold, level),
    ordered,
  );
  const element = el(
    "section.lg-stack",
    { label: "Background correction" },
    el("label.lg-row", { title: MEANS }, on, "Background correction"),
    more,
  );
  watch(life, () => {
    const method = store.method.value;
    const known = method?.knobs.map(({ name }) => name) ?? [];
    element.hidden =
      store.kernelless.value || !store.trait("_model").value.prompts || !known.includes(PROMPT);
    const values = store.trait("knobs").value;
    const asked = values[PROMPT] ?? null;
    on.checked = asked !== null;
    more.hidden = asked === null;
    if (asked !== null) prompt.value = String(asked);
    const [limit, how] = [THRESHOLD, ORDER].map(
      (name) => values[name] ?? method?.knobs.find((knob) => knob.name === name)?.default,
    );
    threshold.value = String(limit ?? "");
    level.textContent = Number(limit).toFixed(2);
    order.value = String(how);
    ordered.hidden = !known.includes(ORDER);
    set(element, "aria-busy", store.outdated.value);
  });
  return element;
}
