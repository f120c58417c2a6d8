// @vitest-environment happy-dom
// Ranks in the strip, effects and ablations in the matrix, and what the kernel knows of a patch.

import { describe, expect, it, vi } from "vitest";
import { createStore } from "../src/store";
import { REST_MS } from "../src/store/patch";
import { standing } from "../src/ui/colorbar";
import { mount } from "../src/ui/root";
import { ordinal } from "../src/ui/thumbnails";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";
import { answered, GRID, packed, result, text } from "./samples";

const end = pageLife();

const targets = [text("cat"), text("dog")];

function show(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createStore(host, end.signal);
  const page = document.createElement("div");
  document.body.append(page);
  mount(page, store, end.signal);
  const get = (id: string) => page.querySelector<HTMLElement>(`[data-testid="${id}"]`)!;
  const key = (type: string, name: string, at = get("legrad")) =>
    at.dispatchEvent(new KeyboardEvent(type, { key: name, bubbles: true, cancelable: true }));
  const asked = () => {
    vi.advanceTimersByTime(REST_MS);
    return host.of("tool").map(({ tool, args }) => ({ tool, args }));
  };
  /** The kernel answers the last request of a tool, or gives what nobody asked for here. */
  const give = (tool: string, data: Record<string, unknown>, state = "done") => {
    const sent = host
      .of("tool")
      .filter((message) => message.tool === tool)
      .at(-1);
    const { rid, rev, target, args } = sent ?? { rid: "o.t1", rev: 1, target: 0, args: {} };
    const entry = { rid, rev, target, args, label: "cat", state, step: 1, total: 1, message: "", ...data };
    host.set("_tools", { ...(host.read("_tools") as object), [tool]: entry, busy: null });
  };
  const hold = (row: number, col: number) => store.pointAt((col + 0.5) / GRID[1], (row + 0.5) / GRID[0]);
  return { host, store, page, get, key, asked, give, hold };
}
const map = (first: number) => packed([...GRID], [first, 1, 2, 3, 4, 5]);

describe("ranks in the strip", () => {
  const ranked = (model: Record<string, unknown>, ranks: unknown = [113, 2.5, 1], fitted?: unknown) => {
    const answer = result(targets);
    const entries = answer.targets.map((entry) => ({
      ...entry,
      ranks,
      fitted_ranks: fitted,
      ranks_of: 137,
      ranks_among: "everyday prompts",
    }));
    const { page } = show({ _result: { ...answer, targets: entries }, _model: model });
    return [...page.querySelectorAll<HTMLElement>("[data-layer]")];
  };
  const calibrated = {
    reliable: [false, true, true],
    reliability: ["layer 1 does no better than chance", "layer 2 finds it", "layer 3 finds it"],
  };

  it("are in the caption, and in words in the title", () => {
    const layers = ranked(calibrated);
    expect(layers.map((layer) => layer.querySelector("[data-testid=rank]")!.textContent)).toEqual([
      "113/137",
      "2.5/137",
      "1/137",
    ]);
    expect(layers[2]!.title).toContain("the target is 1st of 137 (everyday prompts)");
    expect(layers[2]!.title).not.toContain("unknown");
  });
  it("grey a layer at chance, and say why", () => {
    const layers = ranked(calibrated);
    expect(layers.map((layer) => layer.hasAttribute("data-chance"))).toEqual([true, false, false]);
    expect(layers[0]!.title).toContain("at chance here: layer 1 does no better than chance");
  });
  it("say that reliability is unknown where nothing was calibrated", () => {
    const layers = ranked({ reliable: null, reliability: null });
    expect(layers.every((layer) => layer.title.includes("reliability unknown"))).toBe(true);
    expect(layers.some((layer) => layer.hasAttribute("data-chance"))).toBe(false);
  });
  it("stand beside those of the fitted lens, both by their names", () => {
    const layers = ranked({ ...calibrated, fitted: ["it is there", "so-so", "yes"] }, undefined, [40, 2, 1]);
    const [raw, again] = ["rank", "fitted-rank"].map((id) =>
      layers.map((layer) => layer.querySelector<HTMLElement>(`[data-testid=${id}]`)!),
    );
    expect(raw!.map(({ textContent }) => textContent)).toEqual(["raw #113", "raw #2.5", "raw #1"]);
    expect(again!.map(({ textContent }) => textContent)).toEqual(["fit #40", "fit #2", "fit #1"]);
    expect(layers[0]!.title).toContain("by the fitted lens 40th: is the information there? (it is there)");
    const without = ranked(calibrated)[0]!;
    expect(without.querySelector<HTMLElement>("[data-testid=fitted-rank]")!.hidden).toBe(true);
    expect(without.title).not.toContain("fitted");
  });
  it("are left out where the target has none", () => {
    const layers = ranked(calibrated, null);
    expect(layers.every((layer) => layer.querySelector<HTMLElement>("[data-testid=rank]")!.hidden)).toBe(
      true,
    );
    expect(layers[2]!.title).not.toContain("of 137");
  });
  it("belong to the blocks where a method has maps of some", () => {
    const answer = result(targets, { layers: [2, 3, 4] });
    const entries = answer.targets.map((entry) => ({ ...entry, ranks: [9, 8, 7, 6], ranks_of: 10 }));
    const { page } = show({ _result: { ...answer, targets: entries } });
    expect(page.querySelector("[data-layer='4'] [data-testid=rank]")!.textContent).toBe("6/10");
  });
  it.each([
    [1, "1st"],
    [2, "2nd"],
    [3, "3rd"],
    [4, "4th"],
    [11, "11th"],
    [12, "12th"],
    [22, "22nd"],
    [113, "113th"],
    [121, "121st"],
    [2.5, "2.5"],
  ])("%d is %s", (place, words) => expect(ordinal(place)).toBe(words));
});

