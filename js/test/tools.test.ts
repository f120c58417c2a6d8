// Tools: what is sent, what is read of `_tools`, and which of it is about what is on the screen.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LATE_MS } from "../src/store/conversation";
import { decodeBusy, decodeTool, TOOLS } from "../src/tools-wire";
import { FakeHost } from "./fake-host";
import { answered, GRID, IDLE, LAYERS, packed, result, text } from "./samples";
import { createLiveStore } from "./with-live";

let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

/** An entry about target 0 of answer 1. */
const about = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  rid: "other.t1",
  rev: 1,
  target: 0,
  label: "cat",
  args: {},
  state: "done",
  step: 1,
  total: 1,
  message: "",
  ...changes,
});
const row = (first: number, changes: Record<string, unknown> = {}) => ({
  row: about({ map: packed([...GRID], [first, 1, 2, 3, 4, 5]), prefix: [0.5], ...changes }),
});

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  return { host, store, tools: store.tools };
}

describe("reading", () => {
  it("knows every tool of the contract, and gives each its data", () => {
    const values = packed([LAYERS, 2], [1, 2, 3, 4, 5, 6]);
    const raw = {
      effects: about({ values, maps: packed([1, 1, 1, 1], [7]), score: 0.3, score_name: "cosine" }),
      ablate: about({ before: 1, after: 0.5, change: -0.5, score_name: "cosine", cells: [[1, 0]] }),
      verify: about({ found: [{ layer: 3, head: 0, estimate: 0.2, measured: 0.1 }] }),
      row: about({ map: packed([1, 2], [1, 2]), prefix: [0.25] }),
      lens: about({ predictions: [{ index: 4, name: "a fox", probability: 0.5 }], of: "classes" }),
      norms: about({ map: packed([1, 2], [1, 2]), outliers: [[0, 1]], threshold: 1.5, prefix: [] }),
      brush: about({
        targets: [{ label: "cat", before: 0.9, after: 0.1, of: "sigmoid", low: 0.2, high: null }],
        classes: [],
        picture: { mime: "image/png", data: new DataView(new Uint8Array([1, 2]).buffer) },
      }),
      curves: about({
        curves: [{ kind: "deletion", method: "legrad", fractions: [0, 1], values: [1, 0], area: null }],
        band: { fractions: [0, 1], low: [0, 0], mean: [0.5, 0.5], high: [1, 1] },
        of: "sigmoid",
      }),
      faithfulness: about({
        image_rev: 4,
        about: { kind: "text", text: "cat" },
        curves: [
          { kind: "deletion", method: "tam", fractions: [0], values: [1], area: null, digest: 2 ** 32 - 1 },
        ],
        errors: { lrp: "No rules." },
        band: null,
        chance: { deletion: 0.25 },
        of: "sigmoid",
      }),
      card: about({
        method: "tam",
        seconds: 1.5,
        forward: 0.5,
        verdict: { passed: true, correlation: null },
      }),
      randomise: about({ method: "tam", blocks: [0, 1], correlations: [1, 0.2], passed: true }),
      specificity: about({
        value: 0.5,
        layers: [1],
        signed: true,
        note: "",
        maps: packed([1, 1, 2], [1, 2]),
      }),
    };
    expect(TOOLS).toEqual(Object.keys(raw));
    expect(decodeTool(raw, "effects", null)).toMatchObject({
      scoreName: "cosine",
      values: { shape: [3, 2] },
    });
    expect(decodeTool(raw, "ablate", null)!.change).toBe(-0.5);
    expect(decodeTool(raw, "verify", null)!.found).toEqual(raw.verify.found);
    expect([...decodeTool(raw, "row", null)!.map!.values]).toEqual([1, 2]);
    expect(decodeTool(raw, "lens", null)!.predictions[0]!.name).toBe("a fox");
    expect(decodeTool(raw, "norms", null)).toMatchObject({ outliers: [[0, 1]], threshold: 1.5 });
    expect(decodeTool(raw, "brush", null)!.targets[0]).toMatchObject({ low: 0.2, high: null });
    expect([...decodeTool(raw, "brush", null)!.picture!.data]).toEqual([1, 2]);
    expect(decodeTool(raw, "curves", null)!.curves[0]!.area).toBeNull();
    expect(decodeTool(raw, "curves", null)!.band!.mean).toEqual([0.5, 0.5]);
    expect(decodeTool(raw, "faithfulness", null)).toMatchObject({
      imageRev: 4,
      about: { text: "cat" },
      curves: [{ digest: 4294967295 }],
      errors: { lrp: "No rules." },
      chance: { deletion: 0.25 },
    });
    expect(decodeTool(raw, "card", null)!.verdict).toEqual({ passed: true, correlation: null, label: "" });
    expect(decodeTool(raw, "randomise", null)).toMatchObject({ method: "tam", passed: true });
  });
  it("reads entries that hold no data yet, and none", () => {
    const failed = { effects: about({ state: "failed", message: "It has no heads." }) };
    expect(decodeTool(failed, "effects", null)).toMatchObject({ maps: null, message: "It has no heads." });
    for (const none of [undefined, null, {}, [], "x"]) {
      expect(decodeTool(none, "row", null)).toBeNull();
      expect(decodeBusy(none)).toBeNull();
    }
    expect(decodeBusy({ busy: { tool: "format the disk", rid: "a.t1" } })).toBeNull();
  });
  it("copies what has ended once, and what still runs each time", () => {
    const first = decodeTool(row(0), "row", null);
    expect(decodeTool(row(0), "row", first)).toBe(first);
    expect(decodeTool(row(9, { rid: "other.t2" }), "row", first)).not.toBe(first);
    const growing = decodeTool(row(0, { state: "running" }), "row", null);
    expect(decodeTool(row(1, { state: "running" }), "row", growing)!.map!.values[0]).toBe(1);
  });
});

