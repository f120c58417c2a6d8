// The compare view without a page: what is asked, what stands side by side, and how it is scaled.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeComparison } from "../src/comparison-wire";
import { COMMIT_MS } from "../src/store/traits";
import { FakeHost } from "./fake-host";
import { answered, comparison, IDLE, packed, result, text } from "./samples";
import { createLiveStore } from "./with-live";

let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const METHODS = ["legrad", "cdam", "tam", "gradcam"].map((name) => ({
  name,
  title: name.toUpperCase(),
  available: name !== "gradcam",
  reason: name === "gradcam" ? "It needs a class token." : "",
  slow: name === "tam",
  knobs: [],
}));

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), _catalogue: METHODS, ...changes });
  const store = createLiveStore(host, end.signal);
  return { host, store, panes: () => store.panes.value };
}
const lastAsk = (host: FakeHost) => host.of("ask").at(-1)!;

describe("what is asked", () => {
  it("is nothing more while nothing or prompts are compared", () => {
    const { host, store } = open();
    store.add(text("sun"));
    expect(lastAsk(host).compare).toEqual([]);
    store.compareBy("prompts");
    vi.advanceTimersByTime(COMMIT_MS);
    expect(host.of("ask")).toHaveLength(1);
    expect(host.of("view").at(-1)).toMatchObject({ view: { compare: "prompts" } });
  });
  it("is every method that can be had and is not slow, unless some are chosen", () => {
    const { host, store } = open();
    store.compareBy("methods");
    expect(lastAsk(host)).toMatchObject({ compare: ["legrad", "cdam"], view: { compare: "methods" } });
    store.compareMethods(["cdam", "tam"]);
    expect(lastAsk(host)).toMatchObject({ compare: ["cdam", "tam"], view: { compared: ["cdam", "tam"] } });
  });
  it("is never a method that is not to be had, whatever the trait says", () => {
    const { host, store } = open({ compare: "methods", compared: ["gradcam", "cdam", "no such"] });
    store.add(text("sun"));
    expect(lastAsk(host).compare).toEqual(["cdam"]);
  });
  it("is asked anew for another active prompt, and only then", () => {
    const { host, store } = open({ compare: "methods" });
    store.select(0);
    expect(host.of("ask")).toHaveLength(0);
    store.select(1);
    expect(lastAsk(host)).toMatchObject({ active: 1, compare: ["legrad", "cdam"] });
    expect(store.active.value).toBe(1);
  });
  it("still changes the active prompt where the kernel is gone", () => {
    const { host, store } = open({ compare: "methods" });
    host.connected = false;
    store.select(1);
    vi.advanceTimersByTime(10_000);
    expect(store.entry.value?.label).toBe("dog");
  });
});

