// From raw per-layer maps to the one map that is shown, with Python's arithmetic: means in float64, the
// merged raw map kept as float32, scaling in float64.

/** Raw maps of one target: `maps` is [layers, rows, cols] in C order; `layers` are 1-based labels. */
export interface Stack {
  readonly maps: Float32Array | Float64Array;
  readonly layers: readonly number[];
  readonly rows: number;
  readonly cols: number;
}

/** "mean": the mean of the chosen raw maps. "last": maps are cumulative, so the highest chosen layer stands. */
export type Rule = "mean" | "last";

/**
 * "paper": layers count by the size of their values. "equal": each is divided by its own peak; flat ones are out.
 * "reliability": the same, and each counts by how well its score finds the target, where any of them does.
 */
export type Weights = "paper" | "equal" | "reliability";

/** By block, what it counts with by its reliability. */
export type Trust = readonly (number | null)[];

/** One head: layers are numbered from 1, heads from 0. */
export type Cell = readonly [layer: number, head: number];

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
export function layerMap(stack: Stack, index: number): Float32Array | Float64Array {
  const size = stack.rows * stack.cols;
  return stack.maps.subarray(index * size, (index + 1) * size);
}

/** Cells by layer, then head, each once. */
export function sortCells(cells: readonly Cell[]): readonly Cell[] {
  const sorted = [...cells].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return sorted.filter((cell, i) => `${cell}` !== `${sorted[i - 1]}`);
}

/** The layers that cells lie in. */
export const layersOf = (cells: readonly Cell[]): number[] => [...new Set(cells.map(([layer]) => layer))];

/**
 * The stack in which every layer that has chosen heads holds the mean over these. A layer all of whose heads are
 * chosen keeps its map: that is their mean, rounded once less. `heads` is [layers, `count` heads, rows, columns].
 */
export function headStack(stack: Stack, heads: Float32Array, count: number, cells: readonly Cell[]): Stack {
  const maps = Float64Array.from(stack.maps);
  const size = stack.rows * stack.cols;
  for (const [at, layer] of stack.layers.entries()) {
    const chosen = cells.filter((cell) => cell[0] === layer);
    if (chosen.length === 0 || chosen.length === count) continue;
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (const [, head] of chosen) sum += heads[(at * count + head) * size + i]!;
      maps[at * size + i] = sum / chosen.length;
    }
  }
  return { ...stack, maps };
}

/** The lowest and the highest value, and whether the map says nothing. */
function extremes(values: Float32Array | Float64Array) {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max, flat: !(max - min > ROUNDING * Math.max(-min, max)) };
}

/** What each layer's map is multiplied by before all are added up; 0 where it is left out. */
function factors(
  stack: Stack,
  chosen: readonly number[],
  rule: Rule,
  weights: Weights,
  trust: Trust,
): number[] {
  const { layers } = stack;
  const last = layers.filter((layer) => chosen.includes(layer)).at(-1);
  const peaks = layers.map((layer, index) => {
    if (rule === "last") return layer === last ? 1 : 0;
    if (!chosen.includes(layer)) return 0;
    if (weights === "paper") return 1;
    const { min, max, flat } = extremes(layerMap(stack, index));
    return flat ? 0 : Math.max(-min, max);
  });
  const present = peaks.map((peak) => (peak ? 1 : 0));
  const trusted = present.map((one, index) => one * (trust[layers[index]! - 1] ?? 0));
  const counts = weights === "reliability" && rule === "mean" && trusted.some(Boolean) ? trusted : present;
  const total = counts.reduce((sum: number, count) => sum + count, 0);
  return peaks.map((peak, index) => (counts[index] ? counts[index]! / peak / total : 0));
}

/** Merge the chosen layers (1-based labels; ones the stack lacks are ignored) into one raw map. */
export function mergeLayers(
  stack: Stack,
  chosen: readonly number[],
  rule: Rule,
  weights: Weights = "paper",
  trust: Trust = [],
): Float64Array {
  const sum = new Float64Array(stack.rows * stack.cols);
  for (const [index, factor] of factors(stack, chosen, rule, weights, trust).entries()) {
    if (factor === 0) continue;
    const map = layerMap(stack, index);
    for (let i = 0; i < sum.length; i++) sum[i]! += map[i]! * factor;
  }
  return sum.map(Math.fround);
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
  const { min, max, flat } = extremes(values);
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

/** The sum of magnitudes of each map of `size` values. */
export function masses(maps: Float32Array | Float64Array, size: number): number[] {
  const mass = new Array<number>(maps.length / size).fill(0);
  for (let i = 0; i < maps.length; i++) mass[Math.floor(i / size)]! += Math.abs(maps[i]!);
  return mass;
}

/** Each layer's share of the mass that is merged, in [0, 1]; 0 for layers that are left out. */
export function layerShares(
  stack: Stack,
  chosen: readonly number[],
  rule: Rule = "mean",
  weights: Weights = "paper",
  trust: Trust = [],
): number[] {
  const factor = factors(stack, chosen, rule, weights, trust);
  const mass = masses(stack.maps, stack.rows * stack.cols).map((sum, i) => sum * factor[i]!);
  const total = mass.reduce((sum, value) => sum + value, 0);
  return mass.map((value) => (total > 0 ? value / total : 0));
}

/** The floor of a raw map: median over peak of its magnitudes, from 0 to 1; null where all is zero. */
export function floorOf(raw: Float64Array): number | null {
  const sizes = raw.map(Math.abs).sort();
  const middle = sizes.length >> 1;
  const median = sizes.length % 2 ? sizes[middle]! : (sizes[middle - 1]! + sizes[middle]!) / 2;
  return sizes.at(-1) ? median / sizes.at(-1)! : null;
}
