// @vitest-environment happy-dom
// What is computed about all errors, without a kernel: what is asked for, what is shown of it, what a click narrows to.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mountGallery } from "../src/inspection/root";
import { createGallery } from "../src/inspection/store";
import { LIMIT_MS } from "../src/inspection/studies/store";
import { decodeFound } from "../src/inspection/studies/wire";
import { FakeHost } from "./fake-host";

const HOSTILE = "<img src=x onerror=alert(1)>";
const CALIBRATION = {
  by: "rank_correlation",
  samples: 32,
  columns: ["captured", "rank_correlation", "top_patch", "mask_precision"],
  maps: [
    { name: "legrad/equal", title: "LeGrad, layers counted equally", values: [0.9, 0.81, 0.5, null] },
    { name: "attention_gradient/paper", title: "Attention gradient", values: [0.8, 0.7, 0.25, null] },
    { name: "", title: "Exact removal", values: [1, 1, 1, null] },
  ],
};
const card = (number: number, more: object = {}) => ({
  number,
  size: 3 - number,
  medoid: number,
  map: { dtype: "float32", shape: [1, 2], data: new DataView(Float32Array.of(0, 1).buffer) },
  pairs: [{ true: HOSTILE, predicted: "dog", count: 1 }],
  flips: 0.75,
  random: 0.05,
  ...more,
});
const one = (name: string, says: string, predicted: number, right: number) => ({
  name,
  says,
  predicted,
  true: right,
});
const CASES = {
  thresholds: { iou: 0.5, saliency: 0.25, ground: 0.5 },
  measured: 3,
  cases: [
    one("human-aligned", "right, by the object itself", 0, 0),
    one("confuser", "wrong: it looks at the object", 1, 3),
    one("context confusion", "wrong: beside the object", 2, 0),
  ],
};

let life: AbortController;
beforeEach(() => {
  life = new AbortController();
  vi.useFakeTimers();
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
  document.body.replaceChildren();
});

const get = <T extends HTMLElement = HTMLElement>(id: string) =>
  document.querySelector<T>(`[data-testid=${id}]`)!;
const words = (root: ParentNode, selector: string) =>
  [...root.querySelectorAll(selector)].map((element) => element.textContent);

function page(found: object = {}, run: object = {}, live = true) {
  const host = new FakeHost({
    _gallery: { live, total: 4, classes: ["cat", "dog"], sorts: [], filters: [] },
    _scoring: { state: "idle", step: 4, total: 4, errors: 4, faults: 0, message: "" },
    _sample: {},
    _selected: [],
    opened: null,
    _study: run,
    _studies: {
      masks: true,
      drawn: "legrad/equal",
      calibration: null,
      clusters: null,
      cases: null,
      ...found,
    },
  });
  const store = createGallery(host, life.signal);
  mountGallery(document.body, store, null, life.signal);
  const ints = (...values: number[]) => new DataView(Int32Array.from(values).buffer);
  host.tell(
    {
      kind: "cells",
      columns: [
        ["error", "int32"],
        ["cluster", "int32"],
      ],
      words: {
        case_predicted: ["confuser", "context confusion", "context confusion", ""],
        case_true: ["confuser", "confuser", "confuser", ""],
      },
    },
    [ints(0, 1, 2, 3), ints(1, 1, 1, 1), ints(1, 2, 1, -1)],
  );
  return { host, store };
}

describe("panels", () => {
  it("open one at a time, and say so", () => {
    page();
    const [maps, groups] = [get("open-calibrate"), get("open-clusters")];
    expect([get("calibrate").hidden, get("clusters").hidden]).toEqual([true, true]);
    maps.click();
    groups.click();
    expect([get("calibrate").hidden, get("clusters").hidden]).toEqual([true, false]);
    expect([maps, groups].map((opener) => opener.getAttribute("aria-expanded"))).toEqual(["false", "true"]);
    expect(groups.getAttribute("aria-controls")).toBe(get("clusters").id);
    groups.click();
    expect(get("clusters").hidden).toBe(true);
  });
  it("are not there without a model, and masks are not spoken of where there are none", () => {
    page({ masks: false });
    expect(get("open-alignment").hidden).toBe(true);
    document.body.replaceChildren();
    page({}, {}, false);
    expect(get("open-calibrate")).toBeNull();
  });
  it("start, tell how far it is, and stop", () => {
    const { host } = page();
    get("start-calibrate").click();
    expect(host.of("study")).toMatchObject([{ what: "calibrate", on: true, samples: 32, v: 1 }]);
    host.set("_study", { what: "calibrate", state: "running", step: 3, total: 32, message: "" });
    expect(get("words-calibrate").textContent).toBe("sample 4 of 32");
    expect(get("words-clusters").textContent).toBe("when the other computation is through");
    expect(get<HTMLButtonElement>("start-clusters").disabled).toBe(true);
    expect([get("stop-calibrate").hidden, get("stop-clusters").hidden]).toEqual([false, true]);
    get("stop-calibrate").click();
    expect(host.of("study")[1]).toMatchObject({ what: "calibrate", on: false });
    host.set("_study", { what: "calibrate", state: "failed", step: 3, total: 32, message: "no <b>disk</b>" });
    expect(get("words-calibrate").textContent).toBe("no <b>disk</b>");
    expect(get<HTMLButtonElement>("start-clusters").disabled).toBe(false);
  });
  it("wait until everything is scored", () => {
    const { host } = page();
    host.set("_scoring", { state: "running", step: 2, total: 4, errors: 1, faults: 0, message: "" });
    expect(get<HTMLButtonElement>("start-clusters").disabled).toBe(true);
    expect(get("words-clusters").textContent).toBe("when all samples are scored");
  });
});

