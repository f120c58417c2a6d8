// The keyboard stays where somebody works: the browser takes the focus from what is disabled or hidden, and then no key
// of the inspector is heard.

import { focusedIn, set } from "../ui/element";

/** Whether a button can be pressed now; unlike `disabled` this leaves it the focus. */
export const setAble = (button: HTMLElement, able: boolean) => set(button, "aria-disabled", !able);
export const isAble = (button: HTMLElement) => button.getAttribute("aria-disabled") !== "true";

/** Hide, or show again; where the focus is in it that goes to `heir`. */
export function setHidden(element: HTMLElement, hidden: boolean, heir: HTMLElement): void {
  const held = hidden && focusedIn(element);
  element.hidden = hidden;
  if (held) heir.focus({ preventScroll: true });
}
