// One pane of the compare view: the picture with one map, its scale, and its value under the shared cursor.

import { describeHeat, rangeWords, readable } from "../heat/describe";
import type { Store } from "../store";
import type { Pane } from "../store/compare";
import { button, el, set } from "./element";
import { showPatch, takePointer } from "./picture";
import { drawOver } from "./raster";

/** Canvas pixels of the width: beyond it a map of some patches gains nothing. */
const PIXELS = 224;

export interface PaneView {
  readonly element: HTMLElement;
  draw(pane: Pane, image: ImageBitmap | null): void;
  /** Words, numbers and the cursor; read inside an effect it follows the store. */
  read(pane: Pane): void;
}

export function createPane(store: Store, title: string, choose: () => void): PaneView {
  const canvas = el("canvas", { role: "img" });
  const patch = el("div.lg-placed.lg-patch", { hidden: true });
  const value = el("b.lg-value");
  const frame = el("div.lg-frame", {}, canvas, patch, value);
  const range = el("p.lg-small", { title: "The raw values of the scale" });
  const note = el("p.lg-note");
  const element = el(
    "figure.lg-pane",
    { testid: "pane" },
    frame,
    el(
      "figcaption",
      {},
      button(".lg-plain.lg-name", { title: `Show ${title}`, onclick: choose }, title),
      range,
      note,
    ),
  );
  takePointer(frame, frame, store);

  return {
    element,
    draw({ heat, state }, image) {
      const picture = store.picture.peek();
      if (!picture || !image) return;
      const look = store.lookOf(heat?.signed ?? false);
      const opacity = state === "faded" ? 0.4 * look.opacity : look.opacity;
      const smooth = store.trait("smooth").peek();
      drawOver(canvas, image, picture, heat, { ...look, opacity }, { width: PIXELS, smooth });
    },
    read({ heat, layers, note: words, state }) {
      set(element, "data-state", state);
      const flat = heat?.flat ? "A flat map: nothing here speaks for it." : "";
      note.textContent = words || flat;
      note.hidden = !note.textContent;
      set(canvas, "label", heat ? describeHeat(heat, title, layers) : `${title}: ${words}`);
      range.textContent = heat ? rangeWords(heat) : "";
      showPatch(patch, store);
      const spot = store.spot.value;
      const at =
        heat && spot && spot.row < heat.rows && spot.col < heat.cols && spot.row * heat.cols + spot.col;
      value.textContent = typeof at === "number" ? readable(heat!.raw[at]!) : "";
    },
  };
}
