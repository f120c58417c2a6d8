// The cases of maps against masks by other thresholds, in a saved page: the rule of legrad_widget/inspection/overlap.py
// on the numbers of every sample that was compared. A live gallery asks the kernel.

import type { Thresholds } from "./studies/wire";

/** Numbers of 64 bits, as Python has them, for each of `rows`: whether it is right; then IoU, ground truth coverage and
 * saliency coverage of the evidence for what it was taken for, and for what it is. */
export interface Judged {
  readonly rows: Uint8Array;
  readonly numbers: Uint8Array;
}
export const SIDES = ["predicted", "true"] as const;
const WIDTH = 7;

/** Which of the eight cases, in the order of `CASES`; -1 where the evidence is flat. */
export function caseOf(
  right: boolean,
  [iou, ground, saliency]: readonly [number, number, number],
  limits: Thresholds,
): number {
  const [inside, around] = [saliency >= limits.saliency, ground >= limits.ground];
  const column = iou >= limits.iou || (inside && around) ? 0 : inside ? 1 : around ? 2 : 3;
  return Number.isNaN(iou) ? -1 : column + (right ? 0 : 4);
}

/** The cases of all samples, by the sides and then in the order of `rows`. */
export function judge({ numbers }: Judged, limits: Thresholds): readonly (readonly number[])[] {
  const all = new Float64Array(new Uint8Array(numbers).buffer);
  return SIDES.map((_, side) =>
    Array.from({ length: all.length / WIDTH }, (_, i) => {
      const at = i * WIDTH;
      const from = at + 1 + 3 * side;
      return caseOf(!!all[at], [all[from]!, all[from + 1]!, all[from + 2]!], limits);
    }),
  );
}
