// @vitest-environment happy-dom
// Curves of several methods: whose they are, what the table and the chart show of them, and the method's card.

import { describe, expect, it, vi } from "vitest";
import { digestOf } from "../src/store/contest";
import { type Point, placeNames } from "../src/ui/chart";
import { verdict } from "../src/ui/contest";
import { mount } from "../src/ui/root";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";
import { answered, comparison, packed, text } from "./samples";
import { createLiveStore } from "./with-live";

const end = pageLife();

const CATALOGUE = ["legrad", "cdam", "tam"].map((name) => ({
  name,
  title: name.toUpperCase(),
  available: true,
  slow: false,
  shows: `How to read ${name}.`,
  formula: "E = mc²\nc: light",
  cost: "2 forwards",
  signed: name === "cdam",
  class_discriminative: name !== "tam",
  readouts: ["cls", "attention"],
  knobs: [],
}));
const METHODS = ["legrad", "cdam", "tam"];

function show(changes: Record<string, unknown> = {}) {
  const host = new FakeHost({
    ...answered(),
    _catalogue: CATALOGUE,
    compare: "methods",
    _comparison: comparison(METHODS),
    ...changes,
  });
  const store = createLiveStore(host, end.signal);
  mount(document.body, store, end.signal);
  const get = <T extends HTMLElement>(id: string) => document.querySelector<T>(`[data-testid="${id}"]`) as T;
  const asked = () => host.of("tool") as unknown as { tool: string; rid: string; args: object }[];
  let done = "";
  let more = 0;
  function answer(tool: string, data: object, state = "done") {
    const last = asked().at(-1);
    const rid = last && last.rid !== done ? last.rid : `${last?.rid}+${++more}`;
    done = rid;
    const about = {
      rid,
      rev: 1,
      target: 0,
      label: "cat",
      args: {},
      state,
      step: 1,
      total: 2,
      message: "",
    };
    host.set("_tools", { [tool]: { ...about, ...data }, busy: null });
  }
  const digests = store.rows.value.map(([pane]) => digestOf(pane!.stack!.maps));
  const curve = (kind: string, at: number, area: number | null, digest = digests[at]!) => ({
    kind,
    method: METHODS[at]!,
    fractions: [0, 0.5, 1],
    values: [0.9, 0.5 - 0.1 * at, 0.1],
    area,
    digest,
  });
  const band = { fractions: [0, 0.5, 1], low: [0.9, 0.4, 0.1], mean: [0.9, 0.5, 0.1], high: [0.9, 0.6, 0.1] };
  const found = { image_rev: 1, about: text("cat"), errors: {}, band: null, chance: {}, of: "sigmoid" };
  return { host, store, get, asked, answer, digests, curve, band, found };
}
const heads = () => [...document.querySelectorAll("thead th")].map((head) => head.textContent);
const column = (n: number) =>
  [...document.querySelectorAll("tbody tr")].map((row) => [...row.children].at(n)?.textContent);

describe("the digest of a map", () => {
  it("is CRC-32 of its bytes", () => {
    const digits = new TextEncoder().encode("123456789123").buffer;
    expect(digestOf(new Float32Array(digits))).toBe(0x00dc_e2f4);
    const within = new Float32Array(digits.slice(0), 4, 1);
    expect(digestOf(within)).toBe(digestOf(new Float32Array(digits.slice(4, 8))));
  });
});

