import { setMaxListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PLAY_MS, TURN_MS } from "../src/store";
import { GIVE_UP_MS, HELLO_MS, LATE_MS } from "../src/store/conversation";
import { TYPING_MS } from "../src/store/drafts";
import type { LiveStore } from "../src/store/live";
import { COMMIT_MS, SETTLE_MS } from "../src/store/traits";
import { whyNot } from "../src/store/upload";
import { labelOf, type Target } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, IDLE, IMAGE, result, text } from "./samples";
import { createLiveStore } from "./with-live";

let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
  setMaxListeners(0, end.signal);
});
afterEach(() => {
  end.abort();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}): { host: FakeHost; store: LiveStore } {
  const host = new FakeHost({ ...answered(), ...changes });
  return { host, store: createLiveStore(host, end.signal) };
}

const chips = (store: LiveStore) => store.trait("targets").value.map(labelOf);

/** The kernel takes up a question as LeGradWidget does: traits first, then status. */
function take(host: FakeHost, ask: Record<string, unknown>) {
  for (const name of ["targets", "method", "knobs", "active"]) host.set(name, ask[name]);
  host.tell({ kind: "accepted", rid: ask.rid });
  host.set("_status", { ...IDLE, state: "running", rid: ask.rid, rev: (ask.n as number) + 1 });
}
function answer(host: FakeHost, ask: Record<string, unknown>, changes: Record<string, unknown> = {}) {
  host.set(
    "_result",
    result(ask.targets as never, {
      rid: ask.rid,
      rev: (ask.n as number) + 1,
      method: ask.method,
      ...changes,
    }),
  );
  host.set("_status", { ...IDLE, rid: ask.rid, rev: (ask.n as number) + 1 });
}
const lastAsk = (host: FakeHost) => host.of("ask").at(-1)!;

describe("opening", () => {
  it("shows what the traits hold, greets the kernel and asks nothing", () => {
    const { host, store } = open();
    expect(chips(store)).toEqual(["cat", "dog"]);
    expect(store.entry.value?.label).toBe("cat");
    expect(store.heat.value?.flat).toBe(false);
    expect(host.sent).toEqual([{ v: 1, client: expect.any(String), kind: "hello" }]);
    expect(host.written).toEqual([]);
    expect(store.phase.value).toMatchObject({ kind: "idle", message: "Ready. The last answer took 50 ms." });
  });
  it("says that it waits where neither the greeting nor anything else is answered", () => {
    const { host, store } = open({ _result: {} });
    vi.advanceTimersByTime(HELLO_MS);
    expect(store.phase.value).toMatchObject({ kind: "waiting" });
    host.tell({ kind: "alive" });
    expect(store.phase.value.kind).toBe("idle");
  });
  it("says what of an answer cannot be read, and keeps working", () => {
    const bad = result([text("cat")]);
    const { host, store } = open({ _result: { ...bad, maps: { ...bad.maps, dtype: "int8" } } });
    expect(store.phase.value).toMatchObject({
      kind: "error",
      message: expect.stringContaining("float32, not int8"),
    });
    expect(store.heat.value).toBeNull();
    host.set("_result", result([text("cat"), text("dog")]));
    expect(store.phase.value.kind).toBe("idle");
  });
  it("does not draw a map over another picture than its own", () => {
    const { host, store } = open();
    host.set("_image", { ...IMAGE, rev: 2 });
    expect(store.heat.value).toBeNull();
    host.set("_result", result([text("cat"), text("dog")], { image_rev: 2 }));
    expect(store.heat.value).not.toBeNull();
  });
});

