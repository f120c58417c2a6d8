import { setMaxListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TURN_MS } from "../src/store";
import { TYPING_MS } from "../src/store/drafts";
import { remember, STEPS } from "../src/store/history";
import { COMMIT_MS } from "../src/store/traits";
import { FakeHost } from "./fake-host";
import { answered, text } from "./samples";
import { createLiveStore } from "./with-live";

interface Values {
  layer: number;
  colours: string;
  heads: readonly number[] | null;
}

/** Values that a person changes, as the traits are. */
function open() {
  const values: Values = { layer: 0, colours: "red", heads: null };
  const restored: Partial<Values>[] = [];
  const history = remember<Values>(
    (name) => values[name],
    (step) => {
      restored.push(step);
      for (const [name, value] of Object.entries(step)) change(name as keyof Values, value as never);
    },
  );
  function change<N extends keyof Values>(name: N, value: Values[N]) {
    history.note(name, values[name]);
    values[name] = value;
  }
  function act<N extends keyof Values>(name: N, value: Values[N]) {
    history.begin();
    change(name, value);
  }
  return { values, history, change, act, restored };
}

describe("history", () => {
  it("has nothing to take back at first", () => {
    const { history, values, restored } = open();
    expect([history.undoable.value, history.redoable.value]).toEqual([false, false]);
    history.undo();
    history.redo();
    expect(values).toEqual({ layer: 0, colours: "red", heads: null });
    expect(restored).toEqual([]);
  });
  it("takes acts back one by one, and gives them again", () => {
    const { history, values, act } = open();
    act("layer", 1);
    act("colours", "blue");
    act("layer", 2);
    history.undo();
    expect(values).toMatchObject({ layer: 1, colours: "blue" });
    history.undo();
    expect(values).toMatchObject({ layer: 1, colours: "red" });
    history.undo();
    expect(values).toMatchObject({ layer: 0, colours: "red" });
    expect([history.undoable.value, history.redoable.value]).toEqual([false, true]);
    for (let i = 0; i < 3; i++) history.redo();
    expect(values).toMatchObject({ layer: 2, colours: "blue" });
    expect([history.undoable.value, history.redoable.value]).toEqual([true, false]);
  });
  it("counts a drag, and all that one act changes, as one step", () => {
    const { history, values, act, change } = open();
    act("layer", 1);
    for (let layer = 2; layer <= 9; layer++) change("layer", layer);
    change("heads", [1, 2]);
    history.undo();
    expect(values).toEqual({ layer: 0, colours: "red", heads: null });
    history.redo();
    expect(values).toEqual({ layer: 9, colours: "red", heads: [1, 2] });
  });
  it("keeps twenty steps", () => {
    const { history, values, act } = open();
    for (let layer = 1; layer <= STEPS + 5; layer++) act("layer", layer);
    for (let i = 0; i < STEPS + 5; i++) history.undo();
    expect(STEPS).toBe(20);
    expect(values.layer).toBe(5);
  });
  it("forgets what was taken back once something else is done", () => {
    const { history, values, act } = open();
    act("layer", 1);
    act("layer", 2);
    history.undo();
    act("colours", "blue");
    expect(history.redoable.value).toBe(false);
    history.redo();
    expect(values).toMatchObject({ layer: 1, colours: "blue" });
    history.undo();
    history.undo();
    expect(values).toMatchObject({ layer: 0, colours: "red" });
  });
  it("leaves alone what somebody else changed meanwhile", () => {
    const { history, values, act } = open();
    act("layer", 1);
    values.colours = "green";
    history.undo();
    expect(values).toMatchObject({ layer: 0, colours: "green" });
  });
  it("steps over what ended where it began", () => {
    const { history, values, act, change, restored } = open();
    act("layer", 1);
    act("heads", [1]);
    change("heads", null);
    history.undo();
    expect(values.layer).toBe(0);
    expect(restored).toEqual([{ layer: 0 }]);
    expect(history.undoable.value).toBe(false);
  });
  it("makes an act after an undo a step of its own", () => {
    const { history, values, act, change } = open();
    act("layer", 1);
    act("layer", 2);
    history.undo();
    change("layer", 7);
    history.undo();
    expect(values.layer).toBe(1);
  });
});

