// One computation about all errors: what opens it, its button, how far it is, and what it found.

import { button, el, set, watch } from "../../ui/element";
import { freshName } from "../../wire";
import type { Studies } from "./store";
import type { What } from "./wire";

interface About {
  readonly what: What;
  readonly title: string;
  /** What it does, and how to read what it finds. */
  readonly says: string;
  /** What the button that starts it says. */
  readonly start: string;
}

/** A button that opens the panel, and the panel. */
export function panel(
  studies: Studies,
  { what, title, says, start }: About,
  life: AbortSignal,
  ...found: HTMLElement[]
): { opener: HTMLButtonElement; panel: HTMLElement } {
  const id = freshName();
  const opener = button(
    ".lg-button",
    {
      testid: `open-${what}`,
      "aria-controls": id,
      onclick: () => {
        studies.shown.value = studies.shown.peek() === what ? "" : what;
      },
    },
    title,
  );
  const begin = button(".lg-button", { testid: `start-${what}`, onclick: () => studies.start(what) }, start);
  const bar = el("progress", { max: 1, label: title });
  const stop = button(".lg-button", { testid: `stop-${what}`, onclick: studies.stop }, "Stop");
  const words = el("p.lg-note", { role: "status", testid: `words-${what}` });
  const element = el(
    "section.lg-stack.lg-study",
    { id, testid: what, label: title },
    el("h3.lg-legend", {}, title),
    el("p.lg-note", {}, says),
    el("div.lg-row", {}, begin, bar, stop, words),
    ...found,
  );
  watch(life, () => {
    const open = studies.shown.value === what;
    element.hidden = !open;
    set(opener, "aria-expanded", open);
  });
  watch(life, () => {
    const run = studies.run.value;
    const [ours, running] = [run.what === what, run.state === "running"];
    const scoring = studies.gallery.progress.value.state === "running";
    begin.disabled = running || scoring;
    bar.hidden = stop.hidden = !(ours && running);
    if (run.total) bar.value = run.step / run.total;
    else set(bar, "value", null);
    words.classList.toggle("lg-bad", ours && run.state === "failed");
    const far = run.total ? `sample ${Math.min(run.step + 1, run.total)} of ${run.total}` : "";
    words.textContent = scoring
      ? "when all samples are scored"
      : !ours
        ? running
          ? "when the other computation is through"
          : ""
        : running
          ? far
          : run.state === "stopped"
            ? "Stopped."
            : run.message;
  });
  return { opener, panel: element };
}