describe("asking", () => {
  it("sends the whole question as a message and as a trait, once each", () => {
    const { host, store } = open({ layers: [2], opacity: 0.3 });
    store.add(text("sun"));
    const ask = lastAsk(host);
    expect(ask).toMatchObject({
      v: 1,
      n: 1,
      rid: `${ask.client}.1`,
      targets: [text("cat"), text("dog"), text("sun")],
      active: 2,
      method: "legrad",
      knobs: {},
      view: { layers: [2], opacity: 0.3, colormap: "inferno", threshold: 0, smooth: true },
    });
    const { kind, ...request } = ask;
    expect(kind).toBe("ask");
    expect(host.written).toEqual([{ _request: request }]);
  });
  it("keeps the old map, outdated, until the new one is there", () => {
    const { host, store } = open();
    store.add(text("sun"));
    expect(chips(store)).toEqual(["cat", "dog", "sun"]);
    expect(store.active.value).toBe(2);
    expect(store.entry.value?.label).toBe("cat");
    expect(store.outdated.value).toBe(true);
    take(host, lastAsk(host));
    expect(store.phase.value).toMatchObject({ kind: "busy", cancellable: true });
    answer(host, lastAsk(host));
    expect(store.entry.value?.label).toBe("sun");
    expect(store.outdated.value).toBe(false);
    expect(store.phase.value.kind).toBe("idle");
  });
  it("says that it waits when nothing is heard, and stops saying so", () => {
    const { host, store } = open();
    store.add(text("sun"));
    expect(store.phase.value.kind).toBe("busy");
    vi.advanceTimersByTime(LATE_MS);
    expect(store.phase.value).toMatchObject({
      kind: "waiting",
      message: expect.stringContaining("Waiting for the kernel"),
    });
    take(host, lastAsk(host));
    expect(store.phase.value.kind).toBe("busy");
  });
  it("ignores an answer to an older question of its own", () => {
    const { host, store } = open();
    store.add(text("sun"));
    const first = lastAsk(host);
    store.add(text("tree"));
    answer(host, first);
    expect(store.answer.value?.rid).toBeNull();
    expect(store.outdated.value).toBe(true);
    take(host, lastAsk(host));
    answer(host, lastAsk(host));
    expect(store.entry.value?.label).toBe("tree");
  });
  it("paints what others asked: another page, or Python", () => {
    const { host, store } = open();
    host.set("targets", [text("tree")]);
    host.set("_result", result([text("tree")], { rid: "other.9" }));
    expect(store.entry.value?.label).toBe("tree");
    host.set("targets", [text("sun")]);
    host.set("_result", result([text("sun")], { rid: null }));
    expect(store.entry.value?.label).toBe("sun");
  });
  it("keep a choice whose acceptance is here before the end of the question before it", () => {
    const { host, store } = open();
    store.setMethod("rollout");
    const first = lastAsk(host);
    take(host, first);
    store.setMethod("gradcam");
    const second = lastAsk(host);
    host.tell({ kind: "accepted", rid: second.rid }); // messages overtake traits
    answer(host, first);
    expect(store.trait("method").value).toBe("gradcam");
    expect(store.outdated.value).toBe(true);
    take(host, second);
    answer(host, second);
    expect(store.trait("method").value).toBe("gradcam");
    expect(store.outdated.value).toBe(false);
    vi.runOnlyPendingTimers();
  });
  it("end where the status that would name them never comes", () => {
    const { host, store } = open();
    store.setMethod("gradcam");
    host.tell({ kind: "accepted", rid: lastAsk(host).rid });
    expect(store.outdated.value).toBe(true);
    vi.advanceTimersByTime(LATE_MS);
    expect(store.outdated.value).toBe(false);
    expect(store.trait("method").value).toBe("legrad");
  });
  it("ends a question that another page's overtook", () => {
    const { host, store } = open();
    store.add(text("sun"));
    take(host, lastAsk(host));
    host.set("targets", [text("tree")]);
    expect(chips(store)).toEqual(["cat", "dog", "sun"]);
    host.set("_result", result([text("tree")], { rid: "other.9" }));
    host.set("_status", { ...IDLE, rid: "other.9", rev: 9 });
    expect(store.outdated.value).toBe(false);
    expect(chips(store)).toEqual(["tree"]);
  });
  it("takes back what the kernel refuses, and says why", () => {
    const { host, store } = open();
    store.add(text("x".repeat(10_000)));
    host.tell({ kind: "refused", rid: "somebody.else", message: "not for us" });
    expect(store.outdated.value).toBe(true);
    host.tell({ kind: "refused", rid: lastAsk(host).rid, message: "A prompt has 1 to 1000 characters." });
    expect(chips(store)).toEqual(["cat", "dog"]);
    expect(store.active.value).toBe(0);
    expect(store.outdated.value).toBe(false);
    expect(store.phase.value).toMatchObject({ kind: "error", message: "A prompt has 1 to 1000 characters." });
    store.add(text("sun"));
    expect(store.phase.value.kind).toBe("busy");
  });
  it("shows a failure with its traceback, and the next question clears it", () => {
    const { host, store } = open();
    store.add(text("sun"));
    take(host, lastAsk(host));
    host.set("_status", {
      ...IDLE,
      state: "error",
      rid: lastAsk(host).rid,
      rev: 2,
      message: "NaN in block 3.",
      detail: "Traceback",
    });
    expect(store.phase.value).toMatchObject({
      kind: "error",
      message: "NaN in block 3.",
      detail: "Traceback",
    });
    expect(store.entry.value?.label).toBe("cat");
    store.setMethod("rollout");
    expect(store.phase.value.kind).toBe("busy");
  });
  it("notices that the kernel is gone, and that it is back", () => {
    const { host, store } = open();
    host.connected = false;
    store.add(text("sun"));
    expect(store.phase.value).toMatchObject({
      kind: "offline",
      message: expect.stringContaining("disconnected"),
    });
    expect(chips(store)).toEqual(["cat", "dog"]);
    expect(store.outdated.value).toBe(false);
    host.connected = true;
    store.add(text("sun"));
    expect(store.phase.value.kind).toBe("busy");
  });
  it("asks nothing without a kernel", () => {
    const { host, store } = open({ _static: true });
    store.add(text("sun"));
    store.setMethod("rollout");
    store.drafts.type("tree");
    store.chooseLayers([2]);
    vi.advanceTimersByTime(1000);
    expect(host.sent).toEqual([]);
    expect(store.chosen.value).toEqual([2]);
    expect(store.phase.value.kind).toBe("offline");
  });
  it("marks the map of another method than the chosen one, when the chosen one failed", () => {
    const { host, store } = open();
    store.setMethod("rollout");
    take(host, lastAsk(host));
    host.set("_status", { ...IDLE, state: "error", rid: lastAsk(host).rid, rev: 2, message: "No." });
    expect(store.trait("method").value).toBe("rollout");
    expect(store.heat.value).not.toBeNull();
    expect(store.outdated.value).toBe(true);
    store.setMethod("legrad");
    take(host, lastAsk(host));
    answer(host, lastAsk(host));
    expect(store.outdated.value).toBe(false);
  });
  it("resets the knobs with the method, and sends only what differs from the defaults", () => {
    const { host, store } = open();
    store.setKnob("relu", false);
    vi.advanceTimersByTime(TURN_MS);
    expect(lastAsk(host).knobs).toEqual({ relu: false });
    store.setKnob("preset", "paper");
    vi.advanceTimersByTime(TURN_MS);
    expect(lastAsk(host).knobs).toEqual({ relu: false, preset: "paper" });
    store.setKnob("relu", true);
    vi.advanceTimersByTime(TURN_MS);
    expect(lastAsk(host).knobs).toEqual({ preset: "paper" });
    store.setMethod("rollout");
    expect(lastAsk(host)).toMatchObject({ method: "rollout", knobs: {} });
  });
  it("asks once for knobs that are turned together, and with them if something else is asked meanwhile", () => {
    const { host, store } = open();
    store.setKnob("relu", false);
    vi.advanceTimersByTime(TURN_MS / 2);
    store.setKnob("preset", "paper");
    expect(host.of("ask")).toHaveLength(0);
    store.add(text("sun"));
    expect(lastAsk(host).knobs).toEqual({ relu: false, preset: "paper" });
    vi.advanceTimersByTime(2 * TURN_MS);
    expect(host.of("ask")).toHaveLength(1);
  });
  it("forgets a turned knob when another method is chosen", () => {
    const { host, store } = open();
    store.setKnob("relu", false);
    store.setMethod("rollout");
    vi.advanceTimersByTime(2 * TURN_MS);
    expect(host.of("ask")).toHaveLength(1);
    expect(lastAsk(host).knobs).toEqual({});
  });
  it("says beside the knobs what was wrong with them, until something else is asked", () => {
    const { host, store } = open();
    store.setKnob("preset", "paper");
    vi.advanceTimersByTime(TURN_MS);
    host.tell({ kind: "refused", rid: lastAsk(host).rid, message: "preset is None or 'paper'." });
    expect(store.knobFault.value).toBe("preset is None or 'paper'.");
    store.add(text("sun"));
    host.tell({ kind: "refused", rid: lastAsk(host).rid, message: "busy" });
    expect(store.knobFault.value).toBe("");
  });
});

