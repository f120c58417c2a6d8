// Objects on other backgrounds: whether answers rest on what is around the object. There where there are masks.

import { button, el, watch } from "../../ui/element";
import { choice } from "./choice";
import { panel, takes } from "./panel";
import type { Studies } from "./store";

export function backgrounds(studies: Studies, life: AbortSignal) {
  const { gallery, found } = studies;
  const { table, selected } = gallery;
  const words = el("div", { testid: "backgrounds-found" });
  const sort = button(
    ".lg-button",
    { onclick: () => gallery.sortBy("backgrounds") },
    "Order the gallery by it",
  );
  const rows = el("table.lg-ranked", { testid: "backgrounds-rows" });
  const box = el("div.lg-stack", {}, words, el("div", {}, sort), el("div.lg-scroll", {}, rows));
  let told = "";
  watch(life, () => {
    const known = found.value.backgrounds;
    box.hidden = !known;
    gallery.version.value; // names may come later than this
    const names = known?.rows.map(({ row }) => table.words("name", row));
    const says = JSON.stringify([known, names]);
    if (!known || says === told) return; // what is drawn keeps the focus
    told = says;
    words.replaceChildren(...known.says.map((line) => el("p", {}, line)));
    rows.replaceChildren(
      el("caption.lg-sr", {}, "What becomes of each answer"),
      el("thead", {}, el("tr", {}, ...known.heads.map((head) => el("th", { scope: "col" }, head)))),
      el(
        "tbody",
        {},
        ...known.rows.map(({ row, cells }, i) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, button(".lg-plain", { onclick: () => gallery.open(row) }, names![i]!)),
            ...cells.map((cell) => el("td", {}, cell)),
          ),
        ),
      ),
    );
  });
  const only = choice(life, "only-selected", () => {
    const { size } = selected.value;
    return size ? `only the ${size} selected` : "";
  });
  const some = () => only.on.value && selected.value.size > 0;
  /** How many of those that are meant are still to be asked about. */
  function left(): number {
    gallery.version.value;
    const known = found.value.backgrounds;
    const done = (row: number) =>
      known && !known.stale && (table.number("background_changes", row) >= 0 || known.left.includes(row));
    let count = 0;
    for (let row = 0; row < table.total; row++) {
      if ((some() ? selected.value.has(row) && table.scored(row) : table.wrong(row)) && !done(row)) count++;
    }
    return count;
  }
  return panel(
    studies,
    {
      starts: [
        {
          what: "backgrounds",
          options: () => ({ selected: some() }),
          cost(all) {
            const count = left();
            return count
              ? `of ${count} sample${count === 1 ? "" : "s"}: ${takes(all, "backgrounds", count, all.costs?.backgrounds)}`
              : "All are found.";
          },
        },
      ],
      result: ({ backgrounds: known }) => known,
    },
    life,
    [only.element],
    box,
  );
}
