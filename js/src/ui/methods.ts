// The method toggle: what makes the map, in a line, with its price, its paper and its knobs.

import { untracked } from "@preact/signals-core";
import type { Store } from "../store";
import { freshName, type Knob, type KnobValue } from "../wire";
import { button, el, focusedIn, watch } from "./element";

export function methods(store: Store, life: AbortSignal): HTMLElement {
  const group = freshName();
  const row = el("div.lg-segments");
  const about = el("p.lg-about");
  const paper = el("p.lg-paper");
  const knobs = el("div.lg-knobs");
  const details = el("details.lg-details", {}, el("summary", {}, "Options"), knobs);
  const catalogue = store.trait("_catalogue");
  const chosen = store.trait("method");

  watch(life, () => {
    row.replaceChildren(
      ...catalogue.value.map(({ name, title, available, reason, summary }) => {
        const blocked = !available || store.kernelless.value;
        const why = store.kernelless.value ? "Another method needs a running kernel" : reason;
        const input = el("input.lg-cover", {
          type: "radio",
          name: group,
          value: name,
          testid: `method-${name}`,
          disabled: blocked && name !== chosen.peek(),
          onchange: () => store.setMethod(name),
        });
        return el(
          "label.lg-segment",
          { title: blocked && why ? why : summary },
          input,
          el("span", {}, title),
        );
      }),
    );
    untracked(mark);
  });
  watch(life, mark);
  function mark() {
    for (const input of row.querySelectorAll("input")) input.checked = input.value === chosen.value;
  }

  watch(life, () => {
    const method = store.method.value;
    about.textContent = method ? method.summary : `'${chosen.value}' is not in this model's catalogue.`;
    paper.textContent = method ? [method.cost, method.paper].filter(Boolean).join(" · ") : "";
    details.hidden = !method?.knobs.length;
  });

  watch(life, () => {
    const method = store.method.value;
    const values = store.trait("knobs").value;
    const again = focusedIn(knobs)?.dataset.knob;
    knobs.replaceChildren(
      ...(method?.knobs ?? []).map((knob) =>
        knobRow(knob, values[knob.name] ?? knob.default, store.kernelless.value, (value) =>
          store.setKnob(knob.name, value),
        ),
      ),
    );
    if (Object.keys(values).length) {
      const reset = button(".lg-button", { onclick: store.resetKnobs }, "Back to the defaults");
      knobs.append(reset);
    }
    if (again) knobs.querySelector<HTMLElement>(`[data-knob="${CSS.escape(again)}"]`)?.focus();
  });

  return el("fieldset.lg-group", {}, el("legend.lg-legend", {}, "Method"), row, about, paper, details);
}

const spoken = (value: KnobValue) => (value === null ? "none" : String(value));

function knobRow(
  knob: Knob,
  value: KnobValue,
  fixed: boolean,
  change: (value: KnobValue) => void,
): HTMLElement {
  const shared = { "data-knob": knob.name, disabled: fixed };
  let control: HTMLElement;
  if (knob.kind === "bool") {
    const input = el("input", { type: "checkbox", ...shared, onchange: () => change(input.checked) });
    input.checked = value === true;
    control = input;
  } else if (knob.kind === "choice") {
    const options = knob.choices.map((choice, i) => el("option", { value: i }, spoken(choice)));
    const select = el(
      "select.lg-select",
      { ...shared, onchange: () => change(knob.choices[Number(select.value)] ?? null) },
      ...options,
    );
    select.value = String(knob.choices.indexOf(value));
    control = select;
  } else {
    const number = knob.kind === "number";
    const read = (): KnobValue => {
      const words = input.value.trim();
      if (!number) return words || knob.default;
      return words && Number.isFinite(Number(words)) ? Number(words) : knob.default;
    };
    const input = el("input.lg-text", {
      type: number ? "number" : "text",
      step: "any",
      ...shared,
      onchange: () => change(read()),
    });
    input.value = value === null ? "" : String(value);
    if (knob.default === null) input.placeholder = "none";
    control = input;
  }
  return el("label.lg-knob", { title: knob.help }, el("span", {}, knob.name), control);
}
