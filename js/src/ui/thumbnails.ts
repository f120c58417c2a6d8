// One small map for each layer, drawn over the small picture, with the layer's score and share.

import { readable } from "../heat/describe";
import { type ReadonlySignal, signal } from "../signals";
import type { Store } from "../store";
import { freshName } from "../wire";
import { el, fill, onEnd, set, watch } from "./element";
import { drawOver } from "./raster";

const PIXELS = 128;

/** The thumbnails, in the order of the layers; replaced when there are others. */
export function thumbnails(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  strip: HTMLElement,
  life: AbortSignal,
): void {
  const id = freshName();
  const items = signal<readonly Thumbnail[]>([]);

  watch(life, () => {
    const layers = store.answer.value?.layers ?? [];
    if (
      items
        .peek()
        .map(({ layer }) => layer)
        .join() === layers.join()
    )
      return;
    const made = layers.map((layer) => thumbnail(layer, `${id}-${layer}`));
    strip.replaceChildren(...made.map(({ element }) => element));
    items.value = made;
    strip.style.setProperty("--lg-count", String(layers.length));
  });

  let request = 0;
  const draw = () => {
    request = 0;
    const picture = store.picture.peek();
    const image = bitmap.peek();
    if (!picture || !image) return;
    const look = { ...store.lookOf(!!store.answer.peek()?.signed), opacity: 0.9, threshold: 0 };
    for (const [i, heat] of store.layerHeats.peek().entries()) {
      drawOver(items.peek()[i]!.canvas, image, picture, heat, look, {
        width: PIXELS,
        filter: "saturate(0.4)",
      });
    }
  };
  watch(life, () => {
    store.layerHeats.value;
    store.trait("colormap").value;
    bitmap.value;
    items.value;
    request ||= requestAnimationFrame(draw);
  });
  onEnd(life, () => cancelAnimationFrame(request));

  watch(life, () => {
    const { layers = [], merge } = store.answer.value ?? {};
    const most = Math.max(...store.shares.value, Number.MIN_VALUE);
    const { ranks = [], fittedRanks = [], ranksOf = 0, ranksAmong = "" } = store.entry.value ?? {};
    const { reliable, reliability, fitted } = store.trait("_model").value;
    for (const [i, { element, score, rank, again, share }] of items.value.entries()) {
      const layer = layers[i]!;
      // Ranks are of every block; a method may have maps of some.
      const place = (ranks.length === layers.length ? ranks[i] : ranks[layer - 1]) ?? null;
      const second = fittedRanks[layer - 1] ?? null;
      const chance = reliable[layer - 1] === false;
      const value = store.entry.value?.layerScores[i] ?? null;
      const flat = store.layerHeats.value[i]?.flat;
      const chosen = store.chosen.value.includes(layer);
      const part = store.shares.value[i] ?? 0;
      const floor = store.floors.value[i] ?? null;
      const words = [
        `layer ${layer}`,
        value !== null && `score ${readable(value)}`,
        place !== null && `the target is ${ordinal(place)} of ${ranksOf} (${ranksAmong})`,
        place !== null && reliable.length === 0 && "reliability unknown",
        chance && `at chance here: ${reliability[layer - 1]}`,
        second !== null &&
          `by the fitted lens ${ordinal(second)}: is the information there? (${fitted[layer - 1]})`,
        flat && "flat map",
        merge === "mean" && chosen && `${Math.round(100 * part)} % of the merged map`,
        floor !== null && !flat && `floor ${floor.toFixed(2)}`,
      ];
      element.title = words.filter(Boolean).join(", ");
      set(element, "aria-selected", chosen);
      set(element, "data-chance", chance);
      const of = `${readable(place ?? 0)}/${ranksOf}`;
      rank.textContent = place === null ? "" : second === null ? of : `raw #${readable(place)}`;
      rank.hidden = place === null;
      again.textContent = `fit #${readable(second ?? 0)}`;
      again.hidden = second === null;
      score.textContent = flat ? "flat" : value === null ? "" : readable(value, 2);
      fill(share, part / most);
    }
    set(strip, "data-absent", store.entry.value?.supported === false);
  });
}

interface Thumbnail {
  readonly layer: number;
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly score: HTMLElement;
  readonly rank: HTMLElement;
  /** The rank by the fitted lens. */
  readonly again: HTMLElement;
  readonly share: HTMLElement;
}

function thumbnail(layer: number, id: string): Thumbnail {
  const canvas = el("canvas", { "aria-hidden": true });
  const score = el("span");
  const rank = el("p.lg-small", { testid: "rank" });
  const again = el("p.lg-small", { testid: "fitted-rank" });
  const share = el("span.lg-meter");
  const text = el("p.lg-small", {}, el("span.lg-sr", {}, "layer "), el("b", {}, String(layer)), score);
  const element = el(
    "div.lg-layer",
    { role: "option", id, testid: "layer", "data-layer": layer },
    canvas,
    share,
    text,
    rank,
    again,
  );
  return { layer, element, canvas, score, rank, again, share };
}

/** "1st", "22nd", "113th"; between two places, where targets share them: "2.5". */
export function ordinal(place: number): string {
  if (!Number.isInteger(place)) return String(place);
  const last = Math.floor(place / 10) % 10 === 1 ? 0 : place % 10;
  return place + (["th", "st", "nd", "rd"][last] ?? "th");
}
