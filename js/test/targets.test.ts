// @vitest-environment happy-dom
// Templates and concepts among the chips: what is read through what, and what crosses.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TYPING_MS } from "../src/store/drafts";
import { prompts } from "../src/ui/prompts";
import { predictions } from "../src/ui/score";
import { templates } from "../src/ui/templates";
import { decodeConcepts, keyOf, readThrough, type Side, type Target } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, result, text } from "./samples";
import { createLiveStore } from "./with-live";

const PHOTO = ["a photo of a {}"];
const BOTH = [...PHOTO, "a drawing of a {}, on paper"];
const HELD: Side = { kind: "held", key: "v1", label: "like 3 pictures" };
const in_ = (templates: readonly string[], words: string) =>
  ({ kind: "text", text: words, templates }) as Side;

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

function show(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  const editor = templates(store, end.signal);
  document.body.append(
    prompts(store, end.signal),
    predictions(store, end.signal),
    editor.opener,
    editor.panel,
  );
  const get = <T extends HTMLElement>(id: string) => document.querySelector<T>(`[data-testid=${id}]`)!;
  const asked = () => host.of("ask").at(-1) as { targets: Target[]; active: number; templates: string[] };
  const chips = () => [...document.querySelectorAll<HTMLElement>("[role=radio]")];
  return { host, store, get, asked, chips };
}

describe("reading through templates", () => {
  it("gives a prompt templates, or takes them away, also in a contrast; nothing else changes", () => {
    expect(readThrough(text("cat"), PHOTO)).toEqual(in_(PHOTO, "cat"));
    expect(readThrough(in_(BOTH, "cat"), [])).toEqual(text("cat"));
    expect(readThrough(HELD, PHOTO)).toBe(HELD);
    const over = { kind: "contrast", a: text("cat") as Side, b: HELD } as const;
    expect(readThrough(over, PHOTO)).toEqual({ ...over, a: in_(PHOTO, "cat") });
    // Both sides would be the same: it stays.
    const same = { kind: "contrast", a: in_(PHOTO, "cat"), b: in_(BOTH, "cat") } as const;
    expect(readThrough(same, [])).toBe(same);
  });
  it("rewrites every prompt in one question; what is the same then is there once, and stays active", () => {
    const targets = [text("cat"), in_(PHOTO, "dog"), HELD, text("dog")];
    const { store, asked } = show({ targets, active: 3, _result: result(targets) });
    store.drafts.readThrough(PHOTO);
    expect(asked().targets).toEqual([in_(PHOTO, "cat"), in_(PHOTO, "dog"), HELD]);
    expect(asked()).toMatchObject({ active: 1, templates: PHOTO });
    expect(store.trait("templates").value).toEqual(PHOTO);
    store.drafts.readThrough([]);
    expect(asked()).toMatchObject({ targets: [text("cat"), text("dog"), HELD], active: 1, templates: [] });
  });
  it("is taken back in one step, prompts and templates", () => {
    const { store, asked } = show();
    store.history.begin();
    store.drafts.readThrough(BOTH);
    store.history.undo();
    expect(asked()).toMatchObject({ templates: [], targets: [text("cat"), text("dog")] });
    store.history.redo();
    expect(asked()).toMatchObject({ templates: BOTH, targets: [in_(BOTH, "cat"), in_(BOTH, "dog")] });
  });
  it("is for what is typed next, for suggestions and for the model's guesses; an edited prompt keeps its own", () => {
    const predicted = [{ index: 0, name: "fox", probability: 0.5 }];
    const targets = [text("cat"), in_(BOTH, "dog")];
    const { store, asked, get } = show({
      targets,
      templates: PHOTO,
      _result: result(targets, { predictions: predicted }),
    });
    store.drafts.type("bird");
    vi.advanceTimersByTime(TYPING_MS);
    expect(asked().targets.at(-1)).toEqual(in_(PHOTO, "bird"));
    expect(asked().templates).toEqual(PHOTO);
    store.drafts.drop();
    get("predictions").querySelector("button")!.click();
    expect(asked().targets.at(-1)).toEqual(in_(PHOTO, "fox"));
    store.drafts.edit(1);
    store.drafts.commit("puppy");
    expect(asked().targets[1]).toEqual(in_(BOTH, "puppy"));
    store.drafts.edit(0);
    store.drafts.commit("kitten");
    expect(asked().targets[0]).toEqual(text("kitten"));
  });
});

