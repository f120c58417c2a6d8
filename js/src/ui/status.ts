// One line on what is going on, with the way out of it; and the same for those who listen.

import type { Store } from "../store";
import { button, el, onEnd, set, watch } from "./element";

const SPOKEN_EVERY_MS = 1000;

export function status(store: Store, life: AbortSignal): HTMLElement {
  const { phase, cancel } = store;
  const dot = el("span.lg-dot", { "aria-hidden": true });
  const words = el("span.lg-words");
  const bar = el("progress", { max: 1, label: "Progress" });
  const stop = button(".lg-button", { testid: "cancel", onclick: cancel }, "Cancel");
  const trace = el("pre", { tabindex: 0 });
  const details = el("details", {}, el("summary", {}, "Traceback"), trace);
  const element = el(
    "div.lg-note.lg-status",
    { testid: "status" },
    el("div.lg-row.lg-status-line", {}, dot, words, bar, stop),
    details,
  );
  watch(life, () => {
    const { kind, message, detail, progress, cancellable } = phase.value;
    set(element, "data-kind", kind);
    words.textContent = message;
    bar.hidden = progress === null;
    bar.value = progress ?? 0;
    stop.hidden = !cancellable;
    details.hidden = !detail;
    if (trace.textContent !== detail) trace.textContent = detail;
  });
  return element;
}

/** Status and description for screen readers: at most once a second, and only the last word. */
export function announcer(store: Store, life: AbortSignal): HTMLElement {
  const described = el("p", { testid: "describe" });
  const live = el("p", { role: "status", "aria-live": "polite" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let said = store.description.peek();
  watch(life, () => {
    described.textContent = store.description.value;
    const { kind, message } = store.phase.value;
    const words = kind === "idle" ? store.description.value : message;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (words === said) return;
      said = words;
      live.textContent = words;
    }, SPOKEN_EVERY_MS);
  });
  onEnd(life, () => clearTimeout(timer));
  return el("div.lg-sr", {}, described, live);
}
