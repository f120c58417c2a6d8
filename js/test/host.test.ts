// @vitest-environment happy-dom
// Hosts that are not JupyterLab (VS Code, Colab, marimo): what they lack is not missed, and what they forbid is not done.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/index";
import { answered } from "./samples";

const SRC = join(import.meta.dirname, "../src");
const sources = readdirSync(SRC, { recursive: true, encoding: "utf8" }).map((name) => join(SRC, name));
const read = (ending: string) =>
  sources.filter((file) => file.endsWith(ending)).map((file) => [file, readFileSync(file, "utf8")] as const);
/** Without comments: these may name what the code must not. */
const codeOf = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, "");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

/** A model as such hosts give it: no echo, listeners that are told more or less than Backbone's. */
function hostModel(state: Record<string, unknown> = answered()) {
  const listeners = new Map<string, Set<(...told: unknown[]) => void>>();
  const model = {
    get: (name: string) => state[name],
    set(name: string, value: unknown) {
      state[name] = value;
    },
    save_changes() {},
    send() {},
    on(event: string, run: () => void) {
      listeners.set(event, (listeners.get(event) ?? new Set()).add(run));
    },
    off: (event: string, run: () => void) => void listeners.get(event)?.delete(run),
  };
  const tell = (name: string, ...told: unknown[]) => {
    for (const run of listeners.get(`change:${name}`) ?? []) run(...told);
  };
  const count = () => [...listeners.values()].reduce((sum, runs) => sum + runs.size, 0);
  return { model, state, tell, count };
}

function show(model: unknown, el: HTMLElement = document.createElement("div")) {
  document.body.append(el);
  const props = {
    model,
    el,
    get experimental(): never {
      throw new Error("experimental is not to be touched");
    },
  };
  const end = widget.render(props as never);
  return { el, end, root: el.querySelector<HTMLElement>("[data-testid=legrad]")! };
}

describe("a host without more than the anywidget standard", () => {
  it("needs neither `signal` nor `experimental` to be drawn", () => {
    const { root, end } = show(hostModel().model);
    expect(root.getAttribute("role")).toBe("group");
    expect(root.textContent).toContain("cat");
    end();
  });
  it("ends with the function that was given back: nothing is listened to, and the element is empty", () => {
    const { model, count } = hostModel();
    const { el, end } = show(model);
    expect(count()).toBeGreaterThan(10);
    end();
    expect(count()).toBe(0);
    expect(el.childElementCount).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(vi.getTimerCount()).toBe(0);
  });
  it("reads a trait from the model, whatever its listeners are told", () => {
    const { model, state, tell } = hostModel();
    const { root, end } = show(model);
    const slider = root.querySelector<HTMLInputElement>("[data-testid=opacity]")!;
    for (const [opacity, told] of [
      [0.2, []],
      [0.4, [undefined, 0.9]],
      [0.6, [{ opacity: 0.9 }]],
    ] as const) {
      state.opacity = opacity;
      tell("opacity", ...told);
      expect(slider.value).toBe(String(opacity));
    }
    end();
  });
  it("is drawn in a shadow root, where no rule of the page reaches", () => {
    const host = document.createElement("div");
    document.body.append(host);
    const inside = document.createElement("div");
    host.attachShadow({ mode: "open" }).append(inside);
    const { model } = hostModel();
    const end = widget.render({ model, el: inside } as never);
    expect(inside.querySelector("[data-testid=legrad]")).not.toBeNull();
    end();
  });
  it("is drawn twice from one model, and each view ends by itself", () => {
    const { model, count } = hostModel();
    const [first, second] = [show(model), show(model)];
    const both = count();
    first.end();
    expect(count()).toBe(both / 2);
    expect(second.root.isConnected).toBe(true);
    second.end();
  });
});

describe("the rules of other hosts", () => {
  it("colours have a value where JupyterLab's variables are not set", () => {
    const files = read(".css");
    expect(files.length).toBeGreaterThan(1);
    const uses = files.flatMap(([, text]) => text.match(/var\(\s*--jp-[\w-]+\s*./g) ?? []);
    expect(uses.length).toBeGreaterThan(5);
    expect(uses.filter((use) => !use.endsWith(","))).toEqual([]);
  });
  it("nothing is fetched by an address, and no path begins at the server's root", () => {
    for (const [file, text] of [...read(".ts"), ...read(".css")]) {
      const addresses = codeOf(text).match(/https?:\/\/[^\s"'`)]+/g) ?? [];
      const namespaces = addresses.filter((address) => !address.startsWith("http://www.w3.org/"));
      expect([file, namespaces]).toEqual([file, []]);
      expect([
        file,
        codeOf(text).match(/\bfetch\(|XMLHttpRequest|@import\s+["'](?!\.)|url\(["']?\/|["'`]\/[a-z]+\//g),
      ]).toEqual([file, null]);
    }
  });
  it("no experimental call, and nothing of JupyterLab's own objects", () => {
    for (const [file, text] of read(".ts"))
      expect([file, codeOf(text).match(/\binvoke\s*\(|experimental|jupyterapp|widget_manager/g)]).toEqual([
        file,
        null,
      ]);
  });
});