describe("cancelling", () => {
  it("ends the question at once and believes the kernel's word", () => {
    const { host, store } = open();
    store.add(text("sun"));
    store.cancel();
    expect(host.of("cancel")).toHaveLength(1);
    expect(chips(store)).toEqual(["cat", "dog"]);
    host.set("_status", { ...IDLE, rev: 3, message: "cancelled" });
    expect(store.phase.value).toMatchObject({ kind: "idle", message: "Cancelled" });
    vi.advanceTimersByTime(GIVE_UP_MS);
    expect(store.phase.value.kind).toBe("idle");
  });
  it.each([null, "ours"])("gives up on a kernel that goes on computing (rid %s)", (whose) => {
    const { host, store } = open();
    store.add(text("sun"));
    const rid = whose && lastAsk(host).rid;
    host.set("_status", { ...IDLE, state: "running", rid, rev: 4 });
    store.cancel();
    expect(store.phase.value.kind).toBe("busy");
    vi.advanceTimersByTime(GIVE_UP_MS);
    expect(store.phase.value).toMatchObject({
      kind: "error",
      message: expect.stringContaining("has not stopped"),
    });
    expect(store.outdated.value).toBe(false);
    host.set("_status", { ...IDLE, state: "running", rid: null, rev: 5 });
    expect(store.phase.value.kind).toBe("busy");
  });
});

