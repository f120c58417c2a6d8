// @vitest-environment happy-dom
// The map held against a control's: asked once and kept up, computed for the layers that are chosen, shown on demand.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { scaleMap } from "../src/heat/merge";
import { TURN_MS } from "../src/store";
import { overlayOf } from "../src/store/live";
import { holdAgainst, specificity as oneMinus } from "../src/store/specificity";
import { correction } from "../src/ui/correction";
import { specificity } from "../src/ui/specificity";
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
  document.body.replaceChildren();
});

const SIZE = GRID[0] * GRID[1];
/** The control's map of layer l at patch i. */
const CONTROL = (layer: number, i: number) => [4, 1, 3, 0, 2, 2][(i + layer) % 6]! / layer;
const maps = () =>
  packed(
    [LAYERS, ...GRID],
    Array.from({ length: LAYERS * SIZE }, (_, at) => CONTROL(1 + Math.floor(at / SIZE), at % SIZE)),
  );

function show(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  const state = holdAgainst(store, end.signal);
  document.body.append(specificity(store, state, end.signal), correction(store, end.signal));
  const get = <T extends HTMLElement>(id: string) => document.querySelector<T>(`[data-testid=${id}]`)!;
  const choose = (value: string) => {
    const select = get<HTMLSelectElement>("specificity");
    select.value = value;
    select.dispatchEvent(new Event("change"));
  };
  const asked = () => host.of("tool").filter(({ tool }) => tool === "specificity");
  /** The kernel answers what was asked last. */
  const give = (more: Record<string, unknown> = {}) => {
    const { rid, rev, target, args } = asked().at(-1)!;
    const entry = { rid, rev, target, args, label: "cat", state: "done", step: 0, total: 0, message: "" };
    const data = { value: 0.5, layers: [1, 2, 3], signed: false, note: "", maps: maps(), ...more };
    host.set("_tools", { specificity: { ...entry, ...data }, busy: null });
  };
  return { host, store, state, get, choose, asked, give };
}

/** From the definition, for the layers that are merged. */
function byHand(layers: readonly number[]): number {
  const mean = (of: (layer: number, i: number) => number) =>
    Array.from({ length: SIZE }, (_, i) => layers.reduce((sum, l) => sum + of(l, i), 0) / layers.length);
  const [a, b] = [mean((l, i) => 10 * l + i), mean(CONTROL)];
  const [ma, mb] = [a, b].map((map) => map.reduce((x, y) => x + y) / SIZE) as [number, number];
  const sum = (f: (i: number) => number) => a.reduce((total, _, i) => total + f(i), 0);
  const spread = Math.sqrt(sum((i) => (a[i]! - ma) ** 2) * sum((i) => (b[i]! - mb) ** 2));
  return 1 - sum((i) => (a[i]! - ma) * (b[i]! - mb)) / spread;
}

it("is 1 for unrelated maps, 0 for the same at any scale, 2 for opposites, and nothing for a flat one", () => {
  const heat = (values: number[]) => scaleMap(values, 2, 2, false);
  expect(oneMinus(heat([1, -1, 1, -1]), heat([1, 1, -1, -1]))).toBeCloseTo(1, 12);
  expect(oneMinus(heat([1, 2, 3, 5]), heat([12, 14, 16, 20]))).toBeCloseTo(0, 12);
  expect(oneMinus(heat([1, 2, 3, 5]), heat([-1, -2, -3, -5]))).toBeCloseTo(2, 12);
  expect(oneMinus(heat([1, 2, 3, 5]), heat([7, 7, 7, 7]))).toBeNull();
});

it("asks nothing until it is wanted; then for the control, and follows layers without asking", () => {
  const { choose, asked, give, state, store, get } = show();
  expect(asked()).toEqual([]);
  choose("empty");
  expect(asked()).toMatchObject([{ tool: "specificity", args: { control: "" }, rev: 1, target: 0 }]);
  expect(get("specificity-value").textContent).toBe("…");
  give();
  expect(state.value.value).toBeCloseTo(byHand([1, 2, 3]), 6);
  expect(get("specificity-value").textContent).toBe(byHand([1, 2, 3]).toFixed(2));
  store.chooseLayers([2]);
  expect(state.value.value).toBeCloseTo(byHand([2]), 6);
  expect(asked()).toHaveLength(1);
  choose("");
  expect(get("specificity-value").textContent).toBe("");
});

it("keeps up with the target and with the answer", () => {
  const { choose, asked, give, store, host } = show();
  choose("nonsense");
  give();
  store.select(1);
  expect(asked().at(-1)).toMatchObject({ target: 1, args: { control: "blicket" } });
  give();
  host.set("_result", result([text("cat"), text("dog"), text("sun")], { rev: 2 }));
  expect(asked().at(-1)).toMatchObject({ rev: 2, target: 1 });
  expect(asked()).toHaveLength(3);
});

it("takes a prompt of one's own", () => {
  const { choose, asked, get } = show();
  choose("own");
  const own = get<HTMLInputElement>("specificity-own");
  expect(own.hidden).toBe(false);
  expect(asked()).toEqual([]);
  own.value = "  a chair ";
  own.dispatchEvent(new Event("change"));
  expect(asked()).toMatchObject([{ args: { control: "a chair" } }]);
});