describe("chips", () => {
  it("tell what they are read through", () => {
    const targets = [in_(PHOTO, "cat"), in_(BOTH, "dog"), text("sun")];
    const { chips } = show({ targets });
    expect(chips().map((chip) => chip.getAttribute("aria-label"))).toEqual([
      "a photo of a cat",
      "dog in 2 templates",
      "sun",
    ]);
    expect(chips()[1]!.querySelector("bdi")!.title).toBe(BOTH.join("\n"));
    expect(chips()[2]!.querySelector("bdi")!.title).toBe("");
    expect(chips().map((chip) => chip.parentElement!.title)).toEqual(["cat", "dog", "sun"]);
  });
  it("show pictures of a concept, and of one in a contrast; markup in templates is words", () => {
    const small = Uint8Array.of(255, 216, 255, 1);
    const wild = in_(["<b>{}</b>"], "cat");
    const { chips, host } = show({
      targets: [HELD, { kind: "contrast", a: HELD, b: wild }],
      _concepts: { v1: { count: 3, thumbnails: [new DataView(small.buffer), small] } },
    });
    const pictures = () => chips().map((chip) => [...chip.querySelectorAll("img")].map((img) => img.src));
    const url = `data:image/jpeg;base64,${btoa("\xff\xd8\xff\x01")}`;
    expect(pictures()).toEqual([
      [url, url],
      [url, url],
    ]);
    expect(document.querySelector("[role=radio] b")).toBeNull();
    expect(chips()[1]!.getAttribute("aria-label")).toBe("like 3 pictures over <b>cat</b>");
    host.set("_concepts", {});
    expect(pictures()).toEqual([[], []]);
  });
  it("read small pictures of whatever arrives", () => {
    expect(decodeConcepts(undefined)).toEqual({});
    expect(decodeConcepts({ v1: null, v2: { thumbnails: [3, "x"] } })).toEqual({ v1: [], v2: [] });
    expect(keyOf(HELD)).toBe("held:v1");
  });
});

describe("the template editor", () => {
  it("opens and closes, and is not there for a model without prompts", () => {
    const { get, host } = show();
    const opener = get<HTMLButtonElement>("templates");
    expect(opener.getAttribute("aria-expanded")).toBe("false");
    opener.click();
    expect(get("template-editor").closest("section")!.hidden).toBe(false);
    get("template-editor").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(get("template-editor").closest("section")!.hidden).toBe(true);
    host.set("_static", true);
    expect(opener.hidden).toBe(true);
    host.set("_static", false);
    expect(opener.hidden).toBe(false);
    host.set("_model", { ...(host.read("_model") as object), prompts: false });
    expect(opener.hidden).toBe(true);
  });
  it("takes one sentence a line, and says which one does not fit", () => {
    const { get, asked, host } = show();
    get("templates").click();
    const editor = get<HTMLTextAreaElement>("template-editor");
    editor.value = ` ${BOTH[0]} \n\na drawing`;
    get("template-apply").click();
    expect(host.of("ask")).toHaveLength(0);
    expect(document.querySelector("section [role=alert]")!.textContent).toBe(
      "‘a drawing’ needs {} once: that is where the prompt goes.",
    );
    editor.value = Array(101).fill("{}").join("\n");
    get("template-apply").click();
    expect(document.querySelector("section [role=alert]")!.textContent).toContain(
      "101 templates are too many",
    );
    editor.value = BOTH.join("\n");
    editor.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
    expect(asked()).toMatchObject({ templates: BOTH, targets: [in_(BOTH, "cat"), in_(BOTH, "dog")] });
    expect(get("templates").textContent).toContain("2");
    expect(get("templates").title).toContain("in 2 templates");
  });
  it("has presets, follows Python, and leaves alone what somebody is writing", () => {
    const { get, asked, host } = show();
    get("templates").click();
    const editor = get<HTMLTextAreaElement>("template-editor");
    get("template-preset-1").click();
    expect(asked().targets).toEqual([in_(PHOTO, "cat"), in_(PHOTO, "dog")]);
    expect(editor.value).toBe("a photo of a {}");
    expect(get("template-preset-1").getAttribute("aria-pressed")).toBe("true");
    get("template-preset-0").click();
    expect(asked()).toMatchObject({ targets: [text("cat"), text("dog")], templates: [] });
    host.set("_status", { state: "idle", rid: (asked() as unknown as { rid: string }).rid, rev: 2 });
    vi.advanceTimersByTime(1000);
    document.body.focus();
    host.set("templates", BOTH);
    expect(editor.value).toBe(BOTH.join("\n"));
    editor.focus();
    editor.value = "half a sent";
    host.set("templates", PHOTO);
    expect(editor.value).toBe("half a sent");
  });
});
