// @vitest-environment happy-dom
// Layers and heads: merging any set of them, the state that says which, and the matrix that they are chosen in.

import { describe, expect, it, vi } from "vitest";
import { nameCells } from "../src/heat/describe";
import { type Cell, floorOf, headStack, layerShares, mergeLayers, sortCells } from "../src/heat/merge";
import { createStore } from "../src/store";
import { COMMIT_MS } from "../src/store/traits";
import { mount } from "../src/ui/root";
import { decodeAnswer, decodeCells } from "../src/wire";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";
import { answered, GRID, IMAGE, LAYERS, packed, result, text } from "./samples";

const HEADS = 2;

/** An answer whose head h is the layer's map times 1.5 - h: the mean of both is the layer's map. */
function withHeads(changes: Record<string, unknown> = {}) {
  const answer = result([text("cat"), text("dog")], { heads: HEADS, ...changes });
  const size = GRID[0] * GRID[1];
  const all = new Float32Array(answer.maps.data.buffer);
  const targets = answer.targets.map((entry, t) => {
    const values: number[] = [];
    for (let l = 0; l < LAYERS; l++)
      for (const factor of [1.5, 0.5])
        for (let i = 0; i < size; i++) values.push(factor * all[(t * LAYERS + l) * size + i]!);
    return { ...entry, heads: packed([LAYERS, HEADS, ...GRID], values) };
  });
  return { ...answer, targets };
}

const end = pageLife();

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), _result: withHeads(), ...changes });
  const store = createStore(host, end.signal);
  const written = () => {
    vi.advanceTimersByTime(COMMIT_MS);
    const { _look, ...changes } = host.written.at(-1)!;
    return changes;
  };
  return { host, store, written };
}

describe("merging heads", () => {
  const stack = { maps: Float32Array.of(1, 3, 4, 8), layers: [2, 5], rows: 1, cols: 2 };
  const heads = Float32Array.of(0, 2, 2, 4, 8, 8, 0, 8); // [2 layers, 2 heads, 1 x 2]
  const merged = (cells: Cell[], weights?: "equal") => {
    const of = headStack(stack, heads, 2, cells);
    const layers = [...new Set(cells.map(([layer]) => layer))];
    return [...mergeLayers(of, layers, "mean", weights)];
  };

  it("is the mean over layers of the mean over each one's heads", () => {
    expect(merged([[2, 1]])).toEqual([2, 4]);
    expect(
      merged([
        [2, 0],
        [5, 0],
      ]),
    ).toEqual([4, 5]);
    expect(
      merged([
        [2, 0],
        [2, 1],
        [5, 1],
      ]),
    ).toEqual([0.5, 5.5]);
  });
  it("weighs layers equally by their own peaks, without the flat ones", () => {
    expect(
      merged(
        [
          [2, 0],
          [5, 0],
        ],
        "equal",
      ),
    ).toEqual([0, 1]); // head 0 of layer 5 is flat
    expect(merged([[5, 0]], "equal")).toEqual([0, 0]);
    expect(layerShares(stack, [2, 5], "mean", "equal")).toEqual([4 / 3 / (4 / 3 + 1.5), 1.5 / (4 / 3 + 1.5)]);
    expect([...mergeLayers(stack, [2, 5], "last", "equal")]).toEqual([4, 8]);
  });
  it("leaves the answer as it was", () => {
    const before = [...stack.maps];
    merged([[2, 1]]);
    expect([...stack.maps]).toEqual(before);
  });
  it("has a floor: median over peak", () => {
    expect(floorOf(Float64Array.of(1, 4, 2))).toBe(0.5);
    expect(floorOf(Float64Array.of(-4, 1, 2, 0))).toBe(1.5 / 4);
    expect(floorOf(new Float64Array(3))).toBeNull();
  });
});

