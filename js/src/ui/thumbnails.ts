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
    const look = { ...store.look.peek(), opacity: 0.9, threshold: 0 };
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
    for (const [i, { element, score, share }] of items.value.entries()) {
      const value = store.entry.value?.layerScores[i] ?? null;
      const flat = store.layerHeats.value[i]?.flat;
      const chosen = store.chosen.value.includes(layers[i]!);
      const part = store.shares.value[i] ?? 0;
      const floor = store.floors.value[i] ?? null;
      const words = [
        `layer ${layers[i]}`,
        value !== null && `score ${readable(value)}`,
        flat && "flat map",
        merge === "mean" && chosen && `${Math.round(100 * part)} % of the merged map`,
        floor !== null && !flat && `floor ${floor.toFixed(2)}`,
      ];
      element.title = words.filter(Boolean).join(", ");
      set(element, "aria-selected", chosen);
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
  readonly share: HTMLElement;
}

function thumbnail(layer: number, id: string): Thumbnail {
  const canvas = el("canvas", { "aria-hidden": true });
  const score = el("span");
  const share = el("span.lg-meter");
  const text = el("p.lg-small", {}, el("span.lg-sr", {}, "layer "), el("b", {}, String(layer)), score);
  const element = el(
    "div.lg-layer",
    { role: "option", id, testid: "layer", "data-layer": layer },
    canvas,
    share,
    text,
  );
  return { layer, element, canvas, score, share };
}
