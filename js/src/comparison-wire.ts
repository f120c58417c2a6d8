// The active target under several methods, as it crosses from the kernel: types and decoding with checks.

import {
  amount,
  decodeAnswered,
  decodeGrid,
  decodeMaps,
  fields,
  listOf,
  MAPS_OF,
  type MapsOf,
  name,
  type Raw,
  record,
  type Target,
  text,
} from "./wire";

/** The active target under one of the compared methods. */
export interface ComparedMaps extends MapsOf {
  /** [layers, rows, columns] in C order; empty where `error` says why. */
  readonly maps: Float32Array;
  readonly error: string;
}

export interface Comparison {
  readonly rid: string | null;
  readonly imageRev: number;
  readonly target: Target;
  readonly grid: readonly [number, number];
  readonly panes: readonly ComparedMaps[];
  /** Names of the methods that are still to come. */
  readonly pending: readonly string[];
}

/** The comparison of methods; null where none was asked for. */
export function decodeComparison(raw: unknown): Comparison | null {
  if (Object.keys(record(raw)).length === 0) return null;
  const { panes, ...comparison } = fields<Omit<Comparison, "panes"> & { panes: readonly Raw[] }>({
    rid: name,
    imageRev: amount,
    target: decodeAnswered,
    grid: decodeGrid,
    panes: listOf(record),
    pending: listOf(text),
  })(raw);
  return {
    ...comparison,
    panes: panes.map((pane) => {
      const of = fields<MapsOf & { error: string }>({ ...MAPS_OF, error: text })(pane);
      const stated = [of.layers.length, ...comparison.grid];
      return { ...of, maps: of.error ? new Float32Array() : decodeMaps(pane.maps, stated) };
    }),
  };
}