describe("naming and reading cells", () => {
  it.each([
    [[[3, 0]], "layer 3 of 6, head 0"],
    [
      [
        [2, 1],
        [3, 1],
      ],
      "layers 2-3 of 6, head 1",
    ],
    [
      [
        [2, 0],
        [2, 1],
        [2, 3],
      ],
      "layer 2 of 6, heads 0-1, 3",
    ],
    [
      [
        [2, 0],
        [4, 1],
        [4, 2],
      ],
      "layers 2, 4 of 6, 3 heads",
    ],
    [[0, 1, 2, 3].map((head) => [5, head]), "layer 5 of 6"],
  ] as [Cell[], string][])("%j", (cells, words) => {
    expect(nameCells(cells, [1, 2, 3, 4, 5, 6], 4)).toBe(words);
  });
  it("sorts pairs and drops what is none", () => {
    const raw = [[3, 0], [1, 2], [3, 0], [0, 1], [1, -1], [1], [1.5, 2], ["1", 2], 7, null];
    expect(decodeCells(raw)).toEqual([
      [1, 2],
      [3, 0],
    ]);
    for (const none of [null, undefined, [], {}, "1,2", [[0, 0]]]) expect(decodeCells(none)).toBeNull();
    expect(sortCells([])).toEqual([]);
  });
  it("refuses heads of another shape than stated", () => {
    const answer = withHeads();
    expect(decodeAnswer(answer)!.targets[0]!.heads).toHaveLength(LAYERS * HEADS * GRID[0] * GRID[1]);
    expect(() => decodeAnswer({ ...answer, heads: 3 })).toThrow("3 x 3 x 2 x 3, not 3 x 2 x 2 x 3");
    expect(decodeAnswer(result([text("cat")]))!.targets[0]!.heads).toBeNull();
  });
});

describe("choosing heads", () => {
  it("shows one head, sends nothing, and writes the trait", () => {
    const { host, store, written } = open();
    const whole = [...store.heat.value!.raw];
    store.chooseHeads([[2, 0]]);
    expect([...store.heat.value!.raw]).toEqual([20, 21, 22, 23, 24, 25].map((value) => 1.5 * value));
    expect(store.naming.value).toBe("layer 2 of 3, head 0");
    expect(store.chosen.value).toEqual([2]);
    expect(written()).toEqual({ heads: [[2, 0]] });
    expect(host.of("ask")).toEqual([]);
    store.chooseLayers(null);
    expect([...store.heat.value!.raw]).toEqual(whole);
    expect(written()).toEqual({ heads: null });
  });
  it("adds and takes out, and ends with all", () => {
    const { store } = open();
    store.toggleHead([3, 1]);
    store.toggleHead([1, 0]);
    expect(store.cells.value).toEqual([
      [1, 0],
      [3, 1],
    ]);
    store.toggleHead([3, 1]);
    store.toggleHead([1, 0]);
    expect(store.cells.value).toBeNull();
    expect(store.chosen.value).toEqual([1, 2, 3]);
  });
  it("steps through the heads of the chosen layers, and through layers with the heads kept", () => {
    const { store } = open({ layers: [2, 3] });
    expect(store.stepHead(1)).toBe(true);
    expect(store.cells.value).toEqual([
      [2, 0],
      [3, 0],
    ]);
    store.stepHead(1);
    store.stepHead(1); // there are two
    expect(store.naming.value).toBe("layers 2-3 of 3, head 1");
    store.stepLayer(-1);
    expect(store.cells.value).toEqual([[1, 1]]);
    store.chooseHeads(null);
    store.stepHead(-1);
    expect(store.naming.value).toBe("layers 2-3 of 3, head 1");
  });
  it("previews without choosing, and not while depth is played", () => {
    const { store, host } = open();
    store.previewHead([3, 1]);
    expect(store.naming.value).toBe("layer 3 of 3, head 1");
    store.togglePlay();
    expect(store.cells.value).toBeNull();
    store.togglePlay();
    store.previewHead(null);
    expect(store.naming.value).toBe("layer 1 of 3");
    vi.advanceTimersByTime(COMMIT_MS);
    expect(host.written).toMatchObject([{ layers: [1] }]);
  });
  it("ignores heads that a method does not have", () => {
    const { store } = open({ heads: [[2, 7]], _result: withHeads() });
    expect(store.cells.value).toBeNull();
    expect(store.naming.value).toBe("layer 2 of 3");
    const { store: none } = open({ heads: [[2, 0]], _result: result([text("cat"), text("dog")]) });
    expect(none.naming.value).toBe("layer 2 of 3");
    expect(none.stepHead(1)).toBe(false);
  });
  it("asks for the heads that did not fit, once they are to be seen", () => {
    const answer = withHeads();
    const targets = [answer.targets[0], { ...answer.targets[1], heads: null }];
    const { host, store } = open({ _result: { ...answer, targets } });
    store.select(1);
    expect(host.of("ask")).toEqual([]);
    store.toggleMatrix();
    expect(host.of("ask").at(-1)).toMatchObject({ active: 1 });
  });
  it("travels with a question", () => {
    const { host, store } = open({ heads: [[1, 1]], weights: "equal" });
    store.add(text("a fox"));
    expect(host.of("ask").at(-1)).toMatchObject({ view: { heads: [[1, 1]], weights: "equal" } });
  });
});