describe("what was measured", () => {
  it("is asked of every method with a map, and becomes columns of the table as it comes", () => {
    const { asked, answer, get, curve, band, found } = show();
    expect(heads()).toEqual(["LEGRAD", "CDAM", "TAM"]);
    get("run-faithfulness").click();
    expect(asked().at(-1)).toMatchObject({
      tool: "faithfulness",
      args: { methods: METHODS, kinds: ["deletion", "insertion", "positive", "negative"], random: 3 },
    });
    answer(
      "faithfulness",
      { ...found, curves: [curve("deletion", 0, 0.25), curve("deletion", 1, null)] },
      "running",
    );
    expect(heads().slice(0, -3)).toEqual(["Deletion ↓"]);
    expect(column(1)).toEqual(["0.250", "–", "–"]);
    expect(get("stop-faithfulness").hidden).toBe(false);
    answer("faithfulness", {
      ...found,
      curves: [curve("deletion", 0, 0.25), curve("deletion", 1, 0.5), curve("insertion", 0, 0.75)],
      band,
      chance: { deletion: 0.4, insertion: 0.4 },
    });
    expect(heads().slice(0, -3)).toEqual(["Deletion ↓", "Insertion ↑"]);
    expect(column(1)).toEqual(["0.250", "0.500", "–", "0.400"]);
    expect(get("contest-says").textContent).toBe(
      "Lower is better: LEGRAD 0.25; random order 0.4. No better than that: CDAM.",
    );
  });
  it("is drawn with a name, a colour and a dash for every line, and the band behind them", () => {
    const { store, answer, get, curve, band, found } = show();
    const curves = [0, 1, 2].map((at) => curve("deletion", at, 0.3));
    answer("faithfulness", { ...found, curves: [...curves, curve("insertion", 1, 0.6)], band });
    const drawn = () => [...get("faithfulness").querySelectorAll("polyline[data-kind=method]")];
    const pair = (line: Element) => [line.getAttribute("data-ink"), line.getAttribute("data-dash")].join();
    expect(new Set(drawn().map(pair)).size).toBe(3);
    expect(drawn().map((line) => line.hasAttribute("data-lead"))).toEqual([false, false, true]);
    const names = [...get("faithfulness").querySelectorAll("text[data-ink]")];
    expect(names.map((name) => name.textContent)).toEqual(["LEGRAD", "CDAM", "TAM"]);
    expect(names.map(pair)).toEqual([2, 0, 1].map((at) => pair(drawn()[at]!)));
    expect(get("faithfulness").querySelectorAll("polygon[data-kind=band]")).toHaveLength(1);
    names[2]!.dispatchEvent(new Event("click"));
    expect(store.trait("method").value).toBe("tam");
    get<HTMLInputElement>("curve-insertion").click();
    expect(drawn()).toHaveLength(1);
  });
  it("is never shown beside another map, target or picture", () => {
    const { host, store, answer, get, curve, found } = show();
    const measured = { ...found, curves: [curve("deletion", 0, 0.25), curve("deletion", 1, 0.5)] };
    answer("faithfulness", measured);
    expect(column(1)).toEqual(["0.250", "0.500", "–"]);
    const changed = comparison(METHODS);
    Object.assign(changed.panes[1]!, {
      maps: packed(
        [3, 2, 3],
        new Array(18).fill(1).map((_, i) => i),
      ),
    });
    host.set("_comparison", changed);
    expect(column(1), "another map of the same method").toEqual(["0.250", "–", "–"]);
    host.set("_comparison", comparison(METHODS));
    expect(column(1)).toEqual(["0.250", "0.500", "–"]);
    store.select(1);
    expect(heads(), "another target").toEqual(["LEGRAD", "CDAM", "TAM"]);
    expect(get("faithfulness").querySelector("polyline")).toBeNull();
    expect(get("faithfulness").hasAttribute("data-stale")).toBe(true);
    store.select(0);
    expect(column(1)).toEqual(["0.250", "0.500", "–"]);
    answer("faithfulness", { ...measured, image_rev: 2 });
    expect(heads(), "another picture").toEqual(["LEGRAD", "CDAM", "TAM"]);
    answer("faithfulness", { ...measured, rev: 99 });
    expect(column(1), "the method that is shown plays no part").toEqual(["0.250", "0.500", "–"]);
    store.compareBy("prompts");
    expect(heads()).toEqual(["cat", "dog"]);
  });
  it("says why a method has none", () => {
    const { answer, get, curve, found } = show();
    answer("faithfulness", {
      ...found,
      curves: [curve("positive", 0, 0.2)],
      errors: { cdam: "It failed <b>." },
    });
    expect(get("faithfulness").querySelector("li")!.textContent).toBe("CDAM: It failed <b>.");
  });
});

