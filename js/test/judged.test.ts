// Cases as Python tells them (tests/fixtures/mask_cases): a saved page must tell them alike, thresholds and all.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { judge } from "../src/inspection/judged";
import type { Thresholds } from "../src/inspection/studies/wire";

interface Golden {
  samples: [boolean, number | null, number | null, number | null][];
  judged: { thresholds: Thresholds; cases: number[] }[];
}
const FILE = new URL("../../tests/fixtures/mask_cases/cases.json", import.meta.url);
const { samples, judged }: Golden = JSON.parse(readFileSync(FILE, "utf8"));

/** The samples as a page holds them: on the one side forwards, on the other backwards. */
function packed() {
  const [ahead, back] = [samples, [...samples].reverse()];
  const numbers = ahead.flatMap(([right, ...values], i) =>
    [+right, ...values, ...back[i]!.slice(1)].map((value) => (value === null ? Number.NaN : Number(value))),
  );
  return {
    rows: new Uint8Array(Int32Array.from(samples.keys()).buffer),
    numbers: new Uint8Array(Float64Array.from(numbers).buffer),
  };
}

describe("cases by other thresholds", () => {
  it.each(judged)("are those of Python at $thresholds", ({ thresholds, cases }) => {
    const [predicted, right] = judge(packed(), thresholds);
    expect(predicted).toEqual(cases);
    // The other side is of the same sample: its numbers are another one's, whether it is right is its own.
    const column = (found: number) => (found < 0 ? -1 : found % 4);
    expect(right!.map(column)).toEqual([...cases].reverse().map(column));
    const own = right!.map((found, i) => (found < 0 ? samples[i]![0] : found < 4));
    expect(own).toEqual(samples.map(([fine]) => fine));
  });
});
