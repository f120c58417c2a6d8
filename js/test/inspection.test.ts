// @vitest-environment happy-dom
// The gallery without a kernel: what is shown in which order, what is asked for, and that data stays text.

import { describe, expect, it, vi } from "vitest";
import { scaleMap } from "../src/heat/merge";
import { createCard, drawSmall } from "../src/inspection/card";
import { confusion } from "../src/inspection/confusion";
import { curveChart } from "../src/inspection/curve";
import { grid } from "../src/inspection/grid";
import { mountGallery } from "../src/inspection/root";
import { confusionOf, OPEN, pick, sift, tally } from "../src/inspection/sift";
import { createGallery } from "../src/inspection/store";
import { createTable } from "../src/inspection/table";
import { type Cells, decodeNews, decodeSample, type Sort } from "../src/inspection/wire";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";

const NAMES = ["cat", "dog", "<img src=x onerror=alert(1)>"];
const sort = (column: string, ascending: boolean): Sort => ({
  key: column,
  title: column,
  says: "",
  column,
  ascending,
  study: "",
});
const SORTS = [sort("loss", false), sort("margin", true), sort("by_near_misses", false)];

/** Bytes that start anywhere, as hosts hand them over. */
const shifted = (values: Int32Array | Float32Array) => {
  const bytes = new Uint8Array(values.byteLength + 3);
  bytes.set(new Uint8Array(values.buffer), 3);
  return new DataView(bytes.buffer, 3);
};

/** Six samples: true, predicted, loss, margin; the last one is not scored. */
const SAMPLES = [
  [0, 0, 0.1, 0.9],
  [0, 1, 2.5, -0.5],
  [1, 0, 0.9, -0.1],
  [2, 1, 4.1, -0.9],
  [0, 1, 0.8, -0.05],
] as const;

const ROWS = [0, 1, 2, 3, 4];
const of = (at: number) => SAMPLES.map((sample) => sample[at]!);
const WORDS = {
  name: ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"],
  tags: ["", "shortcut, seen", "", "seen", ""],
  note: ["", "", "odd light", "", ""],
};
function message(): [object, DataView[]] {
  const wrong = SAMPLES.map(([t, p]) => Number(t !== p));
  const columns = ["true", "predicted", "error"].map((name) => [name, "int32"]);
  const reals = ["loss", "margin"].map((name) => [name, "float32"]);
  return [
    { kind: "cells", columns: [...columns, ...reals], words: WORDS },
    [
      shifted(Int32Array.from(ROWS)),
      ...[of(0), of(1), wrong].map((values) => shifted(Int32Array.from(values))),
      ...[of(2), of(3)].map((values) => shifted(Float32Array.from(values))),
    ],
  ];
}
const cells = () => decodeNews(...message()) as Cells & { kind: "cells" };

function filled() {
  const table = createTable(6);
  table.take(cells());
  return table;
}

class GalleryFake extends FakeHost {
  private heard: ((content: unknown, buffers?: readonly unknown[]) => void)[] = [];
  override onMessage(arrived: (content: unknown, buffers?: readonly unknown[]) => void) {
    this.heard.push(arrived);
  }
  say(content: unknown, buffers: readonly unknown[] = []) {
    for (const arrived of this.heard) arrived(content, buffers);
  }
  /** The rows that came with the last message. */
  get rows() {
    return [...new Int32Array(this.buffers.at(-1)!)];
  }
}

const life = pageLife();

function gallery(changes: Record<string, unknown> = {}, told = true) {
  const host = new GalleryFake({
    _gallery: {
      live: true,
      total: 6,
      classes: NAMES,
      sorts: SORTS,
      filters: [{ column: "tags", title: "Tag" }],
    },
    _scoring: { state: "idle", step: 5, total: 6, errors: 4, faults: 0, message: "" },
    _sample: {},
    _selected: [],
    opened: null,
    ...changes,
  });
  const store = createGallery(host, life.signal);
  if (told) host.say(...message());
  return { host, store };
}

describe("table", () => {
  it("holds what was told, and nothing where nothing was", () => {
    const table = filled();
    expect(table.number("loss", 3)).toBeCloseTo(4.1);
    expect([table.kind("true", 3), table.kind("true", 5)]).toEqual([2, -1]);
    expect(table.wrong(1)).toBe(true);
    expect([table.wrong(5), table.scored(5), table.scored(0)]).toEqual([false, false, true]);
    expect([table.words("note", 2), table.words("note", 5), table.has("iou")]).toEqual([
      "odd light",
      "",
      false,
    ]);
  });
  it("takes later values of single cells, and none beyond its end", () => {
    const table = filled();
    const rows = Int32Array.from([2, 99]);
    table.take({
      rows,
      numbers: new Map([["cluster", Int32Array.from([-1, 4])]]),
      words: new Map([["tags", ["new", "x"]]]),
    });
    expect(table.words("tags", 2)).toBe("new");
    expect(table.number("cluster", 2)).toBeNaN();
    expect(table.words("tags", 99)).toBe("");
  });
});