describe("undo in the store", () => {
  let end: AbortController;
  beforeEach(() => {
    vi.useFakeTimers();
    end = new AbortController();
    setMaxListeners(0, end.signal);
  });
  afterEach(() => {
    end.abort();
    vi.useRealTimers();
  });

  function openStore(changes: Record<string, unknown> = {}) {
    const host = new FakeHost({ ...answered(), ...changes });
    const store = createLiveStore(host, end.signal);
    const act = (run: () => void) => {
      store.history.begin();
      run();
    };
    const looks = () =>
      (["layers", "opacity", "colormap", "weights", "smooth"] as const).map(
        (name) => store.trait(name).value,
      );
    return { host, store, act, looks, asks: () => host.of("ask") };
  }

  it("takes back how the map is drawn without asking, and tells the kernel", () => {
    const { host, store, act, looks, asks } = openStore();
    const before = looks();
    act(() => store.chooseLayers([2, 3]));
    act(() => store.set("opacity", 0.2));
    act(() => store.set("colormap", "viridis"));
    act(() => store.set("weights", "equal"));
    act(() => store.set("smooth", false));
    const after = looks();
    for (let i = 0; i < 5; i++) store.history.undo();
    expect(looks()).toEqual(before);
    for (let i = 0; i < 5; i++) store.history.redo();
    expect(looks()).toEqual(after);
    expect(asks()).toEqual([]);
    store.history.undo();
    vi.advanceTimersByTime(COMMIT_MS);
    expect(host.state.smooth).toBe(true);
    expect(host.of("view").at(-1)).toMatchObject({ view: { smooth: true, colormap: "viridis" } });
  });
  it("asks again for a prompt that was removed, in its place and chosen as it was", () => {
    const { store, act, asks } = openStore();
    act(() => store.select(1));
    act(() => store.remove(1));
    expect(asks().at(-1)).toMatchObject({ targets: [text("cat")], active: 0 });
    store.history.undo();
    expect(asks().at(-1)).toMatchObject({ targets: [text("cat"), text("dog")], active: 1 });
    store.history.undo();
    expect(asks()).toHaveLength(2);
    expect(store.active.value).toBe(0);
  });
  it("asks again for a method with the knobs that it had", () => {
    const { store, act, asks } = openStore({ knobs: { relu: false } });
    act(() => store.setMethod("rollout"));
    expect(asks().at(-1)).toMatchObject({ method: "rollout", knobs: {} });
    store.history.undo();
    expect(asks().at(-1)).toMatchObject({ method: "legrad", knobs: { relu: false } });
    store.history.redo();
    expect(asks().at(-1)).toMatchObject({ method: "rollout", knobs: {} });
  });
  it("counts a knob that is asked with after the drag into the drag", () => {
    const { store, act, asks } = openStore();
    act(() => store.setKnob("relu", false));
    vi.advanceTimersByTime(TURN_MS);
    expect(asks().at(-1)).toMatchObject({ knobs: { relu: false } });
    store.history.undo();
    expect(asks().at(-1)).toMatchObject({ knobs: {} });
    expect(store.history.undoable.value).toBe(false);
  });
  it("takes a typed prompt back as a whole, with the maps that were shown on the way", () => {
    const { store, act, asks } = openStore();
    act(() => {
      for (const words of ["a", "a s", "a sun"]) {
        store.drafts.type(words);
        vi.advanceTimersByTime(TYPING_MS);
      }
      store.drafts.commit("a sun");
    });
    expect(asks()).toHaveLength(3);
    store.history.undo();
    expect(asks().at(-1)).toMatchObject({ targets: [text("cat"), text("dog")], active: 0 });
    expect(store.history.undoable.value).toBe(false);
    store.history.redo();
    expect(asks().at(-1)).toMatchObject({ targets: [text("cat"), text("dog"), text("a sun")], active: 2 });
  });
  it("asks for the compared methods again where the comparison comes back", () => {
    const { store, act, asks } = openStore();
    act(() => store.compareBy("methods"));
    act(() => store.compareBy("off"));
    const before = asks().length;
    store.history.undo();
    expect(asks()).toHaveLength(before + 1);
    expect(asks().at(-1)).toMatchObject({ compare: ["legrad", "rollout"] });
  });
  it("is no act of a person what Python sets", () => {
    const { host, store } = openStore();
    host.set("layers", [1]);
    host.set("method", "rollout");
    expect(store.history.undoable.value).toBe(false);
  });
});
