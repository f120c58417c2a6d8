// What was taken for what: a table whose cells, rows and columns narrow the gallery.

import { button, el, fill, focusedIn, watch } from "../ui/element";
import type { Confusion, Pair } from "./sift";
import type { GalleryStore } from "./store";

/** Up to so many classes a square table is readable; beyond it the pairs are listed. */
export const SQUARE = 14;
const LISTED = 200;

export function confusion(store: GalleryStore, life: AbortSignal): HTMLElement {
  const box = el("div.lg-scroll", {
    tabindex: 0,
    role: "region",
    label: "Table of mistakes",
    testid: "confusion",
  });
  const what = el("p.lg-small");
  const all = el("input", {
    type: "checkbox",
    testid: "errors-only",
    onchange: () => store.narrow({ errors: all.checked }),
  });
  /** The pair of the button that has the focus, so that it keeps it when the table is built anew. */
  const focused = () => focusedIn(box)?.getAttribute("data-pair");

  watch(life, () => {
    const found = store.confusion.value;
    const { pairs, errors } = store.sieve.value;
    const at = focused();
    all.checked = errors;
    const square = found.classes.length <= SQUARE;
    what.textContent = !found.pairs.length
      ? emptyWords(store)
      : square
        ? "rows: what it is; columns: what it was taken for"
        : found.pairs.length > LISTED
          ? `the ${LISTED} most frequent of ${found.pairs.length} pairs`
          : `${found.pairs.length} pairs, most frequent first`;
    box.replaceChildren(square ? asSquare(store, found, pairs) : asList(store, found, pairs));
    if (at) box.querySelector<HTMLElement>(`[data-pair="${at}"]`)?.focus();
  });
  return el(
    "section.lg-stack.lg-confusion",
    { label: "Mistakes" },
    el("div.lg-row", {}, el("h3.lg-legend", {}, "Mistakes"), el("label.lg-row", {}, all, "errors only")),
    box,
    what,
  );
}

function emptyWords({ progress, behind, told }: GalleryStore): string {
  const { step, total } = progress.value;
  const known = step >= total && !behind.value && told.value.scored;
  return known ? "no mistakes" : "nothing to show yet";
}

function press(
  store: GalleryStore,
  pair: Pair,
  chosen: readonly Pair[],
  title: string,
  words: string,
  kind: "" | `.${string}`,
) {
  const on = chosen.some((one) => one.true === pair.true && one.predicted === pair.predicted);
  return button(
    kind,
    {
      title: `${title} (Shift: add)`,
      label: title,
      "aria-pressed": on,
      "data-pair": `${pair.true},${pair.predicted}`,
      onclick: (event: MouseEvent) => store.pickPair(pair, event.shiftKey),
    },
    words,
  );
}

function asSquare(store: GalleryStore, { classes, count, most }: Confusion, chosen: readonly Pair[]) {
  const head = (pair: Pair, kind: number, scope: "row" | "col") => {
    const name = store.className(kind);
    const title = scope === "row" ? `All that are ${name}` : `All taken for ${name}`;
    return el("th", { scope }, press(store, pair, chosen, title, name, ".lg-plain.lg-name"));
  };
  return el(
    "table.lg-counts",
    {},
    el("caption.lg-sr", {}, "How often each class was taken for each"),
    el(
      "thead",
      {},
      el("tr", {}, el("td"), ...classes.map((p) => head({ true: -1, predicted: p }, p, "col"))),
    ),
    el(
      "tbody",
      {},
      ...classes.map((t) =>
        el(
          "tr",
          {},
          head({ true: t, predicted: -1 }, t, "row"),
          ...classes.map((p) => {
            const many = count(t, p);
            const cell = el("td", { "data-right": t === p });
            if (many) {
              const title = `${store.className(t)} taken for ${store.className(p)}: ${many}`;
              cell.append(press(store, { true: t, predicted: p }, chosen, title, String(many), ".lg-plain"));
              fill(cell, t === p ? 0 : 0.25 + (0.75 * many) / most);
            }
            return cell;
          }),
        ),
      ),
    ),
  );
}

function asList(store: GalleryStore, { pairs, most }: Confusion, chosen: readonly Pair[]) {
  return el(
    "table.lg-counts",
    {},
    el("caption.lg-sr", {}, "What was taken for what, most frequent first"),
    el(
      "thead",
      {},
      el("tr", {}, ...["is", "taken for", "times"].map((title) => el("th", { scope: "col" }, title))),
    ),
    el(
      "tbody",
      {},
      ...pairs.slice(0, LISTED).map((pair) => {
        const [is, taken] = [store.className(pair.true), store.className(pair.predicted)];
        const title = `${is} taken for ${taken}: ${pair.count}`;
        const cell = el("td", {}, press(store, pair, chosen, title, String(pair.count), ".lg-plain"));
        fill(cell, pair.true === pair.predicted ? 0 : 0.25 + (0.75 * pair.count) / most);
        const side = (one: Pair, name: string, all: string) =>
          el("th", { scope: "row" }, press(store, one, chosen, all, name, ".lg-plain.lg-name"));
        return el(
          "tr",
          {},
          side({ true: pair.true, predicted: -1 }, is, `All that are ${is}`),
          side({ true: -1, predicted: pair.predicted }, taken, `All taken for ${taken}`),
          cell,
        );
      }),
    ),
  );
}
