// What the compare view shows once something is compared (ui/beside.ts): panes side by side with one cursor, and a table of how far they agree.

import { rangeWords, readable } from "../heat/describe";
import { computed, type ReadonlySignal } from "../signals";
import type { Agreement, Pane } from "../store/compare";
import type { LiveStore } from "../store/live";
import type { CompareScale } from "../store/traits";
import { button, el, fill, onEnd, set, watch } from "./element";
import { idOfReason } from "./methods";
import { createPane } from "./pane";
import { drawRamp } from "./raster";
import { segments } from "./segments";
import { fold } from "./tests";

const NO_ROWS = "Each row is one map, so rows make no difference: show them layer by layer first.";

export function compare(
  store: LiveStore,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  life: AbortSignal,
): { ways: HTMLElement[]; parts: HTMLElement[] } {
  const mode = store.trait("compare");
  const scale = segments("scale", "Scale", (value) => store.set("compare_scale", value as CompareScale));
  const layers = button(
    ".lg-button",
    {
      testid: "unfold",
      title: "Show the chosen layers of each map one by one",
      onclick: () => {
        store.unfolded.value = !store.unfolded.peek();
      },
    },
    "Layer by layer",
  );
  const why = el("span.lg-sr", { id: `${store.view}-rows` }, NO_ROWS);
  const missing = button(
    ".lg-button",
    { testid: "ask-again", onclick: store.askAgain },
    "Compute the missing",
  );
  const what = el("p.lg-note");
  const choice = methodChoice(store, life);
  const measure = fold(store, "contest", "Measure how faithful they are", "compare", life);
  const shown = panes(store, bitmap, life);
  const table = agreementTable(store, life);

  watch(life, () => {
    const on = mode.value !== "off";
    what.hidden = layers.hidden = scale.element.hidden = shown.hidden = !on;
    set(layers, "aria-pressed", store.unfolded.value);
    const label = store.entry.value?.label ?? "";
    what.textContent =
      mode.value === "methods" ? `‘${label}’` : `by ${store.method.value?.title ?? "one method"}`;
    choice.hidden = measure.hidden = mode.value !== "methods";
    missing.hidden = store.kernelless.value || !store.panes.value.some(({ state }) => state === "missing");
  });
  const rowed = computed(() => store.rows.value.some((row) => row.length > 1));
  watch(life, () => {
    scale.offer([
      { value: "own", title: "Own scale", hint: "Each map from its lowest to its highest value" },
      {
        value: "row",
        title: "Per row",
        hint: rowed.value ? "One scale for the layers of a row" : NO_ROWS,
        disabled: !rowed.value,
        describedBy: rowed.value ? undefined : why.id,
      },
      {
        value: "shared",
        title: "Shared scale",
        hint: "One scale for all maps; maps with signs have their own",
      },
    ]);
    scale.mark(store.trait("compare_scale").value);
  });
  return {
    ways: [what, missing, why, layers, scale.element],
    parts: [choice, shown, legend(store, life), table, measure],
  };
}

/** Which methods are compared: a box for each, those that are not to be had with the reason. */
function methodChoice(store: LiveStore, life: AbortSignal): HTMLElement {
  const summary = el("summary");
  const list = el("div.lg-choice");
  const boxes = computed(() =>
    store.trait("_catalogue").value.map(({ name, available }) =>
      el("input", {
        type: "checkbox",
        value: name,
        testid: `compare-${name}`,
        disabled: !available,
        "aria-describedby": available ? null : idOfReason(store, name),
        onchange: () => store.compareMethods(boxes.peek().flatMap((box) => (box.checked ? box.value : []))),
      }),
    ),
  );
  watch(life, () => {
    const catalogue = store.trait("_catalogue").value;
    list.replaceChildren(
      ...boxes.value.map((box, i) => {
        const { title, available, summary: about, reason, slow } = catalogue[i]!;
        const hint = available ? about : reason;
        return el("label.lg-row", { title: hint }, box, title, slow && el("span.lg-small", {}, "slow"));
      }),
    );
  });
  watch(life, () => {
    const chosen = store.comparedMethods.value;
    summary.textContent = `${chosen.length} of ${boxes.value.length} methods`;
    for (const box of boxes.value) box.checked = chosen.includes(box.value);
  });
  return el("details", { testid: "compared" }, summary, list);
}

