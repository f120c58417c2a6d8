// The compare view: panes side by side with one cursor, and a table of how far they agree.

import { computed, type ReadonlySignal } from "../signals";
import type { Store } from "../store";
import type { Agreement, Pane } from "../store/compare";
import type { CompareMode } from "../store/traits";
import { button, el, fill, onEnd, watch } from "./element";
import { idOfReason } from "./methods";
import { createPane } from "./pane";
import { segments } from "./segments";

export function compare(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  life: AbortSignal,
): HTMLElement {
  const mode = store.trait("compare");
  const by = segments("compare", "Compare", (value) => store.compareBy(value as CompareMode));
  by.offer([
    { value: "off", title: "Off" },
    { value: "methods", title: "Methods", hint: "The active prompt under several methods" },
    { value: "prompts", title: "Prompts", hint: "Every prompt under the one method" },
  ]);
  const scale = segments("scale", "Scale", (value) => store.set("compare_scale", value as "own" | "shared"));
  scale.offer([
    { value: "own", title: "Own scale", hint: "Each map from its lowest to its highest value" },
    {
      value: "shared",
      title: "Shared scale",
      hint: "One scale for all maps; maps with signs have their own",
    },
  ]);
  const missing = button(
    ".lg-button",
    { testid: "ask-again", onclick: store.askAgain },
    "Compute the missing",
  );
  const what = el("p.lg-note");
  const title = el("h3.lg-legend", {}, "Compare");
  const head = el("div.lg-row", {}, title, by.element, what, missing, scale.element);
  const choice = methodChoice(store, life);
  const shown = panes(store, bitmap, life);
  const table = agreementTable(store, life);

  watch(life, () => {
    const on = mode.value !== "off";
    by.mark(mode.value);
    scale.mark(store.trait("compare_scale").value);
    what.hidden = scale.element.hidden = shown.hidden = !on;
    const label = store.entry.value?.label ?? "";
    what.textContent =
      mode.value === "methods" ? `‘${label}’` : `by ${store.method.value?.title ?? "one method"}`;
    choice.hidden = mode.value !== "methods";
    missing.hidden = store.kernelless.value || !store.panes.value.some(({ state }) => state === "missing");
  });
  return el(
    "section.lg-stack.lg-compare",
    { testid: "compare", label: "Compare" },
    head,
    choice,
    shown,
    table,
  );
}

/** Which methods are compared: a box for each, those that are not to be had with the reason. */
function methodChoice(store: Store, life: AbortSignal): HTMLElement {
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

/** The panes in their order; built anew only when other things are compared. */
function panes(store: Store, bitmap: ReadonlySignal<ImageBitmap | null>, life: AbortSignal): HTMLElement {
  const grid = el("div.lg-panes", { testid: "panes" });
  const asked = computed(() => JSON.stringify(store.panes.value.map(({ key, title }) => [key, title])));
  const views = computed(() =>
    (JSON.parse(asked.value) as [string, string][]).map(([key, title], i) =>
      createPane(store, title, () => choose(key, i)),
    ),
  );
  let request = 0;
  const draw = () => {
    request = 0;
    for (const [i, view] of views.peek().entries()) view.draw(store.panes.peek()[i]!, bitmap.peek());
  };
  watch(life, () => grid.replaceChildren(...views.value.map(({ element }) => element)));
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

/** Rank correlation above the diagonal, overlap below it. */
function agreementTable(store: Store, life: AbortSignal): HTMLElement {
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
    const shown = store.panes.value.flatMap((pane, i) => (pane.heat ? [{ pane, i }] : []));
    element.hidden = shown.length < 2;
    if (shown.length < 2) return;
    const name = ({ title }: Pane, scope: "row" | "col") => el("th", { scope, title }, title);
    table.replaceChildren(
      el("thead", {}, el("tr", {}, el("td"), ...shown.map(({ pane }) => name(pane, "col")))),
      el(
        "tbody",
        {},
        ...shown.map((row, r) =>
          el(
            "tr",
            {},
            name(row.pane, "row"),
            ...shown.map((col, c) => cell(row.pane, col.pane, store.agreement.value[row.i]![col.i]!, c - r)),
          ),
        ),
      ),
    );
  });
  return element;
}

function cell(row: Pane, col: Pane, { rank, iou }: Agreement, side: number): HTMLElement {
  if (side === 0) return el("td");
  const [what, value] = side > 0 ? ["rank correlation", rank] : ["overlap", iou];
  const words = value === null ? "–" : value.toFixed(2);
  const element = el("td", { title: `${row.title} and ${col.title}: ${what} ${words}` }, words);
  fill(element, Math.max(value ?? 0, 0));
  return element;
}
