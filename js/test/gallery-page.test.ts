// @vitest-environment happy-dom
// A saved page of the gallery, without a browser's pixels: its kernel, and the menu that takes samples out of it.

import { join } from "node:path";
import { buildSync } from "esbuild";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hostOf } from "../src/host";
import { csvFile, csvOf } from "../src/inspection/csv";
import { leaving } from "../src/inspection/leave";
import { mountGallery } from "../src/inspection/root";
import { savedGallery } from "../src/inspection/saved";
import { createGallery } from "../src/inspection/store";
import { HASH } from "../src/store/second";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";

const HOSTILE = "<img src=x onerror=alert(1)>";
const bytes = (values: Int32Array | Float32Array) => new Uint8Array(values.buffer);
const rowsOf = (...rows: number[]) => bytes(Int32Array.from(rows));
const reals = (...values: number[]) => bytes(Float32Array.from(values));

/** Four samples: 0 is right, the others are wrong; 1 and 2 have details, 1 has a map. */
function saved(): Record<string, unknown> {
  const columns = [
    ["true", "int32"],
    ["predicted", "int32"],
    ["error", "int32"],
    ["margin", "float32"],
  ];
  const words = {
    path: ["/a/0.jpg", "/a/b,1.jpg", "=c.jpg", ""],
    name: ["0.jpg", "b,1.jpg", "=c.jpg", "sample 3"],
    tags: ["", "odd, seen", "", ""],
    note: ["", "", '=HYPERLINK("x")', ""],
  };
  const one = [
    { kind: "cells", columns, words },
    [
      rowsOf(0, 1, 2, 3),
      rowsOf(0, 0, 1, 1),
      rowsOf(0, 1, 0, 0),
      rowsOf(0, 1, 1, 1),
      reals(0.9, -0.1, -0.5, -1 / 3),
    ],
  ];
  return {
    _gallery: {
      live: false,
      page: true,
      total: 4,
      classes: ["cat", HOSTILE],
      sorts: [{ key: "margin", title: "Margin", says: "", column: "margin", ascending: true }],
      filters: [],
    },
    _scoring: { state: "idle", step: 4, total: 4, errors: 3, faults: 0, message: "saved page" },
    _selected: [],
    _sample: {},
    opened: null,
    _table: [one],
    _pictures: [{ kind: "pictures" }, [rowsOf(1, 0), Uint8Array.of(1, 2), Uint8Array.of(3)]],
    _same: { layers: [1, 2], needs: "nothing here is computed" },
    _details: {
      1: {
        picture: { mime: "image/png", data: Uint8Array.of(1) },
        true: [0, 1],
        map: { dtype: "float32", shape: [1, 2], data: reals(1, -1) },
      },
      2: { true: [1, 0], map: null },
    },
    _absent: "of 2 samples; this is another one",
    _needs: "that needs Python",
  };
}

const life = pageLife();
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A gallery on the saved page, and everything that its kernel says. */
function open() {
  const told: { content: Record<string, unknown>; buffers: readonly unknown[] }[] = [];
  const host = hostOf(savedGallery(saved(), "the second file"), life.signal);
  host.onMessage((content, buffers = []) => {
    told.push({ content: content as Record<string, unknown>, buffers });
  });
  const store = createGallery(host, life.signal);
  const of = (kind: string) => told.filter(({ content }) => content.kind === kind);
  return { host, store, of };
}

