// One sample in the gallery: its small picture with the map over it, what it is and what it was taken for.

import type { Look } from "../heat/palette";
import { el, fill, set } from "../ui/element";
import { drawHeat } from "../ui/raster";
import type { GalleryStore } from "./store";

/** Canvas pixels: those of the thumbnails. */
const PIXELS = 96;
/** Those of the map over it: some for each patch are enough. */
const MAP_PIXELS = 48;
/** Red speaks for the class it was taken for, blue for the true one. */
export const LOOK: Look = { palette: "RdBu_r", opacity: 0.85, threshold: 0.08, signed: true };

export const percent = (share: number): string => {
  if (Number.isNaN(share)) return "–";
  const whole = Math.round(100 * share);
  return whole === 100 && share < 1 ? "> 99 %" : whole === 0 && share > 0 ? "< 1 %" : `${whole} %`;
};

/** A small picture with its map, and words in place of one that cannot be had. */
export function drawSmall(
  canvas: HTMLCanvasElement,
  store: GalleryStore,
  row: number,
): "drawn" | "missing" | "awaited" {
  const context = canvas.getContext("2d");
  const bitmap = store.shelf.picture(row);
  if (!context) return "missing";
  if (canvas.width !== PIXELS) canvas.width = canvas.height = PIXELS;
  context.clearRect(0, 0, PIXELS, PIXELS);
  if (!bitmap) return bitmap === null ? "missing" : "awaited";
  context.imageSmoothingEnabled = bitmap.width > PIXELS / 2;
  context.drawImage(bitmap, 0, 0, PIXELS, PIXELS);
  const heat = store.shelf.map(row);
  if (heat && !heat.flat && !store.bare.peek()) {
    const over = scratch();
    drawHeat(over, heat, LOOK, MAP_PIXELS, MAP_PIXELS);
    context.imageSmoothingEnabled = true;
    context.drawImage(over, 0, 0, PIXELS, PIXELS);
  }
  return "drawn";
}

let spare: HTMLCanvasElement | undefined;
const scratch = () => {
  spare ??= document.createElement("canvas");
  return spare;
};

/** What the second file draws samples with: it is not packed a second time. */
export interface Brush {
  readonly look: Look;
  readonly small: typeof drawSmall;
  readonly said: typeof words;
}

export interface CardView {
  readonly element: HTMLElement;
  /** The position in the order that it shows; -1 for none. */
  position: number;
  /** Show the sample at a position. */
  show(position: number, row: number): void;
}

export function createCard(store: GalleryStore, id: string): CardView {
  const canvas = el("canvas");
  const lack = el("span.lg-lack");
  const check = el("span.lg-check");
  const [first, second] = [el("p.lg-pair-words"), el("p.lg-pair-words")];
  const sure = el("p.lg-small");
  const bar = el("span.lg-meter");
  const tags = el("p.lg-small.lg-tags");
  /** For those who do not see it: the same in a sentence. */
  const said = el("span.lg-sr");
  const element = el(
    "div.lg-card",
    { role: "option", id, testid: "card" },
    said,
    el(
      "div",
      { "aria-hidden": true },
      el("div.lg-small-picture", {}, canvas, lack, check),
      bar,
      first,
      second,
      sure,
      tags,
    ),
  );
  const view: CardView = {
    element,
    position: -1,
    show(position, row) {
      const { table } = store;
      view.position = position;
      const [t, p] = [table.kind("true", row), table.kind("predicted", row)];
      const [is, taken] = [store.className(t), store.className(p)];
      const scored = table.scored(row);
      const name = table.words("name", row) || `sample ${row}`;
      const state = drawSmall(canvas, store, row);
      const missing = store.card.peek().page ? "not in this page" : "cannot be read";
      lack.textContent = state === "missing" ? missing : state === "awaited" ? "…" : "";
      first.textContent = scored ? is : name;
      second.textContent = scored && t !== p ? `→ ${taken}` : "";
      const pPred = table.number("p_pred", row);
      sure.textContent = scored ? `${percent(pPred)} sure` : words(store, row);
      fill(bar, scored ? pPred : 0);
      tags.textContent = table.words("tags", row);
      element.title = `${name}\n${words(store, row)}`;
      const tagged = tags.textContent && `; tagged ${tags.textContent}`;
      said.textContent = `${name}: ${words(store, row)}${tagged}`;
      set(element, "data-row", row);
      set(element, "data-state", scored ? (t === p ? "right" : "wrong") : "pending");
      set(element, "aria-posinset", position + 1);
      set(element, "aria-setsize", store.order.peek().length);
      set(element, "aria-selected", store.selected.peek().has(row));
      set(element, "data-open", store.opened.peek() === row);
      set(element, "data-cursor", store.cursor.peek() === position);
    },
  };
  return view;
}

/** What happened to a sample, in a sentence. */
export function words(store: GalleryStore, row: number): string {
  const { table } = store;
  if (!table.scored(row)) {
    const status = table.words("status", row);
    return table.words("problem", row) || (table.skipped(row) ? status : "not scored yet");
  }
  const [t, p] = [table.kind("true", row), table.kind("predicted", row)];
  const [pTrue, pPred] = ["p_true", "p_pred"].map((column) => percent(table.number(column, row)));
  if (t === p) return `${store.className(t)}, recognised with ${pPred}`;
  return `${store.className(t)} taken for ${store.className(p)}: ${pPred} against ${pTrue}`;
}
