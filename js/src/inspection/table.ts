// The table of samples, filled as the kernel tells of them. Columns of numbers are typed arrays: 10,000 samples are
// sorted and counted on every news.

import type { Cells } from "./wire";

export interface Table {
  readonly total: number;
  /** A number of a sample; NaN where there is none. */
  number(column: string, row: number): number;
  /** The class of a sample; -1 where there is none. */
  kind(column: "true" | "predicted", row: number): number;
  words(column: string, row: number): string;
  /** Whether the model is wrong there; false too where it is not scored. */
  wrong(row: number): boolean;
  scored(row: number): boolean;
  /** Whether it was skipped: its picture, label or answer cannot be used. */
  skipped(row: number): boolean;
  has(column: string): boolean;
  take(news: Cells): void;
}

export function createTable(total: number): Table {
  const columns = new Map<string, Float32Array>();
  const wordy = new Map<string, string[]>();
  const number = (column: string, row: number) => columns.get(column)?.[row] ?? Number.NaN;
  const kind = (column: string, row: number) => {
    const value = number(column, row);
    return Number.isNaN(value) ? -1 : value;
  };
  const words = (column: string, row: number) => wordy.get(column)?.[row] ?? "";
  return {
    total,
    number,
    kind,
    words,
    wrong: (row) => number("error", row) === 1,
    scored: (row) => kind("error", row) >= 0,
    skipped: (row) => !["", "scored", "pending"].includes(words("status", row)),
    has: (column) => columns.has(column) || wordy.has(column),
    take({ rows, numbers, words }) {
      for (const [name, values] of numbers) {
        if (!columns.has(name)) columns.set(name, new Float32Array(total).fill(Number.NaN));
        const column = columns.get(name)!;
        const whole = values instanceof Int32Array;
        for (const [i, row] of rows.entries()) {
          const value = values[i]!;
          if (row < total) column[row] = whole && value < 0 ? Number.NaN : value;
        }
      }
      for (const [name, values] of words) {
        if (!wordy.has(name)) wordy.set(name, []);
        const column = wordy.get(name)!;
        for (const [i, row] of rows.entries()) if (row < total) column[row] = values[i]!;
      }
    },
  };
}
