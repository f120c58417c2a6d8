// Over the matrix: what its cells show, map mass or effects on the score, and checking the largest effects by ablation.

import { computed } from "../signals";
import { type Measure, TOP } from "../store/effects";
import type { LiveStore } from "../store/live";
import { button, el, watch } from "./element";
import { segments } from "./segments";

const ABOUT_HEADS = ["effects", "ablate", "verify"] as const;

export function effects({ effects, tools }: LiveStore, life: AbortSignal): HTMLElement {
  const verifying = () => tools.busy.value?.tool === "verify";
  const measures = segments("measure", "What the cells show", (value) => {
    effects.measure.value = value as Measure;
  });
  const verify = button(".lg-button", {
    testid: "verify",
    onclick: () => (verifying() ? tools.stop() : effects.verify()),
  });
  const bar = el("progress", { max: 1, label: "Heads ablated" });
  const state = el("span.lg-small", { testid: "tool-state" });

  const cannot = computed(() => (effects.known.value ? "" : tools.lacks.value));
  watch(life, () => {
    measures.offer([
      { value: "mass", title: "Map mass", hint: "The method's map of every head, and its size" },
      {
        value: "effect",
        title: "Effect",
        hint: cannot.value || "Gradient times attention of the final score, summed over keys",
        disabled: !!cannot.value,
      },
    ]);
  });
  watch(life, () => {
    cannot.value;
    const lacks = tools.lacks.value;
    const { tool, step = 0, total = 0, message } = tools.busy.value ?? {};
    const running = verifying();
    const effect = effects.measure.value === "effect";
    measures.mark(effects.measure.value);
    verify.disabled = !!lacks;
    verify.textContent = running ? `Stop (${step} of ${total || TOP})` : `Verify top ${TOP}`;
    verify.title = lacks || "Ablate the heads with the largest effects, one after the other";
    bar.hidden = !running;
    bar.value = total ? step / total : 0;
    const asked = ABOUT_HEADS.some((name) => name === tool);
    const failed = ABOUT_HEADS.map((name) => tools.entry(name).value).find(
      (entry) => entry?.state === "failed",
    );
    state.textContent =
      lacks && effect
        ? `Effects and ablation: ${lacks[0]!.toLowerCase()}${lacks.slice(1)}`
        : asked
          ? message || "Computing …"
          : (failed?.message ?? "");
  });
  return el("div.lg-row", {}, measures.element, verify, bar, state);
}
