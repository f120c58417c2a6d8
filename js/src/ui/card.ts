// About the method in charge: how its map is to be read, its formula, what it cost here, and whether it passed a check.

import { readable } from "../heat/describe";
import { computed, signal, untracked } from "../signals";
import type { LiveStore } from "../store/live";
import type { Verdict } from "../tools-wire";
import { button, el, listen, watch } from "./element";

const READOUTS: Readonly<Record<string, string>> = {
  cls: "class token",
  mean: "mean of tokens",
  attention: "attention pooler",
};

export function card(store: LiveStore, section: HTMLDetailsElement, life: AbortSignal): HTMLElement {
  const { tools } = store;
  const shows = el("p");
  const formula = el("pre.lg-formula", { testid: "formula", tabindex: 0 });
  const traits = el("p.lg-note");
  const costs = el("p.lg-note", { testid: "cost" });
  const checked = el("p.lg-note", { testid: "checked", role: "status" });
  const check = button(
    ".lg-button",
    { testid: "check", onclick: () => tools.ask("randomise") },
    "Check it: shuffle the weights",
  );
  const stop = button(".lg-button", { onclick: tools.stop }, "Stop");

  watch(life, () => {
    const method = store.method.value;
    if (!method) return;
    shows.textContent = method.shows;
    formula.textContent = method.formula;
    traits.textContent = [
      method.signed ? "Signed" : "Not signed",
      method.classDiscriminative ? "tells targets apart" : "the same for every target",
      `for readouts by ${method.readouts.map((kind) => READOUTS[kind] ?? kind).join(", ")}`,
    ].join(" · ");
  });

  const measured = computed(() => {
    const entry = tools.entry("card").value;
    return entry?.method === store.answer.value?.method ? entry : null;
  });
  const running = computed(() => (tools.busy.value?.tool === "randomise" ? tools.busy.value : null));
  watch(life, () => {
    const { seconds, forward } = measured.value ?? {};
    const here =
      seconds && forward
        ? `Measured here: ${time(seconds)} for a target, as long as ${readable(seconds / forward, 2)} forwards of this model (${time(forward)} each).`
        : "Not measured here yet.";
    costs.textContent = `${here} Predicted: ${store.method.value?.cost}.`;
  });
  watch(life, () => {
    const now = running.value;
    const entry = tools.entry("randomise").value;
    const fresh = entry?.state === "done" && entry.method === store.answer.value?.method ? entry : null;
    const last = fresh
      ? { passed: fresh.passed === true, correlation: fresh.correlations.at(-1) ?? null, label: fresh.label }
      : (measured.value?.verdict ?? null);
    check.disabled = !!tools.lacks.value || !!now;
    stop.hidden = !now;
    checked.textContent = now
      ? `Checking: ${now.total ? `${now.step} of ${now.total} steps` : "waiting"} …`
      : last
        ? verdict(last)
        : "Randomisation check: not run on this model.";
    checked.classList.toggle("lg-warn", !now && last?.passed === false);
  });

  // A card that is open knows its method's cost, unless another tool would be stopped for it.
  const open = signal(section.open);
  const wanted = computed(() => {
    const { rev, method } = store.answer.value ?? {};
    const known = measured.value || tools.busy.value || tools.lacks.value || store.outdated.value;
    return open.value && method && !known ? `${rev} ${store.active.value}` : "";
  });
  let asked = "";
  watch(life, () => {
    const what = wanted.value;
    if (!what || what === asked) return;
    asked = what;
    untracked(() => tools.ask("card"));
  });
  listen(
    section,
    {
      toggle: () => {
        open.value = section.open;
      },
    },
    life,
  );

  return el(
    "div.lg-stack",
    { testid: "card-found" },
    shows,
    formula,
    traits,
    costs,
    checked,
    el("div.lg-row", {}, check, stop),
  );
}

/** What the check said, in a sentence. */
export function verdict({ passed, correlation, label }: Verdict): string {
  const left =
    correlation === null ? "is flat" : `has a rank correlation of ${readable(correlation, 2)} with this one`;
  return `Randomisation check ${passed ? "passed" : "failed"} for ‘${label}’: with all blocks shuffled the map ${left}${
    passed ? "" : ", 0.5 or more"
  }.`;
}

const time = (seconds: number) =>
  seconds < 1 ? `${readable(1000 * seconds, 2)} ms` : `${readable(seconds, 2)} s`;
