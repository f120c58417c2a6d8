// @vitest-environment happy-dom
// Tests of the map: the brush and its undo, one request at a time, the picture that a share erases, and the curves.

import { describe, expect, it, vi } from "vitest";
import { CONTROLS, LOST_MS, strongest, testing, UNDO_STEPS } from "../src/store/trust";
import { verdict } from "../src/ui/curves";
import { mount } from "../src/ui/root";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";
import { answered } from "./samples";
import { createLiveStore } from "./with-live";

const end = pageLife();

interface Asked {
  readonly tool: string;
  readonly rid: string;
  readonly args: { patches: number[][]; how: string; control: number };
}

/** A host whose kernel answers tools when the test says so. */
function start(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  const asked = () => host.of("tool") as unknown as Asked[];
  let tools: Record<string, unknown> = {};
  /** The newest request of a tool is answered, or told of as far as it is. */
  function answer(tool: string, data: object, state = "done") {
    const { rid, args } = asked()
      .filter((request) => request.tool === tool)
      .at(-1)!;
    const entry = {
      rid,
      rev: 1,
      target: 0,
      label: "cat",
      args,
      state,
      step: 1,
      total: 2,
      message: "",
      ...data,
    };
    tools = { ...tools, [tool]: entry, busy: null };
    host.set("_tools", tools);
  }
  return { host, store, asked, answer };
}
const CAT = { label: "cat", before: 0.9, after: 0.2, of: "sigmoid", low: 0.7, high: 0.95 };
const MOVED = { targets: [CAT], classes: [] };

describe("the brush", () => {
  it("asks for random patches too when a patch is painted alone", () => {
    const { store, asked } = start();
    const trust = testing(store, end.signal);
    trust.toggle(4);
    expect(asked()).toMatchObject([
      { tool: "brush", target: 0, rev: 1, args: { patches: [[1, 1]], how: "drop", control: CONTROLS } },
    ]);
  });
  it("has one request in flight, and the latest stroke wins", () => {
    const { store, asked, answer } = start();
    const trust = testing(store, end.signal);
    trust.startStroke();
    trust.paint([0], true);
    trust.paint([1], true);
    trust.paint([2], true);
    expect(asked()).toHaveLength(1);
    expect(asked()[0]!.args).toMatchObject({ patches: [[0, 0]], control: 0 });
    answer("brush", MOVED);
    expect(asked()).toHaveLength(2);
    expect(asked()[1]!.args.patches).toEqual([[0, 0], [0, 1], [0, 2]]); // biome-ignore format: short
    trust.endStroke();
    expect(asked()).toHaveLength(2);
    answer("brush", MOVED);
    expect(asked()).toHaveLength(3);
    expect(asked()[2]!.args).toMatchObject({ control: CONTROLS });
    expect(trust.awaiting.value).toBe(true);
    answer("brush", MOVED);
    expect(asked()).toHaveLength(3);
    expect(trust.awaiting.value).toBe(false);
  });
  it("goes on where an answer never comes, or was refused", () => {
    const { host, store, asked } = start();
    const trust = testing(store, end.signal);
    trust.toggle(0);
    trust.toggle(1);
    expect(asked()).toHaveLength(1);
    vi.advanceTimersByTime(LOST_MS);
    expect(asked()).toHaveLength(2);
    trust.toggle(2);
    host.tell({ kind: "refused", rid: asked()[1]!.rid, message: "No." });
    expect(asked()).toHaveLength(3);
    expect(asked()[2]!.args.patches).toHaveLength(3);
  });
  it("undoes 20 strokes, clearing included, but none that changed nothing", () => {
    const { store } = start();
    const trust = testing(store, end.signal);
    trust.toggle(5);
    trust.startStroke();
    trust.paint([5], true);
    trust.endStroke();
    trust.clear();
    expect([...trust.painted.value]).toEqual([]);
    trust.undo();
    expect([...trust.painted.value]).toEqual([5]);
    trust.undo();
    expect([...trust.painted.value]).toEqual([]);
    expect(trust.undoable.value).toBe(false);
    for (let i = 0; i < UNDO_STEPS + 5; i++) trust.toggle(0);
    for (let i = 0; i < UNDO_STEPS; i++) trust.undo();
    expect(trust.undoable.value).toBe(false);
    expect([...trust.painted.value]).toEqual([0]); // 25 strokes less 20: painted
  });
  it("asks again about another way, and nothing once all is cleared", () => {
    const { store, asked, answer } = start();
    const trust = testing(store, end.signal);
    trust.toggle(3);
    answer("brush", MOVED);
    trust.how.value = "blur";
    expect(asked().at(-1)!.args.how).toBe("blur");
    answer("brush", MOVED);
    trust.clear();
    expect(asked()).toHaveLength(2);
  });
  it("asks from which layer on patches are blocked, and of no other way", () => {
    const { store, asked, answer } = start();
    const trust = testing(store, end.signal);
    trust.toggle(3);
    answer("brush", MOVED);
    expect(asked()[0]!.args).not.toHaveProperty("from_layer");
    trust.how.value = "block";
    expect(asked().at(-1)!.args).toMatchObject({ how: "block", from_layer: 2 }); // the middle one of three
    answer("brush", MOVED);
    for (const [layer, meant] of [
      [3, 3],
      [9, 3],
      [0, 1],
    ] as const) {
      // biome-ignore format: pairs
      trust.blockFrom(layer);
      expect(trust.fromLayer.value).toBe(meant);
    }
    trust.blockFrom(Number.NaN); // nothing is typed
    expect(trust.fromLayer.value).toBe(1);
    answer("brush", MOVED);
    expect(asked().at(-1)!.args).toMatchObject({ from_layer: 1 });
  });
  it("pastes from a neighbour only where there are some, the nearest right one unless another is chosen", () => {
    const { host, store, asked, answer } = start();
    const trust = testing(store, end.signal);
    trust.toggle(3);
    answer("brush", MOVED);
    expect(trust.donors.value).toEqual([]);
    trust.how.value = "paste";
    expect([trust.way.value, asked().length]).toEqual(["drop", 1]);
    const sample = { row: 5, neighbours: [{ title: "Like it", rows: [7, 2] }] };
    host.set("_sample", sample);
    expect(asked().at(-1)!.args).toMatchObject({ how: "paste", donor: null });
    answer("brush", MOVED);
    expect(asked().at(-1)!.args).toMatchObject({ curve: true });
    const before = trust.donors.value;
    host.set("_sample", { ...sample, flip_set: null });
    expect(trust.donors.value).toBe(before);
    trust.donor.value = 2;
    expect(asked().at(-1)!.args).toMatchObject({ how: "paste", donor: 2 });
    answer("brush", MOVED);
    trust.how.value = "blur";
    expect(asked().at(-1)!.args).not.toHaveProperty("donor");
    host.set("_image", { ...(host.state._image as object), rev: 2 });
    expect(trust.donor.value).toBeNull();
  });
  it("starts anew with another picture", () => {
    const { host, store } = start();
    const trust = testing(store, end.signal);
    trust.toggle(3);
    trust.share.value = 0.5;
    host.set("_image", { ...(host.state._image as object), rev: 2 });
    expect([trust.painted.value.size, trust.share.value, trust.undoable.value]).toEqual([0, 0, false]);
  });
});

