// Answers written by Python (tests/fixtures/wire): the page must read, merge, scale and resample them alike.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { scaleMap } from "../src/heat/merge";
import { resample } from "../src/heat/resample";
import { createStore } from "../src/store";
import { decodeAnswer } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, IMAGE } from "./samples";
import { createLiveStore } from "./with-live";

interface Case {
  target: number;
  layers: number[] | null;
  heads: [number, number][] | null;
  weights: "paper" | "equal" | "reliability";
  shares: number[];
  floor: number | null;
  merged: number[][];
  min: number;
  max: number;
  resampled: { size: [number, number]; values: number[][] };
}

const FOLDER = new URL("../../tests/fixtures/wire/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

function load(name: string) {
  const { result, layer_weights, cases } = JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
  const heads = result.targets.flatMap((entry: { heads: object | null }) => entry.heads ?? []);
  for (const packed of [result.maps, ...heads]) {
    const bytes = Buffer.from(packed.data, "base64");
    // As a host hands them over: a view into a larger buffer, at an odd offset.
    const larger = new Uint8Array(bytes.length + 3);
    larger.set(bytes, 3);
    packed.data = new DataView(larger.buffer, 3);
  }
  return { result, layer_weights, cases: cases as Case[] };
}

interface Beside {
  layers: number[] | null;
  /** The scaled map of each pane; null where it has none. */
  merged: (number[][] | null)[];
  /** [pane, pane, rank correlation, overlap]. */
  pairs: [number, number, number | null, number | null][];
}

/** The largest difference between a map and rows of numbers. */
function distance(values: ArrayLike<number>, rows: number[][]): number {
  const flat = rows.flat();
  expect(values.length).toBe(flat.length);
  return Math.max(...flat.map((value, i) => Math.abs(value - values[i]!)));
}

const BESIDE = new URL("comparison/", FOLDER);

describe.each(readdirSync(BESIDE))("comparison/%s", (name) => {
  const { comparison, cases } = JSON.parse(readFileSync(new URL(name, BESIDE), "utf8"));
  const names: string[] = [
    ...comparison.panes.map((pane: { method: string }) => pane.method),
    ...comparison.pending,
  ];
  for (const { maps } of comparison.panes) {
    if (maps) maps.data = new DataView(Uint8Array.from(Buffer.from(maps.data, "base64")).buffer);
  }

  it.each((cases as Beside[]).map((one) => [JSON.stringify(one.layers), one] as const))(
    "layers %s",
    (_, { layers, merged, pairs }) => {
      const end = new AbortController();
      const { panes, agreement } = createLiveStore(
        new FakeHost({
          ...answered(),
          _image: { ...IMAGE, rev: comparison.image_rev },
          _catalogue: names.map((method) => ({ name: method, title: method, available: true })),
          _comparison: comparison,
          targets: [comparison.target],
          compare: "methods",
          compared: names,
          layers,
        }),
        end.signal,
      );
      end.abort();
      expect(panes.value.map(({ key }) => key)).toEqual(names);
      for (const [i, rows] of merged.entries()) {
        const { heat } = panes.value[i]!;
        if (rows === null) expect(heat).toBeNull();
        else expect(distance(heat!.scaled, rows)).toBeLessThan(1e-6);
      }
      for (const [i, j, rank, iou] of pairs) {
        const found = agreement.value[i]![j]!;
        expect([found.rank === null, found.iou === null]).toEqual([rank === null, iou === null]);
        expect(Math.abs((found.rank ?? 0) - (rank ?? 0))).toBeLessThan(1e-9);
        expect(Math.abs((found.iou ?? 0) - (iou ?? 0))).toBeLessThan(1e-9);
        expect(agreement.value[j]![i]!).toEqual(found);
      }
    },
  );
});

it("there are answers with means, last maps and signs", () => {
  const kinds = files.map((name) => load(name).result).map(({ merge, signed }) => `${merge} ${signed}`);
  expect(new Set(kinds)).toEqual(new Set(["mean false", "mean true", "last false", "last true"]));
});

describe.each(files)("%s", (name) => {
  const { result, layer_weights, cases } = load(name);

  it.each(
    cases.map((one) => [one.target, JSON.stringify([one.layers, one.heads, one.weights]), one] as const),
  )(
    "target %i, layers, heads and weights %s",
    (target, _, { layers, heads, weights, shares, floor, merged, min, max, resampled }) => {
      const end = new AbortController();
      const targets = result.targets.map((entry: { target: unknown }) => entry.target);
      const _image = { ...IMAGE, rev: result.image_rev };
      const state = {
        ...answered(),
        _image,
        _result: result,
        _model: { ...(answered()._model as object), layer_weights },
        targets,
        active: target,
        layers,
        heads,
        weights,
        _static: true,
      };
      const store = createStore(new FakeHost(state), end.signal);
      end.abort();

      const map = store.heat.value!;
      if (result.merge === "mean") expect(distance(store.shares.value, [shares])).toBeLessThan(1e-6);
      expect(store.floor.value === null).toBe(floor === null);
      expect(store.floor.value ?? 0).toBeCloseTo(floor ?? 0, 6);
      expect(distance(map.scaled, merged)).toBeLessThan(1e-6);
      expect(map.min).toBeCloseTo(min, 9);
      expect(map.max).toBeCloseTo(max, 9);
      const [height, width] = resampled.size;
      const fine = resample(map.scaled, map.rows, map.cols, height, width);
      expect(distance(fine, resampled.values)).toBeLessThan(1e-6);
    },
  );

  it("calls the same layers flat", () => {
    const { maps, layers, grid, signed } = decodeAnswer(result)!;
    const [rows, cols] = grid;
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
