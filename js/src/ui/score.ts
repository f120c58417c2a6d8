// What the model says of the target, beside the map: a map without its score can show what is not there.

import { readable } from "../heat/describe";
import type { Store } from "../store";
import { type Entry, keyOf, readThrough } from "../wire";
import { button, el, fill, set, watch } from "./element";

/** A probability for reading: two digits, and never a false 0 or 1. */
export function probability(p: number): string {
  if (p > 0.995 && p < 1) return "> 0.99";
  if (p > 0 && p < 0.001) return "< 0.001";
  return p.toFixed(p < 0.01 ? 3 : 2);
}

export function score(store: Store, life: AbortSignal): HTMLElement {
  const element = el("section", { testid: "score", label: "Score" });
  watch(life, () => {
    const entry = store.entry.value;
    element.hidden = !entry;
    if (!entry) return;
    element.replaceChildren(
      el("h3.lg-label", { title: entry.label }, el("bdi", {}, entry.label || "(empty prompt)")),
      ...numbers(entry, store.answer.value?.layers ?? [], store.chosen.value),
      ...remarks(entry),
    );
  });
  return element;
}

function numbers(entry: Entry, layers: readonly number[], chosen: readonly number[]): HTMLElement[] {
  const list = el("div.lg-row.lg-figures");
  const add = (name: string, value: string) => list.append(el("p.lg-small", {}, name, el("b", {}, value)));
  if (entry.score !== null) add(entry.scoreName || "score", readable(entry.score));
  if (entry.probability !== null) {
    add(entry.probabilityOf ? `p, ${entry.probabilityOf}` : "p", probability(entry.probability));
  }
  const own = chosen.length === 1 ? entry.layerScores[layers.indexOf(chosen[0]!)] : null;
  if (typeof own === "number") add(`score of layer ${chosen[0]}`, readable(own));
  return entry.probability === null ? [list] : [list, meter(entry.probability)];
}

function meter(p: number): HTMLElement {
  const bar = el("span.lg-meter", { "aria-hidden": true });
  fill(bar, p);
  return bar;
}

function remarks(entry: Entry): HTMLElement[] {
  const problem = entry.error || (entry.supported === false && absent(entry));
  return [
    ...(problem ? [el(entry.error ? "p.lg-note.lg-bad" : "p.lg-note.lg-warn", {}, problem)] : []),
    ...(entry.note ? [el("p.lg-note", {}, entry.note)] : []),
  ];
}

/** Why the map is faded. */
export function absent(entry: Pick<Entry, "label" | "probability" | "score" | "scoreName">): string {
  const number =
    entry.probability !== null
      ? ` (p = ${probability(entry.probability)})`
      : entry.score !== null
        ? ` (${entry.scoreName || "score"} ${readable(entry.score)})`
        : "";
  return `The model does not see ‘${entry.label}’ here${number}: the map is faded.`;
}

/** The model's own first guesses; each is a button that asks for its map. */
export function predictions(store: Store, life: AbortSignal): HTMLElement {
  const list = el("ol");
  const of = el("span.lg-small");
  const element = el(
    "section",
    { testid: "predictions", label: "Predictions" },
    el("h3.lg-legend", {}, "The model's top guesses ", of),
    list,
  );
  watch(life, () => {
    const answer = store.answer.value;
    element.hidden = !answer?.predictions.length;
    of.textContent = answer?.predictionsOf ?? "";
    const active = store.entry.value && keyOf(store.entry.value.target);
    list.replaceChildren(
      ...(answer?.predictions ?? []).map((guess) => {
        const target = store.trait("_model").value.prompts
          ? readThrough({ kind: "text", text: guess.name }, store.trait("templates").value)
          : ({ kind: "class", index: guess.index, name: guess.name } as const);
        const guessed = button(
          ".lg-plain.lg-guess",
          {
            "aria-pressed": keyOf(target) === active,
            disabled: store.kernelless.value,
            onclick: () => store.add(target),
          },
          el("span.lg-name", {}, guess.name),
          meter(guess.probability),
          el("span.lg-small", {}, probability(guess.probability)),
        );
        return el("li", {}, guessed);
      }),
    );
    set(element, "aria-busy", store.outdated.value);
  });
  return element;
}
