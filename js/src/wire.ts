// What crosses between the kernel and the browser: types, decoding with checks, encoding.
// A value that does not fit is refused in a sentence; nothing half-read reaches the screen.

import type { Box } from "./heat/frame";
import { type Cell, type Rule, sortCells } from "./heat/merge";

export const VERSION = 1;
export const MAX_TARGETS = 32;
export const MAX_UPLOAD_BYTES = 32 * 2 ** 20;
export const UPLOAD_PART_BYTES = 4 * 2 ** 20;

class WireError extends Error {}

/** A prompt (in templates, where it has some), a class, or what stays in Python under a key. */
export type Side =
  | { readonly kind: "text"; readonly text: string; readonly templates?: readonly string[] }
  | { readonly kind: "class"; readonly index: number; readonly name: string }
  | { readonly kind: "held"; readonly key: string; readonly label: string };
/** A contrast is evidence for a over b. */
export type Target = Side | { readonly kind: "contrast"; readonly a: Side; readonly b: Side };

export type KnobValue = string | number | boolean | null;
export type Knobs = Readonly<Record<string, KnobValue>>;

export interface Knob {
  readonly name: string;
  readonly kind: "bool" | "choice" | "number" | "text";
  readonly default: KnobValue;
  readonly choices: readonly KnobValue[];
  /** Whether it may be None. */
  readonly optional: boolean;
  readonly low: number | null;
  readonly high: number | null;
  readonly integer: boolean;
  readonly help: string;
}

export interface Method {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  /** How the map is to be read; what it is, in lines of plain text. */
  readonly shows: string;
  readonly formula: string;
  readonly paper: string;
  readonly cost: string;
  /** Takes more than about two forwards for one target. */
  readonly slow: boolean;
  /** Whether the map depends on what is asked. */
  readonly classDiscriminative: boolean;
  readonly available: boolean;
  readonly reason: string;
  readonly signed: boolean;
  /** The kinds of readout that it is defined for. */
  readonly readouts: readonly string[];
  readonly knobs: readonly Knob[];
}

export interface ModelCard {
  /** Whether free text can be asked for. */
  readonly prompts: boolean;
  readonly classes: readonly string[];
  readonly suggestions: readonly string[];
  /** Of each block whether its score beats chance, and why or why not; [] where that was not calibrated. */
  readonly reliable: readonly boolean[];
  readonly reliability: readonly string[];
  /** The same sentences about the fitted lens; [] where none was fitted. */
  readonly fitted: readonly string[];
  /** What each block counts with by its reliability; [] where that was not calibrated. */
  readonly layerWeights: readonly (number | null)[];
}

export interface Picture {
  readonly rev: number;
  readonly name: string;
  readonly mime: string;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly original: readonly [number, number];
  readonly window: Box;
}

export interface Entry {
  readonly target: Target;
  readonly label: string;
  readonly score: number | null;
  readonly scoreName: string;
  readonly probability: number | null;
  readonly probabilityOf: string;
  readonly supported: boolean | null;
  readonly note: string;
  readonly layerScores: readonly (number | null)[];
  /** The target's rank at every layer, from 1, among `ranksOf`; ties count half. [] where it has none. */
  readonly ranks: readonly (number | null)[];
  /** The same by the fitted lens; [] where there is none. */
  readonly fittedRanks: readonly (number | null)[];
  readonly ranksOf: number;
  readonly ranksAmong: string;
  /** [layers, heads, rows, columns] in C order; null where the method has none, or they did not fit. */
  readonly heads: Float32Array | null;
  readonly error: string;
}

export interface Prediction {
  readonly index: number;
  readonly name: string;
  readonly probability: number;
}

/** What is known of a method's maps beside their numbers. */
export interface MapsOf {
  readonly method: string;
  readonly seconds: number;
  readonly layers: readonly number[];
  readonly signed: boolean;
  readonly merge: Rule;
  readonly default: "all" | "last";
}

export interface Answer extends MapsOf {
  readonly rid: string | null;
  readonly rev: number;
  readonly imageRev: number;
  /** [rows, columns] of patches. */
  readonly grid: readonly [number, number];
  /** [targets, layers, rows, columns] in C order. */
  readonly maps: Float32Array;
  /** Of each layer; 0 where the method has none. */
  readonly heads: number;
  readonly targets: readonly Entry[];
  readonly predictions: readonly Prediction[];
  readonly predictionsOf: string;
}

