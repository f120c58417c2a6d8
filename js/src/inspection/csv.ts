// The table as a file for people and programs: RFC 4180, with the column names of `r.frame`.

import type { GalleryStore } from "./store";

/** Columns of the wire in the order of the frame; "label" and "predicted" are names there. */
const COLUMNS = [
  ...["status", "problem", "p_true", "p_pred", "loss", "margin", "entropy", "rank_true", "rival"],
  ...["flip_layer", "flip", "flip_kind", "lost_after", "disagreement"],
  ...["case_predicted", "case_true", "iou", "ground_coverage", "saliency_coverage", "outside_mask"],
  ...["flip_size", "background_changes", "cluster", "tags", "note"],
];
/** What a spreadsheet would take for a formula; with apostrophes before it too, so that one can be taken off again. */
const FORMULA = /^'*[=+\-@\t\r]/;
/** Digits that 32 bits have. */
const DIGITS = 7;

/**
 * Text of others that a spreadsheet must not run gets an apostrophe before it, as spreadsheets themselves write it.
 * A path gets "./" instead: it names the same file then. Numbers are ours, and stay as they are. `r.read_tags` takes both
 * off (legrad_widget/inspection/reading_tags.py).
 */
const harmless = (text: string, before = "'") => (FORMULA.test(text) ? before + text : text);

/** The semicolon stands between cells where the comma is a decimal point. */
const quoted = (cell: string) => (/[",;\r\n\t]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

export function csvOf(
  { table, className }: Pick<GalleryStore, "table" | "className">,
  rows: Iterable<number>,
): string {
  const known = COLUMNS.filter((column) => table.has(column));
  const cell = (column: string, row: number) => {
    const words = table.words(column, row);
    if (words) return harmless(words);
    const number = table.number(column, row);
    return Number.isNaN(number) ? "" : String(Number(number.toPrecision(DIGITS)));
  };
  const name = (kind: number) => (kind < 0 ? "" : harmless(className(kind)));
  const lines = [["sample", "path", "label", "predicted", ...known]];
  for (const row of rows) {
    lines.push([
      String(row),
      harmless(table.words("path", row), "./"),
      name(table.kind("true", row)),
      name(table.kind("predicted", row)),
      ...known.map((column) => cell(column, row)),
    ]);
  }
  return lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}

/** The file; a byte order mark, which some spreadsheets need and some programs stumble over, only where it matters. */
export function csvFile(text: string): Blob {
  const plain = /^[\0-\x7f]*$/.test(text);
  return new Blob([plain ? "" : "\ufeff", text], { type: "text/csv" });
}
