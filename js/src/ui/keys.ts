// Keys that work anywhere in the widget. Keys of one control (arrows on the strip, on the map) live with it.

import { clamp } from "../heat/frame";
import type { Store } from "../store";
import { focusedIn, listen, set } from "./element";

/**
 * JupyterLab's shortcuts would take the arrows from sliders and insert cells on "b". It asks the focused element
 * for this attribute before any ancestor, so the root alone does not do: whatever gets the focus gets it too.
 */
export const NO_SHORTCUTS = "data-lm-suppress-shortcuts";

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Controls that need plain keys for themselves. */
const TYPED = "input:not([type=checkbox],[type=radio]), select";
const PRESSED = "button, summary, input";
const WALKED = "[type=radio], [role=radio], [role=region]";

export function installKeys(root: HTMLElement, store: Store, life: AbortSignal) {
  listen(
    root,
    {
      focusin: (event) => set(event.target as Element, NO_SHORTCUTS, "true"),
      keydown(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "Escape") {
          if (!store.press("escape")) leave(root);
          return;
        }
        if (event.key === "Enter") enter(event, event.target as HTMLInputElement);
        if (act(event.key, event.target as HTMLElement)) event.preventDefault();
      },
      keyup(event) {
        if (event.key === " ") store.peek(false);
        else store.release();
      },
      focusout() {
        store.peek(false);
        store.release();
      },
    },
    life,
  );

  function act(key: string, target: HTMLElement): boolean {
    if (target.matches(TYPED)) return false;
    if (/^[1-9]$/.test(key)) store.select(Number(key) - 1);
    else if (key === "0") store.chooseLayers(null);
    else if (key === "p" || key === "P") store.togglePlay(still());
    else if (key === "[") nudgeOpacity(-0.05);
    else if (key === "]") nudgeOpacity(0.05);
    else if (key === " " && !target.matches(PRESSED)) store.peek(true);
    else if (key === "ArrowLeft" && !target.matches(WALKED)) store.stepLayer(-1);
    else if (key === "ArrowRight" && !target.matches(WALKED)) store.stepLayer(1);
    else if (key === "ArrowUp" && !target.matches(WALKED)) return store.stepHead(-1);
    else if (key === "ArrowDown" && !target.matches(WALKED)) return store.stepHead(1);
    else return store.press(key.toLowerCase());
    return true;
  }

  function nudgeOpacity(by: number) {
    const value = store.trait("opacity").peek() + by;
    store.set("opacity", Math.round(100 * clamp(value, 0, 1)) / 100);
  }
}

/** JupyterLab takes Enter from the inputs in its cells: neither a form nor a "change" would ever follow it. */
function enter(event: KeyboardEvent, input: HTMLInputElement) {
  if (event.isComposing || !input.matches("[type=text], [type=number]")) return;
  event.preventDefault();
  if (input.form) input.form.requestSubmit();
  else input.dispatchEvent(new Event("change"));
}

/** Give the keyboard back to whatever holds the widget: the notebook cell in Jupyter. */
function leave(root: HTMLElement) {
  const outside = root.parentElement?.closest<HTMLElement>("[tabindex]");
  focusedIn(root)?.blur();
  outside?.focus({ preventScroll: true });
}