export interface Status {
  readonly state: "idle" | "queued" | "running" | "error";
  readonly rid: string | null;
  readonly rev: number;
  readonly step: number;
  readonly total: number;
  readonly message: string;
  readonly detail: string;
}

/** Small pictures of a concept, by its key. */
export type Concepts = Readonly<Record<string, readonly string[]>>;

/** What the kernel is asked; the rest of `_request` is the envelope. */
export interface Question {
  /** What prompts that are typed are read through; each target has its own. */
  readonly templates: readonly string[];
  readonly targets: readonly Target[];
  readonly active: number;
  readonly method: string;
  readonly knobs: Knobs;
}

// -- reading ------------------------------------------------------------------------------------------------

export type Raw = Readonly<Record<string, unknown>>;

export type Reader<T> = (raw: unknown) => T;

export const record: Reader<Raw> = (raw) =>
  typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as Raw) : {};
const list: Reader<readonly unknown[]> = (raw) => (Array.isArray(raw) ? raw : []);
export const text: Reader<string> = (raw) => (typeof raw === "string" ? raw : "");
export const number: Reader<number | null> = (raw) => (Number.isFinite(raw) ? (raw as number) : null);
export const amount: Reader<number> = (raw) => number(raw) ?? 0;
const yes: Reader<boolean> = (raw) => raw === true;
export const name: Reader<string | null> = (raw) => text(raw) || null;
export const listOf =
  <T>(read: Reader<T>): Reader<T[]> =>
  (raw) =>
    list(raw).map(read);
/** One of the allowed words; the first of them where it is none. */
export const oneOf =
  <T extends string>(...allowed: readonly [T, ...T[]]): Reader<T> =>
  (raw) =>
    allowed.find((word) => word === raw) ?? allowed[0];

/** A record, field by field: `scoreName` is read from `score_name`. */
export const fields =
  <T>(readers: { readonly [K in keyof T]: Reader<T[K]> }): Reader<T> =>
  (raw) => {
    const from = record(raw);
    const wireName = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return Object.fromEntries(
      Object.entries<Reader<unknown>>(readers).map(([key, read]) => [key, read(from[wireName(key)])]),
    ) as T;
  };

function need(condition: boolean, what: string): asserts condition {
  if (!condition) throw new WireError(what);
}

/** Read something that may not fit; returns why it could not be read, or "". */
export function attempt(what: string, read: () => void): string {
  try {
    read();
    return "";
  } catch (error) {
    if (error instanceof WireError) return `${what} could not be read: ${error.message}.`;
    throw error;
  }
}

/** A count that a shape can be made of. */
function count(raw: unknown, what: string): number {
  need(Number.isInteger(raw) && (raw as number) > 0, `${what} must be a positive whole number`);
  return raw as number;
}

/**
 * Bytes as a copy with an offset of zero. Hosts hand over DataViews, typed arrays or buffers; views may
 * start anywhere in a larger buffer, which a Float32Array over `view.buffer` would misread or refuse.
 */
