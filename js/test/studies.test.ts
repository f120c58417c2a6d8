// @vitest-environment happy-dom
// What is computed about all errors, without a kernel: what is asked for, what is shown of it, what a click narrows to.

import { describe, expect, it, vi } from "vitest";
import { mountGallery } from "../src/inspection/root";
import { createGallery } from "../src/inspection/store";
import { nearest, placed } from "../src/inspection/studies/scatter";
import { LIMIT_MS } from "../src/inspection/studies/store";
import { decodeFound } from "../src/inspection/studies/wire";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";

const HOSTILE = "<img src=x onerror=alert(1)>";
const CALIBRATION = {
  by: "rank_correlation",
  samples: 32,
  coarse: false,
  stale: "",
  columns: ["captured", "rank_correlation", "top_patch", "flip_size", "mask_precision"],
  headings: [
    { name: "rank_correlation", title: "rank correlation", says: "1 is the same order", more: true },
    { name: "top_patch", title: "top patch", says: "share", more: true },
    { name: "flip_size", title: "flip set", says: "fewer are better", more: false },
  ],
  maps: [
    { name: "legrad/equal", title: "LeGrad, layers counted equally", values: [0.9, 0.81, 0.5, 3, null] },
    { name: "attention_gradient/paper", title: "Attention gradient", values: [0.8, 0.7, 0.25, 2, null] },
    { name: "", title: "Exact removal", values: [1, 1, 1, 1, null] },
  ],
};
const card = (number: number, more: object = {}) => ({
  number,
  size: 3 - number,
  medoid: number,
  map: { dtype: "float32", shape: [1, 2], data: new DataView(Float32Array.of(0, 1).buffer) },
  pairs: [{ true: HOSTILE, predicted: "dog", count: 1 }],
  tested: "changed without its region: 75 %, without a random one 5 %",
  advice: "",
  margins: [-1, 2],
  lost: "on average the wrong class leads from layer 2 of 2",
  ...more,
});
const GROUPS = {
  says: "2 groups by the map LeGrad.",
  stale: "",
  k: null,
  weights: [1, 0.5, 1],
  tested: true,
  rows: [0, 1, 2],
  groups: [1, 2, 1],
  points: { dtype: "float32", shape: [3, 2], data: new DataView(Float32Array.of(0, 0, 4, 0, 0, 2).buffer) },
  shown: [0.61, 0.2],
  cards: [card(1), card(2)],
};
const ABOUT = Object.fromEntries(
  ["calibrate", "specificity", "clusters", "regions", "alignment", "flips", "backgrounds"].map((what) => [
    what,
    { title: `title of ${what}`, says: `what ${what} says`, start: `start ${what}` },
  ]),
);
const one = (name: string, says: string, predicted: number, right: number) => ({
  name,
  says,
  predicted,
  true: right,
});
const CASES = {
  thresholds: { iou: 0.5, saliency: 0.25, ground: 0.5 },
  says: "3 errors and 2 right answers with a mask",
  stale: "",
  right: 2,
  cases: [
    one("human-aligned", "right, by the object itself", 0, 0),
    one("confuser", "wrong: it looks at the object", 1, 3),
    one("context confusion", "wrong: beside the object", 2, 0),
  ],
};

const life = pageLife();

const get = <T extends HTMLElement = HTMLElement>(id: string) =>
  document.querySelector<T>(`[data-testid=${id}]`)!;
const words = (root: ParentNode, selector: string) =>
  [...root.querySelectorAll(selector)].map((element) => element.textContent);

