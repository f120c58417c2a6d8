// One small map for each layer, drawn over the small picture, with the layer's score and share.

import type { ReadonlySignal } from "@preact/signals-core";
import { readable } from "../heat/describe";
import { height, width } from "../heat/frame";
import type { Store } from "../store";
import { freshName } from "../wire";
import { el, onEnd, set, watch } from "./element";
import { drawHeat } from "./raster";

const PIXELS = 128;

/** The thumbnails, in the order of the layers; replaced when the number of layers changes. */
export function thumbnails(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  strip: HTMLElement,
  life: AbortSignal,
): void {
  const id = freshName();
  let items: Thumbnail[] = [];

  watch(life, () => {
    const layers = store.answer.value?.layers ?? [];
    if (items.length === layers.length) return;
    items = layers.map((layer) => thumbnail(layer, `${id}-${layer}`));
    strip.replaceChildren(...items.map(({ element }) => element));
    strip.style.setProperty("--lg-count", String(layers.length));
  });

  let request = 0;
  const draw = () => {
    request = 0;
    const picture = store.picture.peek();
    const image = bitmap.peek();
    if (!picture || !image) return;
    const { window, original } = picture;
    const tall = Math.round(PIXELS * Math.min(Math.max(height(window) / width(window), 0.4), 2));
    const scale = image.width / original[0];
    const seen = [window[0], window[1], width(window), height(window)].map((edge) => edge * scale);
    const look = { ...store.look.peek(), opacity: 0.9, threshold: 0 };
    const overlay = document.createElement("canvas");
    for (const [i, heat] of store.layerHeats.peek().entries()) {
      const canvas = items[i]!.canvas;
      const context = canvas.getContext("2d");
      if (!context) return;
      canvas.width = PIXELS;
      canvas.height = tall;
      context.filter = "saturate(0.4)";
      context.drawImage(image, ...(seen as [number, number, number, number]), 0, 0, PIXELS, tall);
      context.filter = "none";
      if (heat.flat) continue;
      drawHeat(overlay, heat, look, PIXELS, tall);
      context.drawImage(overlay, 0, 0);
    }
  };
  watch(life, () => {
    store.layerHeats.value;
    store.trait("colormap").value;
    bitmap.value;
    request ||= requestAnimationFrame(draw);
  });
  onEnd(life, () => cancelAnimationFrame(request));

  watch(life, () => {
    const { layers = [], merge } = store.answer.value ?? {};
    const most = Math.max(...store.shares.value, Number.MIN_VALUE);
    for (const [i, { element, score, share }] of items.entries()) {
      const value = store.entry.value?.layerScores[i] ?? null;
      const flat = store.layerHeats.value[i]?.flat;
      const chosen = store.chosen.value.includes(layers[i]!);
      const part = store.shares.value[i] ?? 0;
      const words = [
        `layer ${layers[i]}`,
        value !== null && `score ${readable(value)}`,
        flat && "flat map",
        merge === "mean" && chosen && `${Math.round(100 * part)} % of the merged map`,
      ];
      element.title = words.filter(Boolean).join(", ");
      set(element, "aria-label", element.title);
      set(element, "aria-selected", String(chosen));
      score.textContent = flat ? "flat" : value === null ? "" : readable(value, 2);
      share.style.setProperty("--lg-part", String(part / most));
    }
    set(strip, "data-absent", store.entry.value?.supported === false);
  });
}

interface Thumbnail {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly score: HTMLElement;
  readonly share: HTMLElement;
}

function thumbnail(layer: number, id: string): Thumbnail {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const score = el("span");
  const share = el("span.lg-share");
  const text = el("p", {}, el("b", {}, String(layer)), score);
  const element = el(
    "div.lg-layer",
    { role: "option", id, testid: "layer", "data-layer": layer },
    canvas,
    share,
    text,
  );
  return { element, canvas, score, share };
}
