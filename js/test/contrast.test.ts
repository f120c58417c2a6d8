// @vitest-environment happy-dom
// A over B: on the wire, among the chips, by mouse and by keys.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { prompts } from "../src/ui/prompts";
import { decodeTarget, keyOf, labelOf, opposed, type Side, type Target } from "../src/wire";
import { FakeHost } from "./fake-host";
import { answered, result, text } from "./samples";
import { createLiveStore } from "./with-live";

const [CAT, DOG, SUN] = ["cat", "dog", "sun"].map((words): Side => ({ kind: "text", text: words }));
const OVER: Target = { kind: "contrast", a: CAT!, b: DOG! };
const FOX: Side = { kind: "class", index: 6, name: "fox" };

describe("a contrast on the wire", () => {
  it("is read with its two sides, and named and told apart by them", () => {
    expect(decodeTarget({ ...OVER, label: "<b>forged</b>" })).toEqual(OVER);
    expect(labelOf(OVER)).toBe("cat over dog");
    const back = { ...OVER, a: DOG!, b: CAT! };
    const typed = text("cat over dog");
    expect(new Set([OVER, back, typed, CAT!].map(keyOf)).size).toBe(4);
    expect(keyOf({ ...OVER, b: FOX })).toBe(keyOf({ ...OVER, b: { ...FOX, name: "" } }));
  });
  it.each([
    [{ kind: "contrast" }],
    [{ kind: "contrast", a: CAT }],
    [{ kind: "contrast", a: OVER, b: CAT }],
    [{ kind: "contrast", a: CAT, b: { kind: "file", path: "/etc/passwd" } }],
    [{ kind: "contrast", a: CAT, b: { ...CAT } }],
    [{ kind: "contrast", a: "cat", b: 3 }],
  ])("is dropped where it cannot be (%#)", (raw) => expect(decodeTarget(raw)).toBeNull());
  it("has two different sides that are no contrasts", () => {
    expect(opposed(CAT, DOG)).toEqual(OVER);
    expect(opposed(CAT, FOX)).not.toBeNull();
    for (const [a, b] of [
      [CAT, CAT],
      [CAT, OVER],
      [OVER, CAT],
      [undefined, CAT],
      [CAT, null],
    ] as const)
      expect(opposed(a, b)).toBeNull();
  });
  it("keeps templates with their prompt, which is another target then", () => {
    const templates = ["a photo of a {}"];
    expect(decodeTarget({ ...CAT, templates })).toEqual({ ...CAT, templates });
    expect(decodeTarget({ ...CAT, templates: [] })).toEqual(CAT);
    expect(keyOf({ ...CAT, templates } as Target)).not.toBe(keyOf(CAT!));
    expect(labelOf({ ...CAT, templates } as Target)).toBe("cat");
  });
});

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
  document.body.append(prompts(store, end.signal));
  const radios = () => [...document.querySelectorAll<HTMLElement>("[role=radio]")];
  const hints = () => radios().map((radio) => radio.title);
  const asked = () => host.of("ask").at(-1) as { targets: Target[]; active: number } | undefined;
  const press = (key: string, changes: KeyboardEventInit = {}) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...changes });
    document.activeElement!.dispatchEvent(event);
    return event;
  };
  const names = () => radios().map((radio) => radio.querySelector(".lg-name")!.textContent);
  return { host, store, radios, hints, asked, press, names };
}
const three = { targets: [CAT, DOG, SUN], _result: result([CAT!, DOG!, SUN!]) };

describe("chips", () => {
  it.each(["ctrlKey", "metaKey"])("are opposed by a click with %s: the active one over that one", (held) => {
    const { radios, asked, names, store } = show(three);
    radios()[1]!.dispatchEvent(new MouseEvent("click", { bubbles: true, [held]: true }));
    expect(asked()).toMatchObject({ targets: [CAT, DOG, SUN, OVER], active: 3 });
    expect(names()).toEqual(["cat", "dog", "sun", "cat over dog"]);
    expect(store.active.value).toBe(3);
  });
  it("are opposed by C on one that has the focus, reached with Ctrl and an arrow", () => {
    const { radios, asked, press, store } = show(three);
    radios()[0]!.focus();
    expect(press("ArrowRight", { ctrlKey: true }).defaultPrevented).toBe(true);
    press("ArrowRight", { ctrlKey: true });
    expect(document.activeElement).toBe(radios()[2]);
    expect(store.active.value).toBe(0);
    expect(asked()).toBeUndefined();
    expect(press("c").defaultPrevented).toBe(true);
    expect(asked()!.targets[3]).toEqual({ kind: "contrast", a: CAT, b: SUN });
    expect(document.activeElement).toBe(radios()[3]);
    expect(radios()[3]!.getAttribute("aria-label")).toBe("cat over sun");
  });
  it("say so in their titles, where there is something to oppose", () => {
    const { hints, store } = show({ ...three, targets: [CAT, DOG, OVER] });
    expect(hints()).toEqual(["", "Ctrl-click or C: cat over dog", ""]);
    store.select(1);
    expect(hints()).toEqual(["Ctrl-click or C: dog over cat", "", ""]);
    store.select(2);
    expect(hints()).toEqual(["", "", ""]);
  });
  it("choose the contrast that is there already", () => {
    const { radios, store, asked } = show({ targets: [CAT, DOG, OVER], _result: result([CAT!, DOG!, OVER]) });
    radios()[1]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    expect(store.active.value).toBe(2);
    expect(asked()).toBeUndefined();
  });
  it("are only chosen where they cannot be opposed: a contrast, itself, a page without a kernel", () => {
    const { radios, store, asked, press } = show({ targets: [CAT, OVER] });
    const click = (at: number) =>
      radios()[at]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    click(0);
    click(1);
    radios()[1]!.focus();
    expect(press("c").defaultPrevented).toBe(false);
    expect(store.active.value).toBe(1);
    expect(asked()).toBeUndefined();
    end.abort();
    document.body.replaceChildren();
    end = new AbortController();
    const page = show({ ...three, _static: true });
    page.radios()[1]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    expect(page.names()).toEqual(["cat", "dog", "sun"]);
    expect(page.store.active.value).toBe(1);
    expect(page.hints()).toEqual(["", "", ""]);
  });
  it("are removed where the focus is, and a contrast goes like any other", () => {
    const { radios, asked, press, names } = show({ targets: [CAT, DOG, OVER] });
    radios()[0]!.focus();
    press("ArrowLeft", { ctrlKey: true });
    press("Delete");
    expect(asked()!.targets).toEqual([CAT, DOG]);
    expect(names()).toEqual(["cat", "dog"]);
  });
  it("show names as text, each side by itself", () => {
    const html = "<img src=x onerror=alert(1)>";
    const { radios } = show({ targets: [{ ...OVER, a: text(html) }] });
    expect([...radios()[0]!.querySelectorAll("bdi")].map((side) => side.textContent)).toEqual([html, "dog"]);
    expect(document.querySelector("img")).toBeNull();
  });
  it("keep their templates while they are edited", () => {
    const templates = ["a photo of a {}"];
    const { store, asked } = show({ targets: [{ ...CAT, templates }, DOG] });
    store.drafts.edit(0);
    store.drafts.commit("kitten");
    expect(asked()!.targets).toEqual([{ kind: "text", text: "kitten", templates }, DOG]);
    store.drafts.commit("cat");
    expect(asked()!.targets[2]).toEqual(CAT);
  });
});