describe("the scale of the maps", () => {
  it("may be that of a row where rows are layers, and the bar says whose it is", () => {
    const { host, get, store } = show();
    const row = get<HTMLInputElement>("scale-row");
    expect(row.disabled).toBe(true);
    const reason = document.getElementById(row.getAttribute("aria-describedby")!)!;
    expect(reason.textContent).toContain("Each row is one map, so rows make no difference");
    expect(get("compare-bar").textContent).toBe("each map's lowesteach map's highest");
    get("unfold").click();
    expect(get("unfold").getAttribute("aria-pressed")).toBe("true");
    const rows = [...document.querySelectorAll('[data-testid="row"]')];
    expect(rows.map((one) => one.getAttribute("aria-label"))).toEqual(["LEGRAD", "CDAM", "TAM"]);
    expect(rows[0]!.querySelectorAll('[data-testid="pane"]')).toHaveLength(3);
    const offered = get<HTMLInputElement>("scale-row");
    expect(offered.disabled).toBe(false);
    expect(offered.hasAttribute("aria-describedby")).toBe(false);
    offered.click();
    expect(get("compare-bar").textContent).toBe("the row's lowestthe row's highest");
    vi.advanceTimersByTime(1000);
    expect(host.read("compare_scale")).toBe("row");
    get<HTMLInputElement>("scale-shared").click();
    const [low, high] = store.panes.value.find(({ heat }) => heat && !heat.signed)!.heat!.range;
    expect(get("compare-bar").textContent).not.toContain("row's");
    expect(get("compare-bar").textContent).toContain("raw ");
    expect(get("compare-bar").textContent).toContain("with signs ±");
    expect(low).toBeLessThan(high);
    rows[0]!.querySelector<HTMLButtonElement>("figcaption button")!.click();
    expect(store.trait("layers").value).toEqual([1]);
  });
});

describe("the verdict on many maps", () => {
  const areas = [
    { kind: "insertion", method: "a", area: 0.5 },
    { kind: "insertion", method: "b", area: 0.7 },
    { kind: "insertion", method: "c", area: null },
  ];
  it("looks up where higher is better, and says nothing before there is a number", () => {
    expect(verdict("insertion", areas, 0.4, (name) => name)).toBe(
      "Higher is better: b 0.7; random order 0.4. All do better than that.",
    );
    expect(verdict("insertion", areas, 0.6, (name) => name)).toContain("No better than that: a.");
    expect(verdict("insertion", areas, null, (name) => name)).toBe("Higher is better: b 0.7.");
    expect(verdict("deletion", areas, 0.4, (name) => name)).toBe("");
  });
});

describe("names at lines", () => {
  const box = [0, 0, 600, 240] as const;
  it("stand beside their own line, apart from one another, where lines meet at both ends", () => {
    const lines = [40, 80, 120, 160, 200].map((deep, i) => ({
      name: `method ${i}`,
      points: [[0, 0], [300, deep], [600, 240]] as Point[], // biome-ignore format: a line
    }));
    const spots = placeNames(lines, box);
    for (const [i, { spot, foot }] of spots.entries()) {
      const [x, y] = spot;
      const deep = lines[i]!.points[1]![1];
      expect(foot[0]).toBe(x);
      expect(foot[1]).toBeCloseTo(x < 300 ? (deep * x) / 300 : deep + ((240 - deep) * (x - 300)) / 300, 5);
      expect(Math.abs(y - foot[1]) % 15).toBeCloseTo(9, 5);
      expect(y).toBeGreaterThan(0);
      expect(y).toBeLessThan(240);
      for (const {
        spot: [u, v],
      } of spots.slice(i + 1)) // biome-ignore format: a line
        expect(Math.abs(u - x) > 50 || Math.abs(v - y) >= 14).toBe(true);
    }
  });
  it("find room where all lines run together along the bottom of a narrow chart", () => {
    const names = [
      "LeGrad",
      "CDAM",
      "Attention rollout",
      "Raw attention",
      "GradCAM",
      "TextSpan",
      "ViT-ReciproCAM",
    ];
    const points = [[0, 60], [20, 170], [270, 172]] as Point[]; // biome-ignore format: a line
    const spots = placeNames(
      names.map((name) => ({ name, points })),
      [0, 0, 270, 176],
    );
    const boxes = spots.map(({ spot: [x, y] }, i) => ({ x, y, half: 3 * names[i]!.length }));
    for (const [i, a] of boxes.entries())
      for (const b of boxes.slice(i + 1))
        expect(Math.abs(a.x - b.x) >= a.half + b.half || Math.abs(a.y - b.y) >= 14).toBe(true);
  });
  it("lead back to what has been drawn of a line", () => {
    const points = [[0, 100], [120, 60]] as Point[]; // biome-ignore format: a line
    const { foot } = placeNames([{ name: "growing", points }], box)[0]!;
    expect(foot[0]).toBeLessThanOrEqual(120);
  });
});