describe("typing a prompt", () => {
  it("asks once after a pause, for a chip that is only a draft", () => {
    const { host, store } = open();
    for (const words of ["s", "su", "sun "]) {
      store.drafts.type(words);
      vi.advanceTimersByTime(TYPING_MS - 1);
    }
    expect(host.of("ask")).toHaveLength(0);
    vi.advanceTimersByTime(1);
    expect(host.of("ask")).toHaveLength(1);
    expect(chips(store)).toEqual(["cat", "dog", "sun"]);
    expect(store.drafts.draft.value?.at).toBe(2);
    store.drafts.type("sunset");
    vi.advanceTimersByTime(TYPING_MS);
    expect(chips(store)).toEqual(["cat", "dog", "sunset"]);
  });
  it("asks at once on Enter, and only if the preview has not asked already", () => {
    const { host, store } = open();
    store.drafts.type("sun");
    expect(store.drafts.commit("sun")).toBe(true);
    expect(host.of("ask")).toHaveLength(1);
    expect(store.drafts.draft.value).toBeNull();
    vi.advanceTimersByTime(TYPING_MS);
    expect(host.of("ask")).toHaveLength(1);

    store.drafts.type("tree");
    vi.advanceTimersByTime(TYPING_MS);
    take(host, lastAsk(host));
    answer(host, lastAsk(host));
    store.drafts.commit("tree");
    expect(host.of("ask")).toHaveLength(2);
    expect(chips(store)).toEqual(["cat", "dog", "sun", "tree"]);
  });
  it("asks again on Enter where the preview failed", () => {
    const { host, store } = open();
    store.drafts.type("sun");
    vi.advanceTimersByTime(TYPING_MS);
    take(host, lastAsk(host));
    host.set("_status", { ...IDLE, state: "error", rid: lastAsk(host).rid, rev: 2, message: "No." });
    store.drafts.commit("sun");
    expect(host.of("ask")).toHaveLength(2);
    expect(lastAsk(host).targets).toHaveLength(3);
  });
  it("goes back to the chip before when the box is emptied", () => {
    const { host, store } = open({ active: 1 });
    store.drafts.type("sun");
    vi.advanceTimersByTime(TYPING_MS);
    take(host, lastAsk(host));
    answer(host, lastAsk(host));
    store.drafts.type("");
    vi.advanceTimersByTime(TYPING_MS);
    expect(chips(store)).toEqual(["cat", "dog"]);
    expect(store.active.value).toBe(1);
    expect(store.entry.value?.label).toBe("dog");
  });
  it("only selects a prompt that is there already", () => {
    const { host, store } = open();
    expect(store.drafts.commit("dog")).toBe(true);
    expect(host.of("ask")).toHaveLength(0);
    expect(store.active.value).toBe(1);
  });
  it("edits a chip in its place, and puts it back on Escape", () => {
    const { host, store } = open();
    store.drafts.edit(0);
    store.drafts.type("a cat");
    vi.advanceTimersByTime(TYPING_MS);
    expect(chips(store)).toEqual(["a cat", "dog"]);
    expect(store.active.value).toBe(0);
    store.drafts.drop();
    expect(chips(store)).toEqual(["cat", "dog"]);
    store.drafts.edit(1);
    store.drafts.commit("two dogs");
    expect(chips(store)).toEqual(["cat", "two dogs"]);
    expect(lastAsk(host).active).toBe(1);
  });
  it("forgets a draft whose chip Python has taken away", () => {
    const { host, store } = open();
    store.drafts.type("sun");
    vi.advanceTimersByTime(TYPING_MS);
    take(host, lastAsk(host));
    answer(host, lastAsk(host));
    host.set("targets", [text("tree")]);
    expect(store.drafts.draft.value).toBeNull();
  });
  it("refuses an empty prompt in a sentence, until something is typed", () => {
    const { host, store } = open();
    expect(store.drafts.commit("   ")).toBe(false);
    expect(host.of("ask")).toHaveLength(0);
    expect(store.phase.value).toMatchObject({
      kind: "error",
      message: expect.stringContaining("empty prompt"),
    });
    store.drafts.type("s");
    expect(store.phase.value.kind).toBe("idle");
  });
  it("takes 32 prompts and no more", () => {
    const targets = Array.from({ length: 32 }, (_, i) => text(`thing ${i}`));
    const { host, store } = open({ targets, _result: result(targets) });
    store.add(text("one more"));
    expect(store.drafts.commit("one more")).toBe(false);
    expect(host.of("ask")).toHaveLength(0);
    store.drafts.edit(3);
    expect(store.drafts.commit("instead")).toBe(true);
    expect(lastAsk(host).targets).toHaveLength(32);
  });
});