describe("the kernel of a saved gallery", () => {
  it("tells the whole table, which is sifted and sorted as ever", () => {
    const { store } = open();
    expect([...store.order.value]).toEqual([2, 3, 1]);
    store.pickPair({ true: 1, predicted: 0 }, false);
    expect([...store.order.value]).toEqual([2, 3]);
    store.narrow({ pairs: [], errors: false, search: "0.jpg" });
    expect([...store.order.value]).toEqual([0]);
    expect(store.table.words("path", 0)).toBe("/a/0.jpg");
  });
  it("opens a sample with what it has in common with the others, and names what is not there", () => {
    const { store } = open();
    store.open(1);
    expect(store.opened.value).toBe(1);
    expect(store.sample.value).toMatchObject({ row: 1, layers: [1, 2], true: [0, 1] });
    expect([...store.sample.value!.map!.values]).toEqual([1, -1]);
    store.open(3);
    expect(store.sample.value).toMatchObject({
      row: 3,
      needs: "of 2 samples; this is another one",
      layers: [],
    });
    expect(store.sample.value!.map).toBeNull();
    store.open(null);
    expect([store.opened.value, store.sample.value]).toEqual([null, null]);
  });
  it("sends the pictures and maps that it has, and says of the others that there are none", () => {
    const { store, of } = open();
    store.send("visible", { pictures: 2 }, [1, 3, 1, 2]);
    const [{ buffers }] = of("pictures") as unknown as [{ buffers: Uint8Array[] }];
    expect(buffers.slice(1).map((file) => file.length)).toEqual([2, 0]);
    expect(of("maps").map(({ content }) => content.grid)).toEqual([[1, 2]]);
    expect(store.shelf.map(1)!.flat).toBe(false);
    expect(store.shelf.map(2)).toBeUndefined();
  });
  it("takes tags and notes, and keeps them for as long as the page is open", () => {
    const { store, host } = open();
    store.narrow({ errors: false });
    store.selectAll(true);
    store.tag("odd", true);
    store.tag("seen", false);
    store.note(3, "why?");
    expect([0, 1, 2, 3].map((row) => store.table.words("tags", row))).toEqual(["odd", "odd", "odd", "odd"]);
    expect(store.table.words("note", 3)).toBe("why?");
    const again = createGallery(host, life.signal);
    expect(again.table.words("tags", 2)).toBe("odd");
    expect(again.table.words("note", 3)).toBe("why?");
    expect([...again.selected.value]).toEqual([2, 3, 1, 0]);
  });
  it("asks whoever leaves it with tags or notes that are in no table yet", () => {
    const listened = vi.spyOn(globalThis, "addEventListener");
    const { store } = open();
    document.body.append(...leaving(store, life.signal));
    const [, leave] = listened.mock.calls.find(([event]) => event === "beforeunload")!;
    const asks = () => {
      const event = new Event("beforeunload", { cancelable: true });
      (leave as (event: Event) => void)(event);
      return event.defaultPrevented;
    };
    expect(asks()).toBe(false);
    store.note(3, "why?");
    store.toggle(2);
    store.tag("odd", true);
    expect(asks()).toBe(true);
    const csv = document.querySelector<HTMLElement>("[data-testid=export-csv]")!;
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(() => {});
    csv.click(); // the selected sample alone
    expect(asks()).toBe(true);
    store.selectAll(true);
    csv.click();
    expect(asks()).toBe(false);
  });
  it("hands over the second file, and says in a sentence that nothing else can be asked", async () => {
    const { store, host, of } = open();
    host.send({ kind: "live", hash: HASH });
    expect(new TextDecoder().decode(of("live").at(-1)!.buffers[0] as Uint8Array)).toBe("the second file");
    store.send("flip", { row: 1 });
    await Promise.resolve();
    expect(store.complaint.value).toBe("that needs Python");
    store.open(1);
    expect(store.complaint.value).toBe("");
  });
});

describe("thresholds of the cases", () => {
  const NAMES = ["human-aligned", "sufficient subset", "sufficient context", "context-dependent"];
  const WRONG = ["confuser", "insufficient subset", "distractor", "context confusion"];
  const all = [...NAMES, ...WRONG].map((name) => ({ name, says: `says ${name}`, predicted: 0, true: 0 }));
  /** Samples 1 and 0 were compared: 1 is wrong, with flat evidence for what it is; 0 is right. */
  function compared() {
    const numbers = Float64Array.of(
      0,
      0.3,
      0.2,
      0.9,
      Number.NaN,
      Number.NaN,
      Number.NaN,
      1,
      0.6,
      1,
      1,
      0,
      0,
      0,
    );
    const { _details, ...others } = saved() as { _details: Record<number, object> };
    const cases = [{ about: "the class it took it for", name: "insufficient subset", says: "" }];
    const state = {
      ...others,
      _details: { ..._details, 1: { ..._details[1], cases } },
      _judged: { rows: rowsOf(1, 0), numbers: new Uint8Array(numbers.buffer) },
      _studies: {
        masks: true,
        cases: {
          thresholds: { iou: 0.5, saliency: 0.5, ground: 0.5 },
          right: 1,
          says: "",
          stale: "",
          cases: all,
        },
      },
    };
    const host = hostOf(savedGallery(state), life.signal);
    return { host, store: createGallery(host, life.signal) };
  }
  type Studies = {
    cases: { thresholds: object; cases: { name: string; predicted: number; true: number }[] };
  };

  it("move the table, the counts and the open sample", () => {
    const { host, store } = compared();
    store.narrow({ errors: false });
    store.open(1);
    const cases = () =>
      [0, 1, 2].map((row) => ["predicted", "true"].map((side) => store.table.words(`case_${side}`, row)));
    const counts = () => {
      const { cases: told } = (host.read("_studies") as Studies).cases;
      return Object.fromEntries(
        told.filter((one) => one.predicted || one.true).map((one) => [one.name, [one.predicted, one.true]]),
      );
    };
    store.send("thresholds", { iou: 0.5, saliency: 0.9, ground: 0.5 });
    expect(cases()).toEqual([
      ["human-aligned", "context-dependent"],
      ["insufficient subset", ""],
      ["", ""],
    ]);
    expect(counts()).toEqual({
      "human-aligned": [1, 0],
      "context-dependent": [0, 1],
      "insufficient subset": [1, 0],
    });
    store.send("thresholds", { iou: 0.3, saliency: 0.95, ground: 0 });
    expect(cases()).toEqual([
      ["human-aligned", "sufficient context"],
      ["confuser", ""],
      ["", ""],
    ]);
    expect((host.read("_studies") as Studies).cases.thresholds).toEqual({
      iou: 0.3,
      saliency: 0.95,
      ground: 0,
    });
    const confuser = { about: "the class it took it for", name: "confuser", says: "says confuser" };
    expect(store.sample.value!.cases).toEqual([confuser]);
    store.narrow({ values: { case_predicted: "confuser" } });
    expect([...store.order.value]).toEqual([1]);
    store.open(null);
    store.open(1);
    expect(store.sample.value!.cases).toEqual([confuser]);
    expect(createGallery(host, life.signal).table.words("case_predicted", 1)).toBe("confuser");
  });
  it("are nothing where no sample was compared", () => {
    const { host, store } = open();
    store.send("thresholds", { iou: 0.3, saliency: 0.95, ground: 0 });
    expect(host.read("_studies")).toBeUndefined();
    expect(store.complaint.value).toBe("");
  });
});