describe("a patch's standing", () => {
  it("is the part of the patches that are no higher, and its part of the mass", () => {
    const raw = Float64Array.of(-2, 1, 1, 4);
    expect(standing({ raw }, 0)).toEqual({ percentile: 0.25, share: 0.25 });
    expect(standing({ raw }, 1)).toEqual({ percentile: 0.75, share: 0.125 });
    expect(standing({ raw: new Float64Array(4) }, 0)).toEqual({ percentile: 1, share: 0 });
  });
});

describe("attention of a patch", () => {
  it("replaces the map while A is held, and is fetched once", () => {
    const { store, get, key, asked, give, hold } = show();
    const merged = store.heat.value;
    hold(1, 2);
    key("keydown", "a");
    expect(asked()).toEqual([{ tool: "row", args: { layer: 3, head: null, patch: [1, 2] } }]);
    expect(store.heat.value).toBe(merged);
    give("row", { map: map(9), prefix: [0.5] });
    expect([...store.heat.value!.raw]).toEqual([9, 1, 2, 3, 4, 5]);
    expect(get("readout").textContent).toContain("attention of row 2, column 3: layer 3, mean of heads");
    expect(get("readout").textContent).toContain("prefix tokens 0.5");
    key("keyup", "a");
    expect(store.heat.value).toBe(merged);
    key("keydown", "A");
    expect(store.heat.value!.raw[0]).toBe(9);
    expect(asked()).toHaveLength(1);
  });
  it("is of the one head that is chosen, in its layer", () => {
    const answer = result(targets, { heads: 1 });
    const heads = packed([3, 1, ...GRID], new Float32Array(18));
    const entries = answer.targets.map((entry) => ({ ...entry, heads }));
    const { key, asked, hold } = show({ _result: { ...answer, targets: entries }, heads: [[2, 0]] });
    hold(0, 0);
    key("keydown", "a");
    expect(asked()).toEqual([{ tool: "row", args: { layer: 2, head: 0, patch: [0, 0] } }]);
  });
  it("follows the pointer, and the last row stays until the next is there", () => {
    const { store, key, asked, give, hold } = show();
    hold(0, 0);
    key("keydown", "a");
    asked();
    give("row", { map: map(9), prefix: [] });
    hold(0, 1);
    hold(0, 2);
    expect(store.heat.value!.raw[0]).toBe(9);
    expect(asked().map(({ args }) => (args as { patch: number[] }).patch)).toEqual([
      [0, 0],
      [0, 2],
    ]);
  });
  it("says what it lacks, without a patch and without a kernel", () => {
    const { get, key, asked } = show();
    key("keydown", "a");
    expect(get("readout").textContent).toContain("Point at a patch to see what it attends to.");
    expect(asked()).toEqual([]);
    const saved = show({ _static: true });
    saved.hold(0, 0);
    saved.key("keydown", "a");
    expect(saved.get("readout").textContent).toContain("Attention of a patch: needs a live kernel.");
    expect(saved.asked()).toEqual([]);
  });
  it("says why it failed, and does not ask again and again", () => {
    const { get, key, asked, give, hold } = show();
    hold(0, 0);
    key("keydown", "a");
    asked();
    give("row", { message: "This block has no attention weights." }, "failed");
    expect(get("readout").textContent).toContain("This block has no attention weights.");
    expect(asked()).toHaveLength(1);
  });
  it("is forgotten with the picture", () => {
    const { host, store, key, asked, give, hold } = show();
    hold(0, 0);
    key("keydown", "a");
    asked();
    give("row", { map: map(9), prefix: [] });
    host.set("_tools", {});
    host.set("_result", result(targets, { rev: 2, image_rev: 2 }));
    host.set("_image", { ...(host.read("_image") as object), rev: 2 });
    expect(store.heat.value!.raw[0]).not.toBe(9);
    expect(asked()).toHaveLength(2);
  });
});

