import { describe, expect, it } from "vitest";
import {
  decodeAnswer,
  decodeArray,
  decodeBytes,
  decodeLayers,
  decodeMessage,
  decodePicture,
  decodeTargets,
  freshName,
  keyOf,
} from "../src/wire";
import { IMAGE, packed, result, text } from "./samples";

describe("bytes", () => {
  it("are copied from where a view starts, whatever lies around it", () => {
    const backing = new Uint8Array([9, 9, 9, 1, 2, 3, 4, 9]);
    for (const view of [new DataView(backing.buffer, 3, 4), backing.subarray(3, 7)]) {
      const copy = decodeBytes(view, "it");
      expect([...copy]).toEqual([1, 2, 3, 4]);
      expect(copy.byteOffset).toBe(0);
      expect(copy.buffer).not.toBe(backing.buffer);
    }
    expect(decodeBytes(backing.buffer, "it")).toHaveLength(8);
  });
  it("are refused when missing", () => {
    expect(() => decodeBytes(undefined, "the picture")).toThrow("the picture came without its bytes");
    expect(() => decodeBytes("AAAA", "the picture")).toThrow("without its bytes");
  });
});

describe("arrays", () => {
  it("are read at an offset that no Float32Array could start from", () => {
    const bytes = new Uint8Array(4 * 2 + 1);
    new DataView(bytes.buffer).setFloat32(1, 1.5, true);
    new DataView(bytes.buffer).setFloat32(5, -2, true);
    const raw = { dtype: "float32", shape: [1, 2], data: new DataView(bytes.buffer, 1) };
    expect([...decodeArray(raw, "maps").values]).toEqual([1.5, -2]);
  });
  it.each([
    [{ ...packed([2], [1, 2]), dtype: "float64" }, "must be float32, not float64"],
    [packed([3], [1, 2]), "needs 12 bytes, not 8"],
    [packed([1, 0], []), "positive whole number"],
    [packed([-1], [1]), "positive whole number"],
    [packed([2], [1, Number.NaN]), "must be finite"],
    [{ dtype: "float32", shape: [2] }, "without its bytes"],
    [null, "must be float32"],
  ])("are refused with the reason (%#)", (raw, reason) => {
    expect(() => decodeArray(raw, "the maps")).toThrow(reason);
  });
});

describe("the answer", () => {
  it("is read in full", () => {
    const answer = decodeAnswer(result([text("cat"), text("dog")], { rid: "a.1", rev: 7 }))!;
    expect(answer).toMatchObject({ rid: "a.1", rev: 7, grid: [2, 3], layers: [1, 2, 3], merge: "mean" });
    expect(answer.maps).toHaveLength(2 * 3 * 6);
    expect(answer.targets[1]).toMatchObject({
      label: "dog",
      scoreName: "cosine",
      supported: true,
      layerScores: [0.1, 0.2, null],
    });
  });
  it("is null before anything was asked", () => {
    expect(decodeAnswer({})).toBeNull();
    expect(decodeAnswer(undefined)).toBeNull();
  });
  it("may hold predictions alone", () => {
    const predictions = [{ index: 3, name: "cat", probability: 0.5 }];
    const answer = decodeAnswer(result([], { predictions, maps: undefined }))!;
    expect(answer.targets).toEqual([]);
    expect(answer.predictions).toEqual(predictions);
  });
  it("is refused where shape and grid disagree", () => {
    const raw = result([text("cat")], { maps: packed([1, 3, 3, 2], new Array(18).fill(0)) });
    expect(() => decodeAnswer(raw)).toThrow("1 x 3 x 2 x 3, not 1 x 3 x 3 x 2");
  });
  it("is refused where a target is of no known kind", () => {
    const raw = result([text("cat")]);
    expect(() => decodeAnswer({ ...raw, targets: [{ target: { kind: "url", url: "x" } }] })).toThrow(
      "name its target",
    );
  });
});

describe("the picture", () => {
  it("is read with its window, and is null before there is one", () => {
    expect(decodePicture({})).toBeNull();
    expect(decodePicture(IMAGE)).toMatchObject({ original: [600, 400], window: [0, 0, 600, 400] });
  });
  it.each([
    [{ ...IMAGE, window: [0, 0, 600] }, "four numbers"],
    [{ ...IMAGE, window: [0, 0, 0, 400] }, "an area"],
    [{ ...IMAGE, original: [0, 4] }, "positive whole number"],
    [{ ...IMAGE, data: null }, "without its bytes"],
  ])("is refused with the reason (%#)", (raw, reason) => {
    expect(() => decodePicture(raw)).toThrow(reason);
  });
});

describe("small things", () => {
  it("drops targets of unknown kinds", () => {
    const raw = [text("cat"), { kind: "class", index: 3 }, { kind: "held", key: "v1" }, { kind: "text" }, 7];
    expect(decodeTargets(raw).map(keyOf)).toEqual(["text:cat", "class:3", "held:v1"]);
  });
  it("reads layers sorted and once each", () => {
    expect(decodeLayers([3, 1, 3, 0, 2.5])).toEqual([1, 3]);
    expect(decodeLayers([])).toBeNull();
    expect(decodeLayers(null)).toBeNull();
  });
  it("ignores messages it does not know", () => {
    expect(decodeMessage({ kind: "refused", rid: "a.1", message: "no" })).toEqual({
      kind: "refused",
      rid: "a.1",
      message: "no",
      hash: "",
    });
    expect(decodeMessage({ kind: "eval", code: "1" }).kind).toBe("");
    expect(decodeMessage("hello").kind).toBe("");
  });
  it("makes names that are all different", () => {
    expect(new Set(Array.from({ length: 50 }, freshName)).size).toBe(50);
  });
});
