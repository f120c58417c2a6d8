// What tools give, as it crosses from the kernel: types and decoding with checks.

import {
  amount,
  decodeArray,
  decodeBytes,
  decodePredictions,
  decodeTarget,
  fields,
  listOf,
  number,
  oneOf,
  type Picture,
  type Prediction,
  type Raw,
  type Reader,
  record,
  type Target,
  text,
} from "./wire";

/** A float32 array with its shape, in C order. */
export interface Packed {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** One tool's newest entry, beside its own data; what has not come yet is null or empty. */
export interface ToolEntry {
  readonly rid: string;
  /** The answer, and the position in its targets, that it is about. */
  readonly rev: number;
  readonly target: number;
  readonly label: string;
  /** As asked. */
  readonly args: Raw;
  readonly state: "running" | "done" | "failed" | "stopped";
  readonly step: number;
  readonly total: number;
  readonly message: string;
}

export interface Verified {
  readonly layer: number;
  readonly head: number;
  /** Score with the head minus score without it: to first order, and measured. */
  readonly estimate: number;
  readonly measured: number;
}

/** Score or probability of a target or class before and after patches were changed. */
export interface Moved {
  readonly label: string;
  readonly before: number;
  readonly after: number;
  readonly of: string;
  /** The interval of equally many random patches; null where none were tried. */
  readonly low: number | null;
  readonly high: number | null;
}

export interface Donor {
  readonly row: number;
  readonly name: string;
  readonly label: string;
}

/** The scores of a sample's two classes over the layers, as it is and once it is changed. */
export interface ChangedCurve {
  readonly names: readonly string[];
  readonly before: readonly (readonly number[])[];
  readonly after: readonly (readonly number[])[];
}

export interface Curve {
  readonly kind: string;
  readonly method: string;
  readonly fractions: readonly number[];
  readonly values: readonly number[];
  readonly area: number | null;
}

/** A curve that says which map it is of. */
export interface RivalCurve extends Curve {
  readonly digest: number;
}

/** What the randomisation check said of a method. */
export interface Verdict {
  readonly passed: boolean;
  /** With all blocks shuffled; null where the map became flat. */
  readonly correlation: number | null;
  readonly label: string;
}

export interface Band {
  readonly fractions: readonly number[];
  readonly low: readonly number[];
  readonly mean: readonly number[];
  readonly high: readonly number[];
}

/** What each tool gives. Layers count from 1, heads from 0, patches are [row, column]. */
interface ToolData {
  /** values [layers, heads], maps [layers, heads, rows, columns]: first-order effects on the final score. */
  effects: {
    readonly values: Packed | null;
    readonly maps: Packed | null;
    readonly score: number | null;
    readonly scoreName: string;
  };
  ablate: {
    readonly before: number | null;
    readonly after: number | null;
    /** Score without the heads minus score with them. */
    readonly change: number | null;
    readonly scoreName: string;
  };
  verify: { readonly found: readonly Verified[] };
  row: { readonly map: Packed | null; readonly prefix: readonly number[] };
  lens: { readonly predictions: readonly Prediction[]; readonly of: string };
  norms: {
    readonly map: Packed | null;
    readonly outliers: readonly (readonly number[])[];
    readonly threshold: number | null;
    readonly prefix: readonly number[];
  };
  brush: {
    readonly targets: readonly Moved[];
    readonly classes: readonly Moved[];
    readonly picture: Pick<Picture, "mime" | "data"> | null;
    /** The sample that patches were pasted from. */
    readonly donor: Donor | null;
    readonly curve: ChangedCurve | null;
  };
  curves: { readonly curves: readonly Curve[]; readonly band: Band | null; readonly of: string };
  faithfulness: {
    readonly imageRev: number;
    readonly about: Target | null;
    readonly curves: readonly RivalCurve[];
    /** Why methods have no curves, by their names. */
    readonly errors: Readonly<Record<string, string>>;
    readonly band: Band | null;
    /** The area that random order gives, by kind. */
    readonly chance: Readonly<Record<string, number>>;
    readonly of: string;
  };
  /** Seconds of the map for one target, and of one forward of the model. */
  card: {
    readonly method: string;
    readonly seconds: number | null;
    readonly forward: number | null;
    readonly verdict: Verdict | null;
  };
  randomise: {
    readonly method: string;
    readonly blocks: readonly number[];
    readonly correlations: readonly (number | null)[];
    readonly passed: boolean | null;
  };
  /** maps [layers, rows, columns]: the control's own. */
  specificity: {
    readonly layers: readonly number[];
    readonly maps: Packed | null;
    readonly signed: boolean;
    readonly note: string;
  };
}

export type ToolName = keyof ToolData;
export type ToolOf<N extends ToolName> = ToolEntry & ToolData[N];

/** What is queued or runs now. */
export interface Busy {
  readonly tool: ToolName;
  readonly rid: string;
  readonly step: number;
  readonly total: number;
  readonly message: string;
}

// -- reading ------------------------------------------------------------------------------------------------

const packed: Reader<Packed | null> = (raw) => (raw ? decodeArray(raw, "a tool's map") : null);
const numbers = listOf(amount);
const moved = listOf(
  fields<Moved>({ label: text, before: amount, after: amount, of: text, low: number, high: number }),
);
const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (raw) =>
    raw ? read(raw) : null;

const CURVE = { kind: text, method: text, fractions: numbers, values: numbers, area: number };
const band = maybe(fields<Band>({ fractions: numbers, low: numbers, mean: numbers, high: numbers }));
/** A record whose values are read one by one. */
const byName =
  <T>(read: Reader<T>): Reader<Record<string, T>> =>
  (raw) =>
    Object.fromEntries(Object.entries(record(raw)).map(([key, value]) => [key, read(value)]));

const TOOL_DATA: { readonly [N in ToolName]: { readonly [K in keyof ToolData[N]]: Reader<ToolData[N][K]> } } =
  {
    effects: { values: packed, maps: packed, score: number, scoreName: text },
    ablate: { before: number, after: number, change: number, scoreName: text },
    verify: {
      found: listOf(fields<Verified>({ layer: amount, head: amount, estimate: amount, measured: amount })),
    },
    row: { map: packed, prefix: numbers },
    lens: { predictions: decodePredictions, of: text },
    norms: { map: packed, outliers: listOf(numbers), threshold: number, prefix: numbers },
    brush: {
      targets: moved,
      classes: moved,
      picture: maybe(fields({ mime: text, data: (data) => decodeBytes(data, "the changed picture") })),
      donor: maybe(fields<Donor>({ row: amount, name: text, label: text })),
      curve: maybe(
        fields<ChangedCurve>({ names: listOf(text), before: listOf(numbers), after: listOf(numbers) }),
      ),
    },
    curves: {
      curves: listOf(fields<Curve>(CURVE)),
      band,
      of: text,
    },
    faithfulness: {
      imageRev: amount,
      about: decodeTarget,
      curves: listOf(fields<RivalCurve>({ ...CURVE, digest: amount })),
      errors: byName(text),
      band,
      chance: byName(amount),
      of: text,
    },
    card: {
      method: text,
      seconds: number,
      forward: number,
      verdict: maybe(fields<Verdict>({ passed: (raw) => raw === true, correlation: number, label: text })),
    },
    randomise: {
      method: text,
      blocks: numbers,
      correlations: listOf(number),
      passed: (raw) => (typeof raw === "boolean" ? raw : null),
    },
    specificity: { layers: numbers, maps: packed, signed: (raw) => raw === true, note: text },
  };

export const TOOLS = Object.keys(TOOL_DATA) as readonly ToolName[];

const decodeToolState = fields<ToolEntry>({
  rid: text,
  rev: amount,
  target: amount,
  label: text,
  args: record,
  state: oneOf("running", "done", "failed", "stopped"),
  step: amount,
  total: amount,
  message: text,
});

/**
 * One tool's entry of `_tools`; null where there is none. An entry that has ended does not change any more: where
 * `known` is it, that one is given back, and its arrays are not copied again.
 */
export function decodeTool<N extends ToolName>(
  raw: unknown,
  tool: N,
  known: ToolOf<N> | null,
): ToolOf<N> | null {
  const given = record(raw)[tool];
  if (!given) return null;
  const state = decodeToolState(given);
  if (known?.rid === state.rid && known.state === state.state && state.state !== "running") return known;
  return { ...state, ...fields<ToolData[N]>(TOOL_DATA[tool])(given) };
}

/** What is under way; null at rest. */
export function decodeBusy(raw: unknown): Busy | null {
  const { busy } = record(raw);
  const tool = TOOLS.find((known) => known === record(busy).tool);
  if (!tool) return null;
  return {
    tool,
    ...fields<Omit<Busy, "tool">>({ rid: text, step: amount, total: amount, message: text })(busy),
  };
}
