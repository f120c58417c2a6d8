// Which map to trust: every cheap map against exact removal, as a ranked table to choose from.

import { button, el, watch } from "../../ui/element";
import { panel } from "./panel";
import { SAMPLES, type Studies } from "./store";

/** What is shown of what was measured: column, heading, and what it means. */
const COLUMNS: readonly (readonly [string, string, string])[] = [
  [
    "rank_correlation",
    "rank correlation",
    "Of the map and of exact removal over all patches; 1 is the same order",
  ],
  ["top_patch", "top patch", "Share of the samples whose highest patch is the most damaging one"],
  ["flip_size", "flip set", "Median number of patches, in the map's order, that change the answer"],
  [
    "mask_precision",
    "mask precision",
    "Average precision of the evidence for the true class against the masks",
  ],
];

export function calibrate(studies: Studies, life: AbortSignal) {
  const chosen = el("p.lg-note", { testid: "chosen" });
  const table = el("table.lg-ranked");
  watch(life, () => {
    const { calibration: found, drawn } = studies.found.value;
    table.hidden = chosen.hidden = !found;
    if (!found) return;
    const shown = COLUMNS.map((column) => ({
      column,
      at: found.columns.indexOf(column[0]),
      share: column[0] !== "flip_size",
    })).filter(({ at }) => at >= 0 && found.maps.some(({ values }) => values[at] !== null));
    const at = found.maps.findIndex(({ name }) => name && name === drawn);
    const best = found.maps[0]?.title;
    chosen.textContent =
      at === 0
        ? `${best} agrees best on ${found.samples} samples, and is drawn.`
        : `${best} agrees best on ${found.samples} samples; ${at > 0 ? found.maps[at]!.title : "another map"} is drawn.`;
    table.replaceChildren(
      el("caption.lg-sr", {}, "Maps, the most trustworthy first"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "map"),
          ...shown.map(({ column: [, title, says] }) => el("th", { scope: "col", title: says }, title)),
          el("th", { scope: "col" }, el("span.lg-sr", {}, "choose")),
        ),
      ),
      el(
        "tbody",
        {},
        ...found.maps.map(({ name, title, values }) =>
          el(
            "tr",
            { "aria-current": !!name && name === drawn, "data-map": name },
            el("th", { scope: "row" }, title),
            ...shown.map(({ at, share }) => {
              const value = values[at] ?? null;
              return el("td", {}, value === null ? "–" : share ? value.toFixed(2) : String(value));
            }),
            el(
              "td",
              {},
              name && name !== drawn
                ? button(
                    ".lg-plain",
                    { label: `Draw ${title}`, onclick: () => studies.draw(name) },
                    "draw this",
                  )
                : name && "drawn",
            ),
          ),
        ),
      ),
    );
  });
  const about = {
    what: "calibrate",
    title: "Which map to trust?",
    says: `Every patch of ${SAMPLES} errors is taken away alone and the answer asked again: a map is worth as much as its order of the patches agrees with that. The best one is then drawn; the last row is removal itself, the most a map could reach.`,
    start: "Measure the maps",
  } as const;
  return panel(studies, about, life, chosen, el("div.lg-scroll", {}, table));
}
