// Which samples are shown, and in which order: pure functions of the table and of what a person chose.

import type { Table } from "./table";
import type { Sort } from "./wire";

/** A cell of the confusion table, or a whole row or column of it: -1 stands for any class. */
export interface Pair {
  readonly true: number;
  readonly predicted: number;
}

export interface Sieve {
  /** Only samples that the model is wrong on. */
  readonly errors: boolean;
  /** Only samples that cannot be used, whatever `errors` says. */
  readonly skipped: boolean;
  /** Samples in any of these; [] for all. */
  readonly pairs: readonly Pair[];
  /** By column, the value that samples have to have. */
  readonly values: Readonly<Record<string, string>>;
  /** Part of the file's name or of the note. */
  readonly search: string;
}

export const OPEN: Sieve = { errors: true, skipped: false, pairs: [], values: {}, search: "" };

/** The value of a column as filters and people see it; tags are several. */
export function valuesOf(table: Table, column: string, row: number): readonly string[] {
  const words = table.words(column, row);
  if (words) return column === "tags" ? words.split(", ") : [words];
  const number = table.number(column, row);
  return Number.isNaN(number) ? [] : [String(number)];
}

function passes(table: Table, sieve: Sieve, row: number): boolean {
  if (sieve.skipped ? !table.skipped(row) : sieve.errors && !table.wrong(row)) return false;
  if (sieve.pairs.length) {
    const [t, p] = [table.kind("true", row), table.kind("predicted", row)];
    if (
      !sieve.pairs.some(
        (pair) => (pair.true < 0 || pair.true === t) && (pair.predicted < 0 || pair.predicted === p),
      )
    )
      return false;
  }
  for (const [column, value] of Object.entries(sieve.values)) {
    if (!valuesOf(table, column, row).includes(value)) return false;
  }
  if (!sieve.search) return true;
  const wanted = sieve.search.toLowerCase();
  return ["name", "note"].some((column) => table.words(column, row).toLowerCase().includes(wanted));
}

/** The rows that pass, in order; rows without a value of the sort's column come last, as in the input. */
export function sift(table: Table, sieve: Sieve, sort: Sort | undefined): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < table.total; row++) if (passes(table, sieve, row)) rows.push(row);
  if (!sort) return Int32Array.from(rows);
  const sign = sort.ascending ? 1 : -1;
  const keys = rows.map((row) => {
    const value = table.number(sort.column, row);
    return Number.isNaN(value) ? Number.POSITIVE_INFINITY : sign * value;
  });
  const order = rows.map((_, i) => i).sort((a, b) => compare(keys[a]!, keys[b]!) || rows[a]! - rows[b]!);
  return Int32Array.from(order, (i) => rows[i]!);
}

/** Two infinities are equal: their difference would be no number. */
const compare = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1);

/** How often each class was taken for each. */
export interface Confusion {
  /** Classes that have anything to show, those that most errors are about first: of rows and columns alike. */
  readonly classes: readonly number[];
  count(t: number, p: number): number;
  /** All pairs with a count, largest first. */
  readonly pairs: readonly (Pair & { readonly count: number })[];
  readonly most: number;
}

export function confusionOf(table: Table, errors: boolean): Confusion {
  const counts = new Map<string, Pair & { count: number }>();
  for (let row = 0; row < table.total; row++) {
    const [t, p] = [table.kind("true", row), table.kind("predicted", row)];
    if (t < 0 || p < 0 || !table.scored(row) || (errors && t === p)) continue;
    const known = counts.get(`${t},${p}`);
    if (known) known.count++;
    else counts.set(`${t},${p}`, { true: t, predicted: p, count: 1 });
  }
  const pairs = [...counts.values()].sort(
    (a, b) => b.count - a.count || a.true - b.true || a.predicted - b.predicted,
  );
  const wrong = pairs.filter((pair) => pair.true !== pair.predicted);
  const sums = new Map<number, number>();
  for (const pair of pairs) {
    for (const kind of [pair.true, pair.predicted]) {
      sums.set(kind, (sums.get(kind) ?? 0) + (pair.true === pair.predicted ? 0 : pair.count));
    }
  }
  return {
    classes: [...sums].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([kind]) => kind),
    count: (t, p) => counts.get(`${t},${p}`)?.count ?? 0,
    pairs,
    most: Math.max(1, ...wrong.map(({ count }) => count)),
  };
}

/** A click on a cell, row or column: that alone, none where it was that alone, or with `add` one more or less. */
export function pick(pairs: readonly Pair[], pair: Pair, add: boolean): readonly Pair[] {
  const same = (other: Pair) => other.true === pair.true && other.predicted === pair.predicted;
  const others = pairs.filter((other) => !same(other));
  const had = others.length < pairs.length;
  if (add) return had ? others : [...pairs, pair];
  return had && pairs.length === 1 ? [] : [pair];
}

/** The values of a column among the shown errors, most frequent first. */
export function tally(
  table: Table,
  column: string,
  rows: ArrayLike<number>,
): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (let i = 0; i < rows.length; i++) {
    for (const value of valuesOf(table, column, rows[i]!)) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}