describe("methods side by side", () => {
  const state = { compare: "methods", _comparison: comparison(["legrad", "cdam"]) };

  it("are drawn each on its own scale, signs with zero in the middle", () => {
    const { panes } = open(state);
    expect(panes().map(({ title, state: drawn }) => [title, drawn])).toEqual([
      ["LEGRAD", "drawn"],
      ["CDAM", "drawn"],
    ]);
    const [plain, signed] = panes().map(({ heat }) => heat!);
    expect([Math.min(...plain!.scaled), Math.max(...plain!.scaled)]).toEqual([0, 1]);
    expect(Math.max(...signed!.scaled.map(Math.abs))).toBe(1);
    expect(signed!.range[0]).toBe(-signed!.range[1]);
  });
  it("share a scale with their kind alone", () => {
    const { store, panes } = open({
      ...state,
      compared: ["legrad", "cdam", "tam"],
      _comparison: comparison(["legrad", "cdam", "tam"]),
    });
    const own = panes().map(({ heat }) => heat!.range);
    store.set("compare_scale", "shared");
    const shared = panes().map(({ heat }) => heat!.range);
    expect(shared[0]).toEqual([Math.min(own[0]![0], own[2]![0]), Math.max(own[0]![1], own[2]![1])]);
    expect(shared[2]).toEqual(shared[0]);
    expect(shared[1]).toEqual(own[1]);
    const { raw, scaled, range } = panes()[0]!.heat!;
    expect([...scaled]).toEqual([...raw].map((value) => (value - range[0]) / (range[1] - range[0])));
  });
  it("unfold into a row of layers each, and one scale may be that of a row", () => {
    const growing = comparison(["legrad", "cdam"]);
    const values = Array.from({ length: 18 }, (_, i) => i * i);
    Object.assign(growing.panes[0]!, { maps: packed([3, 2, 3], values) });
    const { store, panes } = open({ ...state, _comparison: growing });
    const merged = panes().map(({ heat }) => heat!.raw);
    const agreement = store.agreement.value;
    store.set("compare_scale", "row");
    expect(panes().map(({ heat }) => heat!.raw)).toEqual(merged);
    expect(panes()[0]!.heat!.range).toEqual([Math.min(...merged[0]!), Math.max(...merged[0]!)]);
    store.unfolded.value = true;
    const [plain, signed] = store.rows.value;
    expect(plain!.map(({ title, layers, layer }) => [title, layers, layer])).toEqual([
      ["LEGRAD", "layer 1 of 3", 1],
      ["LEGRAD", "layer 2 of 3", 2],
      ["LEGRAD", "layer 3 of 3", 3],
    ]);
    const mean = plain![0]!.heat!.raw.map(
      (_, i) => plain!.reduce((sum, { heat }) => sum + heat!.raw[i]!, 0) / 3,
    );
    for (const [i, value] of mean.entries()) expect(merged[0]![i]).toBeCloseTo(value, 4);
    for (const row of [plain!, signed!]) {
      const raw = row.flatMap(({ heat }) => [...heat!.raw]);
      const bound = Math.max(...raw.map(Math.abs));
      const range = row === signed ? [-bound, bound] : [Math.min(...raw), Math.max(...raw)];
      for (const { heat } of row) expect(heat!.range).toEqual(range);
    }
    store.set("compare_scale", "own");
    const ranges = store.rows.value[0]!.map(({ heat }) => `${heat!.range}`);
    expect(ranges).toEqual(["0,25", "36,121", "144,289"]);
    store.chooseLayers([2]);
    expect(store.rows.value.map((row) => row.map(({ layer }) => layer))).toEqual([[2], [2]]);
    store.chooseLayers(null);
    expect(store.agreement.value).toEqual(agreement);
    store.unfolded.value = false;
    expect(panes().map(({ heat }) => heat!.raw)).toEqual(merged);
  });
  it("follow the layers, and say where a method lacks them", () => {
    const cut = comparison(["legrad", "cdam"]);
    Object.assign(cut.panes[1]!, { layers: [3], maps: packed([1, 2, 3], [1, 2, 3, 4, 5, 6]) });
    const { store, panes } = open({ ...state, _comparison: cut });
    const before = panes()[0]!.heat!.raw;
    store.chooseLayers([2]);
    expect(panes()[0]!.heat!.raw).not.toEqual(before);
    expect(panes().map(({ note }) => note)).toEqual(["", "Has no layer 2: its one layer."]);
    store.chooseLayers([3]);
    expect(panes()[1]!.note).toBe("");
    store.chooseLayers(null);
    store.togglePlay();
    expect(panes()[0]!.layers).toBe("layer 1 of 3");
    store.togglePlay();
  });
  it("agree wholly with themselves, and not at all with a method that failed", () => {
    const { store } = open({
      ...state,
      _comparison: comparison(["legrad"], {
        panes: [...comparison(["legrad"]).panes, { method: "cdam", error: "It failed." }],
      }),
    });
    expect(store.panes.value[1]).toMatchObject({ state: "failed", note: "It failed.", heat: null });
    const [[self, other]] = store.agreement.value as [[{ rank: number; iou: number }, unknown]];
    expect(self.rank).toBeCloseTo(1, 12);
    expect(self.iou).toBe(1);
    expect(other).toEqual({ rank: null, iou: null });
  });
  it("say which are still to come, and which are not after a cancel", () => {
    const { host, store, panes } = open({ compare: "methods", _comparison: {} });
    store.askAgain();
    expect(panes().map(({ note }) => note)).toEqual(["Computing …", "Computing …"]);
    const { rid, n, targets } = lastAsk(host) as { rid: string; n: number; targets: [] };
    const rev = n + 1;
    host.set("_status", { ...IDLE, state: "running", rid, rev });
    expect(store.outdated.value).toBe(true);
    host.set("_result", result(targets, { rid, rev }));
    host.set("_comparison", comparison(["legrad"], { rid, rev, pending: ["cdam"] }));
    host.set("_status", {
      ...IDLE,
      state: "running",
      rid,
      rev,
      step: 30,
      total: 400,
      message: "comparing CDAM",
    });
    expect(store.phase.value).toMatchObject({ kind: "busy", progress: 0.075, cancellable: true });
    expect(store.outdated.value, "the map itself has arrived").toBe(false);
    expect(panes().map(({ state: now }) => now)).toEqual(["drawn", "pending"]);
    store.cancel();
    host.set("_comparison", comparison(["legrad"], { rid, rev }));
    host.set("_status", { ...IDLE, rid, rev, message: "cancelled" });
    expect(panes().map(({ note }) => note)).toEqual(["", "Not computed."]);
  });
  it("are faded while they are of another prompt, and not drawn on another picture", () => {
    const { host, panes } = open({ ...state, active: 1 });
    expect(panes()[0]!.state).toBe("faded");
    host.set("_comparison", comparison(["legrad"], { image_rev: 7 }));
    expect(panes().map(({ heat }) => heat)).toEqual([null, null]);
  });
  it("are ignored where a later question of this page has overtaken them", () => {
    const { host, store, panes } = open({ compare: "methods" });
    store.askAgain();
    const { rid } = lastAsk(host) as { rid: string };
    store.askAgain();
    host.set("_comparison", comparison(["legrad"], { rid }));
    expect(panes()[0]!.heat).toBeNull();
    host.set("_comparison", comparison(["legrad"], { rid: "another page.7" }));
    expect(panes()[0]!.heat).not.toBeNull();
  });
  it("stay in a saved page, which asks nothing", () => {
    const { host, store, panes } = open({ ...state, compared: ["legrad", "tam"], _static: true });
    expect(panes().map(({ note }) => note)).toEqual(["", "Not in this saved page."]);
    store.compareMethods(["legrad", "cdam"]);
    expect(panes().map(({ state: now }) => now)).toEqual(["drawn", "drawn"]);
    expect(host.of("ask")).toHaveLength(0);
  });
  it("are refused with the reason where they cannot be read", () => {
    const bad = comparison(["legrad"]);
    Object.assign(bad.panes[0]!, { maps: packed([1, 2, 3], [1, 2, 3, 4, 5, 6]) });
    expect(() => decodeComparison(bad)).toThrow("3 x 2 x 3, not 1 x 2 x 3");
    const { store } = open({ ...state, _comparison: bad });
    expect(store.phase.value.message).toContain("comparison could not be read");
  });
});

describe("prompts side by side", () => {
  it("are all there already, in the order of the chips", () => {
    const { store, panes } = open({ compare: "prompts" });
    expect(panes().map(({ title, state }) => [title, state])).toEqual([
      ["cat", "drawn"],
      ["dog", "drawn"],
    ]);
    expect(panes()[1]!.heat!.raw[0]! - panes()[0]!.heat!.raw[0]!).toBe(100);
    expect(store.agreement.value[0]![1]!.rank).toBeCloseTo(1, 12);
  });
  it("say what failed, what the model does not see, and what is still to come", () => {
    const answer = result([text("cat"), text("dog")]);
    Object.assign(answer.targets[0]!, { error: "It is not a word." });
    Object.assign(answer.targets[1]!, { supported: false });
    const { store, panes } = open({ compare: "prompts", _result: answer });
    store.add(text("sun"));
    expect(panes().map(({ state }) => state)).toEqual(["failed", "faded", "pending"]);
    expect(panes()[0]!.note).toBe("It is not a word.");
  });
});
