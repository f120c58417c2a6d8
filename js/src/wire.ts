// What crosses between the kernel and the browser: types, decoding with checks, encoding.
// A value that does not fit is refused in a sentence; nothing half-read reaches the screen.

import type { Box } from "./heat/frame";
import type { Rule } from "./heat/merge";

export const VERSION = 1;
export const MAX_TARGETS = 32;
export const MAX_UPLOAD_BYTES = 32 * 2 ** 20;
export const UPLOAD_PART_BYTES = 4 * 2 ** 20;

class WireError extends Error {}

export type Target =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "class"; readonly index: number; readonly name: string }
  | { readonly kind: "held"; readonly key: string; readonly label: string };

export type KnobValue = string | number | boolean | null;
export type Knobs = Readonly<Record<string, KnobValue>>;

export interface Knob {
  readonly name: string;
  readonly kind: "bool" | "choice" | "number" | "text";
  readonly default: KnobValue;
  readonly choices: readonly KnobValue[];
  readonly help: string;
}

export interface Method {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly paper: string;
  readonly cost: string;
  readonly available: boolean;
  readonly reason: string;
  readonly knobs: readonly Knob[];
}

export interface ModelCard {
  /** Whether free text can be asked for. */
  readonly prompts: boolean;
  readonly classes: readonly string[];
  readonly suggestions: readonly string[];
}

export interface Picture {
  readonly rev: number;
  readonly name: string;
  readonly mime: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
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
  readonly error: string;
}

export interface Prediction {
  readonly index: number;
  readonly name: string;
  readonly probability: number;
}

export interface Answer {
  readonly rid: string | null;
  readonly rev: number;
  readonly imageRev: number;
  readonly method: string;
  readonly seconds: number;
  readonly layers: readonly number[];
  readonly signed: boolean;
  readonly merge: Rule;
  readonly default: "all" | "last";
  readonly rows: number;
  readonly cols: number;
  /** [targets, layers, rows, cols] in C order. */
  readonly maps: Float32Array;
  readonly entries: readonly Entry[];
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

/** What the kernel is asked; the rest of `_request` is the envelope. */
export interface Question {
  readonly targets: readonly Target[];
  readonly active: number;
  readonly method: string;
  readonly knobs: Knobs;
}

// -- reading ------------------------------------------------------------------------------------------------

type Raw = Readonly<Record<string, unknown>>;

const isRecord = (raw: unknown): raw is Raw => typeof raw === "object" && raw !== null && !Array.isArray(raw);
const record = (raw: unknown): Raw => (isRecord(raw) ? raw : {});
const list = (raw: unknown): readonly unknown[] => (Array.isArray(raw) ? raw : []);
const text = (raw: unknown): string => (typeof raw === "string" ? raw : "");
const number = (raw: unknown): number | null =>
  typeof raw === "number" && Number.isFinite(raw) ? raw : null;
const oneOf = <T extends string>(raw: unknown, allowed: readonly T[], otherwise: T): T =>
  allowed.includes(raw as T) ? (raw as T) : otherwise;

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
  need(
    typeof raw === "number" && Number.isInteger(raw) && raw > 0,
    `${what} must be a positive whole number`,
  );
  return raw;
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
  need(
    values.every((value) => Number.isFinite(value)),
    `${what} must be finite`,
  );
  return { shape: sizes, values };
}

export function decodeTarget(raw: unknown): Target | null {
  const { kind, text: words, index, name, key, label } = record(raw);
  if (kind === "text" && typeof words === "string") return { kind, text: words };
  if (kind === "class" && Number.isInteger(index)) return { kind, index: index as number, name: text(name) };
  if (kind === "held" && typeof key === "string") return { kind, key, label: text(label) || key };
  return null;
}

export const decodeTargets = (raw: unknown): Target[] =>
  list(raw).flatMap((item) => decodeTarget(item) ?? []);

/** 1-based layer numbers, sorted and unique; null for the method's default. */
export function decodeLayers(raw: unknown): number[] | null {
  if (!Array.isArray(raw)) return null;
  const layers = [...new Set(raw)].filter((layer) => Number.isInteger(layer) && layer > 0);
  return layers.length ? layers.sort((a, b) => a - b) : null;
}

const isKnobValue = (raw: unknown): raw is KnobValue =>
  raw === null || ["string", "number", "boolean"].includes(typeof raw);

export const decodeKnobs = (raw: unknown): Knobs =>
  Object.fromEntries(
    Object.entries(record(raw)).filter((pair): pair is [string, KnobValue] => isKnobValue(pair[1])),
  );

function decodeKnob(raw: unknown): Knob {
  const knob = record(raw);
  return {
    name: text(knob.name),
    kind: oneOf(knob.kind, ["bool", "choice", "number", "text"], "text"),
    default: isKnobValue(knob.default) ? knob.default : null,
    choices: list(knob.choices).filter(isKnobValue),
    help: text(knob.help),
  };
}

