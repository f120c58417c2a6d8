import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { coverage, describeHeat, nameLayers, readable, regionOf, spans } from "../src/heat/describe";
import { patchSpot, spotAt, stageOf, within } from "../src/heat/frame";
import { layerShares, mergeLayers, type Stack, scaleMap } from "../src/heat/merge";
import { alphaOf, colourValues, type Look, SEQUENTIAL, table } from "../src/heat/palette";
import { resample } from "../src/heat/resample";

const stack: Stack = {
  maps: Float32Array.of(1, 2, 3, 4, 10, 20, 30, 40, 0, 0, 0, 8),
  layers: [1, 2, 4],
  rows: 2,
  cols: 2,
};

describe("merging", () => {
  it("is the mean of the chosen raw maps", () => {
    expect([...mergeLayers(stack, [1, 2, 4], "mean")]).toEqual(
      [11, 22, 33, 52].map((v) => Math.fround(v / 3)),
    );
    expect([...mergeLayers(stack, [2], "mean")]).toEqual([10, 20, 30, 40]);
  });
  it("is the highest chosen map where maps are cumulative", () => {
    expect([...mergeLayers(stack, [1, 2], "last")]).toEqual([10, 20, 30, 40]);
  });
  it("goes by layer numbers, not positions", () => {
    expect([...mergeLayers(stack, [4], "mean")]).toEqual([0, 0, 0, 8]);
    expect([...mergeLayers(stack, [3], "mean")]).toEqual([0, 0, 0, 0]);
  });
  it("shares the mass among the chosen layers", () => {
    const shares = layerShares(stack, [1, 4]);
    expect(shares).toEqual([10 / 18, 0, 8 / 18]);
  });
});

describe("scaling", () => {
  it("takes sequential maps to 0..1", () => {
    const heat = scaleMap([2, 4, 6, 3], 2, 2, false);
    expect([...heat.scaled]).toEqual([0, 0.5, 1, 0.25]);
    expect([heat.min, heat.max, heat.flat]).toEqual([2, 6, false]);
  });
  it("keeps zero where it is in signed maps", () => {
    expect([...scaleMap([-1, 0, 4, 2], 2, 2, true).scaled]).toEqual([-0.25, 0, 1, 0.5]);
  });
  it.each([
    ["constant", [3, 3, 3, 3], false],
    ["zero", [0, 0, 0, 0], true],
    ["rounding beside its magnitude", [1e6, 1e6 + 0.5, 1e6, 1e6], false],
  ])("calls a %s map flat and shows zeros", (_, raw, signed) => {
    const heat = scaleMap(raw, 2, 2, signed);
    expect(heat.flat).toBe(true);
    expect([...heat.scaled]).toEqual([0, 0, 0, 0]);
  });
  it("does not call a faint map flat: maps have no scale of their own", () => {
    expect(scaleMap([0, 1e-30, 0, 0], 2, 2, false).flat).toBe(false);
  });
});

describe("resampling", () => {
  it("samples at cell centres and clamps at the edges", () => {
    expect([...resample(Float64Array.of(0, 1), 1, 2, 1, 4)]).toEqual([0, 0.25, 0.75, 1]);
  });
  it("shrinks without anti-aliasing, as torch does", () => {
    expect([...resample(Float64Array.of(0, 1, 2, 3), 1, 4, 1, 2)]).toEqual([0.5, 2.5]);
  });
  it("keeps a grid of its own size", () => {
    const grid = Float64Array.of(1, 2, 3, 4, 5, 6);
    expect([...resample(grid, 2, 3, 2, 3)]).toEqual([...grid]);
  });
  it("never leaves the range of its values", () => {
    const grid = Float64Array.from({ length: 35 }, (_, i) => Math.sin(i * 7.3));
    const fine = resample(grid, 5, 7, 61, 43);
    expect(Math.max(...fine)).toBeLessThanOrEqual(Math.max(...grid) + 1e-12);
    expect(Math.min(...fine)).toBeGreaterThanOrEqual(Math.min(...grid) - 1e-12);
  });
});

