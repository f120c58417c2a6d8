// @vitest-environment happy-dom
// The built page in a DOM without pixels: wiring, text safety, and that nothing stays behind.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/index";
import { matching } from "../src/ui/typeahead";
import { answered, result, text } from "./samples";

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
    expect(all(".lg-options")[0]!.textContent).toContain("zzz");
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
    expect(all("[data-layer='2']")[0]!.getAttribute("aria-label")).toMatch(
      /^layer 2, score 0.2, \d+ % of the merged map$/,
    );
  });
});

describe("methods and knobs", () => {
  it("ask for a map by another method, and never by one that is not to be had", () => {
    const { get, model } = show();
    const gradcam = get("method-gradcam") as HTMLInputElement;
    expect(gradcam.disabled).toBe(true);
    expect(gradcam.closest("label")!.title).toBe("It needs a class token.");
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
    expect(lastAsk(model).knobs).toEqual({ relu: false, preset: "paper" });
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
    expect(get("readout").textContent).toBe("value 21scaled 0.20patch row 1, column 2pixel 300, 100");
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
