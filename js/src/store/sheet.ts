// The present view as a sheet of paper: the words that one must know to read the map, the map over the picture, and
// its scale. What stands where, in pixels; ui/sheet.ts draws it.

import { readable } from "../heat/describe";
import { type Box, height, width } from "../heat/frame";
import type { Heat } from "../heat/merge";
import type { Look } from "../heat/palette";
import type { Picture } from "../wire";
import type { Store } from ".";

export interface Line {
  readonly words: string;
  readonly x: number;
  /** Of the baseline. */
  readonly y: number;
  readonly size: number;
  readonly bold?: boolean;
  /** Written up to `x`, not from it. */
  readonly end?: boolean;
}

export interface Sheet {
  /** Of a file, without its ending. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly lines: readonly Line[];
  readonly picture: Picture;
  /** Where the picture, the model's window of it, and the scale lie. */
  readonly frame: Box;
  readonly window: Box;
  readonly bar: Box;
  readonly heat: Heat;
  readonly look: Look;
  readonly smooth: boolean;
}

export type Measure = (words: string, size: number, bold: boolean) => number;

const ACROSS = 640;
const MARGIN = 20;
const BAR = 12;
const LONGEST_NAME = 80;

/** The sheet; null where there is no map to draw. `measure` says how wide words are. */
export function sheetOf(store: Store, measure: Measure): Sheet | null {
  const heat = store.heat.peek();
  const picture = store.picture.peek();
  const entry = store.entry.peek();
  const answer = store.answer.peek();
  if (!heat || !picture || !entry || !answer) return null;
  const { original, window } = picture;
  const scale = ACROSS / original[0];
  const top = MARGIN + 66;
  const frame: Box = [MARGIN, top, MARGIN + ACROSS, top + original[1] * scale];
  const bottom = frame[3] + 12;
  const right = MARGIN + ACROSS;

  const overlay = store.overlay.peek();
  const method = store.method.peek()?.title ?? answer.method;
  const merged = (answer.merge === "last" ? "up to " : "") + store.naming.peek();
  const facts = [
    method,
    overlay?.title ?? merged,
    entry.score !== null && `${entry.scoreName || "score"} ${readable(entry.score)}`,
    entry.probability !== null && `p = ${readable(entry.probability, 2)} (${entry.probabilityOf})`,
    entry.supported === false && "the model does not see it here",
  ];
  const line = (words: string, x: number, y: number, size: number, more: Partial<Line> = {}): Line => ({
    words: cut(words, ACROSS, (part) => measure(part, size, !!more.bold)),
    x,
    y,
    size,
    ...more,
  });
  const ends = heat.flat
    ? [line("a flat map: nothing here speaks for this target", MARGIN, bottom + BAR + 16, 12)]
    : [
        line(readable(heat.range[0]), MARGIN, bottom + BAR + 16, 12),
        line(readable(heat.range[1]), right, bottom + BAR + 16, 12, { end: true }),
      ];
  return {
    name: fileName([entry.label, answer.method, overlay?.title ?? merged]),
    width: ACROSS + 2 * MARGIN,
    height: Math.round(bottom + BAR + 24 + MARGIN),
    lines: [
      line(entry.label || "(empty prompt)", MARGIN, MARGIN + 18, 18, { bold: true }),
      line(facts.filter(Boolean).join(" · "), MARGIN, MARGIN + 44, 12),
      ...ends,
    ],
    picture,
    frame,
    window: [
      MARGIN + window[0] * scale,
      top + window[1] * scale,
      MARGIN + window[2] * scale,
      top + window[3] * scale,
    ],
    bar: [MARGIN, bottom, right, bottom + BAR],
    heat,
    look: store.look.peek(),
    smooth: store.trait("smooth").peek(),
  };
}

/** Words on one line, cut to fit. */
function cut(words: string, room: number, widthOf: (words: string) => number): string {
  let left = [...words.replace(/\s+/g, " ").trim()];
  if (widthOf(left.join("")) <= room) return left.join("");
  while (left.length && widthOf(`${left.join("")}…`) > room) left = left.slice(0, -1);
  return `${left.join("").trimEnd()}…`;
}

/** A name that every file system takes: letters and digits of any script, the parts apart. */
export function fileName(parts: readonly string[]): string {
  const plain = parts.map((part) =>
    part
      .normalize("NFC")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}.]+/gu, "-")
      .replace(/^[-.]+|[-.]+$/g, ""),
  );
  return [...plain.filter(Boolean).join("_")].slice(0, LONGEST_NAME).join("") || "legrad";
}

export const sizeOf = (box: Box): [number, number] => [Math.round(width(box)), Math.round(height(box))];