describe("the matrix", () => {
  function show(changes: Record<string, unknown> = {}) {
    const opened = open(changes);
    const page = document.createElement("div");
    document.body.append(page);
    mount(page, opened.store, end.signal);
    const get = (id: string) => page.querySelector<HTMLElement>(`[data-testid="${id}"]`)!;
    const grid = page.querySelector<HTMLElement>("[role=grid]")!;
    const cell = (name: string) => grid.querySelector<HTMLElement>(`[data-head="${name}"]`)!;
    const selected = () =>
      [...grid.querySelectorAll<HTMLElement>("[aria-selected=true]")].map((box) => box.dataset.head);
    const press = (target: HTMLElement, key: string, more: KeyboardEventInit = {}) =>
      target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
    const click = (target: Element, more: MouseEventInit = {}) =>
      target.dispatchEvent(new MouseEvent("click", { bubbles: true, ...more }));
    return { ...opened, page, get, grid, cell, selected, press, click, root: get("legrad") };
  }

  it("opens with G and with its button", () => {
    const { root, get, press } = show();
    expect(get("matrix").hidden).toBe(true);
    press(root, "g");
    expect(get("matrix").hidden).toBe(false);
    expect(get("heads").getAttribute("aria-pressed")).toBe("true");
    get("heads").click();
    expect(get("matrix").hidden).toBe(true);
  });
  it("names every cell by its share of the mass, which sums to the whole", () => {
    const { get, grid, cell } = show();
    get("heads").click();
    const cells = [...grid.querySelectorAll("[role=gridcell]")];
    expect(cells).toHaveLength(LAYERS * HEADS);
    expect(cell("3.0").getAttribute("aria-label")).toMatch(/^layer 3, head 0: \d+ % of the map mass$/);
    const shares = cells.map((box) => Number(/: ([\d.]+) %/.exec(box.getAttribute("aria-label")!)![1]));
    expect(Math.abs(shares.reduce((a, b) => a + b) - 100)).toBeLessThan(2);
    expect(get("matrix").textContent).toContain("map mass");
    expect(get("matrix").textContent).not.toContain("contribution");
  });
  it("previews under the pointer, keeps on a click, adds with Shift", () => {
    const { get, grid, cell, click, selected, store, written } = show();
    get("heads").click();
    expect(selected()).toHaveLength(6);
    cell("2.1").dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
    expect(get("merged").textContent).toBe("layer 2 of 3, head 1");
    expect(get("head-readout").textContent).toMatch(/^layer 2, head 1: .* peak 12\.5$/);
    expect(selected()).toHaveLength(6);
    grid.dispatchEvent(new MouseEvent("pointerleave"));
    expect(get("merged").textContent).toBe("mean of all 3 layers, 48 % from layer 3");
    click(cell("2.1"));
    expect(selected()).toEqual(["2.1"]);
    click(cell("3.0"), { shiftKey: true });
    expect(selected()).toEqual(["2.1", "3.0"]);
    expect(store.naming.value).toBe("layers 2-3 of 3, 2 heads");
    expect(written()).toEqual({
      heads: [
        [2, 1],
        [3, 0],
      ],
    });
    expect(get("all-layers").getAttribute("aria-pressed")).toBe("false");
  });
  it("picks a layer, a head everywhere, or all by the names", () => {
    const { get, grid, click, selected, store } = show();
    get("heads").click();
    click(grid.querySelectorAll("[role=rowheader]")[1]!);
    expect([store.trait("layers").value, selected()]).toEqual([[2], ["2.0", "2.1"]]);
    click(grid.querySelectorAll("[role=columnheader]")[2]!);
    expect(selected()).toEqual(["1.1", "2.1", "3.1"]);
    click(grid.querySelectorAll("[role=columnheader]")[0]!);
    expect(selected()).toHaveLength(6);
  });
  it("is walked through by keys; Escape goes back to all before it leaves", () => {
    const { get, grid, press, selected, store } = show();
    get("heads").click();
    const named = () => document.getElementById(grid.getAttribute("aria-activedescendant")!)!.dataset.head;
    expect(named()).toBe("1.0");
    press(grid, "ArrowDown");
    press(grid, "ArrowRight");
    press(grid, "ArrowRight"); // there are two
    expect(named()).toBe("2.1");
    expect(store.preview.value).toEqual([2, 1]);
    press(grid, "Enter");
    expect(selected()).toEqual(["2.1"]);
    press(grid, "ArrowUp");
    press(grid, " ", { shiftKey: true });
    expect(selected()).toEqual(["1.1", "2.1"]);
    press(grid, "Escape");
    expect(selected()).toHaveLength(6);
    expect(store.preview.value).toBeNull();
  });
  it("follows the arrows and 0 of the whole widget", () => {
    const { root, press, store } = show();
    press(root, "ArrowDown");
    expect(store.naming.value).toBe("all 3 layers, head 0");
    press(root, "ArrowLeft");
    expect(store.naming.value).toBe("layer 3 of 3, head 0"); // as from all layers: back from the end
    press(root, "0");
    expect(store.naming.value).toBe("all 3 layers");
  });
  it("leaves the keyboard in the widget when a key closes it", () => {
    const { root, get, grid, press } = show();
    press(root, "g");
    grid.focus();
    press(grid, "g");
    expect(get("matrix").hidden).toBe(true);
    expect(document.activeElement).toBe(root);
  });
  it("keeps its maps while a new picture is on its way", () => {
    const { host, get, grid } = show();
    get("heads").click();
    host.set("_image", { ...IMAGE, rev: 2 });
    expect(grid.closest("[hidden]")).toBeNull();
    expect(get("matrix").textContent).toContain("6 maps");
  });
  it("says where there are no heads", () => {
    const { get } = show({ _result: result([text("cat"), text("dog")]) });
    get("heads").click();
    expect(get("matrix").textContent).toContain("LeGrad has no maps of single heads.");
  });
  it("follows another method's layers and heads", () => {
    const { host, get, grid, selected } = show();
    get("heads").click();
    host.set("_result", result([text("cat"), text("dog")]));
    host.set("_result", withHeads({ default: "last" }));
    expect(grid.querySelectorAll("[role=gridcell]")).toHaveLength(6);
    expect(selected()).toEqual(["3.0", "3.1"]);
  });
});