export const decodeCatalogue = (raw: unknown): Method[] =>
  list(raw)
    .map(record)
    .map((method) => ({
      name: text(method.name),
      title: text(method.title) || text(method.name),
      summary: text(method.summary),
      paper: text(method.paper),
      cost: text(method.cost),
      available: method.available !== false,
      reason: text(method.reason),
      knobs: list(method.knobs).map(decodeKnob),
    }));

export function decodeModel(raw: unknown): ModelCard {
  const model = record(raw);
  return {
    prompts: model.prompts === true,
    classes: list(model.classes).map(text),
    suggestions: list(model.suggestions).map(text),
  };
}

/** The picture; null where there is none yet. */
export function decodePicture(raw: unknown): Picture | null {
  const image = record(raw);
  if (Object.keys(image).length === 0) return null;
  const bytes = decodeBytes(image.data, "the picture");
  const [w, h] = list(image.original);
  const window = list(image.window).map(number);
  need(window.length === 4 && !window.includes(null), "the model's window must be four numbers");
  const [left, top, right, bottom] = window as number[] as [number, number, number, number];
  need(right > left && bottom > top, "the model's window must have an area");
  return {
    rev: number(image.rev) ?? 0,
    name: text(image.name),
    mime: text(image.mime),
    bytes,
    original: [count(w, "the picture's width"), count(h, "the picture's height")],
    window: [left, top, right, bottom],
  };
}

function decodeEntry(raw: unknown): Entry {
  const entry = record(raw);
  const target = decodeTarget(entry.target);
  need(target !== null, "each answer must name its target");
  return {
    target,
    label: text(entry.label) || labelOf(target),
    score: number(entry.score),
    scoreName: text(entry.score_name),
    probability: number(entry.probability),
    probabilityOf: text(entry.probability_of),
    supported: typeof entry.supported === "boolean" ? entry.supported : null,
    note: text(entry.note),
    layerScores: list(entry.layer_scores).map(number),
    error: text(entry.error),
  };
}

function decodePrediction(raw: unknown): Prediction[] {
  const { index, name, probability } = record(raw);
  const p = number(probability);
  return Number.isInteger(index) && p !== null
    ? [{ index: index as number, name: text(name), probability: p }]
    : [];
}

/** The answer; null where nothing was asked yet. */
export function decodeAnswer(raw: unknown): Answer | null {
  const result = record(raw);
  const entries = list(result.targets).map(decodeEntry);
  if (entries.length === 0 && list(result.predictions).length === 0) return null;
  const layers = list(result.layers).map((layer) => count(layer, "each layer"));
  const [rows, cols] = list(result.grid);
  const grid = [count(rows, "the grid's rows"), count(cols, "the grid's columns")] as const;
  const stated = [entries.length, layers.length, ...grid];
  const { shape, values } = entries.length
    ? decodeArray(result.maps, "the maps")
    : { shape: stated, values: new Float32Array() };
  need(
    shape.join() === stated.join(),
    `the maps must be targets x layers x rows x columns = ${stated.join(" x ")}, not ${shape.join(" x ")}`,
  );
  return {
    rid: typeof result.rid === "string" ? result.rid : null,
    rev: number(result.rev) ?? 0,
    imageRev: number(result.image_rev) ?? 0,
    method: text(result.method),
    seconds: number(result.seconds) ?? 0,
    layers,
    signed: result.signed === true,
    merge: oneOf(result.merge, ["mean", "last"], "mean"),
    default: oneOf(result.default, ["all", "last"], "all"),
    rows: grid[0],
    cols: grid[1],
    maps: values,
    entries,
    predictions: list(result.predictions).flatMap(decodePrediction),
    predictionsOf: text(result.predictions_of),
  };
}

export function decodeStatus(raw: unknown): Status {
  const status = record(raw);
  return {
    state: oneOf(status.state, ["idle", "queued", "running", "error"], "idle"),
    rid: typeof status.rid === "string" ? status.rid : null,
    rev: number(status.rev) ?? 0,
    step: number(status.step) ?? 0,
    total: number(status.total) ?? 0,
    message: text(status.message),
    detail: text(status.detail),
  };
}

/** A custom message from the kernel; null for kinds this side does not know. */
export function decodeMessage(
  raw: unknown,
): { kind: "accepted" | "refused" | "alive"; rid: string | null; message: string } | null {
  const { kind, rid, message } = record(raw);
  if (kind !== "accepted" && kind !== "refused" && kind !== "alive") return null;
  return { kind, rid: typeof rid === "string" ? rid : null, message: text(message) };
}

// -- naming -------------------------------------------------------------------------------------------------

/** Equal for targets that ask for the same thing. */
export function keyOf(target: Target): string {
  if (target.kind === "text") return `text:${target.text}`;
  return target.kind === "class" ? `class:${target.index}` : `held:${target.key}`;
}

export function labelOf(target: Target): string {
  if (target.kind === "text") return target.text;
  return target.kind === "class" ? target.name || `class ${target.index}` : target.label;
}

/** A random name; `crypto.randomUUID` is missing on pages served over plain http. */
export function freshName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