describe("the card of the method in charge", () => {
  it("says how to read it, and asks what it cost when it is opened", () => {
    const { asked, answer, get, store } = show();
    expect(get("card-found").textContent).toContain("How to read legrad.");
    expect(get("formula").textContent).toBe("E = mc²\nc: light");
    expect(get("card-found").textContent).toContain(
      "Not signed · tells targets apart · for readouts by class token, attention pooler",
    );
    expect(asked()).toEqual([]);
    get<HTMLDetailsElement>("card").open = true;
    get("card").dispatchEvent(new Event("toggle"));
    expect(asked().map(({ tool }) => tool)).toEqual(["card"]);
    answer("card", { method: "legrad", seconds: 0.03, forward: 0.012, verdict: null });
    expect(get("cost").textContent).toBe(
      "Measured here: 30 ms for a target, as long as 2.5 forwards of this model (12 ms each). Predicted: 2 forwards.",
    );
    expect(get("checked").textContent).toBe("Randomisation check: not run on this model.");
    expect(asked()).toHaveLength(1);
    store.setMethod("cdam");
    expect(get("card-found").textContent).toContain("Signed · tells");
  });
  it("knows the check from before, and the one that is run from it", () => {
    const { asked, answer, get } = show();
    const verdict = { passed: false, correlation: 0.9, label: "cat" };
    answer("card", { method: "legrad", seconds: 1.5, forward: 0.5, verdict });
    expect(get("checked").textContent).toBe(
      "Randomisation check failed for ‘cat’: with all blocks shuffled the map has a rank correlation of 0.9 with this one, 0.5 or more.",
    );
    get("check").click();
    expect(asked().at(-1)!.tool).toBe("randomise");
    answer("randomise", { method: "legrad", blocks: [0, 1], correlations: [1, null], passed: true });
    expect(get("checked").textContent).toBe(
      "Randomisation check passed for ‘cat’: with all blocks shuffled the map is flat.",
    );
    answer("randomise", { method: "cdam", blocks: [0, 1], correlations: [1, 0.1], passed: true });
    expect(get("checked").textContent, "of another method").toContain("not run");
  });
  it("stops no tool that runs when it is opened", () => {
    const { host, asked, get } = show();
    host.set("_tools", { busy: { tool: "verify", rid: "x", step: 1, total: 9, message: "" } });
    get<HTMLDetailsElement>("card").open = true;
    get("card").dispatchEvent(new Event("toggle"));
    expect(asked()).toEqual([]);
    host.set("_tools", { busy: null });
    expect(asked().map(({ tool }) => tool)).toEqual(["card"]);
  });
  it("shows what needs no kernel without one", () => {
    const { get } = show({ _static: true });
    expect(get("card-found").textContent).toContain("How to read legrad.");
    expect(get<HTMLButtonElement>("check").disabled).toBe(true);
  });
});
