// The knobs of the chosen method, as its entry in the catalogue describes them.

import { computed } from "../signals";
import type { Store } from "../store";
import type { Knob, KnobValue } from "../wire";
import { button, el, set, watch } from "./element";

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

  // Built for a method, and then only set: a control that is typed in must not be replaced under the fingers.
  const controls = computed(() =>
    (store.method.value?.knobs ?? []).filter(store.kernelless.value ? Boolean : isOwn).map((knob) => ({
      knob,
      ...CONTROLS[knob.kind](knob, (value) => store.setKnob(knob.name, value)),
    })),
  );
  watch(life, () => {
    element.hidden = controls.value.length === 0;
    rows.replaceChildren(
      ...controls.value.map(({ knob: { name, help }, input }) => {
        set(input, "data-knob", name);
        set(input, "disabled", store.kernelless.value);
        return el("label.lg-knob", {}, el("span", {}, name), input, help && el("span.lg-note", {}, help));
      }),
    );
  });
  watch(life, () => {
    const values = store.trait("knobs").value;
    const changed = controls.value.filter(({ knob }) => knob.name in values).length;
    summary.textContent = changed ? `Options (${changed} changed)` : "Options";
    reset.hidden = changed === 0 || store.kernelless.value;
    for (const { knob, show } of controls.value) {
      const value = values[knob.name];
      show(value === undefined ? knob.default : value);
    }
  });
  watch(life, () => {
    fault.textContent = store.knobFault.value;
    fault.hidden = !fault.textContent;
  });
  return element;
}

/** Background correction belongs to no method: where it can be turned it has a switch (ui/correction.ts). */
const isOwn = ({ name }: Knob) => !name.startsWith("correction");

interface Control {
  readonly input: HTMLElement;
  show(value: KnobValue): void;
}

type Build = (knob: Knob, change: (value: KnobValue) => void) => Control;

const box: Build = (_, change) => {
  const input = el("input", { type: "checkbox", onchange: () => change(input.checked) });
  return {
    input,
    show(value) {
      input.checked = value === true;
    },
  };
};

const choice: Build = ({ choices: given, optional }, change) => {
  const choices = optional && !given.includes(null) ? [null, ...given] : given;
  const input = el(
    "select",
    { onchange: () => change(choices[Number(input.value)] ?? null) },
    ...choices.map((option, i) => el("option", { value: i }, String(option ?? "none"))),
  );
  return {
    input,
    show(value) {
      input.value = String(choices.indexOf(value));
    },
  };
};

/** A number or words; left empty it is None where that is allowed, and the default where it is not. */
const field: Build = (knob, change) => {
  const { kind, low, high, integer, optional } = knob;
  const fine = low !== null && high !== null ? (high - low) / 100 : "any";
  const numeric = { type: "number", min: low, max: high, step: integer ? 1 : fine };
  const show = (value: KnobValue) => {
    input.value = String(value ?? "");
  };
  const input = el("input.lg-text", {
    ...(kind === "number" ? numeric : { type: "text" }),
    placeholder: optional ? "none" : null,
    onchange: () => {
      const words = input.value.trim();
      const empty = optional ? null : knob.default;
      if (words === "") show(empty);
      change(words === "" ? empty : kind === "number" ? Number(words) : words);
    },
  });
  return { input, show };
};

const CONTROLS: Readonly<Record<Knob["kind"], Build>> = { bool: box, choice, number: field, text: field };