describe("news", () => {
  it("is not read where columns and rows do not fit", () => {
    const [content, buffers] = message();
    expect(decodeNews(content, buffers.slice(0, 3))).toBeNull();
    expect(decodeNews({ ...content, words: { name: ["one"] } }, buffers)).toBeNull();
    expect(
      decodeNews({ kind: "maps", grid: [2, 2] }, [shifted(Int32Array.of(0)), shifted(new Float32Array(3))]),
    ).toBeNull();
    expect(
      decodeNews({ kind: "pictures" }, [shifted(Int32Array.of(0, 1)), new DataView(new ArrayBuffer(4))]),
    ).toBeNull();
    expect(decodeNews({ kind: "accepted", rid: "x" }, [])).toBeNull();
  });
  it("knows maps", () => {
    const news = decodeNews({ kind: "maps", grid: [1, 2] }, [
      shifted(Int32Array.of(4)),
      shifted(Float32Array.of(1, -2)),
    ]);
    expect(news).toMatchObject({ kind: "maps", grid: [1, 2] });
  });
});

describe("sifting", () => {
  const table = filled();
  it("shows the errors by loss", () => {
    expect([...sift(table, OPEN, SORTS[0])]).toEqual([3, 1, 2, 4]);
    expect([...sift(table, OPEN, SORTS[1])]).toEqual([3, 1, 2, 4]);
    expect([...sift(table, { ...OPEN, errors: false }, SORTS[1])]).toEqual([3, 1, 2, 4, 0, 5]);
  });
  it("puts samples without a value last, as in the input", () => {
    expect([...sift(table, OPEN, sort("iou", true))]).toEqual([1, 2, 3, 4]);
  });
  it("narrows to cells, rows, columns and their union", () => {
    const by = (...pairs: [number, number][]) => [
      ...sift(table, { ...OPEN, pairs: pairs.map(([t, p]) => ({ true: t, predicted: p })) }, undefined),
    ];
    expect(by([0, 1])).toEqual([1, 4]);
    expect(by([-1, 1])).toEqual([1, 3, 4]);
    expect(by([1, -1])).toEqual([2]);
    expect(by([1, -1], [2, 1])).toEqual([2, 3]);
  });
  it("narrows to one of several tags, and to words of names and notes", () => {
    expect([...sift(table, { ...OPEN, values: { tags: "seen" } }, undefined)]).toEqual([1, 3]);
    expect([...sift(table, { ...OPEN, search: "LIGHT" }, undefined)]).toEqual([2]);
    expect(tally(table, "tags", [0, 1, 2, 3, 4])).toEqual([
      ["seen", 2],
      ["shortcut", 1],
    ]);
  });
  it("counts what was taken for what", () => {
    const { classes, count, pairs, most } = confusionOf(table, true);
    expect(classes).toEqual([1, 0, 2]);
    expect([count(0, 1), count(1, 0), count(0, 0), most]).toEqual([2, 1, 0, 2]);
    expect(pairs[0]).toEqual({ true: 0, predicted: 1, count: 2 });
    expect(confusionOf(table, false).count(0, 0)).toBe(1);
  });
  it("picks one pair, adds with Shift, and lets go", () => {
    const [a, b] = [
      { true: 0, predicted: 1 },
      { true: 2, predicted: -1 },
    ];
    expect(pick([], a, false)).toEqual([a]);
    expect(pick([a], b, true)).toEqual([a, b]);
    expect(pick([a, b], a, true)).toEqual([b]);
    expect(pick([a, b], a, false)).toEqual([a]);
    expect(pick([a], a, false)).toEqual([]);
  });
});