describe("the lens", () => {
  it("reads the patch that the pointer rests on while L is on", () => {
    const { get, key, asked, give, hold } = show();
    key("keydown", "l");
    hold(0, 1);
    hold(1, 1);
    expect(asked()).toEqual([{ tool: "lens", args: { layer: 3, patch: [1, 1] } }]);
    give("lens", { predictions: [{ index: 0, name: "a fox", probability: 0.41 }], of: "12 classes" });
    expect(get("readout").textContent).toContain("layer 3 reads: a fox 0.41 (12 classes)");
    key("keydown", "l");
    expect(get("readout").textContent).not.toContain("fox");
  });
  it("waits while something slow runs, which it would end", () => {
    const { host, get, key, asked, hold } = show();
    host.set("_tools", { busy: { tool: "verify", rid: "o.t1", step: 1, total: 10, message: "" } });
    key("keydown", "l");
    hold(0, 1);
    expect(asked()).toEqual([]);
    expect(get("readout").textContent).toContain("Another tool runs; stop it first.");
    host.set("_tools", { busy: null });
    expect(asked()).toHaveLength(1);
  });
});

describe("token norms", () => {
  it("stand over the picture, outliers marked, until they are switched off", () => {
    const { store, page, get, asked, give } = show();
    get("norms").click();
    expect(asked()).toEqual([{ tool: "norms", args: { layer: 3 } }]);
    give("norms", { map: map(30), outliers: [[0, 0]], threshold: 20, prefix: [12, 40] });
    expect(store.heat.value!.max).toBe(30);
    expect(get("readout").textContent).toContain("token norms, layer 3: 1 outlier");
    expect(page.querySelectorAll("[data-testid=outlier]")).toHaveLength(1);
    store.chooseLayers([2]);
    expect(asked().at(-1)).toEqual({ tool: "norms", args: { layer: 2 } });
    get("norms").click();
    expect(page.querySelectorAll("[data-testid=outlier]")).toHaveLength(0);
    expect(get("norms").getAttribute("aria-pressed")).toBe("false");
  });
  it("are disabled where there is no kernel, and say so", () => {
    const button = show({ _static: true }).get("norms") as HTMLButtonElement;
    expect([button.disabled, button.title]).toEqual([true, "Needs a live kernel."]);
  });
});

