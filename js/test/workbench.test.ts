// @vitest-environment happy-dom
// What is done with the open sample, without a kernel: shapes, what a drag or the keys send, and what is offered.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mountGallery } from "../src/inspection/root";
import { createGallery } from "../src/inspection/store";
import { extended, isLarge, MOST, rectangle, thinned, within } from "../src/inspection/workbench/shape";
import { FakeHost } from "./fake-host";

describe("shapes", () => {
  it("keeps corners in the picture, to four digits", () => {
    expect(within(-0.2, 1.3)).toEqual([0, 1]);
    expect(within(0.123456, 0.5)).toEqual([0.1235, 0.5]);
  });
  it("leaves out corners that are as good as the last", () => {
    const one = extended([], [0.5, 0.5]);
    expect(extended(one, [0.5001, 0.5])).toBe(one);
    expect(extended(one, [0.52, 0.5])).toHaveLength(2);
  });
  it("sends no more corners than the kernel takes, and the first of them", () => {
    const long = Array.from({ length: 1601 }, (_, i) => [i / 1600, 0.5] as const);
    expect(thinned(long).length).toBeLessThanOrEqual(MOST);
    expect(thinned(long)[0]).toEqual([0, 0.5]);
    expect(thinned(long.slice(0, 10))).toHaveLength(10);
  });
  it("knows what is too small to hold anything", () => {
    expect(isLarge(rectangle([0.1, 0.1], [0.3, 0.2]))).toBe(true);
    expect(isLarge(rectangle([0.1, 0.1], [0.3, 0.1001]))).toBe(false);
    expect(
      isLarge([
        [0.1, 0.1],
        [0.9, 0.9],
      ]),
    ).toBe(false);
    expect(isLarge([])).toBe(false);
  });
});

class Host extends FakeHost {
  override onMessage() {}
}

