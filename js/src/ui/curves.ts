// Curves of a test of the map, drawn as they are computed: faithfulness on this picture, and shuffled weights.

import { readable } from "../heat/describe";
import type { LiveStore } from "../store/live";
import type { Trust } from "../store/trust";
import type { ToolOf } from "../tools-wire";
import { el, set, watch } from "./element";
import { trial } from "./trial";

type Point = readonly [x: number, y: number];
interface Plot {
  /** What the axes are, and the last value of the horizontal one in words. */
  readonly x: string;
  readonly y: string;
  readonly end: number;
  readonly last: string;
  readonly lines: readonly { readonly kind: string; readonly points: readonly Point[] }[];
  /** Around a region: along its lower edge and back along its upper one. */
  readonly band?: readonly Point[];
  /** Where a vertical line stands; 0 for none. */
  readonly at?: number;
}

const [LEFT, TOP, WIDE, HIGH] = [44, 24, 244, 116];

function svg(
  tag: string,
  props: Record<string, string | number>,
  ...children: (Node | string)[]
): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) set(made, name, value);
  made.append(...children);
  return made;
}

/** Lines over a share or a count: from 0, or the lowest value, to the highest one. */
function chart({ x, y, end, last, lines, band = [], at = 0 }: Plot, label: string): SVGElement {
  const heights = [...lines.flatMap(({ points }) => points), ...band].map((point) => point[1]);
  const least = Math.min(0, ...heights);
  const most = Math.max(...heights, least + 1e-9);
  const line = (kind: string, points: readonly Point[], shape = "polyline") =>
    svg(shape, {
      "data-kind": kind,
      points: points
        .map(([across, up]) => [LEFT + (WIDE * across) / end, TOP + (HIGH * (most - up)) / (most - least)])
        .join(" "),
    });
  const words = (left: number, top: number, said: string, anchor = "end") =>
    svg("text", { x: left, y: top, "text-anchor": anchor }, said);
  const rule = (up: number) => line("rule", [[0, up], [end, up]]); // biome-ignore format: a line
  const bottom = TOP + HIGH;
  return svg(
    "svg",
    { viewBox: "0 0 300 162", class: "lg-chart", role: "img", "aria-label": label },
    rule(0),
    rule(least),
    rule(most),
    words(LEFT - 4, TOP + 4, readable(most, 2)),
    words(LEFT - 4, bottom + 4, readable(least, 2)),
    words(LEFT, bottom + 15, "0", "middle"),
    words(LEFT + WIDE / 2, bottom + 15, x, "middle"),
    words(LEFT + WIDE + 10, bottom + 15, last),
    words(LEFT, 12, y, "start"),
    line("band", band, "polygon"),
    ...lines.map(({ kind, points }) => line(kind, points)),
    at ? line("at", [[at, least], [at, most]]) : "", // biome-ignore format: a line
  );
}

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
  const number = el("output.lg-small");
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    testid: "erase",
    label: "Erased share of the picture",
    oninput: () => {
      trust.share.value = Number(slider.value);
    },
  });
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
    slider.value = String(share);
    slider.disabled = !all;
    number.textContent = share.toFixed(2);
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
    el("label.lg-slider", {}, el("span", {}, "Erase"), slider, number),
    there,
  );
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
