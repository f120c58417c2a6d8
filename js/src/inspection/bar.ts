// Above the gallery: how far the scoring is, the order, what it is narrowed to, and what is done with the selection.

import { button, el, set, watch } from "../ui/element";
import { freshName } from "../wire";
import { OPEN, tally, valuesOf } from "./sift";
import type { GalleryStore } from "./store";

/** Values of one filter that are offered; the most frequent ones. */
const OFFERED = 12;

const counted = (samples: number) => `${samples} sample${samples === 1 ? "" : "s"}`;

/** How far the scoring is, and what came of it. */
export function progressLine(store: GalleryStore, life: AbortSignal): HTMLElement {
  const words = el("span.lg-words", { role: "status", testid: "progress" });
  const bar = el("progress", { max: 1, label: "Scored" });
  const steer = button(".lg-button", {
    testid: "steer",
    onclick: () => store.steer(store.progress.peek().state === "running" ? "pause" : "run"),
  });
  const faults = button(".lg-button", {
    testid: "faults",
    title: "Show these alone",
    onclick: () => store.narrow({ skipped: !store.sieve.peek().skipped }),
  });
  watch(life, () => {
    const { state, step, total, message, errors } = store.progress.value;
    const running = state === "running";
    const share = step ? ` (${((100 * errors) / step).toFixed(1)} %)` : "";
    const parts = [
      running || step < total ? `${step} of ${counted(total)} scored` : counted(total),
      step > 0 && `${errors} wrong${share}`,
      message,
    ];
    words.textContent = parts.filter(Boolean).join(" · ");
    words.classList.toggle("lg-bad", state === "failed");
    bar.hidden = !running;
    bar.value = total ? step / total : 0;
    steer.hidden = !store.card.value.live || (!running && step >= total);
    steer.textContent = running ? "Pause" : "Go on";
  });
  watch(life, () => {
    const many = store.told.value.skipped;
    faults.hidden = !many;
    faults.textContent = `${many} cannot be used`;
    set(faults, "aria-pressed", store.sieve.value.skipped);
  });
  return el("div.lg-row.lg-status-line", {}, words, faults, bar, steer);
}

/** Of how many errors something is known, in brackets, where that is not all of them: of those somebody looked at. */
function coverage({ table }: GalleryStore, study: string): string {
  if (!study) return "";
  let [known, errors] = [0, 0];
  for (let row = 0; row < table.total; row++) {
    if (!table.wrong(row)) continue;
    errors++;
    if (valuesOf(table, study, row).length) known++;
  }
  return known < errors ? ` (${known} of ${errors} errors)` : "";
}

/** The order, and the filters of the `gallery`, which gets the focus where they are taken away. */
export function sieveBar(store: GalleryStore, life: AbortSignal, gallery: HTMLElement): HTMLElement {
  const sort = el("select", {
    testid: "sort",
    label: "Order",
    onchange: () => store.sortBy(sort.value),
  });
  const search = el("input.lg-text", {
    type: "search",
    testid: "search",
    placeholder: "file or note",
    label: "Find by file name or note",
    oninput: () => store.narrow({ search: search.value }),
    onkeydown: (event: KeyboardEvent) => {
      // The browser would empty it without a word once the focus has moved on.
      if (event.key !== "Escape") return;
      search.value = "";
      store.narrow({ search: "" });
    },
  });
  const filters = el("div.lg-row.lg-filters");
  const shown = el("span.lg-small", { testid: "shown" });
  const clear = button(
    ".lg-button",
    {
      testid: "clear-filters",
      onclick: () => {
        search.value = "";
        store.narrow({ ...OPEN, errors: store.sieve.peek().errors });
        gallery.focus({ preventScroll: true });
      },
    },
    "Clear filters",
  );
  watch(life, () => {
    const now = store.sort.value;
    sort.replaceChildren(
      ...store.sorts.value.map(({ key, title, says, study }) =>
        el("option", { value: key, title: says, selected: key === now?.key }, title + coverage(store, study)),
      ),
    );
    sort.title = now?.says ?? "";
    sort.hidden = !now;
  });
  const choices = store.card.peek().filters.map(({ column, title, ...more }) => ({
    ...more,
    column,
    title,
    choice: el("select", {
      testid: `filter-${column}`,
      label: title,
      onchange(event: Event) {
        const { [column]: _, ...others } = store.sieve.peek().values;
        const { value } = event.target as HTMLSelectElement;
        store.narrow({ values: value ? { ...others, [column]: value } : others });
      },
    }),
  }));
  filters.append(...choices.map(({ choice }) => choice));
  watch(life, () => {
    store.version.value;
    const { values, errors } = store.sieve.value;
    const all = Array.from({ length: store.table.total }, (_, row) => row).filter(
      (row) => !errors || store.table.wrong(row),
    );
    for (const { column, title, study, names, choice } of choices) {
      const found = tally(store.table, column, all);
      const chosen = values[column];
      choice.hidden = found.length < (column === "tags" ? 1 : 2) && !chosen;
      set(choice, "data-on", !!chosen);
      const any = `${title}: any${coverage(store, study)}`;
      choice.title = any;
      choice.replaceChildren(
        el("option", { value: "" }, any),
        ...found
          .slice(0, OFFERED)
          .map(([value, count]) =>
            el(
              "option",
              { value, title: value, selected: value === chosen },
              `${value === chosen ? `${title}: ` : ""}${names[value] ?? value} (${count})`,
            ),
          ),
      );
    }
  });
  watch(life, () => {
    const { pairs, values, search: wanted, skipped } = store.sieve.value;
    const narrowed = skipped || pairs.length > 0 || Object.keys(values).length > 0 || wanted !== "";
    clear.style.visibility = narrowed ? "" : "hidden"; // its room stays: nothing moves under the mouse
    shown.textContent = `${store.order.value.length} shown${store.behind.value ? " …" : ""}`;
  });
  return el("div.lg-stack.lg-sieve", {}, el("div.lg-row", {}, sort, search, clear, shown), filters);
}