let life: AbortController;
beforeEach(() => {
  life = new AbortController();
  vi.useFakeTimers();
  vi.stubGlobal("createImageBitmap", () => Promise.resolve(null));
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

const get = <T extends HTMLElement = HTMLElement>(id: string) =>
  document.querySelector<T>(`[data-testid=${id}]`)!;
const PICTURE = { mime: "image/jpeg", data: new DataView(new ArrayBuffer(4)) };

/** The page with sample 1 open; its picture lies at (100, 50) and is 200 pixels wide and 100 high. */
function opened(sample: object = {}, card: object = {}) {
  const host = new Host({
    _gallery: { live: true, total: 3, classes: ["cat", "dog"], sorts: [], filters: [], ...card },
    _scoring: { state: "idle", step: 3, total: 3, errors: 1, faults: 0, message: "" },
    _sample: { row: 1, picture: PICTURE, ...sample },
    _selected: [],
    opened: 1,
    plain: false,
  });
  const store = createGallery(host, life.signal);
  mountGallery(document.body, store, null, life.signal);
  const layer = get<HTMLCanvasElement>("draw-layer");
  if (layer) {
    layer.getBoundingClientRect = () => ({ left: 100, top: 50, width: 200, height: 100 }) as DOMRect;
    const held = new Set<number>();
    layer.setPointerCapture = (id) => void held.add(id);
    layer.hasPointerCapture = (id) => held.has(id);
    layer.addEventListener("pointerup", ({ pointerId }) => queueMicrotask(() => held.delete(pointerId)));
  }
  const point = (type: string, x: number, y: number, more: object = {}) =>
    layer.dispatchEvent(
      new PointerEvent(type, { clientX: x, clientY: y, pointerId: 1, bubbles: true, ...more }),
    );
  const key = (name: string, shiftKey = false) =>
    (document.activeElement ?? layer).dispatchEvent(
      new KeyboardEvent("keydown", { key: name, shiftKey, bubbles: true, cancelable: true }),
    );
  return { host, store, layer, point, key };
}

describe("a mask", () => {
  it("is a rectangle from corner to corner", () => {
    const { host, layer, point } = opened();
    expect(layer.hidden).toBe(true);
    get("draw-box").click();
    expect(layer.hidden).toBe(false);
    expect(get("draw-hint").textContent).toContain("Drag from corner to corner");
    point("pointerdown", 120, 60);
    point("pointermove", 150, 70);
    point("pointermove", 180, 110);
    point("pointerup", 180, 110);
    const polygon = [
      [0.1, 0.1],
      [0.4, 0.1],
      [0.4, 0.6],
      [0.1, 0.6],
    ];
    expect(host.of("mask")).toMatchObject([{ row: 1, how: "replace", polygon }]);
  });
  it("is a lasso along the way of the pointer; Shift adds and Alt takes away", () => {
    const { host, point } = opened();
    get("draw-lasso").click();
    for (const [more, how] of [
      [{ shiftKey: true }, "add"],
      [{ altKey: true }, "remove"],
    ] as const) {
      point("pointerdown", 120, 60, more);
      for (const [x, y] of [
        [160, 60],
        [160, 60],
        [140, 100],
      ] as const)
        point("pointermove", x, y);
      point("pointerup", 140, 100);
      const polygon = [
        [0.1, 0.1],
        [0.3, 0.1],
        [0.2, 0.5],
      ];
      expect(host.of("mask").at(-1)).toMatchObject({ how, polygon });
    }
  });
  it("does what the chosen way says, and nothing where it is too small or was let go of", () => {
    const { host, point, key } = opened();
    get("draw-box").click();
    get<HTMLInputElement>("draw-add").click();
    point("pointerdown", 120, 60);
    point("pointermove", 121, 60);
    point("pointerup", 121, 60);
    expect(get("draw-hint").textContent).toContain("too small");
    point("pointerdown", 120, 60);
    point("pointermove", 180, 110);
    key("Escape");
    point("pointerup", 180, 110);
    expect(host.of("mask")).toHaveLength(0);
    point("pointerdown", 120, 60);
    point("pointermove", 180, 110);
    point("pointerup", 180, 110);
    expect(host.of("mask")).toMatchObject([{ how: "add" }]);
  });
  it("is drawn with the keys alone", () => {
    const { host, layer, key, store } = opened();
    expect(document.querySelector("[aria-label=Keys][role=region]")!.textContent).toContain("Shift + M");
    get("next").focus();
    key("m");
    expect(document.activeElement).toBe(layer);
    for (let i = 0; i < 8; i++) key("ArrowLeft");
    key(" ");
    for (let i = 0; i < 16; i++) key("ArrowRight");
    for (let i = 0; i < 8; i++) key("ArrowDown", true);
    key(" ");
    const polygon = [
      [0.3, 0.5],
      [0.7, 0.5],
      [0.7, 0.54],
      [0.3, 0.54],
    ];
    expect(host.of("mask")).toMatchObject([{ how: "replace", polygon }]);
    key("Escape");
    expect(layer.hidden).toBe(true);
    expect(document.activeElement).toBe(get("draw-box"));
    expect(store.opened.value).toBe(1); // the sample is still open
    key("M", true);
    key(" ");
    for (const arrow of ["ArrowRight", "ArrowDown"]) {
      key(arrow);
      key(" ");
    }
    key("Enter");
    expect(host.of("mask").at(-1)!.polygon).toHaveLength(3);
  });
  it("is cleared where it was drawn, not where it was given", () => {
    const { host } = opened({ mask: { picture: null, drawn: false, says: "given" } });
    expect(get("draw-clear").hidden).toBe(true);
    host.set("_sample", {
      row: 1,
      picture: PICTURE,
      mask: { picture: null, drawn: true, says: "drawn" },
    });
    get("draw-clear").focus();
    get("draw-clear").click();
    expect(host.of("mask")).toMatchObject([{ row: 1, how: "clear", polygon: [] }]);
    host.set("_sample", { row: 1, picture: PICTURE, mask: null });
    expect(document.activeElement).toBe(get("draw-box"));
  });
  it("leaves no cross, and no keyboard, on the picture of another sample", () => {
    const drawn = { moveTo: vi.fn(), lineTo: vi.fn(), clearRect: vi.fn(), fill: vi.fn(), stroke: vi.fn() };
    vi.stubGlobal("Path2D", function Path2D() {
      return drawn;
    });
    const { host, key, layer, store } = opened();
    layer.getContext = (() => ({ ...drawn, canvas: layer })) as unknown as typeof layer.getContext;
    get("draw-box").click();
    key("ArrowLeft");
    expect(drawn.moveTo).toHaveBeenCalledTimes(2);
    drawn.moveTo.mockClear();
    store.table.take({
      rows: Int32Array.of(1, 2),
      numbers: new Map([["error", Int32Array.of(1, 1)]]),
      words: new Map(),
    });
    store.narrow({});
    store.step(1);
    expect(store.opened.value).toBe(2);
    expect(layer.hidden).toBe(true);
    expect(document.activeElement).toBe(get("next"));
    host.set("_sample", { row: 2, picture: PICTURE });
    expect(layer.hidden).toBe(false); // one mask after the other is drawn
    expect(drawn.moveTo).not.toHaveBeenCalled();
  });
  it("is drawn without a model too", () => {
    const { host, point } = opened({}, { live: false });
    expect(get("flip-set")).toBeNull();
    expect(get("plain")).toBeNull();
    get("draw-box").click();
    point("pointerdown", 120, 60);
    point("pointermove", 180, 110);
    point("pointerup", 180, 110);
    expect(host.of("mask")).toHaveLength(1);
  });
  it("is not drawn in a saved page, or without a picture", () => {
    opened({ picture: null });
    expect(get("draw-box").closest<HTMLElement>("[role=group][aria-label=Mask]")!.hidden).toBe(true);
    life.abort();
    life = new AbortController();
    opened({}, { live: false, page: true });
    expect(get("draw-box")).toBeNull();
  });
});

describe("the search for a flip set", () => {
  it("is started and stopped", () => {
    const { host, store } = opened();
    store.table.take({
      rows: Int32Array.of(1),
      numbers: new Map([["error", Int32Array.of(1)]]),
      words: new Map(),
    });
    host.set("_sample", { row: 1, picture: PICTURE });
    expect(get("flip-stop").hidden).toBe(true);
    get("flip-set").click();
    host.set("_sample", { row: 1, flip_set: { state: "running", words: "8 forwards so far", patches: [] } });
    expect(get("flip-words").textContent).toBe("8 forwards so far");
    expect(get("flip-set").getAttribute("aria-disabled")).toBe("true");
    get("flip-set").click();
    get("flip-stop").click();
    expect(host.of("flip")).toMatchObject([
      { row: 1, on: true },
      { row: 1, on: false },
    ]);
  });
  it("leaves the keyboard where it is when it begins, is stopped, and where there is nothing to search", () => {
    const { host, store } = opened();
    store.table.take({
      rows: Int32Array.of(0, 1),
      numbers: new Map([["error", Int32Array.of(0, 1)]]),
      words: new Map(),
    });
    store.narrow({ errors: false });
    store.open(1);
    host.set("_sample", { row: 1, picture: PICTURE });
    get("flip-set").focus();
    get("flip-set").click();
    host.set("_sample", { row: 1, flip_set: { state: "running", words: "", patches: [] } });
    expect(document.activeElement).toBe(get("flip-set"));
    get("flip-stop").focus();
    host.set("_sample", { row: 1, flip_set: { state: "stopped", words: "Stopped.", patches: [] } });
    expect(document.activeElement).toBe(get("flip-set"));
    store.step(store.order.value.indexOf(0) - store.order.value.indexOf(1)); // 0 is right
    expect(store.opened.value).toBe(0);
    expect(document.activeElement).toBe(get("to-brush"));
  });
});

describe("the explorer beneath", () => {
  const CATALOGUE = [
    { name: "legrad", title: "LeGrad" },
    { name: "rollout", title: "Rollout", available: false },
    { name: "grad_cam", title: "Grad-CAM" },
  ];
  it("is said to draw by another method, only where it does", () => {
    const { host } = opened();
    const says = () => (get("other-map").hidden ? "" : get("other-map").textContent);
    expect(says()).toBe("");
    const drawn = (name: string, title: string) =>
      host.set("_gallery", { live: true, total: 3, classes: [], drawn: { name, title } });
    host.set("_catalogue", CATALOGUE);
    drawn("attention_gradient/paper", "Attention gradient");
    host.set("method", "legrad");
    expect(says()).toBe(
      "The explorer beneath draws LeGrad: Attention gradient is no method of its own there.",
    );
    drawn("grad_cam/paper", "Grad-CAM");
    expect(says()).toBe("The explorer beneath draws LeGrad: Grad-CAM is another method there.");
    host.set("method", "grad_cam");
    expect(says()).toBe("");
  });
  it("is where the brush is: a button and a key open its fold and turn it on, once it has come", async () => {
    const { key, store } = opened();
    expect(get("to-brush").hidden).toBe(true); // that sample is not scored, so the explorer shows another
    store.table.take({
      rows: Int32Array.of(1),
      numbers: new Map([["error", Int32Array.of(0)]]),
      words: new Map(),
    });
    store.open(null);
    store.open(1);
    expect(get("to-brush").hidden).toBe(false);
    expect(document.querySelector("[aria-label=Keys][role=region]")!.textContent).toContain(
      "brush patches away",
    );
    const fold = document.createElement("details");
    fold.dataset.testid = "trust";
    const picture = document.createElement("div");
    picture.dataset.testid = "picture";
    picture.tabIndex = 0;
    get("explorer").append(picture, fold);
    const seen = vi.spyOn(HTMLElement.prototype, "scrollIntoView");
    get("to-brush").click();
    expect(fold.open).toBe(true);
    expect(seen.mock.contexts).toEqual([picture]);
    const brush = document.createElement("button");
    brush.dataset.testid = "brush";
    const pressed = vi.fn(() => brush.setAttribute("aria-pressed", "true"));
    brush.addEventListener("click", pressed);
    fold.append(brush);
    await vi.waitFor(() => expect(pressed).toHaveBeenCalledTimes(1));
    expect(document.activeElement).toBe(picture);
    get("next").focus();
    key("b");
    expect(document.activeElement).toBe(picture);
    expect(seen.mock.contexts.at(-1)).toBe(picture); // the last thing that is brought into sight is painted on
    seen.mockRestore();
    expect(pressed).toHaveBeenCalledTimes(1); // it is on already
  });
});

describe("plain maps", () => {
  it("are shown when asked for, and follow Python", () => {
    const { host } = opened();
    const box = get<HTMLInputElement>("plain");
    expect(box.checked).toBe(false);
    box.click();
    expect(host.of("plain")).toMatchObject([{ on: true }]);
    host.set("plain", true);
    expect(box.checked).toBe(true);
  });
});
