// One computation about all errors: what opens it, its buttons, how far it is, what it found, and of when that is.

import { button, el, set, watch } from "../../ui/element";
import { freshName } from "../../wire";
import { isAble, setAble, setHidden } from "../kept-focus";
import type { Options, Studies } from "./store";
import type { Aged, Found, What } from "./wire";

interface Start {
  readonly what: What;
  readonly options?: () => Options;
  /** What it takes, in words. */
  readonly cost: (found: Found) => string;
  /** Whether there is anything left to do. */
  readonly able?: (found: Found) => boolean;
  /** Why it cannot be done; "". */
  readonly lacks?: (found: Found) => string;
}

interface About {
  /** The first one names the panel. */
  readonly starts: readonly [Start, ...Start[]];
  readonly result: (found: Found) => Aged | null;
}

/** A time as people say it. */
export function about(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 2 ? "a second" : whole < 100 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}

/** What so many samples take: forwards, and the time where a sample was measured. */
export function takes({ costs }: Found, what: What, samples: number, forwards = 0): string {
  const each = costs?.paces[what];
  const asks = forwards && `about ${samples * forwards} forwards`;
  return [asks, each && `about ${about(samples * each)} at the last pace`].filter(Boolean).join(", ");
}

/** What the maps of so many samples take. */
export const takesMaps = (samples: number) =>
  `the map${samples === 1 ? " of 1 sample" : `s of ${samples} samples`}, as far as not there yet: a forward and a gradient each`;

/** A button that opens the panel, and the panel. `choices`: what can be chosen before it starts. */
export function panel(
  studies: Studies,
  { starts, result }: About,
  life: AbortSignal,
  choices: readonly HTMLElement[],
  ...parts: HTMLElement[]
): { opener: HTMLButtonElement; panel: HTMLElement } {
  const { gallery, run, found } = studies;
  const id = freshName();
  const [{ what }] = starts;
  const said = found.peek().about;
  const { title, says } = said[what];
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
  const begins = starts.map((start) => {
    const begin = button(
      ".lg-button",
      {
        testid: `start-${start.what}`,
        onclick: () => isAble(begin) && studies.start(start.what, start.options?.()),
      },
      said[start.what].start,
    );
    return { start, begin, cost: el("span.lg-note", { testid: `cost-${start.what}` }) };
  });
  const bar = el("progress", { max: 1, label: title });
  const stop = button(".lg-button", { testid: `stop-${what}`, onclick: studies.stop }, "Stop");
  const words = el("p.lg-note", { role: "status", testid: `words-${what}` });
  const needs = el("p.lg-note", { testid: `needs-${what}` });
  const old = el("p.lg-note.lg-warn", { testid: `stale-${what}` });
  const making = el(
    "div.lg-stack",
    {},
    ...choices,
    ...begins.map(({ begin, cost }) => el("div.lg-row", {}, begin, cost)),
    el("div.lg-row", {}, bar, stop, words),
  );
  const element = el(
    "section.lg-stack.lg-study",
    { id, testid: what, label: title },
    el("h3.lg-legend", {}, title),
    el("p.lg-note", {}, says),
    making,
    needs,
    old,
    ...parts,
  );
  watch(life, () => {
    const open = studies.shown.value === what;
    element.hidden = !open;
    set(opener, "aria-expanded", open);
  });
  watch(life, () => {
    const { live, page } = gallery.card.value;
    making.hidden = !live;
    needs.hidden = live;
    needs.textContent = page
      ? "As it was saved: finding more takes Python and the model."
      : "As it was saved. To find more: lw.open_inspection(folder, model=model).";
    opener.hidden = !live && !result(found.value);
  });
  watch(life, () => {
    old.textContent = result(found.value)?.stale ?? "";
    old.hidden = !old.textContent;
  });
  watch(life, () => {
    const { what: now, state, step, total, message } = run.value;
    const running = state === "running";
    const ours = starts.some((start) => start.what === now);
    const scoring = gallery.progress.value.state === "running";
    for (const { start, begin, cost } of begins) {
      const lacks = scoring ? "" : (start.lacks?.(found.value) ?? "");
      setAble(begin, !running && !scoring && !lacks);
      const able = start.able?.(found.value) ?? true;
      setHidden(begin, !able, opener);
      cost.textContent = able && !running ? lacks || start.cost(found.value) : "";
    }
    bar.hidden = !(ours && running);
    setHidden(stop, bar.hidden, begins.find(({ begin }) => !begin.hidden)?.begin ?? opener);
    if (total) bar.value = step / total;
    else set(bar, "value", null);
    words.classList.toggle("lg-bad", ours && state === "failed");
    const left = studies.left.value;
    const far = total ? `sample ${Math.min(step + 1, total)} of ${total}` : "";
    words.textContent = scoring
      ? "when all samples are scored"
      : !ours
        ? running
          ? "when the other computation is through"
          : ""
        : running
          ? far + (Number.isNaN(left) ? "" : `, about ${about(left)} more`)
          : state === "stopped"
            ? "Stopped."
            : message;
  });
  return { opener, panel: element };
}