describe("chips", () => {
  it("switch without asking, since all maps are there", () => {
    const { host, store } = open();
    const before = store.heat.value!.raw[0];
    store.select(1);
    expect(store.entry.value?.label).toBe("dog");
    expect(store.heat.value!.raw[0]).toBe(before! + 100);
    expect(store.outdated.value).toBe(false);
    vi.advanceTimersByTime(COMMIT_MS);
    expect(host.of("ask")).toHaveLength(0);
    expect(host.of("view")).toMatchObject([{ active: 1 }]);
    expect(host.written).toMatchObject([{ active: 1 }]);
    store.select(7);
    expect(store.active.value).toBe(1);
  });
  it.each([
    [0, 0, ["dog"], 0],
    [1, 0, ["dog"], 0],
    [0, 1, ["cat"], 0],
    [1, 1, ["cat"], 0],
  ])("removed: active %i, without %i", (active, at, left, then) => {
    const { host, store } = open({ active });
    store.remove(at);
    expect(chips(store)).toEqual(left);
    expect(lastAsk(host).active).toBe(then);
    expect(store.entry.value?.label).toBe(left[0]);
  });
  it("leave an empty widget when the last one goes", () => {
    const { host, store } = open({ targets: [text("cat")], _result: result([text("cat")]) });
    store.remove(0);
    expect(lastAsk(host)).toMatchObject({ targets: [], active: 0 });
    expect(store.entry.value).toBeNull();
    expect(store.heat.value).toBeNull();
  });
});

