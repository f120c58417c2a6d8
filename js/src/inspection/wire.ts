// What crosses between the kernel and the gallery: types, and decoding with checks.

import {
  attempt,
  decodeArray,
  decodeBytes,
  fields,
  listOf,
  oneOf,
  type Raw,
  type Reader,
  record,
  text,
} from "../wire";

const whole: Reader<number> = (raw) => (Number.isInteger(raw) ? (raw as number) : 0);
const real: Reader<number> = (raw) => (Number.isFinite(raw) ? (raw as number) : Number.NaN);
const yes: Reader<boolean> = (raw) => raw === true;
const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (raw) =>
    raw === null || raw === undefined ? null : read(raw);

/** One way to order samples: by a column; those without a value come last. */
export interface Sort {
  readonly key: string;
  readonly title: string;
  readonly says: string;
  readonly column: string;
  readonly ascending: boolean;
  /** The column that a computation fills, which may not have come to all errors; "". */
  readonly study: string;
}

/** A column that the gallery can be narrowed by. */
export interface Filter {
  readonly column: string;
  readonly title: string;
  readonly study: string;
  /** What values are called, where they have names of their own in the paper. */
  readonly names: Readonly<Record<string, unknown>>;
}

export interface GalleryCard {
  /** Whether there is a model: without one what was saved is shown. */
  readonly live: boolean;
  /** A saved page: there is nobody who could compute anything. */
  readonly page: boolean;
  readonly total: number;
  readonly classes: readonly string[];
  readonly sorts: readonly Sort[];
  readonly filters: readonly Filter[];
  /** Which map stands over the small pictures. */
  readonly drawn: string;
}

export const decodeGallery = fields<GalleryCard>({
  live: yes,
  page: yes,
  total: whole,
  classes: listOf(text),
  sorts: listOf(
    fields<Sort>({ key: text, title: text, says: text, column: text, ascending: yes, study: text }),
  ),
  filters: listOf(fields<Filter>({ column: text, title: text, study: text, names: record })),
  drawn: (raw) => text(record(raw).title),
});

export interface Progress {
  readonly state: "idle" | "running" | "paused" | "failed";
  readonly step: number;
  readonly total: number;
  readonly message: string;
  readonly errors: number;
}

export const decodeProgress = fields<Progress>({
  state: oneOf("idle", "running", "paused", "failed"),
  step: whole,
  total: whole,
  message: text,
  errors: whole,
});

interface Picture {
  readonly mime: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

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
  readonly picture: Picture | null;
  readonly mask: { readonly picture: Picture | null; readonly drawn: boolean; readonly says: string } | null;
  /** Numbers of the map against the mask, for the evidence of two classes. */
  readonly against: {
    readonly sides: readonly string[];
    readonly says: string;
    readonly rows: readonly {
      readonly title: string;
      readonly says: string;
      readonly values: readonly string[];
    }[];
  } | null;
  readonly map: { readonly rows: number; readonly cols: number; readonly values: Float32Array } | null;
  /** What is missing here, and what would bring it; "". */
  readonly needs: string;
  readonly flipSet: {
    readonly state: string;
    readonly words: string;
    readonly patches: readonly number[][];
  } | null;
}

const readPicture = maybe(
  fields<Picture>({ mime: text, data: (raw) => decodeBytes(raw, "the sample's picture") }),
);

const readSample = fields<Sample>({
  row: whole,
  layers: listOf(whole),
  true: listOf(real),
  predicted: listOf(real),
  trust: listOf(real),
  weak: listOf(yes),
  flip: text,
  neighbours: listOf(fields<Sample["neighbours"][number]>({ title: text, rows: listOf(whole) })),
  cases: listOf(fields<Sample["cases"][number]>({ about: text, name: text, says: text })),
  picture: readPicture,
  mask: maybe(fields<NonNullable<Sample["mask"]>>({ picture: readPicture, drawn: yes, says: text })),
  against: maybe(
    fields<NonNullable<Sample["against"]>>({
      sides: listOf(text),
      says: text,
      rows: listOf(
        fields<NonNullable<Sample["against"]>["rows"][number]>({
          title: text,
          says: text,
          values: listOf(text),
        }),
      ),
    }),
  ),
  map: maybe((raw) => {
    const { shape, values } = decodeArray(raw, "the sample's map");
    return { rows: shape[0]!, cols: shape[1] ?? 1, values };
  }),
  needs: text,
  flipSet: maybe(
    fields<NonNullable<Sample["flipSet"]>>({ state: text, words: text, patches: listOf(listOf(whole)) }),
  ),
});

/** The open sample; null where none is. */
export const decodeSample: Reader<Sample | null> = (raw) =>
  Number.isInteger(record(raw).row) ? readSample(raw) : null;

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
