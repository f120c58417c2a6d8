// @vitest-environment happy-dom
// A saved page without a browser's pixels: what was saved can be switched to, and the rest is off.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/index";
import { reviveBytes } from "../src/page-model";
import { savedModel } from "../src/saved";
import { answered, result, text } from "./samples";

const TARGETS = [text("cat"), text("dog")];
const rollout = () => {
  const answer = result(TARGETS, { method: "rollout", merge: "last", default: "last", seconds: 2 });
  new Float32Array(answer.maps.data.buffer).forEach((value, i, all) => {
    all[i] = 1000 - value;
  });
  return answer;
};

/** As it is written into the page and read from it. */
function throughJson(state: Record<string, unknown>): Record<string, unknown> {
  const pack = (_: string, value: unknown) =>
    value instanceof DataView
      ? { $bytes: btoa(String.fromCharCode(...new Uint8Array(value.buffer))) }
      : value;
  return JSON.parse(JSON.stringify(state, pack), reviveBytes);
}

let end = () => {};
function open(changes: Record<string, unknown> = {}) {
  const { _result, ...traits } = answered();
  const saved = { _static: true, _saved: [_result, rollout()], compared: ["legrad", "rollout"], ...changes };
  const el = document.createElement("div");
  document.body.append(el);
  end = widget.render({ model: savedModel(throughJson({ ...traits, ...saved })), el } as never);
  vi.advanceTimersByTime(100);
  const all = (id: string) => [...el.querySelectorAll<HTMLInputElement>(`[data-testid="${id}"]`)];
  const get = (id: string) => all(id)[0]!;
  const value = () => {
    get("picture").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    const words = get("readout").textContent;
    get("picture").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    return words;
  };
  return { get, all, value };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  end();
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe("a saved page", () => {
  it("shows the answer of its method, and says that it is a saved page", () => {
    const { get, value } = open();
    expect(value()).toContain("value 21");
    expect(get("status").textContent).toContain("A saved page");
    expect(get("status").dataset.kind).toBe("offline");
  });
  it("switches to every method that was saved, and back", () => {
    const { get, value } = open();
    get("method-rollout").click();
    expect(value()).toContain("value 969");
    expect(get("method-rollout").checked).toBe(true);
    get("method-legrad").click();
    expect(value()).toContain("value 21");
    expect(get("legrad").hasAttribute("data-outdated")).toBe(false);
  });
  it("offers no method that was not saved", () => {
    const { get } = open({ _saved: [rollout()], method: "rollout" });
    expect(get("method-legrad").disabled).toBe(true);
    expect(get("method-legrad").parentElement!.title).toContain("needs a running kernel");
    expect(get("method-gradcam").disabled).toBe(true);
    expect(get("method-gradcam").parentElement!.title).toBe("It needs a class token.");
  });
  it("picks among the prompts that were saved, and takes none away", () => {
    const { get, all, value } = open();
    all("chip")[1]!.querySelector("button")!.click();
    expect(value()).toContain("value 121");
    all("chip")[1]!
      .querySelector("button")!
      .dispatchEvent(new KeyboardEvent("keydown", { key: "Delete", bubbles: true }));
    expect(all("chip").length).toBe(2);
    expect(get("prompt").disabled).toBe(true);
  });
  it("compares what was saved, for each prompt", () => {
    const { get, all } = open();
    get("compare-methods").click();
    expect(all("pane").map(({ dataset }) => dataset.state)).toEqual(["drawn", "drawn"]);
    const range = () => all("pane").map((pane) => pane.querySelector("p")!.textContent);
    const cat = range();
    all("chip")[1]!.querySelector("button")!.click();
    expect(range()).not.toEqual(cat);
    expect(all("pane").map(({ dataset }) => dataset.state)).toEqual(["drawn", "drawn"]);
  });
  it("opens with the comparison that it was saved with", () => {
    const { all } = open({ compare: "methods", active: 1 });
    expect(all("pane").map(({ dataset }) => dataset.state)).toEqual(["drawn", "drawn"]);
  });
  it("says where a pane is not in it", () => {
    const { get, all } = open({ _saved: [result(TARGETS)] });
    get("compare-methods").click();
    expect(all("pane")[1]!.textContent).toContain("Not in this saved page.");
  });
  it("keeps the sentence of a target that a method failed on", () => {
    const failed = rollout();
    failed.targets[0]!.error = "<b>cat</b> was not computed by Rollout.";
    const { get, all } = open({ _saved: [result(TARGETS), failed] });
    get("compare-methods").click();
    expect(all("pane")[1]!.textContent).toContain("<b>cat</b> was not computed");
    get("method-rollout").click();
    vi.advanceTimersByTime(100);
    expect(get("score").textContent).toContain("<b>cat</b> was not computed");
  });
  it("says so when it was saved without an answer", () => {
    const { get } = open({ _saved: [] });
    expect(get("heat").hidden).toBe(true);
  });
});