describe("the view", () => {
  it("is told once after a pause, as traits and as a message", () => {
    const { host, store } = open();
    for (const opacity of [0.1, 0.2, 0.3]) store.set("opacity", opacity);
    store.chooseLayers([3, 1]);
    vi.advanceTimersByTime(COMMIT_MS - 1);
    expect(host.written).toEqual([]);
    vi.advanceTimersByTime(1);
    const [said] = host.of("view");
    expect(said).toMatchObject({ n: 1, active: 0, view: { opacity: 0.3, layers: [1, 3] } });
    expect(host.written).toEqual([{ opacity: 0.3, layers: [1, 3], _look: { client: said!.client, n: 1 } }]);
    vi.advanceTimersByTime(5000);
    expect(host.sent).toHaveLength(2);
  });
  it("keeps a choice that crossed the kernel's older state on its way", () => {
    const { host, store } = open();
    store.add(text("bird")); // asks, with the third target active
    store.select(1);
    vi.advanceTimersByTime(COMMIT_MS);
    const { client, n } = host.of("view").at(-1) as { client: string; n: number };
    const targets = lastAsk(host).targets as Target[];
    const { rid } = lastAsk(host);
    vi.advanceTimersByTime(1000); // the kernel is slow; now it takes up the question, then the choice
    host.set("targets", targets);
    host.set("active", 2);
    host.set("_result", result(targets, { rid }));
    expect(store.active.value).toBe(1);
    host.set("_look", { client: "another page", n: n + 5, taken: true });
    expect(store.active.value).toBe(1);
    host.set("active", 1);
    host.set("_look", { client, n, taken: true });
    expect(store.active.value).toBe(1);
    host.set("active", 0); // and from now on Python is heard again
    expect(store.active.value).toBe(0);
  });
  it("takes what the kernel says where an edit was refused", () => {
    const { host, store } = open();
    store.set("opacity", 0.2);
    vi.advanceTimersByTime(5000);
    host.set("opacity", 0.5);
    expect(store.look.value.opacity).toBe(0.2);
    host.tell({ v: 1, kind: "refused", rid: null, message: "no" });
    expect(store.look.value.opacity).toBe(0.5);
  });
  it("is told when the page goes, if it was not yet", () => {
    const { host, store } = open();
    store.set("opacity", 0.2);
    end.abort();
    expect(host.written).toMatchObject([{ opacity: 0.2 }]);
  });
  it("follows Python without an echo", () => {
    const { host, store } = open();
    host.set("opacity", 0.25);
    host.set("layers", [2]);
    host.set("colormap", "viridis");
    expect(store.look.value).toMatchObject({ opacity: 0.25, palette: "viridis" });
    expect(store.chosen.value).toEqual([2]);
    vi.advanceTimersByTime(5000);
    expect(host.written).toEqual([]);
    expect(host.of("view")).toEqual([]);
  });
  it("does not jump back under the hand when an older value comes home", () => {
    const { host, store } = open();
    store.set("opacity", 0.5);
    vi.advanceTimersByTime(COMMIT_MS);
    store.set("opacity", 0.7);
    host.set("opacity", 0.5);
    expect(store.trait("opacity").value).toBe(0.7);
    vi.advanceTimersByTime(COMMIT_MS + SETTLE_MS + 1);
    expect(store.trait("opacity").value).toBe(0.7);
    expect(host.read("opacity")).toBe(0.7);
  });
  it("comes to what the kernel holds where the two differ in the end", () => {
    const { host, store } = open();
    store.set("opacity", 0.7);
    vi.advanceTimersByTime(COMMIT_MS);
    vi.advanceTimersByTime(SETTLE_MS + 1);
    const { client, n } = host.of("view")[0]!;
    host.set("opacity", 0.2);
    host.set("_look", { client, n, taken: true });
    expect(store.trait("opacity").value).toBe(0.2);
  });
  it("keeps two clients of one model together, and each silent about the other's doing", () => {
    const host = new FakeHost(answered());
    const [one, two] = [createLiveStore(host, end.signal), createLiveStore(host, end.signal)];
    one.set("threshold", 0.4);
    vi.advanceTimersByTime(COMMIT_MS);
    expect(two.trait("threshold").value).toBe(0.4);
    one.add(text("sun"));
    take(host, lastAsk(host));
    expect(chips(two)).toEqual(["cat", "dog", "sun"]);
    expect(two.phase.value.kind).toBe("busy");
    answer(host, lastAsk(host));
    expect(two.entry.value?.label).toBe("sun");
    vi.advanceTimersByTime(5000);
    expect(host.of("view")).toHaveLength(1);
    expect(host.of("ask")).toHaveLength(1);
    const clients = host.of("hello").map(({ client }) => client);
    expect(new Set(clients).size).toBe(2);
  });
  it("replaces what a trait cannot be", () => {
    const { store } = open({ opacity: "thick", colormap: "jet", layers: "all", active: -3, threshold: 4 });
    expect(store.look.value).toMatchObject({ opacity: 0.65, palette: "inferno", threshold: 0 });
    expect(store.chosen.value).toEqual([1, 2, 3]);
    expect(store.active.value).toBe(0);
  });
});