describe("the table as CSV", () => {
  const csv = (...rows: number[]) => csvOf(open().store, rows);
  it("has whole paths, names of classes and the frame's columns, quoted where it must be", () => {
    const [head, ...lines] = csv(1, 0).split("\r\n");
    expect(head).toBe("sample,path,label,predicted,margin,tags,note");
    expect(lines).toEqual([
      `1,"/a/b,1.jpg",cat,${HOSTILE},-0.1,"odd, seen",`,
      "0,/a/0.jpg,cat,cat,0.9,,",
      "",
    ]);
  });
  it("has no formula in it, and a path that still names its file", () => {
    const [, line] = csv(2).split("\r\n");
    expect(line).toBe(`2,./=c.jpg,${HOSTILE},cat,-0.5,,"'=HYPERLINK(""x"")"`);
  });
  it("has apostrophes that are somebody's own twice before a formula, so that one can be taken off again", () => {
    const { store } = open();
    store.note(0, "'=1");
    store.note(1, "'tis");
    expect(csvOf(store, [0, 1]).split("\r\n").slice(1, 3)).toEqual([
      "0,/a/0.jpg,cat,cat,0.9,,''=1",
      `1,"/a/b,1.jpg",cat,${HOSTILE},-0.1,"odd, seen",'tis`,
    ]);
  });
  it("has as many digits as 32 bits hold", () => {
    expect(csv(3)).toContain(",-0.3333333,");
  });
  it("begins with a byte order mark where that matters alone", async () => {
    const start = async (text: string) => [...new Uint8Array(await csvFile(text).arrayBuffer())].slice(0, 3);
    expect(await start("abc")).toEqual([97, 98, 99]);
    expect(await start("ä")).toEqual([0xef, 0xbb, 0xbf]);
  });
});

describe("under the open sample", () => {
  it("Peek and the key of the colours are where it has a picture", () => {
    vi.stubGlobal("createImageBitmap", () => Promise.resolve(null));
    const { store } = open();
    mountGallery(document.body, store, null, life.signal);
    const [all, one] = document.querySelectorAll<HTMLElement>("[data-testid=peek]");
    store.open(2);
    const key = document.querySelector("[data-testid=overview]")!.nextElementSibling as HTMLElement;
    expect([all!.hidden, one!.hidden, key.hidden]).toEqual([false, true, true]);
    store.open(1);
    expect([all!.hidden, one!.hidden, key.hidden]).toEqual([false, false, false]);
  });
});

