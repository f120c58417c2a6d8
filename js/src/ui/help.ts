// The list of keys, which the button "?" opens and closes.

import { el, set } from "./element";

const KEYS: readonly (readonly [string, string])[] = [
  ["← →", "one layer back / on"],
  ["Shift + ← →", "a range of layers"],
  ["↑ ↓", "one head back / on"],
  ["Home End", "first / last layer"],
  ["0", "all layers and heads merged"],
  ["G", "layer × head matrix"],
  ["A (hold)", "attention of the patch pointed at"],
  ["L", "patch lens: what the layer reads there"],
  ["N", "token norms, outliers marked"],
  ["Ctrl-click, -Enter", "ablate a head of the matrix"],
  ["P", "play through depth"],
  ["B", "brush patches away (Alt: bring back)"],
  ["Z", "undo a stroke of the brush"],
  ["F", "faithfulness of the map"],
  ["1 – 9", "choose a prompt"],
  ["K", "pin the view"],
  ["Ctrl + Z, + Shift", "undo, redo"],
  ["[ ]", "opacity"],
  ["Space (hold)", "hide the heatmap"],
  ["arrows on picture", "move from patch to patch"],
  ["double-click, F2", "edit a prompt"],
  ["Ctrl-click, C", "contrast: active prompt over that one"],
  ["Ctrl + ← →", "to another prompt, for C"],
  ["Esc", "back to the notebook"],
];

export interface Help {
  readonly panel: HTMLElement;
  toggle(): void;
  /** Close it; false where it was closed. */
  close(): boolean;
}

export function help(root: HTMLElement): Help {
  const opener = root.querySelector("[data-testid=help]")!;
  const panel = el(
    "div.lg-popup.lg-help",
    { hidden: true, role: "region", label: "Keys" },
    el("h3.lg-legend", {}, "Keys"),
    ...KEYS.map(([keys, does]) => el("p", {}, el("b", {}, keys), does)),
  );
  function toggle() {
    panel.hidden = !panel.hidden;
    set(opener, "aria-expanded", !panel.hidden);
  }
  return {
    panel,
    toggle,
    close() {
      const open = !panel.hidden;
      if (open) toggle();
      return open;
    },
  };
}
