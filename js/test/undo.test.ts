// @vitest-environment happy-dom
// Undo in the page: which keys, from where, and where one act ends.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/index";
import { answered } from "./samples";

let end = () => {};
function show(changes: Record<string, unknown> = {}) {
  const state: Record<string, unknown> = { ...answered(), ...changes };
  const sent: { kind: string }[] = [];
  const model = {
    get: (name: string) => state[name],
    set: (name: string, value: unknown) => {
      state[name] = value;
    },
    save_changes() {},
    send: (content: { kind: string }) => void sent.push(content),
    on() {},
    off() {},
  };
  const el = document.createElement("div");
  document.body.append(el);
  end = widget.render({ model, el } as never);
  const get = (id: string) => el.querySelector<HTMLInputElement>(`[data-testid="${id}"]`)!;
  const root = get("legrad");
  const press = (key: string, changes: KeyboardEventInit = {}, target: HTMLElement = root) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...changes });
    target.dispatchEvent(event);
    return event;
  };
  const slide = (value: number) => {
    get("opacity").value = String(value);
    get("opacity").dispatchEvent(new Event("input", { bubbles: true }));
  };
  const down = (target: HTMLElement) =>
    target.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, pointerId: 1 }));
  const opacity = () => Number(get("opacity").value);
  const off = (id: string) => get(id).getAttribute("aria-disabled") === "true";
  return { get, press, slide, down, opacity, off, sent, el };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  end();
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe("undo in the page", () => {
  it("takes a drag back in one step, by key and by button", () => {
    const { get, press, slide, down, opacity, off } = show();
    expect([off("do-undo"), off("do-redo")]).toEqual([true, true]);
    down(get("opacity"));
    for (const value of [0.6, 0.4, 0.2]) slide(value);
    down(get("opacity"));
    slide(0.9);
    expect([off("do-undo"), off("do-redo")]).toEqual([false, true]);
    expect(press("z", { ctrlKey: true }).defaultPrevented).toBe(true);
    expect(opacity()).toBe(0.2);
    press("z", { metaKey: true });
    expect(opacity()).toBe(0.65);
    expect([off("do-undo"), off("do-redo")]).toEqual([true, false]);
    press("Z", { ctrlKey: true, shiftKey: true });
    expect(opacity()).toBe(0.2);
    press("y", { ctrlKey: true });
    expect(opacity()).toBe(0.9);
    get("do-undo").click();
    expect(opacity()).toBe(0.2);
    get("do-redo").click();
    expect(opacity()).toBe(0.9);
  });
  it("counts a held key as one step, and each press as one", () => {
    const { press, opacity } = show();
    press("[");
    for (let i = 0; i < 5; i++) press("[", { repeat: true });
    press("]");
    expect(opacity()).toBe(0.4);
    press("z", { ctrlKey: true });
    expect(opacity()).toBe(0.35);
    press("z", { ctrlKey: true });
    expect(opacity()).toBe(0.65);
  });
  it("counts an act in which the focus moves as one step", () => {
    const pin = { method: "legrad", knobs: {}, layers: [2], heads: null, weights: "equal" };
    const { get, press, off, el } = show({
      pins: [{ ...pin, targets: answered().targets, active: 1 }],
    });
    const card = get("pin");
    card.focus();
    card.click(); // the row of pins is drawn anew, and its card takes the focus again
    expect(get("pin")).not.toBe(card);
    const chosen = () => el.querySelector("[role=radio][aria-checked=true]")!.parentElement!.dataset.index;
    expect(chosen()).toBe("1");
    press("z", { ctrlKey: true });
    expect(chosen()).toBe("0");
    expect(off("do-undo")).toBe(true);
  });
  it("works from a slider that has the focus, and leaves text boxes their own undo", () => {
    const { get, press, slide, down, opacity } = show();
    down(get("opacity"));
    slide(0.3);
    expect(press("z", { ctrlKey: true }, get("prompt")).defaultPrevented).toBe(false);
    expect(opacity()).toBe(0.3);
    press("z", { ctrlKey: true }, get("opacity"));
    expect(opacity()).toBe(0.65);
  });
  it("leaves the brush its own key", () => {
    const { press, slide, down, get, opacity } = show();
    down(get("opacity"));
    slide(0.3);
    press("z");
    expect(opacity()).toBe(0.3);
  });
});
