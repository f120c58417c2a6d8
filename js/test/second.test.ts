// The second file on its way: who asks for it, what is said meanwhile, and what happens when it is here.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { savedModel } from "../src/saved";
import { createStore } from "../src/store";
import { LATE_MS } from "../src/store/conversation";
import type { Live } from "../src/store/live";
import { HASH, PATIENCE_MS } from "../src/store/second";
import { FakeHost } from "./fake-host";
import { answered } from "./samples";

const page = globalThis as unknown as { legradWidget?: Record<string, unknown> };
let before: typeof page.legradWidget;
let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
  before = page.legradWidget;
  delete page.legradWidget;
});
afterEach(() => {
  end.abort();
  if (before) page.legradWidget = before;
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createStore(host, end.signal);
  return { host, store, asked: () => host.of("live") };
}

describe("asking for it", () => {
  it("waits until a kernel has answered, and names the file by its hash alone", () => {
    const { host, asked } = open();
    expect(asked()).toEqual([]);
    host.tell({ kind: "alive" });
    expect(asked()).toMatchObject([{ v: 1, kind: "live", hash: HASH }]);
    expect(Object.keys(asked()[0]!).sort()).toEqual(["client", "hash", "kind", "v"]);
  });
  it("is done once for all widgets of a page", () => {
    const [one, two] = [open(), open()];
    one.host.tell({ kind: "alive" });
    two.host.tell({ kind: "alive" });
    expect([one.asked().length, two.asked().length]).toEqual([1, 0]);
  });
  it("is done again by another widget where the first one's kernel has not answered in time", () => {
    const [one, two] = [open(), open()];
    one.host.tell({ kind: "alive" });
    vi.advanceTimersByTime(PATIENCE_MS + 1);
    two.host.tell({ kind: "alive" });
    expect(two.asked()).toHaveLength(1);
  });
  it("is done at once by whoever wants it, whoever else has asked", () => {
    const [one, two] = [open(), open()];
    one.host.tell({ kind: "alive" });
    two.store.second.want();
    expect(two.asked()).toHaveLength(1);
  });
});

describe("while it is away", () => {
  it("nothing is said before it is wanted", () => {
    const { host, store } = open();
    host.tell({ kind: "alive" });
    host.tell({ kind: "live", hash: "", message: "The tools cannot be loaded: another version." });
    expect(store.second.wait.value).toBe("");
  });
  it("says that it comes, and after a while that the kernel is busy", () => {
    const { store } = open();
    store.second.want();
    expect(store.second.wait.value).toBe("Fetching …");
    vi.advanceTimersByTime(LATE_MS);
    expect(store.second.wait.value).toBe("Waiting for the kernel (busy?) …");
  });
  it("says why it cannot come, in the kernel's words", () => {
    const { host, store } = open();
    store.second.want();
    host.tell({ kind: "live", hash: "", message: "The tools cannot be loaded: another version." });
    expect(store.second.wait.value).toBe("The tools cannot be loaded: another version.");
  });
  it("asks anew after a refusal, and waits for what is said now", () => {
    const { host, store, asked } = open();
    host.tell({ kind: "live", hash: "", message: "The tools cannot be loaded: another version." });
    store.second.want();
    expect(store.second.wait.value).toBe("Fetching …");
    expect(asked()).toHaveLength(1);
  });
  it("says that there is no kernel", () => {
    const { host, store } = open();
    host.connected = false;
    store.second.want();
    expect(store.second.wait.value).toBe("Needs a live kernel.");
  });
  it("shows the sentence where a key of it was pressed", () => {
    const { store, asked } = open();
    expect(store.press("q")).toBe(false);
    expect(store.waiting.value).toBe("");
    expect(store.press("l")).toBe(true);
    expect(store.waiting.value).toBe("Fetching …");
    expect(asked()).toHaveLength(1);
  });
});

describe("a saved page", () => {
  const asks = (live?: string) => {
    const heard: unknown[] = [];
    const model = savedModel({ ...answered(), _static: true }, live);
    model.on("msg:custom", (content: unknown, buffers: unknown) => void heard.push(content, buffers));
    model.send({ kind: "live", hash: HASH });
    return heard;
  };
  it("hands over the file that it holds", () => {
    expect(asks("code")).toEqual([{ kind: "live", hash: HASH }, [new TextEncoder().encode("code")]]);
  });
  it("works without one, and says what needs a kernel", () => {
    expect(asks()).toEqual([]);
    const { store, host } = open({ _static: true });
    expect(host.of("hello")).toEqual([]);
    expect(store.second.wait.value).toBe("Needs a live kernel.");
    expect(store.heat.value).not.toBeNull();
    store.chooseLayers([2]);
    expect(store.chosen.value).toEqual([2]);
    store.select(1);
    expect(store.active.value).toBe(1);
  });
});

describe("when it arrives", () => {
  const code = (text: string) => [new DataView(new TextEncoder().encode(text).buffer)];

  it("is not run where its hash is another one's", async () => {
    const { host, store } = open();
    store.second.want();
    host.tell({ kind: "live", hash: "0123456789abcdef", message: "" }, code("export default 1"));
    await vi.advanceTimersByTimeAsync(0);
    expect([store.second.make.value, store.second.wait.value]).toEqual([null, "Fetching …"]);
  });
  it("says so where the browser does not run it", async () => {
    const { host, store } = open();
    store.second.want();
    host.tell({ kind: "live", hash: HASH, message: "" }, code("export default nonsense nonsense"));
    await vi.waitFor(() => expect(store.second.wait.value).toContain("The tools could not be started"));
    expect(store.second.wait.value).toContain("Reload the page");
  });
  it("is there for every widget of the page", async () => {
    const make = () => ({}) as Live;
    page.legradWidget = { [HASH]: { file: Promise.resolve(() => make), arrive() {}, asked: 0 } };
    const [one, two] = [open(), open()];
    await vi.advanceTimersByTimeAsync(0);
    expect([one.store.second.make.value, two.store.second.make.value]).toEqual([make, make]);
    one.host.tell({ kind: "alive" });
    one.store.second.want();
    expect(one.asked()).toEqual([]);
  });
  it("acts on the key that was pressed for it, if that is still held", () => {
    const pressed: string[] = [];
    const live = { press: (key: string) => pressed.push(key), release() {} } as unknown as Live;
    const [held, released] = [open().store, open().store];
    held.press("a");
    released.press("a");
    released.release();
    held.live.value = released.live.value = live;
    expect(pressed).toEqual(["a"]);
  });
});
