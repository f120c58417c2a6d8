// Answers written by Python (tests/fixtures/wire): the page must read, merge, scale and resample them alike.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { scaleMap } from "../src/heat/merge";
import { resample } from "../src/heat/resample";
import { createStore } from "../src/store";
import { decodeAnswer } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, IMAGE } from "./samples";

interface Case {
  target: number;
  layers: number[] | null;
  merged: number[][];
  min: number;
  max: number;
  resampled: { size: [number, number]; values: number[][] };
}

const FOLDER = new URL("../../tests/fixtures/wire/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

function load(name: string) {
  const { result, cases } = JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
  const bytes = Buffer.from(result.maps.data, "base64");
  // As a host hands them over: a view into a larger buffer, at an odd offset.
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  result.maps.data = new DataView(larger.buffer, 3);
  return { result, cases: cases as Case[] };
}

/** The largest difference between a map and rows of numbers. */
function distance(values: ArrayLike<number>, rows: number[][]): number {
  const flat = rows.flat();
  expect(values.length).toBe(flat.length);
  return Math.max(...flat.map((value, i) => Math.abs(value - values[i]!)));
}

it("there are answers with means, last maps and signs", () => {
  const kinds = files.map((name) => load(name).result).map(({ merge, signed }) => `${merge} ${signed}`);
  expect(new Set(kinds)).toEqual(new Set(["mean false", "mean true", "last false", "last true"]));
});

describe.each(files)("%s", (name) => {
  const { result, cases } = load(name);

  it.each(cases.map((one) => [one.target, JSON.stringify(one.layers), one] as const))(
    "target %i, layers %s",
    (target, _, { layers, merged, min, max, resampled }) => {
      const end = new AbortController();
      const targets = result.targets.map((entry: { target: unknown }) => entry.target);
      const _image = { ...IMAGE, rev: result.image_rev };
      const state = {
        ...answered(),
        _image,
        _result: result,
        targets,
        active: target,
        layers,
        _static: true,
      };
      const { heat } = createStore(new FakeHost(state), end.signal);
      end.abort();

      const map = heat.value!;
      expect(distance(map.scaled, merged)).toBeLessThan(1e-6);
      expect(map.min).toBeCloseTo(min, 9);
      expect(map.max).toBeCloseTo(max, 9);
      const [height, width] = resampled.size;
      const fine = resample(map.scaled, map.rows, map.cols, height, width);
      expect(distance(fine, resampled.values)).toBeLessThan(1e-6);
    },
  );

  it("calls the same layers flat", () => {
    const { maps, layers, rows, cols, signed } = decodeAnswer(result)!;
    const size = rows * cols;
    const flat = result.targets.map((_: unknown, t: number) =>
      layers.map((_, l) => {
        const at = (t * layers.length + l) * size;
        return scaleMap(maps.subarray(at, at + size), rows, cols, signed).flat;
      }),
    );
    expect(flat).toEqual(result.targets.map((entry: { degenerate: boolean[] }) => entry.degenerate));
  });
});
