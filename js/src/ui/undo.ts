// Undo, redo and pin: three buttons; Ctrl+Z and Ctrl+Shift+Z, and where one act ends and the next begins.

import type { LiveStore } from "../store/live";
import { button, claim, drawIcon, el, set, watch } from "./element";

const ICONS = {
  pin: "M5.5 2h5M6.5 2v4.5L4 9.5h8L9.5 6.5V2M8 9.5V14",
  undo: "M6.5 3L3 6.5 6.5 10M3.5 6.5H10a3.2 3.2 0 010 6.5H7",
  redo: "M9.5 3L13 6.5 9.5 10M12.5 6.5H6A3.2 3.2 0 006 13h3",
};
const TEXT = "[type=text], [type=number], textarea";
const isText = (event: Event) => (event.target as Element).matches(TEXT);

export function undo(store: LiveStore, life: AbortSignal): HTMLElement {
  const { undoable, redoable, undo: back, redo: on } = store.history;
  const pin = step("pin", "Pin this view (K)", () => store.press("k"));
  const undoing = step("undo", "Undo (Ctrl+Z)", back);
  const redoing = step("redo", "Redo (Ctrl+Shift+Z)", on);
  watch(life, () => {
    // Disabled outright, a button would drop the focus with its last step, and with it the keys.
    set(undoing, "aria-disabled", !undoable.value);
    set(redoing, "aria-disabled", !redoable.value);
  });
  return el("div.lg-row.lg-undo", {}, pin, undoing, redoing);
}

function step(name: keyof typeof ICONS, title: string, onclick: () => void): HTMLButtonElement {
  return button(
    ".lg-button",
    { testid: `do-${name}`, title, label: title, onclick },
    drawIcon(name, ICONS[name]),
  );
}

export function takeActs(root: HTMLElement, store: LiveStore, life: AbortSignal): void {
  const { begin, undo: back, redo: on } = store.history;
  // Before any control hears of it. A click without a press comes from a key or an assistive device.
  const early = (type: keyof HTMLElementEventMap, run: (event: never) => void) =>
    root.addEventListener(type, run as EventListener, { capture: true, signal: life });
  early("pointerdown", begin);
  early("click", (event: MouseEvent) => event.detail || begin());
  early("keydown", (event: KeyboardEvent) => event.repeat || isText(event) || begin());
  // A prompt is one act from its first letter to Enter.
  early("keyup", (event: KeyboardEvent) => event.key === "Enter" && begin());

  root.addEventListener(
    "keydown",
    (event) => {
      const redo = /^y$/i.test(event.key) || event.shiftKey;
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !/^[yz]$/i.test(event.key) || isText(event))
        return;
      claim(event);
      redo ? on() : back();
    },
    { signal: life },
  );
}
