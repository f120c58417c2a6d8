// Marks over the picture: the patches whose tokens stand out.

import type { LiveStore } from "../store/live";
import { el, watch } from "./element";
import { place } from "./picture";

export function outliers(store: LiveStore, life: AbortSignal): HTMLElement {
  const element = el("div", { "aria-hidden": true });
  watch(life, () => {
    const { heat, outliers: found = [] } = store.overlay.value ?? {};
    element.replaceChildren(
      ...found.map(([row, col]) => {
        const mark = el("div.lg-placed.lg-outlier", { testid: "outlier" });
        place(mark, [col! / heat!.cols, row! / heat!.rows, 1 / heat!.cols, 1 / heat!.rows]);
        return mark;
      }),
    );
  });
  return element;
}
