// The list of keys.

import { button, el, set } from "./element";
import { KEYS } from "./keys";

export function help(): { button: HTMLElement; panel: HTMLElement; toggle(open?: boolean): boolean } {
  const rows = KEYS.map(([keys, does]) => el("p", {}, el("b", {}, keys), does));
  const panel = el(
    "div.lg-popup.lg-help",
    { hidden: true, role: "region", label: "Keys" },
    el("h3.lg-legend", {}, "Keys"),
    ...rows,
  );
  const opener = button(
    ".lg-button.lg-square",
    {
      title: "Keys (?)",
      label: "Keys",
      "aria-expanded": false,
      onclick: () => toggle(),
    },
    "?",
  );
  /** Returns whether anything changed. */
  function toggle(open = panel.hidden): boolean {
    const changed = panel.hidden === open;
    panel.hidden = !open;
    set(opener, "aria-expanded", open);
    return changed;
  }
  return { button: opener, panel, toggle };
}
