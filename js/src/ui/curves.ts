// Curves of a test of the map, drawn as they are computed: faithfulness on this picture, and shuffled weights.

import { readable } from "../heat/describe";
import type { LiveStore } from "../store/live";
import type { Trust } from "../store/trust";
import type { ToolOf } from "../tools-wire";
import { chart, type Point } from "./chart";
import { el, watch } from "./element";
import { trial } from "./trial";

const pairs = <T>(xs: readonly number[], ys: readonly T[]) => ys.map((y, i) => [xs[i]!, y] as const);

// -- deletion and insertion -------------------------------------------------------------------------------------------

/** The mean height of a curve of equal steps: its trapezoid over its range. */
const meanHeight = (values: readonly number[]) =>
  (values.reduce((sum, value) => sum + value, 0) - (values[0]! + values.at(-1)!) / 2) / (values.length - 1);

/** What the finished curves say. */
export function verdict({ curves, band }: Pick<ToolOf<"curves">, "curves" | "band">): string {
  const areas = curves.flatMap(({ kind, area }) => (area === null ? [] : `${kind} ${readable(area, 2)}`));
  if (!areas.length) return "";
  const chance = band?.mean.length ? meanHeight(band.mean) : null;
  const said = `Areas: ${areas.join(", ")}`;
  const first = curves[0]!.area;
  if (chance === null || first === null) return `${said}.`;
  const passed = first < chance ? "passed" : "did not pass";
  return `${said}, deletion in random order ${readable(chance, 2)}. It ${passed}: deletion has to be below random order.`;
}

export function faithfulness(store: LiveStore, trust: Trust, life: AbortSignal): HTMLElement {
  const plot = el("div");
  const named = (kind: string, words = kind) => el("span", { "data-kind": kind }, words);
  const key = el(
    "p.lg-small.lg-key",
    {},
    named("deletion"),
    named("insertion"),
    named("band", "random order"),
  );
  const says = el("p.lg-note", { role: "status" });
  const there = el("p.lg-note", { testid: "erased" });

  watch(life, () => {
    const found = store.tools.latest("curves").value;
    plot.hidden = key.hidden = !found?.curves.length;
    says.textContent = found ? verdict(found) : "";
    if (!found || plot.hidden) return;
    const { curves, band, of, label } = found;
    const lines = curves.map(({ kind, fractions, values }) => ({ kind, points: pairs(fractions, values) }));
    const edges = band
      ? [...pairs(band.fractions, band.low), ...pairs(band.fractions, band.high).reverse()]
      : [];
    plot.replaceChildren(
      chart(
        {
          x: "share erased or put in",
          y: of,
          end: 1,
          last: "100 %",
          lines,
          band: edges,
          at: trust.share.value,
        },
        `Deletion and insertion for ${label}`,
      ),
    );
  });
  watch(life, () => {
    const share = trust.share.value;
    const all = store.heat.value?.raw.length ?? 0;
    there.textContent = share
      ? `${trust.erased.value.size} of ${all} patches erased, as the map shows; the curves go by pixels, all layers merged as the method does.`
      : "Slide to see it: the strongest patches go first.";
  });
  return trial(
    store,
    {
      tool: "curves",
      title: "Faithfulness on this picture",
      about: "Erases the picture in the order of the map, or puts it back in, and asks each time.",
      button: "Deletion and insertion",
      ask: trust.measure,
    },
    life,
    plot,
    key,
    says,
    eraser(store, trust, life, "erase"),
    there,
  );
}

/** A slider over the share of the picture that is erased as the map shows. */
export function eraser(store: LiveStore, trust: Trust, life: AbortSignal, testid: string): HTMLElement {
  const number = el("output.lg-small");
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    testid,
    label: "Erased share of the picture",
    oninput: () => {
      trust.share.value = Number(slider.value);
    },
  });
  watch(life, () => {
    slider.value = String(trust.share.value);
    slider.disabled = !store.heat.value;
    number.textContent = trust.share.value.toFixed(2);
  });
  return el("label.lg-slider", {}, el("span", {}, "Erase"), slider, number);
}

// -- shuffled weights -------------------------------------------------------------------------------------------------

export function randomisation(store: LiveStore, life: AbortSignal): HTMLElement {
  const plot = el("div");
  const says = el("p.lg-note", { role: "status" });
  watch(life, () => {
    const found = store.tools.latest("randomise").value;
    plot.hidden = !found?.blocks.length;
    const passed = found?.passed ?? null;
    says.textContent =
      passed === null
        ? ""
        : passed
          ? "It passed."
          : "It did not pass: the map hardly depends on what the model has learned.";
    if (!found || plot.hidden) return;
    const { blocks, correlations, label } = found;
    const end = Math.max(...blocks, store.answer.value?.layers.at(-1) ?? 1);
    // A flat map has no ranks.
    const points = pairs(blocks, correlations).filter((point): point is Point => point[1] !== null);
    plot.replaceChildren(
      chart(
        {
          x: "shuffled blocks",
          y: "rank correlation",
          end,
          last: `${end}`,
          lines: [{ kind: "rank", points }],
        },
        `Rank correlation for ${label}: ${points.map((point) => readable(point[1], 2)).join(", ")}`,
      ),
    );
  });
  return trial(
    store,
    {
      tool: "randomise",
      title: "Shuffled weights",
      about:
        "The map should fall towards 0. A copy is shuffled, from its last block down; the model is untouched.",
      button: "Shuffle the weights, block by block",
      ask: () => store.tools.ask("randomise"),
    },
    life,
    plot,
    says,
  );
}