describe("store", () => {
  it("asks for the table, and shows what came", () => {
    const { host, store } = gallery();
    expect(host.of("table")).toHaveLength(1);
    expect([...store.order.value]).toEqual([3, 1, 2, 4]);
    expect(store.sorts.value.map(({ key }) => key)).toEqual(["loss", "margin"]);
  });
  it("does not move the cards all the time while samples are scored", () => {
    const { host, store } = gallery({ _scoring: { state: "running", step: 2, total: 6 } });
    const before = store.version.value;
    for (let i = 0; i < 5; i++) host.say(...message());
    expect(store.version.value).toBe(before);
    vi.advanceTimersByTime(1001);
    expect(store.version.value).toBe(before + 1);
  });
  it("never says that nothing is wrong while that is not known", () => {
    const at = (changes: object) => ({
      state: "idle",
      step: 5,
      total: 5,
      errors: 4,
      faults: 0,
      message: "",
      ...changes,
    });
    const host = new GalleryFake({
      _gallery: { live: true, total: 5, classes: NAMES, sorts: SORTS, filters: [] },
      _scoring: at({ step: 0, errors: 0 }),
      _sample: {},
      _selected: [],
      opened: null,
    });
    mountGallery(document.body, createGallery(host, life.signal), null, life.signal);
    const says = () => document.querySelector(".lg-none")!.textContent;
    const shown = () => document.querySelector("[data-testid=shown]")!.textContent;
    expect([says(), shown()]).toEqual(["Nothing is scored yet.", "0 shown"]);
    host.set("_scoring", at({ state: "running", step: 3, errors: 0 }));
    expect([says(), shown()]).toEqual(["None of 3 samples is wrong so far …", "0 shown …"]);
    host.set("_scoring", at({ state: "running", step: 4 }));
    expect([says(), shown()]).toEqual(["…", "0 shown …"]);
    host.set("_scoring", at({ state: "paused", step: 3, errors: 0 }));
    expect(says()).toBe("…"); // the table has not come
    host.set("_scoring", at({}));
    expect([says(), shown()]).toEqual(["…", "0 shown …"]);
    host.say(...message());
    expect([says(), shown()]).toEqual(["", "4 shown"]);
  });
  it("shows the rest at once when the scoring ends", () => {
    const { host, store } = gallery({ _scoring: { state: "running", step: 2, total: 6 } });
    const before = store.version.value;
    host.say(...message());
    host.set("_scoring", { state: "idle", step: 6, total: 6, errors: 4 });
    expect(store.version.value).toBe(before + 1);
    vi.advanceTimersByTime(2000);
    expect(store.version.value).toBe(before + 1);
  });
  it("selects ranges, single samples and all of them, and sends rows, not positions", () => {
    const { host, store } = gallery();
    store.moveTo(1);
    store.moveTo(3, true);
    expect(host.rows).toEqual([1, 2, 4]);
    store.toggle(2);
    expect(host.rows).toEqual([1, 4]);
    store.selectAll(true);
    expect(host.rows).toEqual([3, 1, 2, 4]);
    host.set("_selected", [2]); // Python's selection
    expect([...store.selected.value]).toEqual([2]);
  });
  it("does not fall back to an earlier selection whose echo comes late", () => {
    const { host, store } = gallery();
    store.toggle(0);
    store.toggle(1);
    host.set("_selected", [3]); // the first one's echo
    expect([...store.selected.value]).toEqual([3, 1]);
    host.set("_selected", [3, 1]);
    host.set("_selected", [3]); // now it is Python's
    expect([...store.selected.value]).toEqual([3]);
  });
  it("tags the selection, or what is open, or what is under the keys", () => {
    const { host, store } = gallery();
    store.tag(" shortcut ", true);
    expect([host.of("tag")[0]!.tag, host.rows]).toEqual(["shortcut", [3]]);
    store.open(2);
    store.tag("x", false);
    expect([host.of("tag")[1]!.on, host.rows]).toEqual([false, [2]]);
    store.toggle(0);
    store.tag("x", true);
    expect(host.rows).toEqual([3]);
    store.tag("  ", true);
    expect(host.of("tag")).toHaveLength(3);
  });
  it("goes to the next sample in the order that is shown, and no further", () => {
    const { host, store } = gallery();
    store.open(1);
    store.step(1);
    store.step(1);
    store.step(1);
    expect(host.of("open").map(({ row }) => row)).toEqual([1, 2, 4]);
    store.sortBy("margin");
    expect(store.opened.value).toBe(4);
  });
  it("keeps the open sample under the cursor when the filters change", () => {
    const { store } = gallery();
    store.open(2);
    expect(store.cursor.value).toBe(2);
    store.pickPair({ true: 1, predicted: 0 }, false);
    expect([...store.order.value]).toEqual([2]);
    expect(store.cursor.value).toBe(0);
  });
  it("shows a sample's detail only while that sample is open", () => {
    const { host, store } = gallery();
    store.open(1);
    host.set("_sample", { row: 3, flip: "old" });
    expect(store.sample.value).toBeNull();
    host.set("_sample", { row: 1, flip: "led" });
    expect(store.sample.value!.flip).toBe("led");
  });
  it("says when the kernel is gone, and changes nothing", () => {
    const { host, store } = gallery();
    host.connected = false;
    store.open(1);
    expect(store.opened.value).toBeNull();
    expect(store.complaint.value).toContain("kernel is gone");
  });
  it("says what the kernel refused", () => {
    const { host, store } = gallery();
    host.say({ kind: "denied", message: "a tag has no comma in it" });
    expect(store.complaint.value).toBe("a tag has no comma in it");
  });
});

describe("shelf", () => {
  const maps = (row: number) =>
    [{ kind: "maps", grid: [1, 2] }, [shifted(Int32Array.of(row)), shifted(Float32Array.of(1, -1))]] as const;

  it("asks once for what is in sight and has not come: pictures first, maps of errors after them", () => {
    const { host, store } = gallery();
    store.shelf.see([3, 0], store.table.wrong);
    store.shelf.see([3, 0, 1], store.table.wrong);
    vi.advanceTimersByTime(41);
    expect(host.of("visible").map(({ pictures }) => pictures)).toEqual([3]);
    expect(host.rows).toEqual([3, 0, 1, 3, 1]);
    store.shelf.see([3, 0, 1], store.table.wrong);
    vi.advanceTimersByTime(41);
    expect(host.of("visible")).toHaveLength(1);
    host.say(...maps(3));
    store.shelf.see([3, 1], store.table.wrong);
    vi.advanceTimersByTime(41);
    expect(host.rows).toEqual([3, 1, 1]);
  });
  it("keeps a bounded number of maps, and asks again when another overlay stands", () => {
    const { host, store } = gallery();
    for (let row = 0; row < 700; row++) host.say(...maps(row));
    expect(store.shelf.map(0)).toBeUndefined();
    expect(store.shelf.map(699)).toMatchObject({ signed: true, min: -1, max: 1 });
    host.say({ kind: "stale", what: "maps" });
    expect(store.shelf.map(699)).toBeUndefined();
  });
});