function page(found: object = {}, run: object = {}, card: object = { live: true }) {
  const host = new FakeHost({
    _gallery: { ...card, total: 4, classes: ["cat", "dog"], sorts: [], filters: [] },
    _scoring: { state: "idle", step: 4, total: 4, errors: 4, faults: 0, message: "" },
    _sample: {},
    _selected: [],
    opened: null,
    _study: run,
    _studies: {
      about: ABOUT,
      masks: true,
      drawn: "legrad/equal",
      errors: 3,
      right: 1,
      costs: { calibrate: 250, flips: 40, coarse: false, paces: {} },
      calibration: null,
      clusters: null,
      cases: null,
      flips: null,
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
  it("are introduced by the kernel's words; masks are not spoken of where there are none", () => {
    const { host } = page();
    get("open-alignment").click();
    host.set("_studies", { ...host.state._studies!, masks: false }); // the last one that was drawn is taken away
    expect(get("open-alignment").parentElement!.hidden).toBe(true);
    expect(get("alignment").hidden).toBe(true);
    expect(get("open-calibrate").textContent).toBe("title of calibrate");
    expect(get("clusters").textContent).toContain("what clusters says");
    expect(get("start-regions").hidden).toBe(true); // there is nothing to test yet
  });
  it("start with what was chosen, tell how far it is, and stop", () => {
    const { host } = page();
    const samples = get<HTMLInputElement>("calibrate-samples");
    expect(get("cost-calibrate").textContent).toBe("about 8000 forwards; 3 errors, then right answers");
    samples.value = "2";
    samples.dispatchEvent(new Event("input"));
    expect(get("cost-calibrate").textContent).toBe("about 500 forwards");
    samples.value = "9999";
    samples.dispatchEvent(new Event("input"));
    samples.dispatchEvent(new Event("change"));
    expect(samples.value).toBe("512"); // what is meant, as the cost says
    expect(get("cost-calibrate").textContent).toContain("about 128000 forwards");
    samples.value = "2";
    samples.dispatchEvent(new Event("input"));
    get("start-calibrate").click();
    expect(host.of("study")).toMatchObject([{ what: "calibrate", on: true, samples: 2, v: 1 }]);
    const run = { what: "calibrate", state: "running", step: 3, total: 32, message: "" };
    host.set("_study", run);
    expect(get("words-calibrate").textContent).toBe("sample 4 of 32");
    vi.advanceTimersByTime(3000);
    host.set("_study", { ...run, step: 5 });
    expect(get("words-calibrate").textContent).toBe("sample 6 of 32, about 41 s more"); // 27 of 1.5 s each
    expect(get("words-clusters").textContent).toBe("when the other computation is through");
    expect(get("start-clusters").getAttribute("aria-disabled")).toBe("true");
    expect([get("stop-calibrate").hidden, get("stop-clusters").hidden]).toEqual([false, true]);
    get("stop-calibrate").click();
    expect(host.of("study")[1]).toMatchObject({ what: "calibrate", on: false });
    host.set("_study", { ...run, state: "failed", message: "no <b>disk</b>" });
    expect(get("words-calibrate").textContent).toBe("no <b>disk</b>");
    expect(get("start-clusters").getAttribute("aria-disabled")).toBe("false");
  });
  it("say what took how long before", () => {
    page({ costs: { calibrate: 250, flips: 40, coarse: true, paces: { calibrate: 0.5, flips: 4 } } });
    expect(get("cost-calibrate").textContent).toContain("about 8000 forwards, about 16 s at the last pace");
    expect(get("cost-calibrate").textContent).toContain("approximated, 2 × 2 patches at a time first");
    expect(get("cost-flips").textContent).toBe(
      "of 3 errors: about 120 forwards, about 12 s at the last pace",
    );
  });
  it("say what is of an earlier state", () => {
    const old = "Made with the map <b>LeGrad</b>; group again for it.";
    const { host } = page({ clusters: GROUPS });
    expect(get("stale-clusters").hidden).toBe(true);
    host.set("_studies", { ...host.state._studies!, clusters: { ...GROUPS, stale: old } });
    expect([get("stale-clusters").hidden, get("stale-clusters").textContent]).toEqual([false, old]);
  });
  it("wait until everything is scored", () => {
    const { host } = page();
    host.set("_scoring", { state: "running", step: 2, total: 4, errors: 1, faults: 0, message: "" });
    expect(get("start-clusters").getAttribute("aria-disabled")).toBe("true");
    expect(get("words-clusters").textContent).toBe("when all samples are scored");
    get("start-clusters").click();
    expect(host.of("study")).toHaveLength(0);
  });
  it("leave the keyboard where it is when a computation begins, is stopped, and has found everything", () => {
    const flips = { asked: 1, found: 1, says: "", stale: "" };
    const { host } = page({ flips });
    get("open-flips").click();
    get("start-flips").focus();
    get("start-flips").click();
    const run = { what: "flips", state: "running", step: 0, total: 2, message: "" };
    host.set("_study", run);
    expect(document.activeElement).toBe(get("start-flips"));
    get("stop-flips").focus();
    host.set("_study", { ...run, state: "stopped" });
    expect(document.activeElement).toBe(get("start-flips"));
    host.set("_studies", { ...host.state._studies!, flips: { ...flips, asked: 3 } }); // nothing is left to search
    expect(get("start-flips").hidden).toBe(true);
    expect(document.activeElement).toBe(get("open-flips"));
  });
});

describe("without a model", () => {
  it("what was found is there, nothing can be started, and what brings it is said", () => {
    const { host } = page({ clusters: GROUPS, cases: CASES, costs: null }, {}, { live: false });
    expect(["calibrate", "clusters", "flips", "alignment"].map((what) => get(`open-${what}`).hidden)).toEqual(
      [true, false, true, false],
    );
    expect(get("start-clusters").closest<HTMLElement>("[hidden]")).not.toBeNull();
    expect(get("needs-clusters").textContent).toContain("lw.open_inspection(folder, model=model)");
    const slider = get<HTMLInputElement>("limit-iou");
    expect(slider.closest("[hidden]:not(section)")).toBeNull(); // thresholds need a kernel, no model
    slider.value = "0.3";
    slider.dispatchEvent(new Event("input"));
    expect(host.of("thresholds")).toHaveLength(1);
  });
  it("a saved page moves thresholds too, but has nobody to draw another map", () => {
    page({ cases: CASES, calibration: CALIBRATION, costs: null }, {}, { live: false, page: true });
    expect(get("limit-iou").closest("[hidden]:not(section)")).toBeNull();
    expect(get("case-counts").hidden).toBe(false);
    expect(get("calibrate").querySelectorAll("tbody button")).toHaveLength(0);
    expect(get("needs-calibrate").textContent).toContain("takes Python and the model");
  });
});

describe("which map to trust", () => {
  it("ranks the maps, says which one is drawn, and draws another", () => {
    const { host } = page({ calibration: CALIBRATION });
    const table = get("calibrate").querySelector("table")!;
    expect(words(table, "thead th")).toEqual(["map", "rank correlation", "top patch", "flip set", "choose"]);
    expect(words(table, "tbody th")).toEqual([
      "LeGrad, layers counted equally",
      "Attention gradient",
      "Exact removal",
    ]);
    expect(words(table, "tbody tr:first-child td")).toEqual(["0.81", "0.50", "3", "drawn"]);
    expect(get("chosen").textContent).toBe(
      "By rank correlation, LeGrad, layers counted equally is best on 32 samples, and is drawn.",
    );
    expect(table.querySelectorAll("tbody button")).toHaveLength(1); // neither the drawn one nor removal itself
    table.querySelector<HTMLElement>("tbody button")!.focus();
    table.querySelector<HTMLElement>("tbody button")!.click();
    expect(host.of("draw")).toMatchObject([{ name: "attention_gradient/paper" }]);
    host.set("_studies", { ...host.state._studies!, drawn: "attention_gradient/paper" });
    expect(get("chosen").textContent).toContain("; Attention gradient is drawn.");
    expect(words(table, "[aria-current=true] th")).toEqual(["Attention gradient"]);
    expect(table.contains(document.activeElement)).toBe(true);
  });
  it("sorts by the column that is clicked, fewer patches first, and measures by it then", () => {
    const { host } = page({ calibration: CALIBRATION });
    const table = get("calibrate").querySelector("table")!;
    const header = () => table.querySelector<HTMLElement>("[data-by=flip_size]")!;
    header().focus();
    header().click();
    expect(words(table, "tbody th")[0]).toBe("Attention gradient");
    expect(words(table, "tbody th")[2]).toBe("Exact removal"); // takes no part
    expect(header().parentElement!.getAttribute("aria-sort")).toBe("ascending");
    expect(document.activeElement).toBe(header());
    expect(get("chosen").textContent).toContain("By flip set, Attention gradient is best");
    get("start-calibrate").click();
    expect(host.of("study")).toMatchObject([{ by: "flip_size" }]);
  });
  it("asks whether plain maps know the class, until it is known of all errors", () => {
    const { host } = page();
    expect(get("cost-specificity").textContent).toContain(
      "of 3 errors: about 3 forwards, and two gradients each",
    );
    get("start-specificity").click();
    expect(host.of("study")).toMatchObject([{ what: "specificity", on: true }]);
    const known = { asked: 3, says: "They differ by 0.40.", stale: "Of 5 values, 2 are old." };
    host.set("_studies", { ...host.state._studies!, specificity: known });
    expect(get("specificity").textContent).toBe("They differ by 0.40. Of 5 values, 2 are old.");
    expect(get("start-specificity").hidden).toBe(true);
  });
  it("says where removal was approximated", () => {
    page({ calibration: { ...CALIBRATION, coarse: true } });
    expect(get("chosen").textContent).toContain("Removal was approximated");
    expect(words(get("calibrate"), "tbody th")[2]).toBe("Exact removal, approximated");
  });
});

describe("groups", () => {
  const narrowing = () => [...get("groups").querySelectorAll<HTMLElement>("[data-group]")];
  it("are cards whose click narrows the gallery to their members, and back", () => {
    const { host, store } = page({ clusters: GROUPS });
    expect(get("grouped").textContent).toBe("2 groups by the map LeGrad.");
    const cards = narrowing();
    expect(words(cards[0]!, "b, .lg-small, .lg-note")).toEqual([
      "12 errors", // the number of the group, and of its errors
      `${HOSTILE} → dog 1`,
      "changed without its region: 75 %, without a random one 5 %",
    ]);
    expect(document.querySelector("img")).toBeNull();
    cards[0]!.click();
    expect([...store.order.value]).toEqual([0, 2]);
    expect(cards.map((one) => one.getAttribute("aria-pressed"))).toEqual(["true", "false"]);
    cards[0]!.click();
    expect([...store.order.value]).toEqual([0, 1, 2, 3]);
    get("groups").querySelector<HTMLElement>("[data-medoid]")!.click();
    expect(host.of("open")).toMatchObject([{ row: 1 }]);
  });
  it("show when they were lost, red where the wrong class leads", () => {
    page({ clusters: { ...GROUPS, cards: [card(1), card(2, { margins: [], lost: "" })] } });
    const curves = get("groups").querySelectorAll("svg");
    expect(curves).toHaveLength(1);
    expect(curves[0]!.getAttribute("aria-label")).toBe("on average the wrong class leads from layer 2 of 2");
    expect(curves[0]!.querySelector("[data-kind]")!.getAttribute("data-kind")).toBe("taken");
  });
  it("ask for the pictures of their middles", () => {
    const { host } = page({ clusters: GROUPS });
    vi.advanceTimersByTime(50);
    expect(host.of("visible")).toHaveLength(0);
    get("open-clusters").click();
    vi.advanceTimersByTime(50);
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([1, 2]);
  });
  it("are made as wished, and again when that changes, which asks the model nothing", () => {
    const { host } = page({ clusters: GROUPS });
    const weight = get<HTMLInputElement>("weight-2");
    expect(["weight-0", "weight-1", "weight-2"].map((id) => get<HTMLInputElement>(id).value)).toEqual([
      "1",
      "0.5",
      "1",
    ]);
    weight.value = "0";
    weight.dispatchEvent(new Event("change"));
    expect(host.of("study")).toMatchObject([{ what: "clusters", on: true, k: null, weights: [1, 0.5, 0] }]);
    host.set("_study", { what: "clusters", state: "running", step: 0, total: 3, message: "" });
    const many = get<HTMLSelectElement>("group-k");
    many.value = "4";
    many.dispatchEvent(new Event("change"));
    expect(host.of("study")).toHaveLength(1); // one at a time
    host.set("_studies", { ...host.state._studies!, clusters: { ...GROUPS, weights: [1, 0.5, 0] } });
    host.set("_study", { what: "clusters", state: "done", step: 3, total: 3, message: "" });
    expect(host.of("study")[1]).toMatchObject({ what: "clusters", k: 4, weights: [1, 0.5, 0] });
  });
  it("are told what to try where no region explains them", () => {
    const advice = "no small region explains these: try r.on_other_backgrounds('cluster == 2')";
    page({ clusters: { ...GROUPS, cards: [card(1), card(2, { advice })] } });
    const said = [...get("groups").querySelectorAll(".lg-group")].map((one) =>
      one.textContent!.includes(advice),
    );
    expect(said).toEqual([false, true]);
    expect(words(get("groups"), ".lg-code")).toEqual(["r.on_other_backgrounds(", "'cluster == 2')"]); // each in one line
    expect(get("groups").querySelector('[data-group="2"]')!.textContent).not.toContain(advice); // to be copied
  });
  it("stay as they are, with the focus, where something else was found", () => {
    const { host } = page({ clusters: GROUPS });
    const typical = get("groups").querySelector<HTMLElement>("[data-medoid]")!;
    typical.focus();
    host.set("_studies", { ...host.state._studies!, clusters: structuredClone(GROUPS), errors: 4 });
    expect(document.activeElement).toBe(typical);
    host.set("_studies", { ...host.state._studies!, clusters: { ...GROUPS, cards: [card(1)] } });
    expect(get("groups").querySelectorAll("[data-group]")).toHaveLength(1);
  });
  it("wait for a click where the model would be asked", () => {
    const { host } = page({ clusters: { ...GROUPS, stale: "another map" } });
    const many = get<HTMLSelectElement>("group-k");
    many.value = "3";
    many.dispatchEvent(new Event("change"));
    expect(host.of("study")).toHaveLength(0);
    expect(get("cost-clusters").textContent).toContain("the maps of 3 samples");
    get("start-clusters").click();
    expect(host.of("study")).toMatchObject([{ what: "clusters", k: 3 }]);
  });
  it("take two errors, and say so where there are fewer", () => {
    const { host } = page({ errors: 1 });
    expect(get("cost-clusters").textContent).toBe("A group takes two errors; there is one.");
    get("start-clusters").click();
    expect(host.of("study")).toHaveLength(0);
    host.set("_studies", { ...host.state._studies!, errors: 0 });
    expect(get("cost-clusters").textContent).toBe("A group takes two errors; there are none.");
    host.set("_studies", { ...host.state._studies!, errors: 2 });
    get("start-clusters").click();
    expect(host.of("study")).toHaveLength(1);
  });
  it("are tested when somebody asks", () => {
    const { host } = page({ clusters: { ...GROUPS, tested: false } });
    expect(get("start-regions").hidden).toBe(false);
    expect(get("cost-regions").textContent).toBe("about 12 forwards");
    get("start-regions").click();
    expect(host.of("study")).toMatchObject([{ what: "regions", on: true }]);
  });
});

describe("errors as points", () => {
  /** A view of 320 pixels: half of the canvas. */
  function plane(found: object = { clusters: GROUPS }) {
    const made = page(found);
    const canvas = get<HTMLCanvasElement>("plane");
    canvas.getBoundingClientRect = () => ({ left: 10, top: 20, width: 320, height: 320 }) as DOMRect;
    canvas.setPointerCapture = () => undefined;
    const at = (type: string, [x, y]: readonly number[], more: object = {}) =>
      canvas.dispatchEvent(
        Object.assign(new MouseEvent(type, { button: 0, ...more }), {
          clientX: 10 + x! / 2,
          clientY: 20 + y! / 2,
        }),
      );
    return {
      ...made,
      canvas,
      at,
      press: (key: string) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key })),
    };
  }
  const SPOTS = placed(Float32Array.of(0, 0, 4, 0, 0, 2));

  it("lie to one scale, upwards", () => {
    const [[x0, y0], [x1, y1], [x2, y2]] = SPOTS as unknown as [number[], number[], number[]];
    expect(y0).toBe(y1);
    expect(x0).toBe(x2);
    expect(x1! - x0!).toBeCloseTo(2 * (y0! - y2!));
    expect(placed(Float32Array.of(3, 3))).toEqual([[320, 320]]);
    expect(nearest(SPOTS, [x1! - 5, y1!])).toBe(1);
    expect(nearest(SPOTS, [x1! - 100, y1!])).toBe(-1);
    expect(nearest([], [0, 0])).toBe(-1);
  });
  it("say what they are, and open with a click", () => {
    const { host, at } = plane();
    expect(get("plane-words").textContent).toContain("61 % and 20 % of all differences");
    at("pointermove", SPOTS[1]!);
    expect(get("plane-words").textContent).toContain("sample 1, group 2");
    at("pointerdown", SPOTS[1]!);
    at("pointerup", SPOTS[1]!);
    expect(host.of("open")).toMatchObject([{ row: 1 }]);
  });
  it("are selected with a rectangle", () => {
    const { host, at, store } = plane();
    at("pointerdown", [0, 0]);
    at("pointermove", [300, 640]);
    at("pointerup", [300, 640]);
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([0, 2]);
    expect(host.of("open")).toHaveLength(0);
    host.set("_selected", [0, 2]);
    expect([...store.selected.value]).toEqual([0, 2]);
    at("pointerdown", [340, 0]);
    at("pointermove", [640, 640]);
    at("pointerup", [640, 640], { shiftKey: true });
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([0, 2, 1]);
  });
  it("are gone through by keys", () => {
    const { host, press } = plane();
    press("ArrowRight");
    press("ArrowRight");
    expect(get("plane-words").textContent).toContain("sample 1");
    press(" ");
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([1]);
    press("Enter");
    expect(host.of("open")).toMatchObject([{ row: 1 }]);
  });
});

