// The knobs of the chosen method, as its entry in the catalogue describes them.

import type { Store } from "../store";
import type { Knob, KnobValue } from "../wire";
import { button, el, focusedIn, set, watch } from "./element";

export function knobs(store: Store, life: AbortSignal): HTMLElement {
  const summary = el("summary");
  const rows = el("div.lg-stack");
  const fault = el("p.lg-note.lg-bad", { role: "alert", testid: "knob-fault" });
  const reset = button(".lg-button", { testid: "reset-knobs", onclick: store.resetKnobs }, "Reset");
  const element = el(
    "details",
    { testid: "knobs" },
    summary,
    el("div.lg-stack", {}, rows, fault, el("div", {}, reset)),
  );

  watch(life, () => {
    const offered = store.method.value?.knobs ?? [];
    const values = store.trait("knobs").value;
    const changed = Object.keys(values).length;
    element.hidden = offered.length === 0;
    summary.textContent = changed ? `Options (${changed} changed)` : "Options";
    reset.hidden = changed === 0 || store.kernelless.value;
    const held = focusedIn(rows)?.dataset.knob;
    rows.replaceChildren(
      ...offered.map((knob) => {
        const value = values[knob.name];
        const input = control(knob, value === undefined ? knob.default : value, (now) =>
          store.setKnob(knob.name, now),
        );
        set(input, "data-knob", knob.name);
        set(input, "disabled", store.kernelless.value);
        const help = knob.help && el("span.lg-note", {}, knob.help);
        return el("label.lg-knob", {}, el("span", {}, knob.name), input, help);
      }),
    );
    if (held) rows.querySelector<HTMLElement>(`[data-knob="${CSS.escape(held)}"]`)?.focus();
  });
  watch(life, () => {
    fault.textContent = store.knobFault.value;
    fault.hidden = !fault.textContent;
  });
  return element;
}

function control(knob: Knob, value: KnobValue, change: (value: KnobValue) => void): HTMLElement {
  if (knob.kind === "bool") {
    const input = el("input", { type: "checkbox", onchange: () => change(input.checked) });
    input.checked = value === true;
    return input;
  }
  return knob.kind === "choice" ? choice(knob, value, change) : field(knob, value, change);
}

function choice(knob: Knob, value: KnobValue, change: (value: KnobValue) => void): HTMLElement {
  const choices = knob.optional && !knob.choices.includes(null) ? [null, ...knob.choices] : knob.choices;
  const select = el(
    "select",
    { onchange: () => change(choices[Number(select.value)] ?? null) },
    ...choices.map((option, i) => el("option", { value: i }, String(option ?? "none"))),
  );
  select.value = String(choices.indexOf(value));
  return select;
}

/** A number or words; left empty it is None where that is allowed, and the default where it is not. */
function field(knob: Knob, value: KnobValue, change: (value: KnobValue) => void): HTMLElement {
  const { kind, low, high, integer, optional } = knob;
  const fine = low !== null && high !== null ? (high - low) / 100 : "any";
  const numeric = { type: "number", min: low, max: high, step: integer ? 1 : fine };
  const input = el("input.lg-text", {
    ...(kind === "number" ? numeric : { type: "text" }),
    placeholder: optional ? "none" : null,
    onchange: () => {
      const words = input.value.trim();
      const empty = optional ? null : knob.default;
      change(words === "" ? empty : kind === "number" ? Number(words) : words);
    },
  });
  input.value = String(value ?? "");
  return input;
}
