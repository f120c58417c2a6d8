// What crosses between the kernel and the gallery: types, and decoding with checks.

import { attempt, decodeArray, decodeBytes, listOf, oneOf, text } from "../wire";

type Raw = Readonly<Record<string, unknown>>;
const record = (raw: unknown): Raw => (typeof raw === "object" && raw !== null ? (raw as Raw) : {});
const whole = (raw: unknown): number => (Number.isInteger(raw) ? (raw as number) : 0);
const real = (raw: unknown): number => (Number.isFinite(raw) ? (raw as number) : Number.NaN);
const yes = (raw: unknown): boolean => raw === true;
const maybe =
  <T>(read: (raw: unknown) => T) =>
  (raw: unknown): T | null =>
    raw === null || raw === undefined ? null : read(raw);

/** One way to order samples: by a column; those without a value come last. */
export interface Sort {
  readonly key: string;
  readonly title: string;
  readonly says: string;
  readonly column: string;
  readonly ascending: boolean;
}

/** A column that the gallery can be narrowed by. */
export interface Filter {
  readonly column: string;
  readonly title: string;
}

export interface GalleryCard {
  /** Whether there is a model: without one what was saved is shown. */
  readonly live: boolean;
  readonly total: number;
  readonly classes: readonly string[];
  readonly sorts: readonly Sort[];
  readonly filters: readonly Filter[];
  /** Which map stands over the small pictures. */
  readonly drawn: string;
}

export const decodeGallery = (raw: unknown): GalleryCard => {
  const { live, total, classes, sorts, filters, drawn } = record(raw);
  return {
    live: yes(live),
    total: whole(total),
    classes: listOf(text)(classes),
    sorts: listOf((sort) => {
      const { key, title, says, column, ascending } = record(sort);
      return {
        key: text(key),
        title: text(title),
        says: text(says),
        column: text(column),
        ascending: yes(ascending),
      };
    })(sorts),
    filters: listOf((filter) => {
      const { column, title } = record(filter);
      return { column: text(column), title: text(title) };
    })(filters),
    drawn: text(record(drawn).title),
  };
};

export interface Progress {
  readonly state: "idle" | "running" | "paused" | "failed";
  readonly step: number;
  readonly total: number;
  readonly message: string;
  readonly errors: number;
  readonly faults: number;
}

export const decodeProgress = (raw: unknown): Progress => {
  const { state, step, total, message, errors, faults } = record(raw);
  return {
    state: oneOf("idle", "running", "paused", "failed")(state),
    step: whole(step),
    total: whole(total),
    message: text(message),
    errors: whole(errors),
    faults: whole(faults),
  };
};

/** The sample that is open, beside its row of the table. Layers count from 1, patches are [row, column]. */
export interface Sample {
  readonly row: number;
  readonly layers: readonly number[];
  readonly true: readonly number[];
  readonly predicted: readonly number[];
  /** Of each layer: how often the lens puts the right one of two classes first, 0.5 by chance; [] unknown. */
  readonly trust: readonly number[];
  readonly weak: readonly boolean[];
  readonly flip: string;
  readonly neighbours: readonly { readonly title: string; readonly rows: readonly number[] }[];
  readonly cases: readonly { readonly about: string; readonly name: string; readonly says: string }[];
  readonly picture: { readonly mime: string; readonly data: Uint8Array<ArrayBuffer> } | null;
  readonly map: { readonly rows: number; readonly cols: number; readonly values: Float32Array } | null;
  /** What is missing here, and what would bring it; "". */
  readonly needs: string;
  readonly flipSet: {
    readonly state: string;
    readonly words: string;
    readonly patches: readonly number[][];
  } | null;
}