/** The panes in their order, row by row; built anew only when other things are compared. */
function panes(store: LiveStore, bitmap: ReadonlySignal<ImageBitmap | null>, life: AbortSignal): HTMLElement {
  const grid = el("div.lg-stack", { testid: "panes" });
  const asked = computed(() =>
    JSON.stringify([
      store.unfolded.value,
      store.rows.value.map((row) => row.map(({ key, title, layer }) => [key, title, layer])),
    ]),
  );
  const built = computed(() => {
    const [unfolded, rows] = JSON.parse(asked.value) as [boolean, [string, string, number][][]];
    const views = rows.map((row, i) =>
      row.map(([key, title, layer]) =>
        createPane(store, layer ? `layer ${layer}` : title, () => {
          choose(key, i);
          if (layer) store.chooseLayers([layer]);
        }),
      ),
    );
    const groups = views.map((row, i) => {
      const [key, title, layer] = rows[i]![0]!;
      const name =
        layer > 0 && button(".lg-plain.lg-name", { onclick: () => choose(key, i) }, el("b", {}, title));
      const strip = el("div.lg-panes", { "data-layered": true }, ...row.map(({ element }) => element));
      return el("div", { role: "group", label: title, testid: "row" }, name, strip);
    });
    const together = () => el("div.lg-panes", {}, ...views.flat().map(({ element }) => element));
    return { views: views.flat(), elements: unfolded ? groups : [together()] };
  });
  const views = computed(() => built.value.views);
  watch(life, () => grid.replaceChildren(...built.value.elements));
  let request = 0;
  const draw = () => {
    request = 0;
    for (const [i, view] of views.peek().entries()) view.draw(store.panes.peek()[i]!, bitmap.peek());
  };
  watch(life, () => {
    for (const [i, view] of views.value.entries()) view.read(store.panes.value[i]!);
  });
  watch(life, () => {
    store.panes.value;
    bitmap.value;
    store.lookOf(false);
    store.trait("smooth").value;
    request ||= requestAnimationFrame(draw);
  });
  onEnd(life, () => cancelAnimationFrame(request));

  function choose(key: string, at: number) {
    if (store.trait("compare").peek() === "prompts") store.select(at);
    else store.setMethod(key);
  }
  return grid;
}

/** What the colours stand for. */
function legend(store: LiveStore, life: AbortSignal): HTMLElement {
  const bar = el("canvas.lg-bar", { "aria-hidden": true });
  const low = el("span.lg-small");
  const high = el("span.lg-small");
  const element = el(
    "div.lg-colorbar",
    { testid: "compare-bar", role: "img" },
    low,
    el("span.lg-track", {}, bar),
    high,
  );
  watch(life, () => {
    const heats = store.panes.value.flatMap(({ heat }) => (heat && !heat.flat ? heat : []));
    element.hidden = !heats.length;
    if (element.hidden) return;
    const lead = heats.find(({ signed }) => !signed) ?? heats[0]!;
    const other = lead.signed ? null : heats.find(({ signed }) => signed);
    drawRamp(bar, store.lookOf(lead.signed));
    const scale = store.trait("compare_scale").value;
    const whose = scale === "row" ? "the row's" : "each map's";
    const [from, to] = scale === "shared" ? lead.range.map((end) => `raw ${readable(end)}`) : [];
    low.textContent = from ?? `${whose} lowest`;
    high.textContent = (to ?? `${whose} highest`) + (to && other ? ` (with signs ${rangeWords(other)})` : "");
    set(element, "label", `Scale of the maps: ${low.textContent} to ${high.textContent}`);
  });
  return element;
}

/** Rank correlation above the diagonal, overlap below it; beside them what was measured of each map. */
function agreementTable(store: LiveStore, life: AbortSignal): HTMLElement {
  const table = el("table.lg-agreement", { label: "Agreement" });
  const element = el(
    "div.lg-stack",
    { testid: "agreement" },
    el(
      "p.lg-note",
      {},
      el("b", {}, "Agreement"),
      " Above the diagonal Spearman's rank correlation of the patches, below it the overlap (IoU) of the highest 20 % of them.",
    ),
    el("div.lg-scroll", { tabindex: 0, role: "region", label: "Agreement" }, table),
  );
  watch(life, () => {
    const rows = store.rows.value.flatMap(([pane], i) => (pane?.heat ? [{ pane, i }] : []));
    const measures = store.measures.value;
    element.hidden = rows.length < 2 && !measures.length;
    if (element.hidden) return;
    const name = ({ title }: Pane, scope: "row" | "col") => el("th", { scope, title }, title);
    const chance = measures.some((one) => one.chance !== null);
    table.replaceChildren(
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td"),
          ...measures.map(({ title, about }) => el("th.lg-measure", { scope: "col", title: about }, title)),
          ...rows.map(({ pane }) => name(pane, "col")),
        ),
      ),
      el(
        "tbody",
        {},
        ...rows.map((row, r) =>
          el(
            "tr",
            {},
            name(row.pane, "row"),
            ...measures.map(({ values }) => measured(values.get(row.pane.key))),
            ...rows.map((col, c) => cell(row.pane, col.pane, store.agreement.value[row.i]![col.i]!, c - r)),
          ),
        ),
        chance &&
          el(
            "tr.lg-small",
            {},
            el("th", { scope: "row" }, "Random order"),
            ...measures.map((one) => measured(one.chance)),
          ),
      ),
    );
  });
  return element;
}

const measured = (value: number | null | undefined) =>
  el("td.lg-measure", {}, typeof value === "number" ? value.toFixed(3) : "–");

function cell(row: Pane, col: Pane, { rank, iou }: Agreement, side: number): HTMLElement {
  if (side === 0) return el("td");
  const [what, value] = side > 0 ? ["rank correlation", rank] : ["overlap", iou];
  const words = value === null ? "–" : value.toFixed(2);
  const element = el("td", { title: `${row.title} and ${col.title}: ${what} ${words}` }, words);
  fill(element, Math.max(value ?? 0, 0));
  return element;
}