export function decodeBytes(raw: unknown, what: string): Uint8Array<ArrayBuffer> {
  if (ArrayBuffer.isView(raw)) {
    return Uint8Array.from(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
  }
  if (raw instanceof ArrayBuffer) return new Uint8Array(raw.slice(0));
  throw new WireError(`${what} came without its bytes`);
}

/** A float32 array of a stated shape. */
export function decodeArray(raw: unknown, what: string): { shape: number[]; values: Float32Array } {
  const { dtype, shape, data } = record(raw);
  need(dtype === "float32", `${what} must be float32, not ${String(dtype)}`);
  const sizes = list(shape).map((size) => count(size, `each size of ${what}`));
  const bytes = decodeBytes(data, what);
  const expected = 4 * sizes.reduce((product, size) => product * size, 1);
  need(
    bytes.length === expected,
    `${what} of shape ${sizes.join(" x ")} needs ${expected} bytes, not ${bytes.length}`,
  );
  const values = new Float32Array(bytes.buffer);
  need(values.every(Number.isFinite), `${what} must be finite`);
  return { shape: sizes, values };
}

function decodeSide(raw: unknown): Side | null {
  const { kind, text: words, templates, index, name, key, label } = record(raw);
  if (kind === "text" && typeof words === "string") {
    const filled = listOf(text)(templates);
    return { kind, text: words, ...(filled.length && { templates: filled }) };
  }
  if (kind === "class" && Number.isInteger(index)) return { kind, index: index as number, name: text(name) };
  if (kind === "held" && typeof key === "string") return { kind, key, label: text(label) || key };
  return null;
}

export function decodeTarget(raw: unknown): Target | null {
  const { kind, a, b } = record(raw);
  return kind === "contrast" ? opposed(decodeSide(a), decodeSide(b)) : decodeSide(raw);
}

export const decodeTargets = (raw: unknown): Target[] =>
  list(raw).flatMap((item) => decodeTarget(item) ?? []);

/** 1-based layer numbers, sorted and unique; null for the method's default. */
export function decodeLayers(raw: unknown): number[] | null {
  if (!Array.isArray(raw)) return null;
  const layers = [...new Set(raw)].filter((layer) => Number.isInteger(layer) && layer > 0);
  return layers.length ? layers.sort((a, b) => a - b) : null;
}

/** [layer, head] pairs, sorted and unique; null for all heads. */
export function decodeCells(raw: unknown): readonly Cell[] | null {
  const isCell = (cell: unknown): cell is Cell =>
    Array.isArray(cell) && cell.length === 2 && cell.every(Number.isInteger) && cell[0] > 0 && cell[1] >= 0;
  const cells = sortCells(list(raw).filter(isCell));
  return cells.length ? cells : null;
}

const isKnobValue = (raw: unknown): raw is KnobValue =>
  raw === null || ["string", "number", "boolean"].includes(typeof raw);

export const decodeKnobs = (raw: unknown): Knobs =>
  Object.fromEntries(
    Object.entries(record(raw)).filter((pair): pair is [string, KnobValue] => isKnobValue(pair[1])),
  );

const knobValue: Reader<KnobValue> = (raw) => (isKnobValue(raw) ? raw : null);

export const decodeCatalogue: Reader<Method[]> = listOf(
  fields<Method>({
    name: text,
    title: text,
    summary: text,
    shows: text,
    formula: text,
    paper: text,
    cost: text,
    slow: yes,
    classDiscriminative: (raw) => raw !== false,
    available: (raw) => raw !== false,
    reason: text,
    signed: yes,
    readouts: listOf(text),
    knobs: listOf(
      fields<Knob>({
        name: text,
        kind: oneOf("text", "bool", "choice", "number"),
        default: knobValue,
        choices: listOf(knobValue),
        optional: yes,
        low: number,
        high: number,
        integer: yes,
        help: text,
      }),
    ),
  }),
);

export const decodeModel: Reader<ModelCard> = fields<ModelCard>({
  prompts: yes,
  classes: listOf(text),
  suggestions: listOf(text),
  reliable: listOf(yes),
  reliability: listOf(text),
  fitted: listOf(text),
  layerWeights: listOf(number),
});

/** The picture; null where there is none yet. */
export function decodePicture(raw: unknown): Picture | null {
  if (Object.keys(record(raw)).length === 0) return null;
  return fields<Picture>({
    rev: amount,
    name: text,
    mime: text,
    data: (data) => decodeBytes(data, "the picture"),
    original(size) {
      const [w, h] = list(size);
      return [count(w, "the picture's width"), count(h, "the picture's height")];
    },
    window(edges) {
      const [left, top, right, bottom] = list(edges).map(number);
      const box = [left, top, right, bottom] as [number, number, number, number];
      need(box.every(Number.isFinite), "the model's window must be four numbers");
      need(box[2] > box[0] && box[3] > box[1], "the model's window must have an area");
      return box;
    },
  })(raw);
}

export const decodeAnswered: Reader<Target> = (raw) => {
  const target = decodeTarget(raw);
  need(target !== null, "each answer must name its target");
  return target;
};

const decodeEntry = fields<Omit<Entry, "heads">>({
  target: decodeAnswered,
  label: text,
  score: number,
  scoreName: text,
  probability: number,
  probabilityOf: text,
  supported: (raw) => (typeof raw === "boolean" ? raw : null),
  note: text,
  layerScores: listOf(number),
  ranks: listOf(number),
  fittedRanks: listOf(number),
  ranksOf: amount,
  ranksAmong: text,
  error: text,
});

export const decodeGrid: Reader<readonly [number, number]> = (raw) => {
  const [rows, cols] = list(raw);
  return [count(rows, "the grid's rows"), count(cols, "the grid's columns")];
};

export const decodePredictions = listOf(
  fields<Prediction>({ index: amount, name: text, probability: amount }),
);

export const MAPS_OF = {
  method: text,
  seconds: amount,
  layers: listOf((layer) => count(layer, "each layer")),
  signed: yes,
  merge: oneOf<Rule>("mean", "last"),
  default: oneOf("all", "last"),
};

/** The answer; null where nothing was asked yet. */
export function decodeAnswer(raw: unknown): Answer | null {
  const { targets, predictions, maps } = record(raw);
  if (list(targets).length === 0 && list(predictions).length === 0) return null;
  const answer = fields<Omit<Answer, "maps" | "targets"> & { targets: Omit<Entry, "heads">[] }>({
    ...MAPS_OF,
    rid: name,
    rev: amount,
    imageRev: amount,
    grid: decodeGrid,
    heads: amount,
    targets: listOf(decodeEntry),
    predictions: decodePredictions,
    predictionsOf: text,
  })(raw);
  const [depth, grid] = [answer.layers.length, answer.grid];
  return {
    ...answer,
    maps: answer.targets.length
      ? decodeMaps(maps, [answer.targets.length, depth, ...grid])
      : new Float32Array(),
    targets: answer.targets.map((entry, i) => {
      const { heads } = record(list(targets)[i]);
      return { ...entry, heads: heads ? decodeMaps(heads, [depth, answer.heads, ...grid]) : null };
    }),
  };
}

/** Maps of the shape that the rest of their answer states. */
export function decodeMaps(raw: unknown, stated: readonly number[]): Float32Array {
  const { shape, values } = decodeArray(raw, "the maps");
  need(shape.join() === stated.join(), `the maps must be ${stated.join(" x ")}, not ${shape.join(" x ")}`);
  return values;
}

/** Whose edit of the view the kernel heard last. */
export const decodeLook = fields({ client: text, n: amount, taken: (raw) => raw === true });

export const decodeStatus: Reader<Status> = fields<Status>({
  state: oneOf("idle", "queued", "running", "error"),
  rid: name,
  rev: amount,
  step: amount,
  total: amount,
  message: text,
  detail: text,
});

/** Small pictures as data URLs, so that nothing has to be let go of; what cannot be read is left out. */
export function decodeConcepts(raw: unknown): Concepts {
  const concepts: Record<string, string[]> = {};
  for (const [key, concept] of Object.entries(record(raw))) {
    const pictures: string[] = [];
    for (const small of list(record(concept).thumbnails))
      attempt("A small picture", () => {
        const bytes = decodeBytes(small, "it");
        pictures.push(`data:image/jpeg;base64,${btoa(String.fromCharCode(...bytes))}`);
      });
    concepts[key] = pictures;
  }
  return concepts;
}

/** A custom message from the kernel; of kind "" where this side does not know it. */
export const decodeMessage = fields<{
  readonly kind: "" | "accepted" | "refused" | "alive" | "live";
  readonly rid: string | null;
  readonly message: string;
  /** Of the second file. */
  readonly hash: string;
}>({ kind: oneOf("", "accepted", "refused", "alive", "live"), rid: name, message: text, hash: text });

// -- naming -------------------------------------------------------------------------------------------------

export const isFull = (targets: readonly Target[]) => targets.length >= MAX_TARGETS;
export const FULL = `${MAX_TARGETS} prompts are the most: remove one first.`;

/** Equal for targets that ask for the same thing. */
export function keyOf(target: Target): string {
  const { kind } = target;
  if (kind === "text") return [`text:${target.text}`, ...(target.templates ?? [])].join("\0");
  if (kind === "contrast") return JSON.stringify([keyOf(target.a), keyOf(target.b)]);
  return `${kind}:${kind === "class" ? target.index : target.key}`;
}

export function labelOf(target: Target): string {
  const { kind } = target;
  if (kind === "text") return target.text;
  if (kind === "contrast") return `${labelOf(target.a)} over ${labelOf(target.b)}`;
  return kind === "class" ? target.name || `class ${target.index}` : target.label;
}

/** Evidence for a over b; null where one is missing or a contrast itself, or both are the same. */
export const opposed = (a?: Target | null, b?: Target | null): Target | null =>
  a && b && a.kind !== "contrast" && b.kind !== "contrast" && keyOf(a) !== keyOf(b)
    ? { kind: "contrast", a, b }
    : null;

/** The target with its prompts in templates; without any a prompt is read as it is typed. */
export function readThrough(target: Target, templates: readonly string[]): Target {
  const { kind } = target;
  if (kind === "contrast") {
    const [a, b] = [target.a, target.b].map((side) => readThrough(side, templates));
    return opposed(a, b) ?? target;
  }
  if (kind !== "text") return target;
  return { kind, text: target.text, ...(templates.length && { templates }) };
}

/** A random name; `crypto.randomUUID` is missing on pages served over plain http. */
export const freshName = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");