/** The open sample; null where none is. */
export const decodeSample = (raw: unknown): Sample | null => {
  const given = record(raw);
  if (!Number.isInteger(given.row)) return null;
  return {
    row: whole(given.row),
    layers: listOf(whole)(given.layers),
    true: listOf(real)(given.true),
    predicted: listOf(real)(given.predicted),
    trust: listOf(real)(given.trust),
    weak: listOf(yes)(given.weak),
    flip: text(given.flip),
    neighbours: listOf((item) => {
      const { title, rows } = record(item);
      return { title: text(title), rows: listOf(whole)(rows) };
    })(given.neighbours),
    cases: listOf((item) => {
      const { about, name, says } = record(item);
      return { about: text(about), name: text(name), says: text(says) };
    })(given.cases),
    picture: maybe((item) => {
      const { mime, data } = record(item);
      return { mime: text(mime), data: decodeBytes(data, "the sample's picture") };
    })(given.picture),
    map: maybe((item) => {
      const { shape, values } = decodeArray(item, "the sample's map");
      return { rows: shape[0]!, cols: shape[1] ?? 1, values };
    })(given.map),
    needs: text(given.needs),
    flipSet: maybe((item) => {
      const { state, words, patches } = record(item);
      return { state: text(state), words: text(words), patches: listOf(listOf(whole))(patches) };
    })(given.flip_set),
  };
};

export const decodeRows = listOf(whole);
export const decodeOpened = maybe(whole);

/** Numbers of four bytes each from a buffer that may lie anywhere. */
const numbers = <T>(Kind: new (buffer: ArrayBuffer) => T, raw: unknown): T => {
  const { buffer, length } = decodeBytes(raw, "a column");
  return new Kind(length % 4 ? buffer.slice(0, length - (length % 4)) : buffer);
};
export const wholes = (raw: unknown): Int32Array => numbers(Int32Array, raw);
export const reals = (raw: unknown): Float32Array => numbers(Float32Array, raw);

/** What is new about some samples. */
export interface Cells {
  readonly rows: Int32Array;
  readonly numbers: ReadonlyMap<string, Int32Array | Float32Array>;
  readonly words: ReadonlyMap<string, readonly string[]>;
}

/** What a message of the kernel's says to the gallery; null where it is not for it, or does not fit. */
export type News =
  | ({ readonly kind: "cells" } & Cells)
  | {
      readonly kind: "pictures";
      readonly rows: Int32Array;
      readonly files: readonly Uint8Array<ArrayBuffer>[];
    }
  | {
      readonly kind: "maps";
      readonly rows: Int32Array;
      readonly grid: readonly [number, number];
      readonly values: Float32Array;
    }
  | { readonly kind: "stale" }
  | { readonly kind: "denied"; readonly message: string };

export function decodeNews(content: unknown, buffers: readonly unknown[]): News | null {
  let news: News | null = null;
  attempt("A message of the kernel's", () => {
    news = read(record(content), buffers);
  });
  return news;
}

function read(content: Raw, buffers: readonly unknown[]): News | null {
  const { kind } = content;
  if (kind === "denied") return { kind, message: text(content.message) };
  if (kind === "stale") return { kind };
  if (kind !== "cells" && kind !== "pictures" && kind !== "maps") return null;
  const rows = wholes(buffers[0]);
  if (kind === "pictures") {
    const files = buffers.slice(1).map((file) => decodeBytes(file, "a picture"));
    return files.length === rows.length ? { kind, rows, files } : null;
  }
  if (kind === "maps") {
    const [down, across] = listOf(whole)(content.grid);
    const values = reals(buffers[1]);
    const fits = down && across && values.length === rows.length * down * across;
    return fits ? { kind, rows, grid: [down, across], values } : null;
  }
  const columns = listOf(listOf(text))(content.columns).map(([name, dtype], i) => {
    const values = (dtype === "int32" ? wholes : reals)(buffers[i + 1]);
    return [name!, values] as const;
  });
  const words = Object.entries(record(content.words)).map(
    ([name, said]) => [name, listOf(text)(said)] as const,
  );
  const fit = [...columns, ...words].every(([, values]) => values.length === rows.length);
  return fit ? { kind, rows, numbers: new Map(columns), words: new Map(words) } : null;
}
