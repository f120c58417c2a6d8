// @vitest-environment happy-dom
// What leaves the page: what stands on the sheet, names of files, text that is no markup, and the kernel's part.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeExported } from "../src/export-wire";
import { LATE_MS } from "../src/store/conversation";
import { fileName, type Measure, sheetOf } from "../src/store/sheet";
import { exporting } from "../src/ui/export";
import { xml } from "../src/ui/sheet";
import { FakeHost } from "./fake-host";
import { answered, IMAGE, result, text } from "./samples";
import { createLiveStore } from "./with-live";

let end: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

function open(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({ ...answered(), ...changes });
  const store = createLiveStore(host, end.signal);
  return { host, store };
}
/** Letters half as wide as they are high. */
const measure: Measure = (words, size) => (words.length * size) / 2;

describe("the sheet", () => {
  it("says what one must know to read the map", () => {
    const { store } = open();
    store.chooseLayers([2, 3]);
    const sheet = sheetOf(store, measure)!;
    expect(sheet.lines.map(({ words }) => words)).toEqual([
      "cat",
      "LeGrad · layers 2-3 of 3 · cosine 0.3 · p = 0.9 (sigmoid)",
      "25",
      "30",
    ]);
    expect(sheet.name).toBe("cat_legrad_layers-2-3-of-3");
    expect([...sheet.heat.raw]).toEqual([25, 26, 27, 28, 29, 30]);
  });
  it("lays the map where the model looked, and all on the paper", () => {
    const { store } = open({ _image: { ...IMAGE, window: [100, 0, 500, 400] } });
    const sheet = sheetOf(store, measure)!;
    const [left, top, right, bottom] = sheet.frame;
    expect(right - left).toBeCloseTo(640);
    expect(bottom - top).toBeCloseTo((640 * 400) / 600);
    expect(sheet.window[0] - left).toBeCloseTo((100 / 600) * 640);
    expect(sheet.window[2] - left).toBeCloseTo((500 / 600) * 640);
    expect(sheet.bar[1]).toBeGreaterThan(bottom);
    for (const line of sheet.lines) {
      const from = line.end ? line.x - measure(line.words, line.size, false) : line.x;
      expect(from).toBeGreaterThanOrEqual(20);
      expect(from + measure(line.words, line.size, !!line.bold)).toBeLessThanOrEqual(660);
      expect(line.y).toBeLessThan(sheet.height);
    }
  });
  it("cuts what is too long, and keeps whole letters", () => {
    const { store } = open({ targets: [text("🐈".repeat(300))], _result: result([text("🐈".repeat(300))]) });
    const [title] = sheetOf(store, measure)!.lines;
    expect(title!.words.endsWith("🐈…")).toBe(true);
    expect(measure(title!.words, 18, true)).toBeLessThanOrEqual(640);
  });
  it("says of a flat map that it is flat", () => {
    const flat = result([text("cat")]);
    new Float32Array(flat.maps.data.buffer).fill(0.5);
    const { store } = open({ targets: [text("cat")], _result: flat });
    expect(sheetOf(store, measure)!.lines.at(-1)!.words).toContain("a flat map");
  });
  it("is not there without a map", () => {
    expect(sheetOf(open({ _result: {} }).store, measure)).toBeNull();
    expect(sheetOf(open({ _image: {} }).store, measure)).toBeNull();
  });
});

describe("names of files", () => {
  it.each([
    [["a photo of a cat", "legrad", "all 6 layers"], "a-photo-of-a-cat_legrad_all-6-layers"],
    [["../../etc/passwd", "legrad"], "etc-passwd_legrad"],
    [["ein Löwe", "猫"], "ein-löwe_猫"],
    [["", "...", "\u0000"], "legrad"],
    [["x".repeat(300)], "x".repeat(80)],
  ])("%j", (parts, name) => {
    expect(fileName(parts)).toBe(name);
  });
});

describe("text of a drawing", () => {
  it("is no markup, whatever is in it", () => {
    expect(xml(`<script>"a" & 'b'\u0000\ud800</script>`)).toBe(
      "&#60;script&#62;&#34;a&#34; &#38; 'b'&#60;/script&#62;",
    );
  });
});

describe("the menu", () => {
  function menu(changes: Record<string, unknown> = {}) {
    const { host, store } = open(changes);
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue({
      measureText: (words: string) => ({ width: words.length }),
    } as never);
    const { opener, panel } = exporting(store, end.signal);
    const get = (id: string) => panel.querySelector<HTMLButtonElement>(`[data-testid="export-${id}"]`)!;
    opener.click();
    return { host, store, opener, panel, get, note: () => get("note").textContent };
  }
  it("opens, and closes on Escape", () => {
    const { opener, panel } = menu();
    expect([panel.hidden, opener.getAttribute("aria-expanded")]).toEqual([false, "true"]);
    panel.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect([panel.hidden, opener.getAttribute("aria-expanded")]).toEqual([true, "false"]);
  });
  it("asks the kernel for the numbers, and hears only its own answer", () => {
    const { host, get, note } = menu();
    get("npz").click();
    const asked = host.of("export")[0]!;
    expect(asked).toMatchObject({ v: 1, what: "npz", rid: `${asked.client}.t${asked.n}` });
    expect(note()).toBe("Asking …");
    vi.advanceTimersByTime(LATE_MS);
    expect(note()).toBe("Waiting for the kernel (busy?) …");
    host.tell({ kind: "exported", rid: "other.t1", message: "not for this page" });
    expect(note()).toBe("Waiting for the kernel (busy?) …");
    host.tell({ kind: "exported", rid: asked.rid, message: "there is no map to take a picture of" });
    expect(note()).toBe("there is no map to take a picture of");
  });
  it("shows the lines of Python, as words", () => {
    const { host, get, panel } = menu();
    get("code").click();
    const lines = "import legrad_widget as lw\nx = '</textarea><b>'\n";
    host.tell({ kind: "exported", rid: host.of("export")[0]!.rid, text: lines });
    const box = panel.querySelector("textarea")!;
    expect([box.hidden, box.value, box.readOnly]).toEqual([false, lines, true]);
  });
  it("offers without a kernel what needs none, and says so of the rest", () => {
    const { get, note, opener } = menu({ _static: true, _saved: [] });
    expect(["png", "svg", "npz", "code"].map((what) => get(what).disabled)).toEqual([
      false,
      false,
      true,
      true,
    ]);
    opener.click();
    opener.click();
    expect(note()).toBe("Data and Python need a live kernel.");
  });
  it("has nothing to give before there is a map", () => {
    const { get, note, host } = menu({ _result: {} });
    get("png").click();
    expect(note()).toBe("There is no map to export yet.");
    get("npz").click();
    expect(host.of("export")).toEqual([]);
  });
});

describe("the kernel's answer", () => {
  it("is read with checks", () => {
    expect(decodeExported({ kind: "alive" }, [])).toBeNull();
    expect(decodeExported(null, [])).toBeNull();
    expect(decodeExported({ kind: "exported", rid: 3 }, [])).toEqual({
      rid: "",
      data: null,
      text: "",
      message: "",
    });
    const { data } = decodeExported({ kind: "exported", rid: "a.t1" }, [new DataView(new ArrayBuffer(3))])!;
    expect(data).toHaveLength(3);
  });
});
