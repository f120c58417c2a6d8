// @vitest-environment happy-dom
// The built page in a DOM without pixels: wiring, text safety, and that nothing stays behind.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/index";
import { matching } from "../src/ui/typeahead";
import { answered, comparison, result, text } from "./samples";

/** The anywidget model, strict: a listener taken off must have been put on. */
class FakeModel {
  readonly listeners = new Map<string, Set<(content?: unknown) => void>>();
  readonly sent: Record<string, unknown>[] = [];
  constructor(readonly state: Record<string, unknown>) {}
  get = (name: string) => this.state[name];
  set = (name: string, value: unknown) => {
    this.state[name] = value;
    this.emit(`change:${name}`);
  };
  save_changes = () => {};
  send = (content: Record<string, unknown>) => void this.sent.push(content);
  on = (event: string, run: () => void) => {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(run));
  };
  off = (event: string, run: () => void) => {
    if (!this.listeners.get(event)?.delete(run)) throw new Error(`nothing to take off from ${event}`);
  };
  emit(event: string, content?: unknown) {
    for (const run of [...(this.listeners.get(event) ?? [])]) run(content);
  }
  get count() {
    return [...this.listeners.values()].reduce((sum, runs) => sum + runs.size, 0);
  }
}

let ends: (() => void)[] = [];
function show(changes: Record<string, unknown> = {}) {
  const model = new FakeModel({ ...answered(), ...changes });
  const el = document.createElement("div");
  document.body.append(el);
  ends.push(widget.render({ model, el, signal: undefined } as never));
  const get = (id: string) => el.querySelector<HTMLElement>(`[data-testid="${id}"]`)!;
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  return { model, el, get, all, root: get("legrad") };
}
function key(target: HTMLElement, name: string, changes: KeyboardEventInit = {}) {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...changes });
  target.dispatchEvent(event);
  return event;
}
const words = (elements: HTMLElement[]) => elements.map((element) => element.textContent);
const lastAsk = (model: FakeModel) =>
  model.sent.filter(({ kind }) => kind === "ask").at(-1) as never as {
    targets: unknown[];
    method: string;
    knobs: unknown;
  };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const end of ends) end();
  ends = [];
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe("a view", () => {
  it("takes the notebook's shortcuts out of the way", () => {
    expect(show().root.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  });
  it("takes them out of the way of whatever has the focus, where JupyterLab looks first", () => {
    const { get } = show();
    get("opacity").dispatchEvent(new Event("focusin", { bubbles: true }));
    expect(get("opacity").getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  });
  it("leaves nothing behind when it ends", () => {
    const { model, el } = show();
    expect(model.count).toBeGreaterThan(10);
    for (const end of ends) end();
    ends = [];
    expect(model.count).toBe(0);
    expect(el.childElementCount).toBe(0);
  });
  it("says in a sentence why it cannot be drawn", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const el = document.createElement("div");
    const broken = {
      get: () => {
        throw new Error("no such model");
      },
      on: () => {},
      off: () => {},
    };
    widget.render({ model: broken, el } as never);
    expect(el.querySelector("[role=alert]")?.textContent).toContain("could not be drawn: no such model");
  });
  it("has every part that others look for", () => {
    const { get } = show({
      _result: result([text("cat"), text("dog")], {
        predictions: [{ index: 0, name: "cat", probability: 0.5 }],
      }),
    });
    for (const id of [
      "picture",
      "heat",
      "prompt",
      "chip",
      "layer",
      "all-layers",
      "play",
      "method-legrad",
      "opacity",
      "colormap",
      "threshold",
      "smooth",
      "readout",
      "score",
      "status",
      "colorbar",
      "describe",
      "upload",
      "cancel",
      "predictions",
    ]) {
      expect(get(id), id).not.toBeNull();
    }
  });
});

describe("text", () => {
  const hostile = ["<img src=x onerror=alert(1)>", "</script><b>x</b>", "🐈‍⬛ قطة", "a\u202Eb"];
  it.each(hostile)("stays text wherever it is shown: %s", (words) => {
    const raw = result([text(words)], {
      predictions: [{ index: 0, name: words, probability: 0.5 }],
      predictions_of: words,
    });
    Object.assign(raw.targets[0]!, {
      note: words,
      error: "",
      supported: false,
      probability_of: words,
      score_name: words,
    });
    const { el, get, all } = show({
      targets: [text(words)],
      _result: raw,
      _model: { prompts: true, suggestions: [words], classes: null },
      _status: { state: "error", message: words, detail: words, rid: null },
    });
    expect(el.querySelector("img, b b, script")).toBeNull();
    expect(all(".lg-chip bdi")[0]!.textContent).toBe(words);
    expect(get("chip").title).toBe(words);
    expect(get("status").querySelector("pre")!.textContent).toBe(words);
    get("prompt").dispatchEvent(new Event("click"));
    expect(all("[role=listbox] [role=option]").map((option) => option.textContent)).toContain(words);
  });
});

describe("chips", () => {
  it("are radio buttons, one of them in the tab order", () => {
    const { all } = show({ active: 1 });
    const radios = all("[role=radio]");
    expect(radios.map((radio) => radio.getAttribute("aria-checked"))).toEqual(["false", "true"]);
    expect(radios.map((radio) => radio.tabIndex)).toEqual([-1, 0]);
  });
  it("are walked with arrows, removed with Delete, chosen with digits", () => {
    const { all, root, model } = show();
    const active = () =>
      all("[role=radio]").findIndex((radio) => radio.getAttribute("aria-checked") === "true");
    key(all("[role=radio]")[0]!, "ArrowRight");
    expect(active()).toBe(1);
    key(root, "1");
    expect(active()).toBe(0);
    key(all("[role=radio]")[0]!, "Delete");
    expect(lastAsk(model).targets).toEqual([text("dog")]);
  });
  it("are edited in place", () => {
    const { all, get, model } = show();
    key(all("[role=radio]")[0]!, "F2");
    const box = get("prompt") as HTMLInputElement;
    expect(box.value).toBe("cat");
    box.value = "kitten";
    box.form!.dispatchEvent(new Event("submit", { cancelable: true }));
    expect(lastAsk(model).targets).toEqual([text("kitten"), text("dog")]);
    expect(box.value).toBe("");
  });
});

describe("the prompt box", () => {
  it("asks on Enter, though JupyterLab lets no form submit itself", () => {
    const { get, model } = show();
    const box = get("prompt") as HTMLInputElement;
    box.value = "sun";
    expect(key(box, "Enter", { isComposing: true }).defaultPrevented).toBe(false);
    expect(lastAsk(model)).toBeUndefined();
    expect(key(box, "Enter").defaultPrevented).toBe(true);
    expect(lastAsk(model).targets).toContainEqual(text("sun"));
    expect(box.value).toBe("");
  });
  it("keeps the words that could not be sent", () => {
    const { get, model } = show();
    const box = get("prompt") as HTMLInputElement;
    model.send = () => {
      throw new Error("Cannot send");
    };
    box.value = "sun";
    key(box, "Enter");
    expect(box.value).toBe("sun");
    expect(get("status").textContent).toContain("disconnected");
  });
  it("leaves typed keys alone", () => {
    const { get, model } = show();
    const before = model.sent.length;
    for (const name of ["1", "p", "0", "[", " ", "?", "ArrowLeft"])
      expect(key(get("prompt"), name).defaultPrevented).toBe(false);
    vi.advanceTimersByTime(1000);
    expect(model.sent).toHaveLength(before);
  });
  it("completes classes where the model takes no prompts", () => {
    const classes = Array.from({ length: 1000 }, (_, i) => `thing ${i}`);
    const { get, all, model } = show({ _model: { prompts: false, classes }, targets: [], _result: {} });
    const box = get("prompt") as HTMLInputElement;
    box.value = "thing 99";
    box.dispatchEvent(new Event("input"));
    expect(
      all("[role=option][data-at]")
        .map((option) => option.textContent)
        .slice(0, 3),
    ).toEqual(["thing 99", "thing 990", "thing 991"]);
    key(box, "ArrowDown");
    key(box, "ArrowDown");
    box.form!.dispatchEvent(new Event("submit", { cancelable: true }));
    expect(lastAsk(model).targets).toEqual([{ kind: "class", index: 990, name: "thing 990" }]);
  });
  it("asks nothing for words that name no class", () => {
    const { get, all, model } = show({
      _model: { prompts: false, classes: ["cat"] },
      targets: [],
      _result: {},
    });
    const box = get("prompt") as HTMLInputElement;
    box.value = "zzz";
    box.dispatchEvent(new Event("input"));
    expect(all(".lg-popup")[0]!.textContent).toContain("zzz");
    box.form!.dispatchEvent(new Event("submit", { cancelable: true }));
    expect(lastAsk(model)).toBeUndefined();
  });
  it("ranks what starts with the words first", () => {
    expect(matching(["wild cat", "dog", "Cat", "catfish"], " cat")).toEqual(["Cat", "catfish", "wild cat"]);
  });
});

describe("layers", () => {
  const chosen = (all: (selector: string) => HTMLElement[]) =>
    all("[data-layer][aria-selected=true]")
      .map((layer) => layer.dataset.layer)
      .join();
  it("are chosen with arrows, Home, End, Shift and 0", () => {
    const { all, root } = show();
    const strip = all(".lg-strip")[0]!;
    const seen = [chosen(all)];
    for (const [name, shiftKey] of [
      ["ArrowRight"],
      ["End"],
      ["ArrowLeft"],
      ["ArrowLeft", true],
      ["ArrowRight", true],
      ["ArrowRight", true],
      ["Home", true],
      ["Home"],
    ] as [string, boolean?][]) {
      key(strip, name, { shiftKey: shiftKey ?? false });
      seen.push(chosen(all));
    }
    key(root, "0");
    seen.push(chosen(all));
    expect(seen).toEqual(["1,2,3", "1", "3", "2", "1,2", "2", "2,3", "1,2", "1", "1,2,3"]);
  });
  it("say their score and share", () => {
    const { all } = show();
    expect(all("[data-layer='2']")[0]!.title).toMatch(
      /^layer 2, score 0.2, \d+ % of the merged map, floor 0\.90$/,
    );
  });
  it("say so too when the first answer comes after the page", () => {
    const { model, all } = show({ _result: {} });
    expect(all("[data-layer]")).toEqual([]);
    model.set("_result", answered()._result);
    expect(chosen(all)).toBe("1,2,3");
    expect(words(all("[data-layer] span:last-child"))).toEqual(["0.1", "0.2", ""]);
  });
  it("are named anew when a method has another one", () => {
    const { model, all } = show();
    const given = answered()._result as Record<string, unknown>;
    model.set("_result", { ...given, layers: [4, 5, 6] });
    expect(words(all("[data-layer] b"))).toEqual(["4", "5", "6"]);
  });
});

describe("methods and knobs", () => {
  it("ask for a map by another method, and never by one that is not to be had", () => {
    const { get, model } = show();
    const gradcam = get("method-gradcam") as HTMLInputElement;
    expect(gradcam.disabled).toBe(true);
    expect(gradcam.closest("label")!.title).toBe("It needs a class token.");
    const reason = document.getElementById(gradcam.getAttribute("aria-describedby")!)!;
    expect(reason.textContent).toBe("Grad-CAM: It needs a class token.");
    expect(get("unavailable").querySelector("summary")!.textContent).toBe("1 not available for this model");
    const rollout = get("method-rollout") as HTMLInputElement;
    rollout.checked = true;
    rollout.dispatchEvent(new Event("change"));
    expect(lastAsk(model)).toMatchObject({ method: "rollout", knobs: {} });
  });
  it("turn every kind of knob", () => {
    const { all, model } = show();
    const relu = all("[data-knob=relu]")[0] as HTMLInputElement;
    expect(relu.checked).toBe(true);
    relu.checked = false;
    relu.dispatchEvent(new Event("change"));
    const preset = all("[data-knob=preset]")[0] as HTMLSelectElement;
    preset.value = "1";
    preset.dispatchEvent(new Event("change"));
    expect(lastAsk(model)).toBeUndefined();
    vi.advanceTimersByTime(400);
    expect(lastAsk(model).knobs).toEqual({ relu: false, preset: "paper" });
    expect(model.sent.filter(({ kind }) => kind === "ask")).toHaveLength(1);
  });
});

describe("knobs of every kind", () => {
  const knob = (changes: Record<string, unknown>) => ({
    name: "k",
    default: null,
    choices: [],
    optional: false,
    low: null,
    high: null,
    integer: false,
    help: "What it does.",
    ...changes,
  });
  function turn(changes: Record<string, unknown>, value: string, knobs: Record<string, unknown> = {}) {
    const { all, get, model } = show({
      knobs,
      _catalogue: [{ name: "legrad", title: "LeGrad", available: true, knobs: [knob(changes)] }],
    });
    const control = all("[data-knob=k]")[0] as HTMLInputElement;
    const before = control.value;
    control.value = value;
    control.dispatchEvent(new Event("change"));
    vi.advanceTimersByTime(400);
    return { control, before, get, all, model, knobs: lastAsk(model)?.knobs };
  }
  it("a number has its bounds and a step that fits them, and is empty for None", () => {
    const { control, knobs } = turn({ kind: "number", default: 0.8, low: 0, high: 1 }, "0.5");
    expect([control.type, control.min, control.max, control.step]).toEqual(["number", "0", "1", "0.01"]);
    expect(knobs).toEqual({ k: 0.5 });
    expect(turn({ kind: "number", default: 2, integer: true }, "3").control.step).toBe("1");
    const none = turn({ kind: "number", default: 2, optional: true }, " ");
    expect(none.control.placeholder).toBe("none");
    expect(none.knobs).toEqual({ k: null });
  });
  it("a number without None goes back to its default when emptied", () => {
    expect(turn({ kind: "number", default: 2 }, "", { k: 5 }).knobs).toEqual({});
    const { control, knobs } = turn({ kind: "number", default: 2 }, "");
    expect([control.value, knobs]).toEqual(["2", undefined]);
  });
  it("are asked for once, though browsers tell of a change again when the focus leaves", () => {
    const { control, model, all } = turn({ kind: "number", default: 2 }, "3");
    control.dispatchEvent(new Event("change"));
    vi.advanceTimersByTime(400);
    expect(model.sent.filter(({ kind }) => kind === "ask")).toHaveLength(1);
    expect(all("[data-knob=k]")[0], "it stays under the fingers").toBe(control);
  });
  it("words are trimmed, and None when empty", () => {
    expect(turn({ kind: "text", optional: true }, " grass ").knobs).toEqual({ k: "grass" });
    expect(turn({ kind: "text", optional: true }, "", { k: "grass" }).knobs).toEqual({});
  });
  it("an optional choice has None among its choices", () => {
    const { before, control, knobs } = turn(
      { kind: "choice", default: "a", choices: ["a", "b"], optional: true },
      "0",
    );
    expect([...control.children].map((option) => option.textContent)).toEqual(["none", "a", "b"]);
    expect(before).toBe("1");
    expect(knobs).toEqual({ k: null });
  });
  it("tell what they do, how many differ, and go back to the defaults", () => {
    const { get, all, model } = show({
      knobs: { k: 3 },
      _catalogue: [{ name: "legrad", available: true, knobs: [knob({ kind: "number", default: 2 })] }],
    });
    expect(get("knobs").textContent).toContain("What it does.");
    expect(get("knobs").querySelector("summary")!.textContent).toBe("Options (1 changed)");
    all("[data-testid=reset-knobs]")[0]!.click();
    vi.advanceTimersByTime(1);
    expect(lastAsk(model).knobs).toEqual({});
    expect(get("reset-knobs").hidden).toBe(true);
  });
  it("show beside them why the kernel refused one", () => {
    const { get, model, all } = show();
    const relu = all("[data-knob=relu]")[0] as HTMLInputElement;
    relu.checked = false;
    relu.dispatchEvent(new Event("change"));
    vi.advanceTimersByTime(400);
    const { rid } = lastAsk(model) as never as { rid: string };
    model.emit("msg:custom", { kind: "refused", rid, message: "relu is True or False." });
    expect(get("knob-fault").textContent).toBe("relu is True or False.");
    expect(get("knob-fault").hidden).toBe(false);
    expect((all("[data-knob=relu]")[0] as HTMLInputElement).checked).toBe(true);
  });
});

describe("the compare view", () => {
  const beside = (changes: Record<string, unknown> = {}) =>
    show({
      compare: "methods",
      compared: ["legrad", "rollout"],
      _comparison: comparison(["legrad", "rollout"]),
      ...changes,
    });

  it("is one row until something is compared", () => {
    const { get } = show();
    expect((get("compare-off") as HTMLInputElement).checked).toBe(true);
    for (const id of ["panes", "compared", "agreement", "scale-own"]) {
      expect(get(id).closest("[hidden]"), id).not.toBeNull();
    }
    (get("compare-prompts") as HTMLInputElement).dispatchEvent(new Event("change"));
    expect(get("panes").closest("[hidden]")).toBeNull();
    expect(get("compared").hidden).toBe(true);
  });
  it("names each pane, describes its map and gives its range, with the sign where it has one", () => {
    const { all } = beside();
    expect(words(all("[data-testid=pane] button"))).toEqual(["LeGrad", "Rollout"]);
    // The mean of sin(l + i) over three layers is 0.69 sin(i + 1); the second one is minus twice that, three on.
    expect(words(all("[data-testid=pane] .lg-small"))).toEqual(["-0.665 … 0.631", "± 1.37"]);
    const described = all("[data-testid=pane] canvas").map((canvas) => canvas.getAttribute("aria-label"));
    expect(described[1]).toContain("strongest against it at row");
  });
  it("has one cursor, and each pane's value at it", () => {
    const { get, all } = beside();
    expect(all("[data-testid=pane] .lg-patch").every(({ hidden }) => hidden)).toBe(true);
    key(get("picture"), "ArrowRight");
    const values = words(all("[data-testid=pane] b"));
    const middle = (p: number) =>
      [0, 1, 2].reduce((sum, l) => sum + Math.sin(3 * p + l + 1) / 3, 0) * (p ? -2 : 1);
    expect(values.map(Number)).toEqual([expect.closeTo(middle(0), 2), expect.closeTo(middle(1), 2)]);
    const places = all(".lg-patch").map((patch) => [patch.hidden, patch.style.left, patch.style.width]);
    expect(new Set(places.map(String)).size).toBe(1);
    expect(places[0]![0]).toBe(false);
  });
  it("chooses the methods by boxes, those that are not to be had with their reason", () => {
    const { get, model } = beside();
    const gradcam = get("compare-gradcam") as HTMLInputElement;
    expect(gradcam.disabled).toBe(true);
    const reason = document.getElementById(gradcam.getAttribute("aria-describedby")!)!;
    expect(reason.textContent).toContain("It needs a class token.");
    const rollout = get("compare-rollout") as HTMLInputElement;
    expect(rollout.checked).toBe(true);
    rollout.checked = false;
    rollout.dispatchEvent(new Event("change"));
    expect(lastAsk(model)).toMatchObject({ compare: ["legrad"] });
    expect(get("compared").querySelector("summary")!.textContent).toBe("1 of 3 methods");
  });
  it("makes a pane's method or prompt the one of the large picture", () => {
    const { all, model } = beside();
    all("[data-testid=pane] button")[1]!.click();
    expect(lastAsk(model).method).toBe("rollout");
    const prompts = show({ compare: "prompts" });
    prompts.all("[data-testid=pane] button")[1]!.click();
    expect(prompts.get("score").textContent).toContain("dog");
  });
  it("has a table with headers: rank correlation above the diagonal, overlap below", () => {
    const { get, all } = beside();
    expect(words(all("thead th"))).toEqual(["LeGrad", "Rollout"]);
    expect(words(all("tbody th"))).toEqual(["LeGrad", "Rollout"]);
    const cells = all("tbody td");
    expect(cells[1]!.title).toMatch(/^LeGrad and Rollout: rank correlation -?\d\.\d\d$/);
    expect(cells[2]!.title).toMatch(/^Rollout and LeGrad: overlap \d\.\d\d$/);
    expect(get("agreement").textContent).toContain("Spearman");
  });
  it("keeps a method's sentence where its map would be, out of the table", () => {
    const one = comparison(["legrad"]);
    const failed = { method: "rollout", error: "<b>It</b> ran out of memory." };
    const { get, all, el } = beside({ _comparison: { ...one, panes: [...one.panes, failed] } });
    const pane = all("[data-testid=pane]")[1]!;
    expect(pane.dataset.state).toBe("failed");
    expect(pane.textContent).toContain("<b>It</b> ran out of memory.");
    expect(el.querySelector("figcaption b b")).toBeNull();
    expect(get("agreement").hidden).toBe(true);
  });
  it("offers to compute what a cancel left out, where there is a kernel", () => {
    const { get, model } = beside({ _comparison: comparison(["legrad"]) });
    expect(get("ask-again").hidden).toBe(false);
    get("ask-again").click();
    expect(lastAsk(model)).toMatchObject({ compare: ["legrad", "rollout"] });
    expect(get("ask-again").hidden).toBe(true);
    expect(beside({ _comparison: {}, _static: true }).get("ask-again").hidden).toBe(true);
  });
});

describe("without a kernel", () => {
  it("what needs one is off and says so, and the rest works", () => {
    const { get, all } = show({ _static: true });
    for (const id of ["prompt", "upload", "method-rollout"])
      expect((get(id) as HTMLInputElement).disabled, id).toBe(true);
    expect(all(".lg-remove")).toEqual([]);
    for (const id of ["opacity", "colormap", "smooth"])
      expect((get(id) as HTMLInputElement).disabled, id).toBe(false);
    expect(get("status").textContent).toContain("kernel");
  });
});

describe("what is read out", () => {
  it("is the patch's raw and scaled value, row, column and pixel", () => {
    const { get } = show();
    key(get("picture"), "ArrowRight");
    expect(get("readout").textContent).toBe(
      "value 21scaled 0.20percentile 33share 16 %patch row 1, column 2pixel 300, 100",
    );
  });
  it("is a sentence where the map is flat", () => {
    const flat = result([text("cat"), text("dog")]);
    new Float32Array(flat.maps.data.buffer).fill(2);
    const { get } = show({ _result: flat });
    expect(get("readout").textContent).toContain("Flat map: nothing here speaks for this prompt");
  });
  it("fades what the model does not see, and says so with its probability", () => {
    const absent = result([text("cat"), text("dog")]);
    Object.assign(absent.targets[0]!, { supported: false, probability: 0.02 });
    const { get } = show({ _result: absent });
    expect(get("picture").hasAttribute("data-absent")).toBe(true);
    expect(get("score").textContent).toContain("does not see ‘cat’ here (p = 0.02): the map is faded");
  });
  it("is an error in the place of the map", () => {
    const failed = result([text("cat"), text("dog")]);
    failed.targets[0]!.error = "The built-in model does not know 'cat'; try: a dog.";
    const { get } = show({ _result: failed });
    vi.advanceTimersByTime(100);
    expect(get("heat").hidden).toBe(true);
    expect(get("score").textContent).toContain("does not know 'cat'; try: a dog.");
  });
});
