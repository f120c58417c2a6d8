// A test of the map that runs for a while: what it is, its button, how far it is, and what it found.

import type { LiveStore } from "../store/live";
import type { ToolName } from "../tools-wire";
import { button, el, set, watch } from "./element";

interface Trial {
  readonly tool: ToolName;
  readonly title: string;
  readonly about: string;
  /** What the button that starts it says and does. */
  readonly button: string;
  ask(): void;
  /** Whether what it found is of what is shown; if not said, where it is about the answer on the screen. */
  fits?(): boolean;
}

export function trial(
  store: LiveStore,
  { tool, title, about, button: says, ask, fits }: Trial,
  life: AbortSignal,
  ...found: HTMLElement[]
): HTMLElement {
  const { tools } = store;
  const start = button(".lg-button", { testid: `run-${tool}`, onclick: ask }, says);
  const bar = el("progress", { max: 1, label: `Progress: ${title}` });
  const stop = button(".lg-button", { testid: `stop-${tool}`, onclick: tools.stop }, "Stop");
  const words = el("p.lg-note");
  const results = el("div.lg-stack", { testid: tool }, ...found);
  watch(life, () => {
    const entry = tools.latest(tool).value;
    const busy = tools.busy.value?.tool === tool ? tools.busy.value : null;
    const running = busy ?? (entry?.state === "running" ? entry : null);
    start.disabled = !!tools.lacks.value || !store.entry.value;
    bar.hidden = stop.hidden = !running;
    if (running?.total) bar.value = running.step / running.total;
    else set(bar, "value", null);
    const stale = !!entry && (fits ? !fits() : entry !== tools.entry(tool).value);
    const ended = entry?.state === "failed" || entry?.state === "stopped";
    words.textContent =
      busy?.message || (stale ? `Of an earlier map: ${entry.label}.` : ended ? entry.message : "");
    words.hidden = !words.textContent;
    set(results, "aria-busy", !!running);
    set(results, "data-stale", stale);
  });
  return el(
    "section.lg-stack",
    { label: title },
    el("h3.lg-legend", {}, title),
    el("p.lg-note", {}, about),
    el("div.lg-row", {}, start, bar, stop),
    words,
    results,
  );
}
