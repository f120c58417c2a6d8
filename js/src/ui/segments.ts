// Radio buttons in a row that look like one control.

import { freshName } from "../wire";
import { el } from "./element";

export interface Segment {
  readonly value: string;
  readonly title: string;
  /** What it is, or why it cannot be had. */
  readonly hint?: string;
  readonly disabled?: boolean;
  /** Element that says why it cannot be had, for screen readers. */
  readonly describedBy?: string | undefined;
}

export interface Segments {
  readonly element: HTMLElement;
  offer(segments: readonly Segment[]): void;
  mark(chosen: string): void;
}

/** Test ids are `kind-value`. */
export function segments(kind: string, label: string, pick: (value: string) => void): Segments {
  const name = freshName();
  const element = el("div.lg-row", { role: "radiogroup", label });
  let inputs: readonly HTMLInputElement[] = [];
  return {
    element,
    offer(offered) {
      inputs = offered.map(({ value, disabled, describedBy }) =>
        el("input.lg-cover", {
          type: "radio",
          name,
          value,
          testid: `${kind}-${value}`,
          disabled,
          "aria-describedby": describedBy,
          onchange: () => pick(value),
        }),
      );
      element.replaceChildren(
        ...offered.map(({ title, hint }, i) => el("label.lg-button", { title: hint }, inputs[i], title)),
      );
    },
    mark(chosen) {
      for (const input of inputs) input.checked = input.value === chosen;
    },
  };
}