describe("effects in the matrix", () => {
  const effects = () => ({
    values: packed([3, 2], [0.1, -0.4, 0.2, 0, 0.3, -0.1]),
    maps: packed(
      [3, 2, ...GRID],
      Array.from({ length: 36 }, (_, i) => i - 17),
    ),
    score: 0.31,
    score_name: "cosine",
  });
  const open = (changes: Record<string, unknown> = {}) => {
    const shown = show(changes);
    shown.get("heads").click();
    const cell = (name: string) => shown.page.querySelector<HTMLElement>(`[data-head="${name}"]`)!;
    const label = (name: string) => cell(name).getAttribute("aria-label");
    const click = (name: string, more: MouseEventInit = {}) =>
      cell(name).dispatchEvent(new MouseEvent("click", { bubbles: true, ...more }));
    const effect = () => shown.get("measure-effect").click();
    return { ...shown, cell, label, click, effect };
  };

  it("are asked for when they are to be seen, and signed", () => {
    const answer = result(targets, { heads: 2 });
    const heads = packed([3, 2, ...GRID], new Float32Array(36));
    const entries = answer.targets.map((entry) => ({ ...entry, heads }));
    const { get, asked, give, cell, label, effect } = open({ _result: { ...answer, targets: entries } });
    expect(asked()).toEqual([]);
    effect();
    expect(asked()).toEqual([{ tool: "effects", args: {} }]);
    give("effects", effects());
    expect(label("1.1")).toBe("layer 1, head 1: estimate −0.4");
    expect([cell("1.0").dataset.sign, cell("1.1").dataset.sign]).toEqual(["for", "against"]);
    expect(get("matrix").textContent).toContain(
      "What the cosine (0.31) loses without a head, to first order",
    );
    expect(asked()).toHaveLength(1);
    get("measure-mass").click();
    expect(cell("1.0").dataset.sign).toBeUndefined();
  });
  it("are drawn for a method that has no heads of its own", () => {
    const { page, give, effect } = open();
    expect(page.querySelectorAll("[data-head]")).toHaveLength(0);
    effect();
    give("effects", effects());
    expect(page.querySelectorAll("[data-head]")).toHaveLength(6);
  });
  it("stay, dimmed, until those of the next target are there", () => {
    const { store, page, give, asked, effect, label } = open();
    effect();
    give("effects", effects());
    store.select(1);
    expect(label("1.1")).toContain("−0.4");
    expect(page.querySelector("[role=grid]")!.getAttribute("aria-busy")).toBe("true");
    expect(asked()).toHaveLength(2);
    give("effects", { ...effects(), values: packed([3, 2], [1, 2, 3, 4, 5, 6]) });
    expect(label("1.1")).toContain("+2");
    expect(page.querySelector("[role=grid]")!.getAttribute("aria-busy")).toBe("false");
  });
  it("are seen on the picture under the pointer", () => {
    const { store, give, effect, cell } = open();
    effect();
    give("effects", effects());
    cell("2.0").dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
    expect([...store.heat.value!.raw]).toEqual([-5, -4, -3, -2, -1, 0]);
    expect(store.look.value.palette).toBe("RdBu_r");
  });
  it("are replaced by what Ctrl-click measures", () => {
    const { host, asked, give, click, cell, label, effect, store } = open();
    effect();
    give("effects", effects());
    click("3.0", { ctrlKey: true });
    expect(asked().at(-1)).toEqual({ tool: "ablate", args: { cells: [[3, 0]] } });
    give("ablate", { before: 0.3, after: 0.05, change: -0.25, score_name: "cosine" });
    expect(label("3.0")).toBe("layer 3, head 0: measured +0.25, estimate +0.3");
    expect(cell("3.0").hasAttribute("data-measured")).toBe(true);
    click("1.1", { metaKey: true });
    give("ablate", { before: 0.3, after: 0.35, change: 0.05, score_name: "cosine" });
    expect(label("3.0")).toContain("measured +0.25");
    expect(label("1.1")).toBe("layer 1, head 1: measured −0.05, estimate −0.4");
    expect(store.trait("heads").value).toBeNull();
    host.set("_result", result(targets, { rev: 2 }));
    expect(label("3.0")).not.toContain("measured");
  });
  it("are verified with progress, and stopped", () => {
    const { host, get, asked, give, label, effect } = open();
    effect();
    give("effects", effects());
    const button = get("verify");
    expect(button.textContent).toBe("Verify top 10");
    button.click();
    expect(asked().at(-1)).toEqual({ tool: "verify", args: { top: 10 } });
    const { rid } = host.of("tool").at(-1)!;
    const found = [{ layer: 1, head: 1, estimate: -0.4, measured: -0.2 }];
    give("verify", { found, step: 1, total: 6 }, "running");
    host.set("_tools", {
      ...(host.read("_tools") as object),
      busy: { tool: "verify", rid, step: 1, total: 6, message: "" },
    });
    expect(button.textContent).toBe("Stop (1 of 6)");
    expect(label("1.1")).toContain("measured −0.2");
    button.click();
    expect(host.of("tool").at(-1)).toMatchObject({ tool: "stop" });
  });
  it("say what failed, and are not asked for again and again", () => {
    const { get, asked, give, effect } = open();
    effect();
    give("effects", { message: "This model has no attention heads." }, "failed");
    expect(get("tool-state").textContent).toBe("This model has no attention heads.");
    expect(asked()).toHaveLength(1);
  });
  it("need a kernel, and say so", () => {
    const { get } = open({ _static: true });
    expect((get("verify") as HTMLButtonElement).title).toBe("Needs a live kernel.");
    expect((get("measure-effect") as HTMLInputElement).disabled).toBe(true);
    expect(get("measure-effect").closest("label")!.title).toBe("Needs a live kernel.");
  });
});