describe("colours", () => {
  // SHA-256 of matplotlib's 256 x 3 bytes.
  it.each([
    ["inferno", "8092f65256023cefa85fe1136f4f398a2a9f35e9fdf414176b33cce639c44318"],
    ["viridis", "96a1f6f37d4041f953def955ffb8b9ea2110a9b4e3c9b701182d48f7a9774c58"],
    ["cividis", "8a6c6bf382be7cc30a8cbbefab8d5580471f07c59e828295e414c3f350504e29"],
    ["magma", "e2e7c21b2cdebd6f55d07fae05ea13bb4b4f0908509892384b87c747b9f319f6"],
    ["gray", "c15598e2bf5c6ff32034b4c7b3ce668b7993d7b986349e2b676be4f87c2502c3"],
    ["RdBu_r", "dc2f97fae8e1ee24890571a21a1a0e91ec14553c97c57edb0ee33c6413803625"],
  ] as const)("%s is matplotlib's, byte for byte", (name, digest) => {
    expect(createHash("sha256").update(table(name)).digest("hex")).toBe(digest);
  });
  it.each(SEQUENTIAL)("%s grows lighter throughout", (name) => {
    const rgb = table(name);
    const luminance = (i: number) =>
      0.2126 * rgb[3 * i]! + 0.7152 * rgb[3 * i + 1]! + 0.0722 * rgb[3 * i + 2]!;
    for (let i = 8; i < 256; i += 8) expect(luminance(i)).toBeGreaterThan(luminance(i - 8));
  });
  const look: Look = { palette: "inferno", opacity: 1, threshold: 0, signed: false };
  const pixel = (value: number, changes: Partial<Look> = {}) => [
    ...colourValues(Float64Array.of(value), { ...look, ...changes }),
  ];
  it("leaves the irrelevant transparent and shows the most relevant at the opacity asked for", () => {
    expect(pixel(0)[3]).toBe(0);
    expect(pixel(1)).toEqual([252, 254, 164, 255]);
    expect(pixel(1, { opacity: 0.5 })[3]).toBe(128);
    expect(pixel(1, { opacity: 0 })[3]).toBe(0);
  });
  it("raises alpha with relevance", () => {
    const alphas = [0, 0.2, 0.4, 0.6, 0.8, 1].map(alphaOf);
    expect(alphas).toEqual([...alphas].sort((a, b) => a - b));
    expect(alphas[1]).toBeLessThan(0.2);
  });
  it("drops what is below the threshold and keeps what is on it", () => {
    expect(pixel(0.49, { threshold: 0.5 })).toEqual([0, 0, 0, 0]);
    expect(pixel(0.5, { threshold: 0.5 })[3]).toBeGreaterThan(0);
  });
  it("shows signed zero as nothing, against in blue, for in red, and thresholds magnitudes", () => {
    const signed = { palette: "RdBu_r", signed: true } as const;
    expect(pixel(0, signed)[3]).toBe(0);
    const [red, , blue] = pixel(1, signed);
    expect(red).toBeGreaterThan(blue!);
    const [red2, , blue2, alpha] = pixel(-1, { ...signed, threshold: 0.5 });
    expect(blue2).toBeGreaterThan(red2!);
    expect(alpha).toBe(255);
  });
});

describe("frames", () => {
  it("holds a crop inside the picture and a letterbox outside of it", () => {
    expect(stageOf([960, 480], [240, 0, 720, 480])).toEqual([0, 0, 960, 480]);
    expect(stageOf([960, 480], [0, -240, 960, 720])).toEqual([0, -240, 960, 720]);
  });
  it("places one box in another", () => {
    expect(within([240, 0, 720, 480], [0, 0, 960, 480])).toEqual([0.25, 0, 0.5, 1]);
    expect(within([0, 0, 960, 480], [0, -240, 960, 720])).toEqual([0, 0.25, 1, 0.5]);
  });
  it("finds the patch under a point, in original pixels", () => {
    expect(spotAt(0.51, 0.99, 4, 6, [240, 0, 720, 480])).toEqual({ row: 3, col: 3, x: 484.8, y: 475.2 });
    expect(spotAt(1, 1, 4, 6, [0, 0, 6, 4])).toMatchObject({ row: 3, col: 5 });
    expect(spotAt(-0.01, 0.5, 4, 6, [0, 0, 6, 4])).toBeNull();
  });
  it("keeps the patch cursor in the grid", () => {
    expect(patchSpot(-1, 9, 4, 6, [0, 0, 60, 40])).toEqual({ row: 0, col: 5, x: 55, y: 5 });
  });
});

describe("words", () => {
  it.each([
    [[1, 2, 3, 6], "1-3, 6"],
    [[4], "4"],
    [[1, 3, 5], "1, 3, 5"],
  ])("names runs of layers: %j", (layers, words) => expect(spans(layers)).toBe(words));
  it("names a choice of layers", () => {
    const all = [1, 2, 3, 4, 5, 6];
    expect(nameLayers(all, all)).toBe("all 6 layers");
    expect(nameLayers([3], all)).toBe("layer 3 of 6");
    expect(nameLayers([2, 3, 4], all)).toBe("layers 2-4 of 6");
  });
  it.each([
    [0, 7, "upper right"],
    [4, 4, "centre"],
    [7, 4, "lower centre"],
    [4, 0, "middle left"],
  ])("names the region of row %i, column %i", (row, col, name) =>
    expect(regionOf(row, col, 8, 8)).toBe(name),
  );
  it("describes a map by where it is strongest and how far it reaches", () => {
    const values = new Float64Array(64);
    values[2 * 8 + 6] = 1;
    values[2 * 8 + 5] = 0.6;
    const heat = scaleMap(values, 8, 8, false);
    expect(coverage(heat)).toBe(2 / 64);
    expect(describeHeat(heat, "cat", "all 6 layers")).toBe(
      "heatmap for 'cat', all 6 layers: strongest at row 3, column 7 (upper right), covers about 3 % of what the model saw",
    );
  });
  it("names both ends of a signed map, and only the ends that it has", () => {
    const described = (raw: number[]) => describeHeat(scaleMap(raw, 2, 2, true), "cat", "layer 1 of 2");
    expect(described([0, -2, 1, 0])).toContain(
      "strongest for it at row 2, column 1 (lower left), strongest against it at row 1, column 2 (upper right)",
    );
    expect(described([0, 3, 1, 0])).not.toContain("against");
    expect(described([0, -3, -1, -1])).not.toContain("for it");
  });
  it("says flat where a map is flat", () => {
    expect(describeHeat(scaleMap([1, 1, 1, 1], 2, 2, false), "cat", "layer 1 of 2")).toContain("flat map");
  });
  it.each([
    [0, "0"],
    [0.31234, "0.312"],
    [9.3149, "9.31"],
    [0.000172, "1.72e-4"],
    [-0.00317, "-0.00317"],
    [123456, "1.23e5"],
  ])("writes %d so that it can be read", (value, words) => expect(readable(value)).toBe(words));
});
