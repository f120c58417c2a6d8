// From raw per-layer maps to the one map that is shown, with Python's arithmetic: means in float64, the
// merged raw map kept as float32, scaling in float64.

/** Raw maps of one target: `maps` is [layers, rows, cols] in C order; `layers` are 1-based labels. */
export interface Stack {
  readonly maps: Float32Array;
  readonly layers: readonly number[];
  readonly rows: number;
  readonly cols: number;
}

/** "mean": the mean of the chosen raw maps. "last": maps are cumulative, so the highest chosen layer stands. */
export type Rule = "mean" | "last";

/** One map over the patch grid: raw values and the same values scaled for display. */
export interface Heat {
  readonly rows: number;
  readonly cols: number;
  readonly raw: Float64Array;
  /** In [0, 1]; signed maps in [-1, 1] with zero fixed. All zero where `flat`. */
  readonly scaled: Float64Array;
  readonly min: number;
  readonly max: number;
  readonly signed: boolean;
  readonly flat: boolean;
}

/** A map is flat where its span is but rounding beside its magnitude: maps have no scale of their own. */
const ROUNDING = 1e-6;

/** The raw map of the layer at position `index` of the stack, without a copy. */
export function layerMap(stack: Stack, index: number): Float32Array {
  const size = stack.rows * stack.cols;
  return stack.maps.subarray(index * size, (index + 1) * size);
}

/** Merge the chosen layers (1-based labels; ones the stack lacks are ignored) into one raw map. */
export function mergeLayers(stack: Stack, chosen: readonly number[], rule: Rule): Float64Array {
  const present = stack.layers.flatMap((layer, index) => (chosen.includes(layer) ? [index] : []));
  const used = rule === "last" ? present.slice(-1) : present;
  const sum = new Float64Array(stack.rows * stack.cols);
  for (const index of used) {
    const map = layerMap(stack, index);
    for (let i = 0; i < sum.length; i++) sum[i]! += map[i]!;
  }
  return sum.map((value) => Math.fround(value / Math.max(used.length, 1)));
}

/** Scale a raw map for display: min-max to [0, 1], or by the largest magnitude where the map is signed. */
export function scaleMap(raw: ArrayLike<number>, rows: number, cols: number, signed: boolean): Heat {
  const values = Float64Array.from(raw);
  let [min, max] = [values[0]!, values[0]!];
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const top = Math.max(Math.abs(min), Math.abs(max));
  const flat = !(max - min > ROUNDING * top);
  const reach = signed ? top : max - min;
  const origin = signed ? 0 : min;
  const scaled = flat ? new Float64Array(values.length) : values.map((value) => (value - origin) / reach);
  return { rows, cols, raw: values, scaled, min, max, signed, flat };
}

/** Each layer's share of the mass of the mean over `chosen` layers, in [0, 1]; 0 for layers not chosen. */
export function layerShares(stack: Stack, chosen: readonly number[]): number[] {
  const mass = stack.layers.map((layer, index) =>
    chosen.includes(layer) ? layerMap(stack, index).reduce((sum, value) => sum + Math.abs(value), 0) : 0,
  );
  const total = mass.reduce((sum, value) => sum + value, 0);
  return mass.map((value) => (total > 0 ? value / total : 0));
}
