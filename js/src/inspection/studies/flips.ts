// How fragile the wrong answers are: the fewest patches that each hangs on.

import { button, el, watch } from "../../ui/element";
import { panel, takes } from "./panel";
import type { Studies } from "./store";

export function flips(studies: Studies, life: AbortSignal) {
  const { gallery, found } = studies;
  const words = el("p", { testid: "flips-found" });
  const sort = button(
    ".lg-button",
    { testid: "sort-flips", onclick: () => gallery.sortBy("flip_set") },
    "Order the gallery by it",
  );
  const box = el("div.lg-row", {}, words, sort);
  watch(life, () => {
    const { flips: known } = found.value;
    box.hidden = !known;
    if (!known) return;
    words.textContent = known.says;
    sort.hidden = !known.found;
  });
  return panel(
    studies,
    {
      starts: [
        {
          what: "flips",
          cost(all) {
            const { errors, flips: known, costs } = all;
            const left = errors - (known?.asked ?? 0);
            return left > 0
              ? `of ${left} error${left === 1 ? "" : "s"}: ${takes(all, "flips", left, costs?.flips)}`
              : "All are found.";
          },
          able: ({ errors, flips: known }) => !known || known.asked < errors,
        },
      ],
      result: ({ flips: known }) => known,
    },
    life,
    [],
    box,
  );
}
