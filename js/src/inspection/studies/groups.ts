// Groups of errors that are alike: a card each, which narrows the gallery to its members, and all errors in a plane.

import { scaleMap } from "../../heat/merge";
import type { Look } from "../../heat/palette";
import { button, el, set, watch } from "../../ui/element";
import { drawHeat } from "../../ui/raster";
import { marginCurve } from "./margins";
import { panel, takes, takesMaps } from "./panel";
import { colourOf, scatter } from "./scatter";
import type { Options, Studies } from "./store";
import type { Group } from "./wire";

/** Canvas pixels of a card's picture. */
const PIXELS = 96;
/** As many groups as can be asked for. */
const MOST = 12;
const BLOCKS = ["evidence map", "layers", "embedding"] as const;

export function groups(studies: Studies, life: AbortSignal) {
  const { gallery, brush, clusters } = studies;
  const cards = el("div.lg-groups", { testid: "groups" });
  const about = el("p.lg-note", { testid: "grouped" });
  const plane = scatter(studies, life);
  const box = el("div.lg-grouped", {}, el("div.lg-stack", {}, about, cards), plane.element);
  let drawn: { readonly group: Group; readonly canvas: HTMLCanvasElement }[] = [];

  watch(life, () => {
    const given = clusters.value;
    box.hidden = !given;
    drawn = [];
    if (!given) return;
    about.textContent = given.says;
    cards.replaceChildren(
      ...given.cards.map((group) => {
        const canvas = el("canvas", { "aria-hidden": true });
        drawn.push({ group, canvas });
        const value = String(group.number);
        const colour = el("span.lg-swatch", { "aria-hidden": true }, value);
        colour.style.setProperty("--lg-swatch", colourOf(group.number));
        const narrow = button(
          ".lg-plain",
          {
            "data-group": value,
            onclick: () => {
              const { cluster, ...others } = gallery.sieve.peek().values;
              gallery.narrow({ values: cluster === value ? others : { ...others, cluster: value } });
            },
          },
          canvas,
          el("b", {}, colour, `${group.size} error${group.size === 1 ? "" : "s"}`),
          ...group.pairs.map(({ true: is, predicted, count }) =>
            el("span.lg-small", {}, `${is} → ${predicted} ${count}`),
          ),
          el("span.lg-note", {}, group.tested),
        );
        return el(
          "div.lg-group",
          {},
          narrow,
          group.advice && el("span.lg-small", {}, ...withCode(group.advice)),
          group.lost && marginCurve(group.margins, group.lost),
          el("span.lg-small", {}, group.lost),
          button(
            ".lg-plain.lg-small",
            { "data-medoid": group.medoid, onclick: () => gallery.open(group.medoid) },
            "open the most typical",
          ),
        );
      }),
    );
  });
  watch(life, () => {
    clusters.value;
    const picked = gallery.sieve.value.values.cluster;
    for (const card of cards.querySelectorAll<HTMLElement>("[data-group]"))
      set(card, "aria-pressed", card.dataset.group === picked);
  });
  watch(life, () => {
    gallery.shelf.arrived.value;
    clusters.value;
    for (const { group, canvas } of drawn)
      draw(canvas, gallery.shelf.picture(group.medoid), group, brush.look);
  });
  // The neighbours of the open sample are asked for beside them: one list stands for both.
  watch(life, () => {
    const near = gallery.sample.value?.neighbours.flatMap(({ rows }) => rows) ?? [];
    const middles = clusters.value?.cards.map(({ medoid }) => medoid) ?? [];
    const pointed = plane.meant();
    if (middles.length && studies.shown.value === "clusters")
      gallery.shelf.also([...near, ...middles, ...pointed]);
  });

  const chosen = choices(studies, life);
  return panel(
    studies,
    {
      starts: [
        {
          what: "clusters",
          options: chosen.options,
          cost: ({ clusters, errors }) =>
            clusters && !clusters.stale ? "again: the model is not asked" : takesMaps(errors),
          lacks: ({ errors }) =>
            errors > 1 ? "" : `A group takes two errors; there ${errors ? "is one" : "are none"}.`,
        },
        {
          what: "regions",
          able: ({ clusters }) => !!clusters && !clusters.tested,
          cost: (all) => takes(all, "regions", all.clusters?.rows.length ?? 0, 4),
        },
      ],
      result: ({ clusters }) => clusters,
    },
    life,
    [chosen.element],
    box,
  );
}

/** How many groups, and what counts. What is changed groups again where that asks the model nothing. */
function choices(studies: Studies, life: AbortSignal) {
  const { clusters, run } = studies;
  const many = el(
    "select",
    { testid: "group-k", label: "How many groups", onchange: again },
    el("option", { value: "" }, "as many as fit best"),
    ...Array.from({ length: MOST - 1 }, (_, i) => el("option", { value: i + 2 }, String(i + 2))),
  );
  const sliders = BLOCKS.map((title, i) => {
    const value = el("output.lg-small", {}, "1");
    const input = el("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.05,
      value: 1,
      testid: `weight-${i}`,
      oninput: () => {
        value.textContent = input.value;
      },
      onchange: again,
    });
    return { input, value, row: el("label.lg-limit", {}, title, input, value) };
  });
  const options = (): Options => ({
    k: many.value ? Number(many.value) : null,
    weights: sliders.map(({ input }) => Number(input.value)),
  });
  /** Somebody chose while it ran: once more, when it is through. */
  let missed = false;
  function again() {
    const given = clusters.peek();
    missed = run.peek().state === "running";
    if (given && !given.stale && !missed) studies.start("clusters", options());
  }
  watch(life, () => {
    const { what, state } = run.value;
    if (state === "running" || !missed) return;
    missed = false;
    if (what === "clusters" && state === "done") studies.start("clusters", options());
  });
  watch(life, () => {
    const given = clusters.value;
    if (!given || missed) return;
    many.value = given.k === null ? "" : String(given.k);
    for (const [i, { input, value }] of sliders.entries()) {
      if (input.matches(":active, :focus")) continue; // what a person moves is ahead of the kernel
      input.value = value.textContent = String(given.weights[i] ?? 1);
    }
  });
  const element = el(
    "div.lg-row.lg-choices",
    {},
    el("label.lg-row", {}, "groups", many),
    el("fieldset.lg-limits", {}, el("legend.lg-small", {}, "what counts"), ...sliders.map(({ row }) => row)),
  );
  return { element, options };
}

/** Words with a call in them, to be copied: it breaks at its brackets alone. */
const withCode = (words: string) =>
  words.split(/(r\.\w+\(|'[^']*'\))/).map((part, i) => (i % 2 ? el("span.lg-code", {}, part) : part));

/** The most typical error in grey, and the mean map over it. */
function draw(canvas: HTMLCanvasElement, bitmap: ImageBitmap | null | undefined, { map }: Group, look: Look) {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = canvas.height = PIXELS;
  if (bitmap) {
    context.filter = "grayscale(1)";
    context.drawImage(bitmap, 0, 0, PIXELS, PIXELS);
    context.filter = "none";
  }
  const heat = scaleMap(map.values, map.rows, map.cols, true);
  if (heat.flat) return;
  const over = document.createElement("canvas");
  drawHeat(over, heat, look, PIXELS, PIXELS);
  context.drawImage(over, 0, 0);
}