describe("the menu", () => {
  const files: { name: string; file: Blob }[] = [];
  let given: Blob;
  beforeEach(() => {
    files.length = 0;
    vi.spyOn(URL, "createObjectURL").mockImplementation((file) => {
      given = file as Blob;
      return "blob:0";
    });
    vi.spyOn(URL, "revokeObjectURL").mockImplementation(() => {});
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      files.push({ name: this.download, file: given });
    });
  });
  const get = <T extends HTMLElement = HTMLElement>(id: string) =>
    document.querySelector<T>(`[data-testid=${id}]`)!;
  const rows = async () =>
    (await files.at(-1)!.file.text()).split("\r\n").slice(1, -1).map(Number.parseFloat);

  it("keeps its place where the explorer's rules come later", () => {
    /** Rules as older browsers read them, without rules in rules. */
    const plain = (file: string) =>
      buildSync({
        entryPoints: [join(import.meta.dirname, "../src", file)],
        bundle: true,
        write: false,
        target: "chrome100",
      }).outputFiles[0]!.text;
    document.body.innerHTML = `
      <style>${plain("inspection/leave.css")}</style>
      <style>${plain("live.css")}</style>
      <div class="legrad lg-inspector"><section class="lg-popup lg-leave"></section></div>`;
    const { padding, maxWidth } = getComputedStyle(document.querySelector(".lg-leave")!);
    expect([padding, maxWidth]).toEqual(["12px 14px", "none"]);
  });
  it("takes the samples that are shown, or those that are selected", async () => {
    const { store } = open();
    document.body.append(...leaving(store, life.signal));
    expect(get("export-panel").hidden).toBe(true);
    get("export").click();
    expect([get("export-panel").hidden, get("export").getAttribute("aria-expanded")]).toEqual([
      false,
      "true",
    ]);
    const which = get<HTMLSelectElement>("export-of");
    expect([...which.options].map(({ textContent }) => textContent)).toEqual(["the 3 shown"]);
    get("export-csv").click();
    expect(files.at(-1)!.name).toBe("samples.csv");
    expect(await rows()).toEqual([2, 3, 1]);
    expect(get("export-note").textContent).toBe("samples.csv, 1 kB.");
    store.toggle(2);
    expect([...which.options].map(({ textContent }) => textContent)).toEqual([
      "the 3 shown",
      "the 1 selected",
    ]);
    get("export-csv").click();
    expect(await rows()).toEqual([1]);
    which.value = "all";
    which.dispatchEvent(new Event("change"));
    store.toggle(0);
    expect(which.value).toBe("all");
    get("export-csv").click();
    expect(await rows()).toEqual([2, 3, 1]);
  });
  it("offers no page in a page, and says how long tags last there", () => {
    const { store } = open();
    document.body.append(...leaving(store, life.signal));
    expect(get("export-page").hidden).toBe(true);
    expect(get("export-panel").textContent).toContain("last until this page is closed");
    expect(get("export-panel").textContent).toContain("r.read_tags reads it");
  });
  it("closes with Escape, and gives the focus back", () => {
    const { store } = open();
    document.body.append(...leaving(store, life.signal));
    get("export").click();
    get("export-of").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(get("export-panel").hidden).toBe(true);
    expect(document.activeElement).toBe(get("export"));
  });

  function live() {
    const { _gallery } = saved() as { _gallery: object };
    const host = new FakeHost({ ...saved(), _gallery: { ..._gallery, live: true, page: false } });
    const store = createGallery(host, life.signal);
    const [content, buffers] = (saved()._table as [object, Uint8Array[]][])[0]!;
    host.tell(content, buffers);
    document.body.append(...leaving(store, life.signal));
    return { host, store };
  }
  it("asks the kernel for the page, tells how far it is, and keeps the file", async () => {
    const { host } = live();
    expect(get("export-panel").textContent).not.toContain("closed");
    get("export-page").click();
    const [{ rid }] = host.of("page") as [{ rid: string }];
    expect([...new Int32Array(host.buffers.at(-1)!)]).toEqual([2, 3, 1]);
    const bar = get("export-panel").querySelector("progress")!;
    expect([bar.hidden, get("export-page").textContent]).toEqual([false, "Stop"]);
    host.tell({ kind: "exporting", rid, step: 1, total: 4 });
    expect(bar.value).toBe(0.25);
    host.tell({ kind: "exported", rid: "another one's", message: "" }, [Uint8Array.of(1)]);
    expect(files).toHaveLength(0);
    host.tell({ kind: "exported", rid, message: "" }, [new TextEncoder().encode("<!doctype html>")]);
    expect(files.at(-1)!.name).toBe("inspection.html");
    expect(await files.at(-1)!.file.text()).toBe("<!doctype html>");
    expect([bar.hidden, get("export-page").textContent]).toEqual([true, "Page .html"]);
  });
  it("stops it, and says why there is none", () => {
    const { host } = live();
    get("export-page").click();
    const [{ rid }] = host.of("page") as [{ rid: string }];
    get("export-page").click();
    expect(host.of("page")[1]).toMatchObject({ rid: "" });
    host.tell({ kind: "exported", rid, message: "Stopped <b>." });
    expect(get("export-note").textContent).toBe("Stopped <b>.");
    expect(get("export-page").textContent).toBe("Page .html");
  });
  it("asks nothing where the kernel is gone", () => {
    const { host, store } = live();
    host.connected = false;
    get("export-page").click();
    expect(store.complaint.value).toContain("The kernel is gone");
    expect(get("export-page").textContent).toBe("Page .html");
    get("export-csv").click();
    expect(files).toHaveLength(1);
  });
});