describe("the erased share", () => {
  it("takes the highest values first, equal ones in reading order", () => {
    expect([...strongest([1, 5, 3, 5, -9], 0.6)]).toEqual([1, 3, 2]);
    expect(strongest([1, 2], 0).size).toBe(0);
    expect(strongest([1, 2], 1).size).toBe(2);
  });
});

describe("curves", () => {
  const deletion = {
    kind: "deletion",
    method: "legrad",
    fractions: [0, 0.5, 1],
    values: [0.9, 0.3, 0.1],
    area: 0.4,
  };
  const band = { fractions: [0, 0.5, 1], low: [0.9, 0.5, 0], mean: [0.9, 0.6, 0.1], high: [0.9, 0.7, 0.2] };
  it("are judged against the random order by their areas", () => {
    // Trapezoid of the mean: (0.9 + 0.6) / 4 + (0.6 + 0.1) / 4 = 0.55.
    expect(verdict({ curves: [deletion], band })).toMatch(/deletion 0.4, .*random order 0.55. It passed/);
    expect(verdict({ curves: [{ ...deletion, area: 0.56 }], band })).toContain("did not pass");
    expect(verdict({ curves: [{ ...deletion, area: null }], band: null })).toBe("");
  });
});

describe("the section", () => {
  function show(changes: Record<string, unknown> = {}) {
    const made = start(changes);
    mount(document.body, made.store, end.signal);
    const get = <T extends HTMLElement>(id: string) =>
      document.querySelector<T>(`[data-testid="${id}"]`) as T;
    const press = (target: HTMLElement, key: string) =>
      target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    return { ...made, get, press };
  }
  it("is closed until B or F opens it", () => {
    const { get, press } = show();
    expect(get<HTMLDetailsElement>("trust").open).toBe(false);
    press(get("legrad"), "b");
    expect(get<HTMLDetailsElement>("trust").open).toBe(true);
    expect(get("brush").getAttribute("aria-pressed")).toBe("true");
  });
  it("paints by keys, and says old and new with the random band", () => {
    const { get, press, asked, answer } = show();
    press(get("legrad"), "b");
    press(get("picture"), "ArrowRight");
    press(get("picture"), " ");
    expect(asked().at(-1)!.args.patches).toHaveLength(1);
    expect(get("moves").hidden).toBe(true);
    answer("brush", {
      targets: [CAT, { ...CAT, of: "" }],
      classes: [{ ...CAT, label: "<b>dog</b>", low: null }],
    });
    const rows = [...get("moves").children].map((row) => row.textContent);
    expect(rows).toEqual(["cat0.90 → 0.20 sigmoid; as many random patches: 0.70 to 0.95", "<b>dog</b>0.90 → 0.20 sigmoid"]); // biome-ignore format: two rows
    expect(get("moves").getAttribute("aria-busy")).toBe("false");
    press(get("picture"), "Enter");
    expect(get("brush-count").textContent).toContain("0 of 6 patches");
    press(get("legrad"), "z");
    expect(get("brush-count").textContent).toContain("1 of 6 patches");
    expect(get("moves").hidden).toBe(false);
  });
  it("has a stepper of layers where patches are blocked, and says from which on they were", () => {
    const { get, press, asked, answer } = show();
    press(get("legrad"), "b");
    press(get("picture"), " ");
    answer("brush", MOVED);
    const layer = get<HTMLInputElement>("brush-layer");
    expect(layer.parentElement!.hidden).toBe(true);
    expect(get("brush-way").textContent).toContain("Bar: without them");
    get("brush-block").click();
    expect(layer.parentElement!.hidden).toBe(false);
    expect([layer.min, layer.value, layer.max]).toEqual(["1", "2", "3"]);
    answer("brush", MOVED);
    layer.value = "3";
    layer.dispatchEvent(new Event("input"));
    expect(get("brush-way").textContent).toContain("from layer 2 on"); // that is what the numbers are of
    expect(get("moves").getAttribute("aria-busy")).toBe("true");
    expect(asked().at(-1)!.args).toMatchObject({ how: "block", from_layer: 3 });
    answer("brush", MOVED);
    expect(get("brush-way").textContent).toContain("nothing reads them from layer 3 on");
    layer.value = "";
    layer.dispatchEvent(new Event("input"));
    layer.dispatchEvent(new Event("change"));
    expect(layer.value).toBe("3");
    get("brush-surroundings").click();
    expect(layer.parentElement!.hidden).toBe(true);
    expect(asked().at(-1)!.args.how).toBe("surroundings");
    answer("brush", MOVED);
    expect(get("brush-way").textContent).toContain("filled from what is around");
  });
  it("offers an inspector's neighbours to paste from, names the one it was, and shows what the model saw", async () => {
    const drawn = vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
    const close = vi.fn();
    const decode = vi.fn(async (_of: Blob) => ({ width: 48, height: 32, close }) as unknown as ImageBitmap);
    vi.stubGlobal("createImageBitmap", decode);
    const { host, get, press, asked, answer } = show();
    press(get("legrad"), "b");
    expect(get("brush-paste")).toBeNull();
    host.set("_sample", {
      row: 5,
      neighbours: [
        { title: "Right", rows: [7, 2] },
        { title: "Same mistake", rows: [9] },
      ],
    });
    const donor = get<HTMLSelectElement>("brush-donor");
    expect(donor.hidden).toBe(true);
    press(get("picture"), " ");
    answer("brush", { ...MOVED, picture: { mime: "image/png", data: new Uint8Array([1]) } });
    expect(get("brush-saw").hidden).toBe(true); // removed: the hatching says it
    get("brush-paste").click();
    expect(donor.hidden).toBe(false);
    expect([...donor.options].map(({ value, textContent }) => [value, textContent])).toEqual([
      ["", "the nearest right one of its class"],
      ["7", "sample 7"],
      ["2", "sample 2"],
      ["9", "sample 9"],
    ]);
    expect([...donor.querySelectorAll("optgroup")].map(({ label }) => label)).toEqual([
      "Right",
      "Same mistake",
    ]);
    answer("brush", MOVED);
    donor.value = "9";
    donor.dispatchEvent(new Event("change"));
    expect(asked().at(-1)!.args).toMatchObject({ how: "paste", donor: 9 });
    const given = { row: 9, name: "<i>9.png", label: "a cat" };
    answer("brush", {
      ...MOVED,
      donor: given,
      curve: {
        names: ["cat", "dog"],
        before: [
          [0.5, 1],
          [1, 3],
        ],
        after: [
          [0.5, 4],
          [1, 0.5],
        ],
      },
      picture: { mime: "image/png", data: new Uint8Array([1, 2]) },
    });
    expect(get("brush-way").textContent).toContain("Bar: with those of <i>9.png (a cat); line: as they are");
    const saw = get<HTMLCanvasElement>("brush-saw");
    await vi.waitFor(() => expect([saw.hidden, saw.width, saw.height]).toEqual([false, 48, 32]));
    expect(decode.mock.calls.filter(([of]) => of.size === 2)).toHaveLength(1);
    const curve = () => get("brush-curve").querySelector("svg")?.getAttribute("aria-label");
    expect(curve()).toBe("At the last layer: cat 1 → 4, dog 3 → 0.5");
    expect(
      [...get("brush-curve").querySelectorAll("polyline[data-kind=layers]")].map((line) => [
        line.getAttribute("data-ink"),
        line.getAttribute("data-dash"),
        line.getAttribute("points")!.split(" ").length,
      ]),
    ).toEqual([["5", "0", 2], ["5", "1", 2], ["0", "0", 2], ["1", "1", 2]]); // biome-ignore format: two grey, two in colour
    answer("brush", { ...MOVED, curve: null }); // within a stroke
    expect(curve()).toContain("cat 1 → 4");
    get("brush-clear").click();
    expect([saw.hidden, get("brush-curve").hidden, curve()]).toEqual([true, true, undefined]);
    host.set("_sample", {});
    expect(get("brush-paste")).toBeNull();
    expect(get<HTMLInputElement>("brush-drop").checked).toBe(true);
    drawn.mockRestore();
    vi.unstubAllGlobals();
  });
  it("draws curves as they grow, and says how it went at the end", () => {
    const { get, press, asked, answer } = show();
    press(get("legrad"), "f");
    expect(asked().at(-1)).toMatchObject({
      tool: "curves",
      args: { mode: "pixels", kinds: ["deletion", "insertion"], random: 3, method: null },
    });
    const curve = { kind: "deletion", method: "legrad", fractions: [0, 0.5], values: [0.9, 0.3], area: null };
    answer("curves", { curves: [curve], band: null, of: "sigmoid" }, "running");
    const lines = () => [...get("curves").querySelectorAll("polyline[data-kind=deletion]")];
    expect(lines().map((line) => line.getAttribute("points")!.split(" ").length)).toEqual([2]);
    expect(get("stop-curves").hidden).toBe(false);
    answer("curves", { curves: [{ ...curve, area: 0.6 }], band: null, of: "sigmoid" });
    expect(get("stop-curves").hidden).toBe(true);
    expect(get("curves").textContent).toContain("Areas: deletion 0.6.");
  });
  it("draws the rank correlation and says whether the map passed", () => {
    const { get, answer } = show();
    get("run-randomise").click();
    answer("randomise", { blocks: [0, 1, 2], correlations: [1, 0.4, null], passed: true });
    expect(get("randomise").textContent).toContain("It passed");
    expect(
      get("randomise").querySelector("[data-kind=rank]")!.getAttribute("points")!.split(" "),
    ).toHaveLength(2);
  });
  it("names the map that older results are about", () => {
    const { get, answer, store } = show();
    get("run-randomise").click();
    answer("randomise", { blocks: [0, 1], correlations: [1, 0.1], passed: true });
    store.select(1);
    expect(get("randomise").hasAttribute("data-stale")).toBe(true);
    expect(get("randomise").parentElement!.textContent).toContain("Of an earlier map: cat");
  });
  it("needs a live kernel, and says so; sliding over the erased share does not", () => {
    const { get, press, asked } = show({ _static: true });
    press(get("legrad"), "b");
    expect(get("trust-lacks").textContent).toBe("Needs a live kernel.");
    for (const id of ["brush", "run-curves", "run-randomise"])
      expect(get<HTMLButtonElement>(id).disabled).toBe(true);
    get("run-curves").click();
    expect(asked()).toEqual([]);
    const slider = get<HTMLInputElement>("erase");
    slider.value = "0.5";
    slider.dispatchEvent(new Event("input"));
    expect(get("erased").textContent).toContain("3 of 6 patches erased");
    expect(get("picture").hasAttribute("data-erasing")).toBe(true);
  });
});
