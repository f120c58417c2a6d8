// Keys that work anywhere in the widget. Keys of one control (arrows on the strip, on the map) live with it.

import type { Store } from "../store";
import { focusedIn, set } from "./element";

/** What `?` shows. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["← →", "one layer back / on"],
  ["Shift + ← →", "a range of layers"],
  ["Home End", "first / last layer"],
  ["0", "all layers merged"],
  ["P", "play through depth"],
  ["1 – 9", "choose a prompt"],
  ["[ ]", "opacity"],
  ["Space (hold)", "hide the heatmap"],
  ["arrows on picture", "move from patch to patch"],
  ["double-click, F2", "edit a prompt"],
  ["Esc", "back to the notebook"],
];

/**
 * JupyterLab's shortcuts would take the arrows from sliders and insert cells on "b". It asks the focused element
 * for this attribute before any ancestor, so the root alone does not do: whatever gets the focus gets it too.
 */
export const NO_SHORTCUTS = "data-lm-suppress-shortcuts";

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** True where the focused control needs plain keys for itself. */
function typing(target: EventTarget | null): boolean {
  return (
    target instanceof Element && target.matches("input:not([type=checkbox],[type=radio]), select, textarea")
  );
}

export function installKeys(
  root: HTMLElement,
  store: Store,
  toggleHelp: (open?: boolean) => boolean,
  life: AbortSignal,
) {
  const listen = <K extends keyof HTMLElementEventMap>(
    type: K,
    run: (event: HTMLElementEventMap[K]) => void,
  ) => root.addEventListener(type, run, { signal: life });

  listen("focusin", (event) => set(event.target as Element, NO_SHORTCUTS, "true"));
  listen("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (!toggleHelp(false)) leave(root);
      return;
    }
    if (event.key === "Enter" && !event.isComposing && event.target instanceof HTMLInputElement) enter(event);
    if (typing(event.target)) return;
    if (act(event)) event.preventDefault();
  });
  listen("keyup", (event) => {
    if (event.key === " ") store.peeking.value = false;
  });
  listen("focusout", () => {
    store.peeking.value = false;
  });

  function act(event: KeyboardEvent): boolean {
    const { key } = event;
    if (/^[1-9]$/.test(key)) store.select(Number(key) - 1);
    else if (key === "0") store.chooseLayers(null);
    else if (key === "p" || key === "P") store.togglePlay(still());
    else if (key === "[" || key === "]") nudgeOpacity(key === "]" ? 0.05 : -0.05);
    else if (key === "?") toggleHelp();
    else if (key === " " && !onButton(event.target)) store.peeking.value = true;
    else if ((key === "ArrowLeft" || key === "ArrowRight") && !onRadio(event.target)) {
      store.stepLayer(key === "ArrowRight" ? 1 : -1);
    } else return false;
    return true;
  }

  function nudgeOpacity(by: number) {
    const value = store.trait("opacity").peek() + by;
    store.set("opacity", Math.round(100 * Math.min(Math.max(value, 0), 1)) / 100);
  }
}

const onButton = (target: EventTarget | null) =>
  target instanceof Element && target.matches("button, summary, input");
const onRadio = (target: EventTarget | null) =>
  target instanceof Element && target.matches("[type=radio], [role=radio]");

/** JupyterLab takes Enter from the inputs in its cells: neither a form nor a "change" would ever follow it. */
function enter(event: KeyboardEvent) {
  const input = event.target as HTMLInputElement;
  if (!input.matches("[type=text], [type=number]")) return;
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

export { still };
