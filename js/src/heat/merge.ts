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

/** [lowest, highest]. */
export type Range = readonly [number, number];

/** One map over the patch grid: raw values and the same values scaled for display. */
export interface Heat {
  readonly rows: number;
  readonly cols: number;
  readonly raw: Float64Array;
  /** In [0, 1]; signed maps in [-1, 1] with zero fixed. All zero where `flat`. */
  readonly scaled: Float64Array;
  /** The extremes of `raw`. */
  readonly min: number;
  readonly max: number;
  /** The raw values that the ends of the scale stand for. */
  readonly range: Range;
  readonly signed: boolean;
  readonly flat: boolean;
}

/** A map is flat where its span is but rounding beside its magnitude: maps have no scale of their own. */
const ROUNDING = 1e-6;

/** The maps of the target at position `at` in [targets, layers, rows, columns], without a copy. */
export function stackOf(
  maps: Float32Array,
  at: number,
  layers: readonly number[],
  [rows, cols]: readonly [number, number],
): Stack {
  const size = layers.length * rows * cols;
  return { maps: maps.subarray(at * size, (at + 1) * size), layers, rows, cols };
}

/** The layers to merge: those of the wanted ones that there are, or else the method's own choice. */
export function chooseLayers(
  all: readonly number[],
  wanted: readonly number[] | null,
  otherwise: "all" | "last",
): readonly number[] {
  const picked = wanted?.filter((layer) => all.includes(layer)) ?? [];
  if (picked.length) return picked;
  return otherwise === "last" ? all.slice(-1) : all;
}

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

/**
 * Scale a raw map for display: min-max to [0, 1], or by the largest magnitude where the map is signed. With a
 * range of their own several maps are on one scale; a map that is flat by itself stays flat.
 */
export function scaleMap(
  raw: ArrayLike<number>,
  rows: number,
  cols: number,
  signed: boolean,
  shared?: Range,
): Heat {
  const values = Float64Array.from(raw);
  const [min, max] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const flat = !(max - min > ROUNDING * Math.max(-min, max));
  const [low, high] = shared ?? rangeOf(min, max, signed);
  const origin = signed ? 0 : low;
  const reach = high - origin;
  const scaled = flat ? new Float64Array(values.length) : values.map((value) => (value - origin) / reach);
  return { rows, cols, raw: values, scaled, min, max, range: [low, high], signed, flat };
}

/** What a scale spans: the extremes, or where maps have signs as far to either side of zero. */
function rangeOf(min: number, max: number, signed: boolean): Range {
  const bound = Math.max(-min, max);
  return signed ? [-bound, bound] : [min, max];
}

/** One scale for all maps of a kind: the widest of theirs, flat ones left out. */
export function sharedRange(heats: readonly Heat[]): Range | undefined {
  const ranges = heats.filter(({ flat }) => !flat).map(({ range }) => range);
  if (ranges.length === 0) return undefined;
  return [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
}

/** Each layer's share of the mass of the mean over `chosen` layers, in [0, 1]; 0 for layers not chosen. */
export function layerShares(stack: Stack, chosen: readonly number[]): number[] {
  const mass = stack.layers.map((layer, index) =>
    chosen.includes(layer) ? layerMap(stack, index).reduce((sum, value) => sum + Math.abs(value), 0) : 0,
  );
  const total = mass.reduce((sum, value) => sum + value, 0);
  return mass.map((value) => (total > 0 ? value / total : 0));
}