describe("weights and floor", () => {
  it("are shown, and changed in the browser alone", () => {
    const { host, store, written } = open();
    const page = document.createElement("div");
    document.body.append(page);
    mount(page, store, end.signal);
    const get = (id: string) => page.querySelector<HTMLInputElement>(`[data-testid="${id}"]`)!;
    expect(get("floor").textContent).toBe("floor 0.90");
    const before = store.shares.value;
    get("weights-equal").click();
    expect(store.trait("weights").value).toBe("equal");
    expect(store.shares.value[0]!).toBeGreaterThan(before[0]!);
    expect(written()).toEqual({ weights: "equal" });
    expect(host.of("ask")).toEqual([]);
    host.set("_result", withHeads({ merge: "last" }));
    expect(get("weights-equal").closest<HTMLElement>("[role=radiogroup]")!.hidden).toBe(true);
  });

  it("by reliability wait for a calibrated model, and say so", () => {
    const { host, store, written } = open();
    const page = document.createElement("div");
    document.body.append(page);
    mount(page, store, end.signal);
    const get = (id: string) => page.querySelector<HTMLInputElement>(`[data-testid="${id}"]`)!;
    expect(get("weights-reliability").disabled).toBe(true);
    expect(get("weights-reliability").closest("label")!.title).toContain(
      "m.calibrate_layers(images, targets)",
    );
    const { layers } = store.answer.value!;
    const weights = Array.from({ length: Math.max(...layers) }, (_, i) => (i + 1 === layers[0] ? 0 : 0.5));
    host.set("_model", { ...(host.state._model as object), layer_weights: weights });
    expect(get("weights-reliability").disabled).toBe(false);
    get("weights-reliability").click();
    expect(written()).toEqual({ weights: "reliability" });
    expect(store.shares.value[0]).toBe(0);
    expect(store.shares.value[1]! + store.shares.value[2]!).toBeCloseTo(1, 12);
  });

  it("that divide by peaks are told beside the scale, and in the read-out", () => {
    const { host, store } = open();
    const page = document.createElement("div");
    document.body.append(page);
    mount(page, store, end.signal);
    const bar = page.querySelector<HTMLElement>("[data-testid=colorbar]")!;
    expect(bar.textContent).toContain("raw");
    store.set("weights", "equal");
    expect(bar.textContent).not.toContain("raw");
    expect(bar.textContent).toContain("of peak");
    expect(bar.getAttribute("aria-label")).toContain("each layer's values over its own peak");
    store.pointAt(0.5, 0.5);
    expect(page.querySelector("[data-testid=readout]")!.textContent).toContain("of peak");
    host.set("_result", withHeads({ merge: "last" }));
    expect(bar.textContent).toContain("raw");
  });
});
