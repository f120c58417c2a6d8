// Which map to trust: every cheap map against exact removal, as a table to sort and to choose from.

import { signal } from "../../signals";
import { button, el, watch } from "../../ui/element";
import { panel, takes } from "./panel";
import type { Studies } from "./store";
import type { Calibration } from "./wire";

/** Errors that maps are measured on, to begin with; and at most. */
const SAMPLES = 32;
const MOST = 512;

export function calibrate(studies: Studies, life: AbortSignal) {
  const { found } = studies;
  /** The column that ranks; "": as it was measured. */
  const by = signal("");
  const many = signal(SAMPLES);
  const input = el("input.lg-text", {
    type: "number",
    min: 1,
    max: MOST,
    value: SAMPLES,
    testid: "calibrate-samples",
    oninput: () => {
      many.value = Math.min(Math.max(Math.round(Number(input.value)) || 1, 1), MOST);
    },
    onchange: () => {
      input.value = String(many.peek());
    },
  });
  const chosen = el("p.lg-note", { testid: "chosen" });
  const table = el("table.lg-ranked");
  const plain = el("p.lg-note", { testid: "specificity" });
  watch(life, () => {
    const known = found.value.specificity;
    plain.textContent = known ? `${known.says} ${known.stale}` : "";
  });
  watch(life, () => {
    const { calibration: measured, drawn } = found.value;
    table.hidden = chosen.hidden = !measured;
    if (!measured) return;
    const at = table.querySelector(":focus")?.getAttribute("data-by");
    draw(measured, drawn, by.value || measured.by);
    // A map that was put over the pictures has no button any more.
    if (at !== undefined) table.querySelector<HTMLElement>(at ? `[data-by="${at}"]` : "button")?.focus();
  });

  function draw({ maps, columns, headings, samples, coarse }: Calibration, drawn: string, ranking: string) {
    const shown = headings.map((heading) => ({ ...heading, at: columns.indexOf(heading.name) }));
    const key = shown.find(({ name }) => name === ranking) ?? shown[0];
    if (!key) return;
    const worth = (values: Calibration["maps"][number]["values"]) =>
      (key.more ? 1 : -1) * (values[key.at] ?? Number.NEGATIVE_INFINITY);
    const ranked = maps.filter(({ name }) => name).sort((a, b) => worth(b.values) - worth(a.values));
    const exact = maps.filter(({ name }) => !name);
    const best = ranked[0];
    const other = maps.find(({ name }) => name === drawn)?.title ?? "another map";
    chosen.textContent = `By ${key.title}, ${best?.title} is best on ${samples} samples${
      best?.name === drawn ? ", and is drawn." : `; ${other} is drawn.`
    }${coarse ? " Removal was approximated, 2 × 2 patches at a time first: the grid is large." : ""}`;
    table.replaceChildren(
      el("caption.lg-sr", {}, "Maps, the most trustworthy first"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "map"),
          ...shown.map((column) => {
            const sorted = column === key && (column.more ? "descending" : "ascending");
            return el(
              "th",
              { scope: "col", "aria-sort": sorted || "none" },
              button(
                ".lg-plain",
                {
                  title: column.says,
                  "data-by": column.name,
                  onclick: () => {
                    by.value = column.name;
                  },
                },
                column.title,
              ),
            );
          }),
          el("th", { scope: "col" }, el("span.lg-sr", {}, "choose")),
        ),
      ),
      el(
        "tbody",
        {},
        ...[...ranked, ...exact].map(({ name, title, values }) =>
          el(
            "tr",
            { "aria-current": !!name && name === drawn, "data-map": name },
            el("th", { scope: "row" }, name || !coarse ? title : `${title}, approximated`),
            ...shown.map(({ at, more }) => {
              const value = values[at] ?? null;
              return el("td", {}, value === null ? "–" : more ? value.toFixed(2) : String(value));
            }),
            el(
              "td",
              {},
              name && name !== drawn && studies.gallery.card.peek().live
                ? button(
                    ".lg-plain",
                    { label: `Draw ${title}`, onclick: () => studies.draw(name) },
                    "draw this",
                  )
                : name && name === drawn && "drawn",
            ),
          ),
        ),
      ),
    );
  }
  return panel(
    studies,
    {
      starts: [
        {
          what: "calibrate",
          options: () => ({ samples: many.peek(), ...(by.peek() && { by: by.peek() }) }),
          cost(all) {
            const { costs, errors } = all;
            const right = many.value > errors ? `; ${errors} errors, then right answers` : "";
            const coarse = costs?.coarse
              ? "; approximated, 2 × 2 patches at a time first: the grid is large"
              : "";
            return takes(all, "calibrate", many.value, costs?.calibrate) + right + coarse;
          },
        },
        {
          what: "specificity",
          able: ({ errors, specificity }) => (specificity?.asked ?? 0) < errors,
          cost: (all) =>
            `plain maps of both classes, of ${all.errors} errors: ${takes(all, "specificity", all.errors, 1)}, and two gradients each`,
        },
      ],
      result: ({ calibration }) => calibration,
    },
    life,
    [el("label.lg-row", {}, "errors", input)],
    chosen,
    el("div.lg-scroll", {}, table),
    plain,
  );
}
