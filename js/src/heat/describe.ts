// A map in words, for those who cannot see it and as a check for those who can.

import { type Cell, type Heat, layersOf } from "./merge";

const VERTICAL = ["upper", "middle", "lower"] as const;
const HORIZONTAL = ["left", "centre", "right"] as const;

/** Where a patch lies: "upper right", "centre", "lower centre". */
export function regionOf(row: number, col: number, rows: number, cols: number): string {
  const vertical = VERTICAL[Math.min(Math.floor(((row + 0.5) / rows) * 3), 2)]!;
  const horizontal = HORIZONTAL[Math.min(Math.floor(((col + 0.5) / cols) * 3), 2)]!;
  return vertical === "middle" && horizontal === "centre" ? "centre" : `${vertical} ${horizontal}`;
}

/** A chosen set of layers in words: "all 6 layers", "layer 3 of 6", "layers 2-4 of 6". */
export function nameLayers(chosen: readonly number[], all: readonly number[]): string {
  if (chosen.length === all.length) return all.length === 1 ? "its one layer" : `all ${all.length} layers`;
  return `layer${chosen.length === 1 ? "" : "s"} ${spans(chosen)} of ${all[all.length - 1]}`;
}

/** Chosen heads after their layers: "layer 3 of 6, head 2", "layers 2-4 of 6, heads 1, 3", "layers 2, 4 of 6, 5 heads". */
export function nameCells(cells: readonly Cell[], all: readonly number[], count: number): string {
  const layers = layersOf(cells);
  const [first, ...others] = layers.map((layer) =>
    cells.filter((cell) => cell[0] === layer).map(([, head]) => head),
  );
  const alike = others.every((heads) => `${heads}` === `${first}`);
  const some = alike ? spans(first!) : "";
  if (alike && first!.length === count) return nameLayers(layers, all);
  return `${nameLayers(layers, all)}, ${alike ? `head${first!.length > 1 ? "s" : ""} ${some}` : `${cells.length} heads`}`;
}

/** Sorted numbers as runs: [1, 2, 3, 6] is "1-3, 6". */
export function spans(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const run = runs[runs.length - 1];
    if (run && n === run[1] + 1) run[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

/** "row 3, column 7 (upper right)" of the patch with the largest value, or with the smallest. */
function placeOf(heat: Heat, value: number): string {
  const at = heat.raw.indexOf(value);
  const [row, col] = [Math.floor(at / heat.cols), at % heat.cols];
  return `row ${row + 1}, column ${col + 1} (${regionOf(row, col, heat.rows, heat.cols)})`;
}

/** Fraction of the patches whose magnitude is at least half of the strongest. */
export function coverage(heat: Heat): number {
  let count = 0;
  for (const value of heat.scaled) if (Math.abs(value) >= 0.5) count++;
  return count / heat.scaled.length;
}

/** One sentence: whose map, which layers, where it is strongest, how much it covers. */
export function describeHeat(heat: Heat, label: string, layers: string): string {
  const start = `heatmap for '${label}', ${layers}`;
  if (heat.flat) return `${start}: a flat map, nothing here speaks for it`;
  const { signed, min, max } = heat;
  const peaks = signed
    ? [
        max > 0 && `strongest for it at ${placeOf(heat, max)}`,
        min < 0 && `strongest against it at ${placeOf(heat, min)}`,
      ].filter(Boolean)
    : [`strongest at ${placeOf(heat, max)}`];
  const share = Math.max(1, Math.round(100 * coverage(heat)));
  return `${start}: ${peaks.join(", ")}, covers about ${share} % of what the model saw`;
}

/** A number for reading: 3 significant digits unless told, scientific where it must be. */
export function readable(value: number, digits = 3): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.001 && size < 10_000) return String(Number(value.toPrecision(digits)));
  return value.toExponential(digits - 1).replace("e+", "e");
}

/** The raw values that the scale spans: "1.7e-4 … 0.0032", or "± 0.0032" to either side of zero. */
export function rangeWords({ range: [low, high], signed }: Heat): string {
  return signed ? `± ${readable(high)}` : `${readable(low)} … ${readable(high)}`;
}
