// @vitest-environment happy-dom
// "Find things like these": pictures that are chosen or dropped where prompts are typed.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { examples, MAX_EXAMPLES } from "../src/ui/examples";
import { UPLOAD_PART_BYTES } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, IDLE } from "./samples";
import { createLiveStore } from "./with-live";

let end: AbortController;
beforeEach(() => {
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  document.body.replaceChildren();
});

function show(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  const zone = document.createElement("div");
  document.body.append(zone, examples(store, zone, end.signal));
  const input = document.querySelector<HTMLInputElement>("[data-testid=examples]")!;
  const choose = (...files: File[]) => {
    Object.defineProperty(input, "files", { value: files, configurable: true });
    input.dispatchEvent(new Event("change"));
  };
  const drop = (...files: File[]) => {
    const event = new Event("drop", { bubbles: true, cancelable: true });
    Object.assign(event, { dataTransfer: { types: ["Files"], files } });
    zone.dispatchEvent(event);
    return event;
  };
  return { host, store, zone, input, choose, drop, sent: () => host.of("example") };
}
const picture = (name = "a.png", size = 10, type = "image/png") =>
  new File([new Uint8Array(size)], name, { type });
const settled = (there: () => boolean) => vi.waitUntil(there, { timeout: 2000 });

it("sends them one after the other, each in parts, as one concept", async () => {
  const { choose, host, sent, store, input } = show();
  expect(input.multiple).toBe(true);
  choose(picture("a.png"), picture("b.png", UPLOAD_PART_BYTES + 5), picture("c.png"));
  await settled(() => sent().length === 4);
  expect(
    sent().map(({ name, at, count, part, parts, size }) => [name, at, count, part, parts, size]),
  ).toEqual([
    ["a.png", 0, 3, 0, 1, 10],
    ["b.png", 1, 3, 0, 2, UPLOAD_PART_BYTES + 5],
    ["b.png", 1, 3, 1, 2, UPLOAD_PART_BYTES + 5],
    ["c.png", 2, 3, 0, 1, 10],
  ]);
  expect(new Set(sent().map(({ concept }) => concept)).size).toBe(1);
  expect(new Set(sent().map(({ upload }) => upload)).size).toBe(3);
  expect(host.buffers.map((buffer) => buffer.byteLength)).toEqual([10, UPLOAD_PART_BYTES, 5, 10]);
  await settled(() => store.phase.value.message === "Sent c.png; waiting for the kernel …");
  host.set("_status", { ...IDLE, state: "running", rev: 5 });
  host.set("_status", { ...IDLE, rev: 5 });
  expect(store.phase.value.kind).toBe("idle");
});

it("takes what is dropped, so that the host does not", async () => {
  const { drop, sent, zone } = show();
  const over = new Event("dragover", { cancelable: true });
  Object.assign(over, { dataTransfer: { types: ["Files"], files: [] } });
  zone.dispatchEvent(over);
  expect(over.defaultPrevented).toBe(true);
  expect(zone.hasAttribute("data-dropping")).toBe(true);
  expect(drop(picture()).defaultPrevented).toBe(true);
  expect(zone.hasAttribute("data-dropping")).toBe(false);
  await settled(() => sent().length === 1);
});

it("sends none where one is no picture, and says which", async () => {
  const { choose, sent, store, host } = show();
  choose(picture(), picture("notes.txt", 5, "text/plain"), picture());
  await settled(() => store.phase.value.kind === "error");
  expect(store.phase.value.message).toBe("notes.txt is not a picture (text/plain); send a PNG or JPEG.");
  choose(picture("empty.png", 0));
  await settled(() => store.phase.value.message.includes("empty.png is empty"));
  expect(sent()).toEqual([]);
  expect(host.of("image")).toEqual([]);
});

it("lets the kernel say that there are too many, after the first", async () => {
  const { choose, sent } = show();
  choose(...Array.from({ length: MAX_EXAMPLES + 1 }, () => picture()));
  await settled(() => sent().length === 1);
  await new Promise((done) => setTimeout(done, 30));
  expect(sent()).toHaveLength(1);
  expect(sent()[0]).toMatchObject({ at: 0, count: 31 });
});

it("stops, and shows the kernel's sentence, when one of them was refused", async () => {
  const { choose, sent, store, host } = show();
  const send = host.send.bind(host);
  host.send = (content, buffers) => {
    send(content, buffers);
    host.tell({ kind: "refused", rid: null, message: "example 1 of 3, 'a.png': no picture" });
  };
  choose(picture("a.png"), picture("b.png"), picture("c.png"));
  await settled(() => store.phase.value.kind === "error");
  await new Promise((done) => setTimeout(done, 30));
  expect(sent()).toHaveLength(1);
  expect(store.phase.value).toMatchObject({ kind: "error", message: "example 1 of 3, 'a.png': no picture" });
});

it("is off without a kernel", () => {
  const { input, drop, sent } = show({ _static: true });
  expect(input.disabled).toBe(true);
  expect(drop(picture()).defaultPrevented).toBe(false);
  expect(sent()).toEqual([]);
});
