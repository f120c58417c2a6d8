// @vitest-environment happy-dom
// Pinned views: what is kept, what a card shows, and that a click brings the view back.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MAX_PINS } from "../src/store/pins";
import { COMMIT_MS } from "../src/store/traits";
import { pins as row } from "../src/ui/pins";
import { FakeHost } from "./fake-host";
import { answered, IMAGE, result, text } from "./samples";
import { createLiveStore } from "./with-live";

const CAT = {
  targets: [text("cat"), text("dog")],
  active: 0,
  method: "legrad",
  knobs: {},
  layers: null,
  heads: null,
  weights: "paper",
};

let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  const cards = () => store.pins.cards.value;
  return { host, store, cards, asks: () => host.of("ask") };
}

describe("pins", () => {
  it("keep what was asked and what is merged, and are told to the kernel", () => {
    const { host, store, cards } = open();
    store.chooseLayers([2, 3]);
    store.pins.add();
    expect(cards()).toMatchObject([
      { title: "cat", words: "LeGrad · layers 2-3 of 3", current: true, lack: "" },
    ]);
    vi.advanceTimersByTime(COMMIT_MS);
    const pin = { ...CAT, layers: [2, 3] };
    expect(host.state.pins).toEqual([pin]);
    expect(host.of("view").at(-1)).toMatchObject({ view: { pins: [pin], layers: [2, 3] } });
  });
  it("show the merged map of their layers, also once the screen shows another", () => {
    const { host, store, cards } = open();
    store.chooseLayers([3]);
    store.pins.add();
    const map = () => [...cards()[0]!.heat!.raw];
    expect(map()).toEqual([30, 31, 32, 33, 34, 35]);
    store.chooseLayers([1]);
    expect(cards()[0]!.current).toBe(false);
    expect(map()).toEqual([30, 31, 32, 33, 34, 35]);
    store.setMethod("rollout");
    host.set("method", "rollout");
    host.set("_result", result([text("cat"), text("dog")], { rid: "other.1", method: "rollout" }));
    expect(map()).toEqual([30, 31, 32, 33, 34, 35]);
    host.set("_image", { ...IMAGE, rev: 2 });
    expect(cards()[0]!.heat).toBeNull();
  });
  it("that Python or an earlier page made show their maps where these are known", () => {
    const { cards } = open({
      pins: [
        { ...CAT, active: 1, layers: [1] },
        { ...CAT, method: "rollout" },
        { ...CAT, targets: [text("sun")] },
      ],
    });
    expect([...cards()[0]!.heat!.raw]).toEqual([110, 111, 112, 113, 114, 115]);
    expect(cards().map(({ heat }) => !heat)).toEqual([false, true, true]);
  });
  it("are shown again by one question with everything that differs", () => {
    const { host, store, asks } = open({
      pins: [{ ...CAT, targets: [text("sun")], method: "rollout", layers: [2], weights: "equal" }],
    });
    store.pins.show(0);
    expect(asks()).toHaveLength(1);
    expect(asks()[0]).toMatchObject({
      targets: [text("sun")],
      active: 0,
      method: "rollout",
      view: { layers: [2], weights: "equal" },
    });
    expect(host.of("ask")[0]!.view).not.toHaveProperty("pins");
  });
  it("ask nothing where only the drawing differs", () => {
    const { store, asks } = open({ pins: [{ ...CAT, active: 1, layers: [2] }] });
    store.pins.show(0);
    expect(asks()).toEqual([]);
    expect(store.active.value).toBe(1);
    expect(store.trait("layers").value).toEqual([2]);
    expect(store.pins.cards.value[0]!.current).toBe(true);
  });
  it("can be undone, the going back and the taking away", () => {
    const { store, cards } = open({ pins: [{ ...CAT, active: 1, layers: [2] }] });
    store.history.begin();
    store.pins.show(0);
    store.history.undo();
    expect(store.trait("layers").value).toBeNull();
    store.history.begin();
    store.pins.remove(0);
    expect(cards()).toEqual([]);
    store.history.undo();
    expect(cards()).toHaveLength(1);
  });
  it("are twelve at most, and each view is pinned once", () => {
    const { store, cards } = open();
    store.pins.add();
    store.pins.add();
    expect(cards()).toHaveLength(1);
    for (let i = 0; i < MAX_PINS + 2; i++) {
      store.set("layers", i % 2 ? [1] : [2]);
      store.set("weights", i % 4 < 2 ? "paper" : "equal");
      store.set("heads", [[1 + (i % 3), i]]);
      store.pins.add();
    }
    expect(cards()).toHaveLength(MAX_PINS);
    expect(store.phase.value.message).toContain("12 pins are the most");
  });
  it("need a map", () => {
    const { store, cards } = open({ _result: {} });
    store.pins.add();
    expect(cards()).toEqual([]);
    expect(store.phase.value.message).toBe("There is no map to pin yet.");
  });
});

describe("pins of a saved page", () => {
  const saved = (changes: Record<string, unknown> = {}) => {
    const { _result } = answered();
    return open({ _static: true, _saved: [_result], ...changes });
  };
  it("go among the page's own prompts, and say where they cannot", () => {
    const { store, cards, asks } = saved({
      pins: [
        { ...CAT, targets: [text("dog")], layers: [3] },
        { ...CAT, method: "rollout" },
        { ...CAT, targets: [text("sun")] },
      ],
    });
    expect(cards().map(({ lack }) => lack)).toEqual(["", "Not in this saved page", "Not in this saved page"]);
    expect([...cards()[0]!.heat!.raw]).toEqual([130, 131, 132, 133, 134, 135]);
    store.pins.show(0);
    expect([store.active.value, store.trait("layers").value]).toEqual([1, [3]]);
    expect(store.trait("targets").value).toHaveLength(2);
    store.pins.show(1);
    expect(store.trait("method").value).toBe("legrad");
    expect(asks()).toEqual([]);
  });
});

describe("the row of pins", () => {
  it("is hidden while there are none, and shows words as words", () => {
    const { store } = open({ pins: [{ ...CAT, targets: [text("<img src=x>")] }, CAT] });
    const element = row(store, { value: null, peek: () => null }, end.signal);
    const cards = [...element.querySelectorAll<HTMLElement>("[data-testid=pin]")];
    expect(cards.map((card) => card.querySelector("b")!.textContent)).toEqual(["<img src=x>", "cat"]);
    expect(element.querySelector("img")).toBeNull();
    expect([...element.children].map((card) => card.getAttribute("aria-current"))).toEqual([null, "true"]);
    element.querySelector<HTMLElement>(".lg-remove")!.click();
    expect(element.children).toHaveLength(1);
    element.firstElementChild!.dispatchEvent(new KeyboardEvent("keydown", { key: "Delete" }));
    expect(element.hidden).toBe(true);
  });
});
