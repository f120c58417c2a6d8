// The scale of the map, and the numbers at the patch that is pointed at.

import { readable } from "../heat/describe";
import { table } from "../heat/palette";
import type { Store } from "../store";
import { el, set, watch } from "./element";

export function colorbar(store: Store, life: AbortSignal): HTMLElement {
  const bar = el("canvas.lg-bar", { width: 256, height: 1, "aria-hidden": "true" });
  const cut = el("span.lg-cut");
  const needle = el("span.lg-needle", { hidden: true });
  const low = el("span.lg-end");
  const high = el("span.lg-end");
  const element = el(
    "div.lg-colorbar",
    { testid: "colorbar", role: "img" },
    low,
    el("span.lg-track", {}, bar, cut, needle),
    high,
  );

  watch(life, () => {
    const { palette, signed, threshold } = store.look.value;
    const context = bar.getContext("2d");
    if (context) {
      const pixels = context.createImageData(256, 1);
      const colours = table(palette);
      for (let i = 0; i < 256; i++) pixels.data.set([...colours.subarray(3 * i, 3 * i + 3), 255], 4 * i);
      context.putImageData(pixels, 0, 0);
    }
    cut.style.left = signed ? `${50 * (1 - threshold)}%` : "0";
    cut.style.width = `${100 * threshold}%`;
  });

  watch(life, () => {
    const heat = store.heat.value;
    element.hidden = !heat;
    if (!heat) return;
    const bound = Math.max(Math.abs(heat.min), Math.abs(heat.max));
    const [from, to] = heat.signed ? [-bound, bound] : [heat.min, heat.max];
    low.replaceChildren(el("b", {}, heat.signed ? "−1" : "0"), `raw ${readable(from)}`);
    high.replaceChildren(el("b", {}, "1"), `raw ${readable(to)}`);
    set(element, "aria-label", `Scale: raw values ${readable(from)} to ${readable(to)}`);
    const spot = store.spot.value;
    needle.hidden = !spot || heat.flat;
    if (!spot) return;
    const value = heat.scaled[spot.row * heat.cols + spot.col]!;
    needle.style.left = `${100 * (heat.signed ? (value + 1) / 2 : value)}%`;
  });
  return element;
}

export function readout(store: Store, life: AbortSignal): HTMLElement {
  const element = el("output.lg-readout", { testid: "readout" });
  watch(life, () => {
    set(element, "aria-live", store.byKeys.value ? "polite" : "off");
    const heat = store.heat.value;
    const spot = store.spot.value;
    if (!heat || heat.flat || !spot || spot.row >= heat.rows || spot.col >= heat.cols) {
      const words = heat?.flat
        ? "Flat map: nothing here speaks for this prompt."
        : "Point at a patch to read its value.";
      element.replaceChildren(heat ? words : "");
      return;
    }
    const at = spot.row * heat.cols + spot.col;
    const part = (name: string, value: string) => el("span", {}, `${name} `, el("b", {}, value));
    element.replaceChildren(
      part("value", readable(heat.raw[at]!)),
      part("scaled", heat.scaled[at]!.toFixed(2)),
      part("patch", `row ${spot.row + 1}, column ${spot.col + 1}`),
      part("pixel", `${Math.floor(spot.x)}, ${Math.floor(spot.y)}`),
    );
  });
  return element;
}