describe("fragile answers", () => {
  it("say what is known, what is left, and put it in order", () => {
    const flips = { asked: 2, found: 2, says: "2 of 3 errors searched.", stale: "" };
    const { host, store } = page({ flips });
    expect(get("flips-found").textContent).toBe("2 of 3 errors searched.");
    expect(get("cost-flips").textContent).toBe("of 1 error: about 40 forwards");
    get("start-flips").click();
    expect(host.of("study")).toMatchObject([{ what: "flips", on: true }]);
    const sorted = vi.spyOn(store, "sortBy");
    get("sort-flips").click();
    expect(sorted).toHaveBeenCalledWith("flip_set");
    host.set("_studies", { ...host.state._studies!, flips: { ...flips, asked: 3 } });
    expect(get("start-flips").hidden).toBe(true);
  });
});

describe("maps against masks", () => {
  it("counts cases by both classes' evidence, and narrows to one", () => {
    const { host, store } = page({ cases: { ...CASES, right: 0 } });
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
    host.set("_studies", { ...host.state._studies!, cases: CASES });
    expect(words(table, "tbody th")[0]).toBe("right, by the object itself");
    expect(words(table, "thead th")[0]).toBe("3 errors and 2 right answers with a mask; the evidence");
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
  });
  it("takes right answers along where that is wished, and says what that costs", () => {
    const { host } = page({ cases: CASES });
    expect(get("cost-alignment").textContent).toContain("the maps of 3 samples");
    host.set("_studies", { ...host.state._studies!, errors: 1 });
    expect(get("cost-alignment").textContent).toContain("the map of 1 sample,");
    host.set("_studies", { ...host.state._studies!, errors: 3 });
    get("also-right").click();
    expect(get("cost-alignment").textContent).toContain("the maps of 4 samples");
    get("start-alignment").click();
    expect(host.of("study")).toMatchObject([{ what: "alignment", on: true, right: true }]);
  });
});