describe("page", () => {
  it("shows names of classes as text, in a table that is one", () => {
    const { store } = gallery();
    const box = confusion(store, life.signal);
    document.body.append(box);
    expect(box.querySelector("img")).toBeNull();
    expect(box.querySelectorAll("table caption, thead th[scope=col], tbody th[scope=row]")).toHaveLength(7);
    expect(box.textContent).toContain("<img src=x");
    const heads = (scope: string) =>
      [...box.querySelectorAll(`th[scope=${scope}]`)].map((it) => it.textContent);
    expect(heads("row")).toEqual(heads("col"));
    const cell = box.querySelector<HTMLButtonElement>("td [data-pair='0,1']")!;
    expect(cell.getAttribute("aria-label")).toBe("cat taken for dog: 2");
    cell.click();
    expect([...store.order.value]).toEqual([1, 4]);
    expect(box.querySelector("td [data-pair='0,1']")!.getAttribute("aria-pressed")).toBe("true");
  });
  it("lists pairs where there are too many classes for a square, and says where it leaves some out", () => {
    const listed = (count: number) => {
      const all = Array.from({ length: count }, (_, i) => i);
      const { host, store } = gallery(
        { _gallery: { live: true, total: count, classes: all.map((i) => `c${i}`), sorts: [], filters: [] } },
        false,
      );
      const columns = ["true", "predicted", "error"].map((name) => [name, "int32"]);
      const values = [all, all, all.map((i) => (i + 1) % count), all.map(() => 1)];
      host.say(
        { kind: "cells", columns, words: {} },
        values.map((of) => shifted(Int32Array.from(of))),
      );
      const box = confusion(store, life.signal);
      const rows = box.querySelectorAll("tbody tr").length;
      return [rows, box.querySelector("thead")!.textContent, box.lastElementChild!.textContent];
    };
    expect(listed(40)).toEqual([40, "istaken fortimes", "40 pairs, most frequent first"]);
    expect(listed(300)).toEqual([200, "istaken fortimes", "the 200 most frequent of 300 pairs"]);
  });
  it("says of no mistakes that there are none only when all is scored", () => {
    const scoring = (step: number) => ({ state: "idle", step, total: 1, errors: 0, faults: 0, message: "" });
    const { host, store } = gallery(
      {
        _gallery: { live: true, total: 1, classes: NAMES, sorts: [], filters: [] },
        _scoring: scoring(0),
      },
      false,
    );
    mountGallery(document.body, store, null, life.signal);
    const says = () => document.querySelector(".lg-confusion")!.lastElementChild!.textContent;
    const progress = () => document.querySelector("[data-testid=progress]")!.textContent;
    expect([says(), progress()]).toEqual(["nothing to show yet", "0 of 1 sample scored"]);
    host.set("_scoring", scoring(1));
    expect(says()).toBe("nothing to show yet"); // the table has not come
    const columns = ["true", "predicted", "error"].map((name) => [name, "int32"]);
    host.say(
      { kind: "cells", columns, words: {} },
      columns.concat([[]]).map(() => shifted(Int32Array.of(0))),
    );
    expect([says(), progress()]).toEqual(["no mistakes", "1 sample · 0 wrong (0.0 %)"]);
  });
  it("says where the order ends, without taking the focus away, and how far off the answer is", () => {
    const { store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const get = (name: string) => document.querySelector<HTMLButtonElement>(`[data-testid=${name}]`)!;
    const ends = () =>
      ["previous", "next"].map((name) => [get(name).disabled, get(name).getAttribute("aria-disabled")]);
    const margin = () => document.querySelector(".lg-file")!.textContent;
    store.open(3);
    expect(ends()).toEqual([
      [false, "true"],
      [false, "false"],
    ]);
    expect(margin()).toBe("d.jpg · 90 % behind what it was taken for · tags: seen");
    get("next").click();
    expect(ends().map(([, off]) => off)).toEqual(["false", "false"]);
    get("next").click();
    get("next").click();
    expect([store.opened.value, ...ends().map(([, off]) => off)]).toEqual([4, "false", "true"]);
    expect(document.activeElement).toBe(get("next"));
    store.open(0); // a neighbour that is not shown: Next goes back to those that are
    expect(ends().map(([, off]) => off)).toEqual(["false", "false"]);
    expect(margin()).toBe("a.jpg · 90 % ahead of the runner-up");
    store.narrow({ search: "nothing" });
    expect(ends().map(([, off]) => off)).toEqual(["true", "true"]);
  });
  it("draws the explorer once, for the first sample that is opened, and leaves nothing behind", () => {
    const { store } = gallery();
    const drawn = vi.fn();
    mountGallery(document.body, store, drawn, life.signal);
    expect(drawn).not.toHaveBeenCalled();
    store.open(1);
    store.open(2);
    expect(drawn).toHaveBeenCalledTimes(1);
    const verdict = document.querySelector("[data-testid=verdict]")!;
    expect(verdict.textContent).toContain("dog taken for cat");
    life.abort();
    expect(document.body.childElementCount).toBe(0);
  });
  it("says what it lacks without a model, and draws no explorer", () => {
    const { host, store } = gallery({
      _gallery: { live: false, total: 6, classes: NAMES, sorts: SORTS, filters: [] },
    });
    const drawn = vi.fn();
    mountGallery(document.body, store, drawn, life.signal);
    store.open(1);
    host.set("_sample", { row: 1, needs: "Brushing needs the model." });
    expect(drawn).not.toHaveBeenCalled();
    expect(document.querySelector("[data-testid=needs]")!.textContent).toBe("Brushing needs the model.");
    expect(document.querySelector("[data-testid=flip-set]")).toBeNull();
  });
  it("counts what cannot be used, shows it alone, and says why", () => {
    const { host, store } = gallery({ _scoring: { state: "idle", step: 6, total: 6, errors: 4, faults: 3 } });
    mountGallery(document.body, store, null, life.signal);
    const faults = document.querySelector<HTMLButtonElement>("[data-testid=faults]")!;
    const shown = () => document.querySelector("[data-testid=shown]")!.textContent;
    expect([faults.hidden, store.behind.value, shown()]).toEqual([true, true, "4 shown …"]);
    const why = "there is no class '0'; for the class of that number pass 0, without quotes";
    const words = { status: ["label"], problem: [why], name: ["f.jpg"] };
    host.say({ kind: "cells", columns: [], words }, [shifted(Int32Array.of(5))]);
    expect([faults.hidden, store.behind.value, shown()]).toEqual([false, false, "4 shown"]);
    expect(faults.textContent).toBe("1 cannot be used");
    faults.click();
    expect([...store.order.value]).toEqual([5]);
    expect(faults.getAttribute("aria-pressed")).toBe("true");
    const card = createCard(store, "card");
    card.show(0, 5);
    expect(card.element.title).toBe(`f.jpg\n${why}`);
    store.open(5);
    expect(document.querySelector("[data-testid=verdict]")!.textContent).toBe(`${why}.`);
    document.querySelector<HTMLElement>("[data-testid=clear-filters]")!.click();
    expect([...store.order.value]).toEqual([3, 1, 2, 4]);
  });
  it("says on a card what it is, on a line of its own what it was taken for, and how sure that is", () => {
    const { host, store } = gallery();
    host.say({ kind: "cells", columns: [["p_pred", "float32"]], words: {} }, [
      shifted(Int32Array.of(0, 1)),
      shifted(Float32Array.of(0.9, 0.998)),
    ]);
    const card = createCard(store, "card");
    const lines = () => [...card.element.querySelectorAll("p")].map((it) => it.textContent);
    card.show(0, 1);
    expect(lines()).toEqual(["cat", "→ dog", "> 99 % sure", "shortcut, seen"]);
    card.show(0, 0);
    expect(lines()).toEqual(["cat", "", "90 % sure", ""]);
    card.show(0, 5);
    expect(lines()).toEqual(["sample 5", "", "not scored yet", ""]);
  });
  it("names the runner-up where the answer was right, in the colours of the maps", () => {
    const { host, store } = gallery();
    host.say({ kind: "cells", columns: [], words: { rival: ["a wolf"] } }, [shifted(Int32Array.of(0))]);
    mountGallery(document.body, store, null, life.signal);
    const curve = document.querySelector<HTMLElement>("[data-testid=curve]")!;
    const key = document.querySelector(".lg-overview")!.closest(".lg-stack")!.querySelector(".lg-key")!;
    const colours = (of: Element) =>
      [...of.children].map((it) => `${(it as HTMLElement).dataset.kind} ${it.textContent}`);
    const lens = { layers: [1, 2], true: [0.1, 0.9], predicted: [0.3, 0.2], weak: [], trust: [] };
    store.open(0);
    host.set("_sample", { row: 0, ...lens });
    expect(curve.querySelector("h3")!.textContent).toBe("How it won");
    expect(colours(curve.querySelector(".lg-key")!)).toEqual(["right a wolf", "taken cat"]);
    expect(curve.querySelector("svg")!.getAttribute("aria-label")).toContain("a wolf 0.2, cat 0.9");
    expect(colours(key)).toEqual(["taken for what it is", "right for the runner-up"]);
    store.open(1);
    host.set("_sample", { row: 1, ...lens });
    expect(curve.querySelector("h3")!.textContent).toBe("When it was lost");
    expect(colours(curve.querySelector(".lg-key")!)).toEqual(["right cat", "taken dog"]);
    expect(colours(key)).toEqual(["taken for what it was taken for", "right for what it is"]);
  });
  it("says what a sample is also where the table comes after it, as when the page is loaded anew", () => {
    const lens = { layers: [1, 2], true: [0.1, 0.9], predicted: [0.3, 0.2], weak: [], trust: [] };
    const told = message();
    const { host, store } = gallery({ opened: 1, _sample: { row: 1, ...lens } }, false);
    mountGallery(document.body, store, null, life.signal);
    const says = () => [...document.querySelectorAll(".lg-key")].map((it) => it.textContent);
    expect(says().join()).not.toContain("runner-up");
    host.say(...told);
    expect(document.querySelector("[data-testid=curve] h3")!.textContent).toBe("When it was lost");
    expect(says()[0]).toBe("for what it was taken forfor what it is");
    expect(document.querySelector("[data-testid=curve] .lg-key")!.textContent).toBe("catdog");
  });
  it("shows what the map says against the mask, and hides that where there is no mask", () => {
    const { host, store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    store.open(1);
    const table = document.querySelector<HTMLTableElement>("[data-testid=against]")!;
    host.set("_sample", { row: 1 });
    expect(table.parentElement!.hidden).toBe(true);
    host.set("_sample", {
      row: 1,
      mask: { picture: null, drawn: true, says: "Outline: the mask you drew." },
      against: {
        sides: ["dog", NAMES[2]],
        says: "The object covers 12 % of what the model saw.",
        rows: [{ title: "map and object share", says: "IoU: ...", values: ["0.31", "–"] }],
      },
      cases: [{ about: "the true class", name: "confuser", says: "wrong: it looks at the object" }],
    });
    expect(table.parentElement!.hidden).toBe(false);
    expect([...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))).toEqual([
      ["evidence for", "dog", NAMES[2]],
      ["map and object share", "0.31", "–"],
    ]);
    expect(table.rows[1]!.cells[0]!.title).toBe("IoU: ...");
    expect(document.querySelector("[data-testid=mask-says]")!.textContent).toBe(
      "Outline: the mask you drew.",
    );
    expect(document.querySelector("[data-testid=cases]")!.textContent).toContain("looks at the object");
  });
  it("goes on with N, tags with X, and back with Escape", () => {
    const { host, store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const root = document.querySelector<HTMLElement>("[data-testid=inspector]")!;
    const press = (key: string) =>
      root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    store.open(3);
    press("n");
    expect(store.opened.value).toBe(1);
    press("N");
    expect(store.opened.value).toBe(3);
    press("x");
    expect(document.activeElement!.getAttribute("data-testid")).toBe("tag");
    press("Escape");
    expect(store.opened.value).toBeNull();
    expect(host.of("open").at(-1)!.row).toBeNull();
  });
  it("closes with Escape what is open, one after the other, before the notebook gets the keys", () => {
    const { store } = gallery();
    const cell = document.createElement("div");
    cell.tabIndex = -1;
    document.body.append(cell);
    mountGallery(cell, store, null, life.signal);
    const get = (name: string) => cell.querySelector<HTMLElement>(`[data-testid=${name}]`)!;
    const press = (key: string) =>
      document.activeElement!.dispatchEvent(
        new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
      );
    const open = () =>
      [...cell.querySelectorAll("[aria-expanded=true]")].map((it) => it.getAttribute("data-testid"));
    get("open-clusters").click();
    get("start-clusters").focus();
    press("Escape");
    expect([open(), document.activeElement]).toEqual([[], get("open-clusters")]);
    get("export").click();
    get("open-clusters").click();
    store.open(1);
    get("gallery").focus();
    expect(open()).toEqual(["export", "open-clusters"]);
    press("Escape");
    press("Escape");
    expect([open(), store.opened.value, document.activeElement]).toEqual([[], 1, get("export")]);
    get("open-clusters").click();
    get("next").focus();
    press("?");
    press("Escape"); // the help, over the sample
    press("Escape");
    expect([open(), store.opened.value]).toEqual([["open-clusters"], null]);
    expect(document.activeElement).toBe(get("gallery"));
    press("Escape");
    expect(document.activeElement).toBe(get("gallery"));
    press("Escape");
    expect(document.activeElement).toBe(cell);
  });
  it("brings into sight what is opened or narrowed from anywhere, and keeps the keyboard in the page", () => {
    const { host, store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const get = (name: string) => document.querySelector<HTMLElement>(`[data-testid=${name}]`)!;
    const seen: (string | undefined)[] = [];
    vi.spyOn(Element.prototype, "scrollIntoView").mockImplementation(function (this: Element) {
      seen.push((this as HTMLElement).dataset.testid ?? this.className);
    });
    store.open(1); // as a panel does
    expect([document.activeElement, seen.splice(0)]).toEqual([get("next"), ["sample"]]);
    host.set("_sample", { row: 1, neighbours: [{ title: "like it", rows: [3] }] });
    const near = get("neighbours").querySelector("button")!;
    near.focus();
    near.click();
    expect([store.opened.value, document.activeElement, seen.splice(0)]).toEqual([
      3,
      get("next"),
      ["sample"],
    ]);
    get("previous").focus();
    store.step(1);
    host.set("opened", 4); // Python
    expect([store.opened.value, document.activeElement, seen]).toEqual([4, get("previous"), []]);

    get("open-clusters").click();
    get("start-clusters").focus();
    store.narrow({ values: { tags: "seen" } });
    expect(seen.splice(0)).toEqual(["lg-stack"]);
    expect(get("gallery").parentElement!.className).toBe("lg-stack");
    get("clear-filters").focus();
    get("clear-filters").click();
    expect([document.activeElement, seen]).toEqual([get("gallery"), []]);
    vi.restoreAllMocks();
  });
  it("holds the room of what comes and goes above and beneath the gallery", () => {
    const { host, store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const get = (name: string) => document.querySelector<HTMLElement>(`[data-testid=${name}]`)!;
    const clear = get("clear-filters");
    const kept = [clear, get("untag"), get("unselect")];
    const off = () => kept.map((it) => it.style.visibility || it.getAttribute("aria-disabled"));
    expect(off()).toEqual(["hidden", "false", "true"]);
    store.narrow({ search: "light" });
    store.selectAll(true);
    host.say({ kind: "cells", columns: [], words: { tags: ["", ""] } }, [shifted(Int32Array.of(1, 3))]);
    expect(off()).toEqual([null, "true", "false"]);
    expect(kept.some((it) => it.hidden)).toBe(false);
    expect(get("filter-tags").parentElement!.contains(clear)).toBe(false);
    expect(get("sort").parentElement!.contains(clear)).toBe(true);
  });
  it("calls cases by plain words, and says of how many errors something is known while that is not all", () => {
    const studied = { ...sort("outside_mask", false), title: "Looks elsewhere", study: "outside_mask" };
    const names = { confuser: "wrong: it looks at the object" };
    const column = { column: "case_true", title: "Case", study: "case_true", names };
    const { host, store } = gallery({
      _gallery: { live: true, total: 6, classes: NAMES, sorts: [...SORTS, studied], filters: [column] },
    });
    mountGallery(document.body, store, null, life.signal);
    const options = (name: string) =>
      [...document.querySelectorAll<HTMLOptionElement>(`[data-testid=${name}] option`)].map(
        (it) => `${it.title}|${it.textContent}`,
      );
    const told = (...rows: number[]) =>
      host.say(
        {
          kind: "cells",
          columns: [["outside_mask", "float32"]],
          words: { case_true: rows.map((row) => (row === 2 ? "distractor" : "confuser")) },
        },
        [shifted(Int32Array.from(rows)), shifted(Float32Array.from(rows, () => 0.5))],
      );
    told(1, 2);
    expect(options("sort").at(-1)).toBe("|Looks elsewhere (2 of 4 errors)");
    expect(options("filter-case_true")).toEqual([
      "|Case: any (2 of 4 errors)",
      "confuser|wrong: it looks at the object (1)",
      "distractor|distractor (1)",
    ]);
    told(3, 4);
    store.narrow({ values: { case_true: "confuser" } });
    expect(options("sort").at(-1)).toBe("|Looks elsewhere");
    expect(options("filter-case_true").slice(0, 2)).toEqual([
      "|Case: any",
      "confuser|Case: wrong: it looks at the object (3)",
    ]);
  });
  it("says why a tag cannot be given, and to how many samples out of sight it goes", () => {
    const { host, store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const get = <T extends HTMLElement>(name: string) =>
      document.querySelector<T>(`[data-testid=${name}]`) as T;
    const [tag, says] = [get<HTMLInputElement>("tag"), () => get("selected").textContent];
    const complained = vi.spyOn(tag, "reportValidity");
    const type = (words: string) => {
      tag.value = words;
      tag.dispatchEvent(new Event("input"));
    };
    type("snow, label");
    for (const name of ["add-tag", "untag"]) get(name).click();
    expect([tag.validationMessage, host.of("tag")]).toEqual([
      "A tag has no comma. Tag twice for two tags.",
      [],
    ]);
    type(" ");
    expect(tag.validationMessage).toBe("");
    get("add-tag").click();
    expect([tag.validationMessage, host.of("tag")]).toEqual(["Which tag?", []]);
    expect(complained).toHaveBeenCalledTimes(3);
    type("snow");
    get("add-tag").click();
    expect(host.of("tag").map(({ tag: sent }) => sent)).toEqual(["snow"]);
    store.toggle(0);
    store.toggle(1);
    expect(says()).toBe("2 selected");
    store.pickPair({ true: 0, predicted: 1 }, false);
    expect(says()).toBe("2 selected, 1 of them shown; tags go to all selected");
    store.pickPair({ true: 1, predicted: 0 }, false);
    expect(says()).toBe("2 selected, none of them shown; tags go to all selected");
  });
  it("shows all again where Escape empties the search", () => {
    const { store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const search = document.querySelector<HTMLInputElement>("[data-testid=search]")!;
    search.value = "light";
    search.dispatchEvent(new Event("input"));
    expect([...store.order.value]).toEqual([2]);
    search.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true }));
    expect([search.value, ...store.order.value]).toEqual(["", 3, 1, 2, 4]);
  });
  it("bares the pictures while H is held, or Peek", () => {
    const { store } = gallery();
    mountGallery(document.body, store, null, life.signal);
    const root = document.querySelector<HTMLElement>("[data-testid=inspector]")!;
    const press = (type: string) => root.dispatchEvent(new KeyboardEvent(type, { key: "h", bubbles: true }));
    const drawn = vi.fn();
    const canvas = {
      width: 0,
      getContext: () => ({ clearRect() {}, drawImage: drawn }),
    } as unknown as HTMLCanvasElement;
    const picture = { width: 96, close() {} } as ImageBitmap;
    const heat = scaleMap(Float32Array.of(1, -1), 1, 2, true);
    const shelved = { ...store, shelf: { ...store.shelf, picture: () => picture, map: () => heat } };
    press("keydown");
    expect(store.bare.value).toBe(true);
    drawSmall(canvas, shelved, 1);
    expect(drawn.mock.calls.map(([what]) => what)).toEqual([picture]);
    press("keyup");
    expect(store.bare.value).toBe(false);
    expect(root.querySelectorAll("[data-testid=peek]")).toHaveLength(2);
    for (const button of root.querySelectorAll("[data-testid=peek]")) {
      button.dispatchEvent(new Event("pointerdown"));
      expect(store.bare.value).toBe(true);
      dispatchEvent(new Event("pointerup"));
      expect(store.bare.value).toBe(false);
      for (const key of [" ", "Enter"]) {
        button.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        expect(store.bare.value).toBe(true);
        button.dispatchEvent(new KeyboardEvent("keyup", { key, bubbles: true }));
        expect(store.bare.value).toBe(false);
      }
    }
  });
});

describe("grid", () => {
  const FRAME = 20;
  const drawn = () => {
    const { store } = gallery();
    store.pickPair({ true: 0, predicted: 1 }, false);
    const opened: number[] = [];
    const view = grid(store, (row) => opened.push(row), life.signal);
    Object.defineProperty(view, "clientWidth", { value: 500, configurable: true });
    Object.defineProperty(view, "clientHeight", { value: 10 });
    document.body.append(view);
    vi.advanceTimersByTime(FRAME);
    const first = view.querySelector<HTMLElement>("[data-testid=card]")!;
    expect(first.dataset.row).toBe("1");
    const mixUp = () => {
      store.narrow({ pairs: [] });
      expect([...store.order.value]).toEqual([3, 1, 2, 4]);
    };
    return { store, view, opened, first, mixUp };
  };

  it("opens the sample that was pressed, although the order changes before the button is let go", () => {
    const { store, view, opened, first, mixUp } = drawn();
    first.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    mixUp();
    vi.advanceTimersByTime(FRAME);
    expect(first.dataset.row).toBe("1");
    view.dispatchEvent(new Event("pointerup"));
    first.click();
    expect(opened).toEqual([1]);
    expect(store.cursor.value).toBe(1);
    vi.advanceTimersByTime(FRAME);
    expect(first.dataset.row).toBe("3");
  });

  it("shows each sample once where the view becomes narrower", () => {
    const { store, view } = drawn();
    store.narrow({ errors: false, pairs: [] });
    vi.advanceTimersByTime(FRAME);
    Object.defineProperty(view, "clientWidth", { value: 130 });
    view.scrollTop = 400;
    store.moveTo(2);
    vi.advanceTimersByTime(FRAME);
    const shown = [...view.querySelectorAll<HTMLElement>("[data-testid=card]")].filter((it) => !it.hidden);
    expect(shown.map((it) => Number(it.dataset.row)).sort()).toEqual(
      [...store.order.value.slice(1, 5)].sort(),
    );
  });

  it("opens what a card shows, although the order is another already and the card not drawn anew", () => {
    const { opened, first, mixUp } = drawn();
    mixUp();
    first.click();
    expect(opened).toEqual([1]);
  });
});

describe("curve", () => {
  it("dashes and shades layers where the lens is hardly better than chance", () => {
    const sample = decodeSample({
      row: 0,
      layers: [1, 2, 3],
      true: [0.1, 0.5, 0.2],
      predicted: [0.2, 0.1, 0.9],
      weak: [true, false, false],
      trust: [0.5, 0.8, 1],
    })!;
    const chart = curveChart(sample, ["cat", "dog"]);
    expect(chart.querySelectorAll("rect[data-weak=true]")).toHaveLength(1);
    const dashed = [...chart.querySelectorAll("line[data-kind=right]")].map((line) =>
      line.getAttribute("data-unsure"),
    );
    expect(dashed).toEqual(["true", "false"]);
    expect(chart.getAttribute("aria-label")).toContain("cat 0.2, dog 0.9");
  });
});