describe("asking", () => {
  it("sends one message about the target on the screen, and no trait", () => {
    const { host, tools, store } = open();
    store.select(1);
    const rid = tools.ask("row", { layer: 2, head: null, patch: [0, 1] });
    const [message] = host.of("tool");
    expect(message).toMatchObject({ v: 1, rid, rev: 1, target: 1, tool: "row" });
    expect(message!.args).toEqual({ layer: 2, head: null, patch: [0, 1] });
    expect(rid).toBe(`${message!.client}.t${message!.n}`);
    expect(host.written).toEqual([]);
    tools.ask("lens", { layer: 2, patch: null });
    expect(host.of("tool")[1]!.n).toBeGreaterThan(message!.n as number);
  });
  it("is busy until the entry is there", () => {
    const { host, tools } = open();
    const rid = tools.ask("row")!;
    expect(tools.busy.value).toMatchObject({ tool: "row", rid, message: "Asking …" });
    vi.advanceTimersByTime(LATE_MS);
    expect(tools.busy.value!.message).toBe("Waiting for the kernel (busy?) …");
    host.set("_tools", { busy: { tool: "row", rid, step: 1, total: 4, message: "Reading" } });
    expect(tools.busy.value).toMatchObject({ step: 1, total: 4, message: "Reading" });
    host.set("_tools", { ...row(1, { rid }), busy: null });
    expect(tools.busy.value).toBeNull();
    expect(tools.entry("row").value!.map!.values[0]).toBe(1);
  });
  it("waits for nothing more once the answer that it asked about is replaced", () => {
    const { host, tools } = open();
    tools.ask("row");
    host.set("_result", result([text("cat"), text("dog")], { rev: 2 }));
    expect(tools.busy.value).toBeNull();
    tools.ask("row");
    expect(tools.busy.value).toMatchObject({ tool: "row" });
  });
  it("stops what runs", () => {
    const { host, tools } = open();
    tools.ask("verify", { top: 10 });
    tools.stop();
    expect(host.of("tool").at(-1)).toMatchObject({ tool: "stop", args: {} });
    expect(tools.busy.value).toBeNull();
  });
  it("says a refusal in the status line, unless the question has changed since", () => {
    const { host, store, tools } = open();
    host.tell({ kind: "refused", rid: tools.ask("row"), message: "Layer 99 is not there." });
    expect(store.phase.value).toMatchObject({ kind: "error", message: "Layer 99 is not there." });
    expect(tools.busy.value).toBeNull();
    const late = tools.ask("row");
    host.set("_result", result([text("cat"), text("dog")], { rev: 2 }));
    host.tell({ kind: "refused", rid: late, message: "That was about an older answer." });
    expect(tools.busy.value).toBeNull();
    expect(store.phase.value.message).not.toContain("older");
  });
  it("says what it lacks where there is no kernel", () => {
    const { host, tools } = open({ _static: true });
    expect(tools.lacks.value).toBe("Needs a live kernel.");
    expect(tools.ask("row")).toBeNull();
    expect(host.of("tool")).toEqual([]);
    const { host: lost, tools: cut } = open();
    expect(cut.lacks.value).toBe("");
    lost.connected = false;
    expect(cut.ask("row")).toBeNull();
    expect(cut.lacks.value).toBe("Needs a live kernel.");
    expect(cut.busy.value).toBeNull();
  });
  it("asks nothing before there is an answer", () => {
    const { host, tools } = open({ _result: {}, _status: IDLE });
    expect(tools.ask("effects")).toBeNull();
    expect(host.of("tool")).toEqual([]);
  });
});

describe("what is on the screen", () => {
  it("has an entry only of its own answer and target", () => {
    const { host, store, tools } = open({ _tools: row(7) });
    const first = tools.entry("row");
    expect(first.value!.map!.values[0]).toBe(7);
    store.select(1);
    expect(first.value).toBeNull();
    expect(tools.latest("row").value!.map!.values[0]).toBe(7);
    store.select(0);
    expect(first.value).not.toBeNull();
    host.set("_result", result([text("cat"), text("dog")], { rev: 2 }));
    expect(first.value).toBeNull();
    host.set("_tools", {});
    expect(tools.latest("row").value).toBeNull();
  });
  it("reports what cannot be read, and keeps what was there", () => {
    const { host, store, tools } = open({ _tools: row(7) });
    host.set("_tools", {
      row: about({ rid: "other.t2", map: { dtype: "float64", shape: [1], data: null } }),
    });
    expect(store.phase.value.message).toContain(
      "What a tool gave could not be read: a tool's map must be float32",
    );
    expect(tools.latest("row").value!.map!.values[0]).toBe(7);
  });
});