describe("what does not fit", () => {
  it("is read as nothing, and leaves what stood", () => {
    expect(decodeFound({}).calibration).toBeNull();
    const { host } = page({ clusters: { ...GROUPS, cards: [card(1)] } });
    host.set("_studies", {
      clusters: { cards: [card(1, { map: { dtype: "int8", shape: "x", data: null } })] },
    });
    expect(get("groups").querySelectorAll("[data-group]")).toHaveLength(1);
  });
});

describe("objects on other backgrounds", () => {
  const FOUND = {
    says: [`2 samples, <b>each</b> on up to 4: most become ${HOSTILE} (2).`, "Control: 0 % change."],
    stale: "",
    left: [2],
    heads: ["sample", "is", "changes"],
    rows: [
      { row: 1, cells: ["dog", "100 %"] },
      { row: 0, cells: [HOSTILE, "25 %"] },
    ],
  };
  /** What the kernel knows of samples 0 and 1, beside the result. */
  function told(found: object = FOUND) {
    const made = page({ backgrounds: found, costs: { backgrounds: 9, paces: { backgrounds: 2 } } });
    const shares = new DataView(Float32Array.of(0.25, 1, Number.NaN, Number.NaN).buffer);
    made.host.tell({ kind: "cells", columns: [["background_changes", "float32"]] }, [
      new DataView(Int32Array.of(0, 1, 2, 3).buffer),
      shares,
    ]);
    return made;
  }

  it("are offered with masks alone", () => {
    const { host } = page();
    expect(get("open-backgrounds").parentElement!.hidden).toBe(false);
    get("open-backgrounds").click();
    host.set("_studies", { ...host.state._studies!, masks: false });
    expect([get("open-backgrounds").parentElement!.hidden, get("backgrounds").hidden]).toEqual([true, true]);
  });
  it("are put under all errors, or under what is selected, for what is not known yet", () => {
    const { host, store } = told();
    expect(get("cost-backgrounds").textContent).toBe(
      "of 1 sample: about 9 forwards, about 2 s at the last pace",
    );
    expect(get("only-selected").parentElement!.hidden).toBe(true);
    get("start-backgrounds").click();
    host.set("_selected", [0, 2, 3]);
    expect(get("only-selected").parentElement!.textContent).toBe("only the 3 selected");
    get("only-selected").click();
    expect(get("cost-backgrounds").textContent).toContain("of 1 sample: about 9 forwards");
    get("start-backgrounds").click();
    store.selectAll(false);
    get("start-backgrounds").click();
    expect(host.of("study").map(({ what, selected }) => [what, selected])).toEqual([
      ["backgrounds", false],
      ["backgrounds", true],
      ["backgrounds", false],
    ]);
    host.set("_studies", {
      ...host.state._studies!,
      backgrounds: { ...FOUND, stale: "Masks changed since" },
    });
    expect(get("cost-backgrounds").textContent).toContain("of 4 samples: about 36 forwards");
    expect(get("stale-backgrounds").textContent).toBe("Masks changed since");
  });
  it("are told in sentences and in a table whose rows open their samples, as text", () => {
    const { host, store } = told();
    expect(words(get("backgrounds-found"), "p")).toEqual(FOUND.says);
    expect(words(get("backgrounds-rows"), "tbody button")).toEqual(["", ""]);
    const ints = new DataView(Int32Array.of(0, 1).buffer);
    host.tell({ kind: "cells", columns: [], words: { name: ["0.jpg", HOSTILE] } }, [ints]); // later than what was found
    expect(words(get("backgrounds-rows"), "tbody button")).toEqual([HOSTILE, "0.jpg"]);
    expect(words(get("backgrounds-rows"), "thead th")).toEqual(FOUND.heads);
    expect(words(get("backgrounds-rows"), "tbody td")).toEqual(["dog", "100 %", HOSTILE, "25 %"]);
    expect(get("backgrounds").querySelector("img, b")).toBeNull();
    const opener = get("backgrounds-rows").querySelector<HTMLElement>("tbody button")!;
    opener.focus();
    opener.click();
    expect([store.opened.value, document.activeElement]).toEqual([1, get("next")]);
    opener.focus();
    host.set("_studies", { ...host.state._studies!, backgrounds: structuredClone(FOUND), errors: 4 });
    expect(document.activeElement).toBe(opener);
  });
  it("stay readable in a saved page, where nothing can be asked", () => {
    page({ backgrounds: FOUND, costs: null }, {}, { live: false, page: true });
    get("open-backgrounds").click();
    expect(get("start-backgrounds").closest<HTMLElement>(".lg-stack[hidden]")).not.toBeNull();
    expect(get("needs-backgrounds").textContent).toContain("As it was saved");
    expect(get("backgrounds-rows").querySelectorAll("tbody tr")).toHaveLength(2);
  });
});