it("says why there is no number, and asks again a few times where another tool came between", () => {
  const { choose, asked, give, get, host } = show();
  choose("empty");
  give({ state: "failed", maps: null, message: "tiny cannot be asked." });
  expect(get("specificity-note").textContent).toBe("tiny cannot be asked.");
  choose("nonsense");
  for (let i = 0; i < 6; i++) {
    const { rid } = asked().at(-1)!;
    host.set("_tools", { busy: { tool: "specificity", rid, step: 0, total: 0, message: "" } });
    host.set("_tools", { busy: { tool: "lens", rid: "x", step: 0, total: 0, message: "" } });
    host.set("_tools", { busy: null });
  }
  expect(asked()).toHaveLength(4);
  give({ note: "the model does not know 'blicket'" });
  expect(get("specificity-note").textContent).toBe("the model does not know 'blicket'");
});

it("of a method that never sees the prompt is 0, in words, and nothing is computed", () => {
  const blind = { ...answered() };
  blind._catalogue = [{ name: "legrad", title: "Rollout", class_discriminative: false, knobs: [] }];
  const { choose, asked, get } = show(blind);
  expect(get("specificity-value").textContent).toBe("0.00");
  expect(get("specificity-note").textContent).toBe(
    "Rollout never sees the prompt: the same map, whatever is asked.",
  );
  choose("empty");
  expect(asked()).toEqual([]);
});

it("puts the control's map over the picture, and takes it away with the measuring", () => {
  const { choose, give, get, state, store } = show();
  const overlay = overlayOf(store, state.overlay);
  choose("empty");
  expect(get("specificity-map").hidden).toBe(true);
  give();
  get("specificity-map").click();
  expect(overlay.value).toMatchObject({ title: "control: the empty prompt", mark: "control" });
  expect(overlay.value!.heat.raw[0]).toBeCloseTo((CONTROL(1, 0) + CONTROL(2, 0) + CONTROL(3, 0)) / 3, 6);
  choose("");
  expect(overlay.value).toBeNull();
});

it("goes on with what was measured before the page was loaded anew, or saved", () => {
  const entry = {
    rid: "p.t1",
    rev: 1,
    target: 0,
    label: "cat",
    state: "done",
    step: 0,
    total: 0,
    message: "",
  };
  const data = { layers: [1, 2, 3], signed: false, note: "", maps: maps() };
  const tools = (control: string) => ({
    _tools: { specificity: { ...entry, ...data, args: { control } }, busy: null },
  });
  const { asked, get, state } = show({ ...tools("a chair"), _static: true });
  expect(state.value.value).toBeCloseTo(byHand([1, 2, 3]), 6);
  expect(get<HTMLInputElement>("specificity-own").value).toBe("a chair");
  expect(get<HTMLSelectElement>("specificity").disabled).toBe(true);
  expect(asked()).toEqual([]);
  end.abort();
  document.body.replaceChildren();
  end = new AbortController();
  const live = show(tools(""));
  expect(live.get<HTMLSelectElement>("specificity").value).toBe("empty");
  live.store.select(1);
  expect(live.asked()).toMatchObject([{ args: { control: "" }, target: 1 }]);
});

it("is not there for a model without prompts", () => {
  const { get, host } = show();
  expect(get("specificity").closest("section")!.hidden).toBe(false);
  host.set("_model", { prompts: false, classes: ["a"], suggestions: [] });
  expect(get("specificity").closest("section")!.hidden).toBe(true);
});

const CORRECTED = [
  { name: "relu", kind: "bool", default: true },
  { name: "correction", kind: "text", default: null, optional: true },
  { name: "correction_threshold", kind: "number", default: 0.8, low: 0, high: 1 },
  {
    name: "correction_order",
    kind: "choice",
    default: "before_norm",
    choices: ["before_norm", "after_norm"],
  },
];
const withKnobs = (knobs: object[]) => ({
  _catalogue: [{ name: "legrad", title: "LeGrad", knobs, available: true }],
});

it("background correction is a switch with its prompt, and off takes all of it back", () => {
  const { get, host } = show(withKnobs(CORRECTED));
  const on = get<HTMLInputElement>("correction");
  const knobs = () => (host.of("ask").at(-1) as { knobs: object } | undefined)?.knobs;
  const turn = (checked: boolean) => {
    on.checked = checked;
    on.dispatchEvent(new Event("change"));
    vi.advanceTimersByTime(TURN_MS);
  };
  expect(get("correction-prompt").closest("div")!.hidden).toBe(true);
  turn(true);
  expect(knobs()).toEqual({ correction: "a photo of a" });
  expect(get("correction-prompt").closest("div")!.hidden).toBe(false);
  const prompt = get<HTMLInputElement>("correction-prompt");
  prompt.value = "a picture";
  prompt.dispatchEvent(new Event("change"));
  const threshold = get<HTMLInputElement>("correction-threshold");
  threshold.value = "0.5";
  threshold.dispatchEvent(new Event("change"));
  vi.advanceTimersByTime(TURN_MS);
  expect(knobs()).toEqual({ correction: "a picture", correction_threshold: 0.5 });
  const { rid } = host.of("ask").at(-1) as { rid: string };
  host.set("knobs", knobs());
  host.set("_status", { ...IDLE, rid, rev: 3 });
  turn(false);
  expect(knobs()).toEqual({});
});

it("background correction shows what Python set, and only what the method has", () => {
  const { get, host } = show({
    ...withKnobs(CORRECTED.slice(0, 3)),
    knobs: { correction: "nothing", correction_threshold: 0.25 },
  });
  expect(get<HTMLInputElement>("correction").checked).toBe(true);
  expect(get<HTMLInputElement>("correction-prompt").value).toBe("nothing");
  expect(get<HTMLInputElement>("correction-threshold").value).toBe("0.25");
  expect(get("correction-order").closest("label")!.hidden).toBe(true);
  host.set("_model", { prompts: false, classes: ["a"], suggestions: [] });
  expect(get("correction").closest("section")!.hidden).toBe(true);
});
