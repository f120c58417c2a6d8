// Groups of errors that are alike: a card each, which narrows the gallery to its members.

import { scaleMap } from "../../heat/merge";
import { button, el, set, watch } from "../../ui/element";
import { drawHeat } from "../../ui/raster";
import { LOOK, percent } from "../card";
import { panel } from "./panel";
import type { Studies } from "./store";
import type { Group } from "./wire";

/** Canvas pixels of a card's picture. */
const PIXELS = 96;

export function groups(studies: Studies, life: AbortSignal) {
  const { gallery, found } = studies;
  const cards = el("div.lg-groups", { testid: "groups" });
  let drawn: { readonly group: Group; readonly canvas: HTMLCanvasElement }[] = [];

  watch(life, () => {
    const given = found.value.clusters?.cards ?? [];
    drawn = [];
    cards.replaceChildren(
      ...given.map((group) => {
        const canvas = el("canvas", { "aria-hidden": true });
        drawn.push({ group, canvas });
        const value = String(group.number);
        return button(
          ".lg-plain.lg-group",
          {
            "data-group": value,
            onclick: () => {
              const { cluster, ...others } = gallery.sieve.peek().values;
              gallery.narrow({ values: cluster === value ? others : { ...others, cluster: value } });
            },
          },
          canvas,
          el("b", {}, `${group.size} error${group.size === 1 ? "" : "s"}`),
          ...group.pairs.map(({ true: is, predicted, count }) =>
            el("span.lg-small", {}, `${is} → ${predicted} ${count}`),
          ),
          el("span.lg-note", {}, tested(group)),
        );
      }),
    );
  });
  watch(life, () => {
    found.value;
    const chosen = gallery.sieve.value.values.cluster;
    for (const card of cards.children)
      set(card, "aria-pressed", (card as HTMLElement).dataset.group === chosen);
  });
  watch(life, () => {
    gallery.shelf.arrived.value;
    found.value;
    for (const { group, canvas } of drawn) draw(canvas, gallery.shelf.picture(group.medoid), group);
  });
  // The neighbours of the open sample are asked for beside them: one list stands for both.
  watch(life, () => {
    const near = gallery.sample.value?.neighbours.flatMap(({ rows }) => rows) ?? [];
    const middles = found.value.clusters?.cards.map(({ medoid }) => medoid) ?? [];
    if (middles.length && studies.shown.value === "clusters") gallery.shelf.also([...near, ...middles]);
  });
  const about = {
    what: "clusters",
    title: "Groups of errors",
    says: "Errors whose maps, layers and embeddings are alike. Each card shows the mean map of its errors over the most typical one, and how often the answer changes when the region of that map is taken out of them: far more often than with a random region, and the region is a cause. A click shows its errors.",
    start: "Group the errors",
  } as const;
  return panel(studies, about, life, cards);
}

/** Whether the region is a cause. */
function tested({ flips, random }: Group): string {
  if (flips === null) return "not tested on the model";
  const control = random === null ? "" : `, without a random one ${percent(random)}`;
  return `changed without its region: ${percent(flips)}${control}`;
}

/** The most typical error in grey, and the mean map over it. */
function draw(canvas: HTMLCanvasElement, bitmap: ImageBitmap | null | undefined, { map }: Group) {
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
  drawHeat(over, heat, LOOK, PIXELS, PIXELS);
  context.drawImage(over, 0, 0);
}