describe("which map to trust", () => {
  it("ranks the maps, says which one is drawn, and draws another", () => {
    const { host } = page({ calibration: CALIBRATION });
    const table = get("calibrate").querySelector("table")!;
    expect(words(table, "thead th")).toEqual(["map", "rank correlation", "top patch", "choose"]); // no masks
    expect(words(table, "tbody th")).toEqual([
      "LeGrad, layers counted equally",
      "Attention gradient",
      "Exact removal",
    ]);
    expect(words(table, "tbody tr:first-child td")).toEqual(["0.81", "0.50", "drawn"]);
    expect(get("chosen").textContent).toBe(
      "LeGrad, layers counted equally agrees best on 32 samples, and is drawn.",
    );
    expect(table.querySelectorAll("button")).toHaveLength(1); // neither the drawn one nor removal itself
    table.querySelector("button")!.click();
    expect(host.of("draw")).toMatchObject([{ name: "attention_gradient/paper" }]);
    host.set("_studies", { masks: true, drawn: "attention_gradient/paper", calibration: CALIBRATION });
    expect(get("chosen").textContent).toContain("; Attention gradient is drawn.");
    expect(words(table, "[aria-current=true] th")).toEqual(["Attention gradient"]);
  });
});

describe("groups", () => {
  it("are cards whose click narrows the gallery to their members, and back", () => {
    const { store } = page({ clusters: { cards: [card(1), card(2, { flips: null, random: null })] } });
    const cards = [...get("groups").querySelectorAll("button")];
    expect(words(cards[0]!, "b, span")).toEqual([
      "2 errors",
      `${HOSTILE} → dog 1`,
      "changed without its region: 75 %, without a random one 5 %",
    ]);
    expect(words(cards[1]!, ".lg-note")).toEqual(["not tested on the model"]);
    expect(document.querySelector("img")).toBeNull();
    cards[0]!.click();
    expect([...store.order.value]).toEqual([0, 2]);
    expect(cards.map((one) => one.getAttribute("aria-pressed"))).toEqual(["true", "false"]);
    cards[0]!.click();
    expect([...store.order.value]).toEqual([0, 1, 2, 3]);
  });
  it("ask for the pictures of their middles", () => {
    const { host } = page({ clusters: { cards: [card(1), card(2)] } });
    vi.advanceTimersByTime(50);
    expect(host.of("visible")).toHaveLength(0);
    get("open-clusters").click();
    vi.advanceTimersByTime(50);
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([1, 2]);
  });
});

describe("maps against masks", () => {
  it("counts cases by both classes' evidence, and narrows to one", () => {
    const { store } = page({ cases: CASES });
    const table = get("case-counts");
    expect(words(table, "tbody th")).toEqual(["wrong: it looks at the object", "wrong: beside the object"]);
    const buttons = () => [...table.querySelectorAll("button")];
    expect(buttons().map((one) => one.textContent)).toEqual(["1", "3", "2", "0"]);
    buttons()[2]!.click();
    expect([...store.order.value]).toEqual([1, 2]);
    expect(buttons()[2]!.getAttribute("aria-pressed")).toBe("true");
    buttons()[1]!.click();
    expect(store.sieve.value.values).toEqual({ case_true: "confuser" });
    buttons()[1]!.click();
    expect(store.sieve.value.values).toEqual({});
  });
  it("sends thresholds while a slider moves, and the last one for certain", () => {
    const { host } = page({ cases: CASES });
    const slider = get<HTMLInputElement>("limit-saliency");
    expect(slider.value).toBe("0.25");
    for (const value of ["0.3", "0.4", "0.45"]) {
      slider.value = value;
      slider.dispatchEvent(new Event("input"));
    }
    vi.advanceTimersByTime(LIMIT_MS + 1);
    expect(host.of("thresholds").map(({ iou, saliency, ground }) => [iou, saliency, ground])).toEqual([
      [0.5, 0.3, 0.5],
      [0.5, 0.45, 0.5],
    ]);
    host.set("_studies", { masks: true, cases: { ...CASES, measured: 2 } });
    expect(words(get("case-counts"), "thead th")[0]).toContain("2 samples with a mask");
  });
});

describe("what does not fit", () => {
  it("is read as nothing, and leaves what stood", () => {
    expect(decodeFound({}).calibration).toBeNull();
    const { host } = page({ clusters: { cards: [card(1)] } });
    host.set("_studies", {
      clusters: { cards: [card(1, { map: { dtype: "int8", shape: "x", data: null } })] },
    });
    expect(get("groups").querySelectorAll("button")).toHaveLength(1);
  });
});
