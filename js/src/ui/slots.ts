// Where parts of the second file go: places in the page that are empty, and take no room, until it is here.

import { el } from "./element";

/**
 * In the top row; under the prompts; over the picture, inside the model's window; under the score; over the matrix;
 * after the methods; in the method's card; before what is compared, beside it, and in it; under the compared maps; in
 * "Test this map"; at the end of the page. In the inspector: beside the name of the map, under the tags, and under the
 * gallery; of the open sample under its picture, under its curve, and over the explorer.
 */
export type Slot =
  | "top"
  | "acts"
  | "ask"
  | "prompts"
  | "picture"
  | "score"
  | "matrix"
  | "methods"
  | "knobs"
  | "pins"
  | "beside"
  | "compared"
  | "card"
  | "compare"
  | "tests"
  | "end"
  | "map"
  | "errors"
  | "studies"
  | "drawing"
  | "flip"
  | "plain";

/** `room`: what is held free until it is here, as rules of style, so that nothing moves then. */
export const slot = (name: Slot, room?: string): HTMLElement =>
  el("div.lg-slot", { "data-slot": name, style: room });

export const slotOf = (root: HTMLElement, name: Slot): HTMLElement =>
  root.querySelector<HTMLElement>(`[data-slot=${name}]`)!;