describe("layers", () => {
  it("are all of them, or the last, as the method states", () => {
    const { host, store } = open();
    expect(store.chosen.value).toEqual([1, 2, 3]);
    host.set("_result", result([text("cat"), text("dog")], { default: "last", merge: "last" }));
    expect(store.chosen.value).toEqual([3]);
    expect(store.heat.value!.raw[0]).toBe(30);
    store.chooseLayers([1, 2]);
    expect(store.heat.value!.raw[0]).toBe(20);
    expect(store.shares.value).toEqual([]);
  });
  it("step from one to the next and stop at the ends", () => {
    const { store } = open();
    const seen = [];
    for (const by of [1, 1, 1, 1, -1]) {
      store.stepLayer(by);
      seen.push(...store.chosen.value);
    }
    expect(seen).toEqual([1, 2, 3, 3, 2]);
    store.chooseLayers(null);
    store.stepLayer(-1);
    expect(store.chosen.value).toEqual([3]);
  });
  it("play through depth without a word to the kernel, and end as they began", () => {
    const { host, store } = open();
    store.togglePlay();
    const seen = [store.chosen.value[0]];
    for (let i = 0; i < 2; i++) {
      vi.advanceTimersByTime(PLAY_MS);
      seen.push(store.chosen.value[0]);
    }
    expect(seen).toEqual([1, 2, 3]);
    vi.advanceTimersByTime(PLAY_MS);
    expect(store.playing.value).toBeNull();
    expect(store.chosen.value).toEqual([1, 2, 3]);
    vi.advanceTimersByTime(5000);
    expect(host.written).toEqual([]);
  });
  it("stay where the pause was pressed, and stop for any choice", () => {
    const { store } = open();
    store.togglePlay();
    vi.advanceTimersByTime(PLAY_MS);
    store.togglePlay();
    expect(store.trait("layers").value).toEqual([2]);
    store.togglePlay();
    store.chooseLayers([3]);
    vi.advanceTimersByTime(10 * PLAY_MS);
    expect(store.chosen.value).toEqual([3]);
  });
  it("go one step for each press where motion is unwanted, and round to all", () => {
    const { store } = open();
    const seen = [];
    for (let i = 0; i < 4; i++) {
      store.togglePlay(true);
      seen.push(store.chosen.value.length > 1 ? "all" : store.chosen.value[0]);
    }
    expect(seen).toEqual([1, 2, 3, "all"]);
  });
});