export interface TagBar {
  readonly element: HTMLElement;
  /** Put the focus where a tag is typed. */
  focus(): void;
}

/** What is done with the selected samples. */
export function tagBar(store: GalleryStore, life: AbortSignal): TagBar {
  const list = freshName();
  const known = el("datalist", { id: list });
  const name = el("input.lg-text", {
    type: "text",
    testid: "tag",
    list,
    maxlength: 64,
    placeholder: "tag, e.g. shortcut",
    label: "Tag for the selected samples",
    oninput: () => name.setCustomValidity(""),
  });
  const many = el("span.lg-small", { role: "status", testid: "selected" });
  const off = button(".lg-button", { testid: "untag", onclick: () => put(false) }, "Take off");
  const all = button(".lg-button", { onclick: () => store.selectAll(true) }, "Select all shown");
  const none = button(
    ".lg-button",
    { testid: "unselect", onclick: () => store.selectAll(false) },
    "Select none",
  );
  function put(on: boolean) {
    const comma = name.value.includes(",") && "A tag has no comma. Tag twice for two tags.";
    name.setCustomValidity(name.value.trim() ? comma || "" : "Which tag?");
    if (name.reportValidity()) store.tag(name.value, on);
    name.select();
  }
  const form = el(
    "form.lg-row.lg-tagging",
    {
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        put(true);
      },
      novalidate: true, // `put` says what is wrong, with either button
    },
    name,
    known,
    el("button.lg-button" as "button", { type: "submit", testid: "add-tag", title: "X" }, "Tag"),
    off,
  );
  watch(life, () => {
    const chosen = store.selected.value;
    const count = chosen.size;
    const shown = count && store.order.value.filter((row) => chosen.has(row)).length;
    const hidden = shown < count && `, ${shown || "none"} of them shown; tags go to all selected`;
    many.textContent = count
      ? `${count} selected${hidden || ""}`
      : "none selected: tags go to the sample that is open, or marked";
    set(none, "aria-disabled", !count);
  });
  watch(life, () => {
    store.version.value;
    const tags = new Set<string>();
    for (let row = 0; row < store.table.total; row++) {
      for (const tag of valuesOf(store.table, "tags", row)) tags.add(tag);
    }
    known.replaceChildren(...[...tags].sort().map((value) => el("option", { value })));
    set(off, "aria-disabled", tags.size === 0);
  });
  watch(life, () => set(all, "aria-disabled", store.order.value.length === 0));
  return {
    element: el("div.lg-stack", {}, el("div.lg-row", {}, form, all, none), many),
    focus() {
      name.focus();
      name.select();
    },
  };
}