describe("the patch cursor", () => {
  it("starts in the middle and stays in the grid", () => {
    const { store } = open();
    store.moveSpot(0, 1);
    expect(store.spot.value).toMatchObject({ row: 0, col: 1 });
    store.moveSpot(5, 5);
    expect(store.spot.value).toMatchObject({ row: 1, col: 2, x: 500, y: 300 });
  });
});

describe("the description", () => {
  it("names target, layers, place, reach and score", () => {
    const { store } = open();
    expect(store.description.value).toBe(
      "heatmap for 'cat', all 3 layers: strongest at row 2, column 3 (lower right), covers about 50 % of what the model saw; cosine 0.3.",
    );
  });
  it("says what the model does not see, and what failed", () => {
    const { host, store } = open();
    const absent = result([text("cat"), text("dog")]);
    absent.targets[0]!.supported = false;
    host.set("_result", absent);
    expect(store.description.value).toContain("does not see it here");
    const failed = result([text("cat"), text("dog")]);
    failed.targets[0]!.error = "the built-in model does not know 'cat'";
    host.set("_result", failed);
    expect(store.heat.value).toBeNull();
    expect(store.description.value).toContain("does not know");
  });
});

describe("pictures", () => {
  const file = (size: number, type = "image/png", name = "a.png") =>
    new File([new Uint8Array(size).fill(7)], name, { type });

  it("go out in parts of at most 4 MiB, each a buffer of its own", async () => {
    const { host, store } = open();
    const size = 9 * 2 ** 20;
    await store.upload(file(size));
    const parts = host.of("image");
    expect(parts.map(({ part, parts: count }) => [part, count])).toEqual([
      [0, 3],
      [1, 3],
      [2, 3],
    ]);
    expect(new Set(parts.map(({ upload }) => upload)).size).toBe(1);
    expect(parts.map(({ n }) => n)).toEqual([1, 2, 3]);
    expect(host.buffers.map((buffer) => buffer.byteLength)).toEqual([2 ** 22, 2 ** 22, 2 ** 20]);
    expect(store.phase.value).toMatchObject({ kind: "waiting", message: expect.stringContaining("a.png") });
    host.set("_image", { ...IMAGE, rev: 2 });
    expect(store.phase.value.kind).toBe("idle");
  });
  it("that the kernel refuses leave everything as it was", async () => {
    const { host, store } = open();
    await store.upload(file(10));
    host.tell({ kind: "refused", rid: null, message: "a.png is not a picture." });
    expect(store.phase.value).toMatchObject({ kind: "error", message: "a.png is not a picture." });
    expect(store.heat.value).not.toBeNull();
  });
  it("that never come back are not waited for without an end", async () => {
    const { store } = open();
    await store.upload(file(10));
    vi.advanceTimersByTime(30_000);
    expect(store.phase.value).toMatchObject({
      kind: "error",
      message: expect.stringContaining("not shown the picture"),
    });
  });
  it.each([
    [{ name: "a.pdf", size: 10, type: "application/pdf" }, "a.pdf is not a picture (application/pdf)"],
    [{ name: "a.png", size: 0, type: "image/png" }, "a.png is empty"],
    [{ name: "a.png", size: 33 * 2 ** 20, type: "image/png" }, "has 33 MiB; at most 32 MiB"],
    [{ name: "a.png", size: 32 * 2 ** 20, type: "" }, ""],
  ])("are checked before they are sent (%#)", (raw, reason) => {
    if (reason) expect(whyNot(raw)).toContain(reason);
    else expect(whyNot(raw)).toBe("");
  });
});
