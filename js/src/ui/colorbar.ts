// The scale of the map, and the numbers at the patch that is pointed at.

import { readable } from "../heat/describe";
import type { Heat } from "../heat/merge";
import type { Store } from "../store";
import { el, set, watch } from "./element";
import { drawRamp } from "./raster";

export function colorbar(store: Store, life: AbortSignal): HTMLElement {
  const bar = el("canvas.lg-bar", { "aria-hidden": true });
  const needle = el("span.lg-needle", { hidden: true });
  const track = el("span.lg-track", {}, bar, needle);
  const low = el("span.lg-small");
  const high = el("span.lg-small");
  const element = el("div.lg-colorbar", { testid: "colorbar", role: "img" }, low, track, high);

  watch(life, () => drawRamp(bar, store.look.value));

  watch(life, () => {
    const heat = store.heat.value;
    element.hidden = !heat;
    if (!heat) return;
    const [from, to] = heat.range;
    const relative = overPeaks(store);
    const unit = relative ? "of peak" : "raw";
    low.replaceChildren(el("b", {}, heat.signed ? "−1" : "0"), `${unit} ${readable(from)}`);
    high.replaceChildren(el("b", {}, "1"), `${unit} ${readable(to)}`);
    set(track, "data-signed", heat.signed);
    const middle = heat.signed ? "; zero, in the middle, is transparent" : "";
    const what = relative ? "mean of each layer's values over its own peak," : "raw values";
    set(element, "label", `Scale: ${what} ${readable(from)} to ${readable(to)}${middle}`);
    element.title = relative ? "Each layer's map is divided by its own peak before the mean" : "";
    const spot = store.spot.value;
    needle.hidden = !spot || heat.flat;
    if (!spot) return;
    const value = heat.scaled[spot.row * heat.cols + spot.col]!;
    needle.style.left = `${100 * (heat.signed ? (value + 1) / 2 : value)}%`;
  });
  return element;
}

export function readout(store: Store, life: AbortSignal): HTMLElement {
  const element = el("output.lg-row.lg-note.lg-readout", { testid: "readout" });
  watch(life, () => {
    set(element, "aria-live", store.byKeys.value ? "polite" : "off");
    const heat = store.heat.value;
    const spot = store.spot.value;
    const { title, mark, prefix = [] } = store.overlay.value ?? {};
    const { lens, lack = store.waiting } = store.live.value?.patch ?? {};
    // Two lines and no more: what lies below must not move.
    const reads = mark?.startsWith("row") ? "" : (lens?.value ?? "");
    const more = [
      prefix.length > 0 && part("prefix tokens", prefix.map((value) => readable(value)).join(", ")),
      reads,
      lack.value && el("span.lg-warn", {}, lack.value),
    ].filter((it) => !!it) as (Node | string)[];
    if (!heat || heat.flat || !spot || spot.row >= heat.rows || spot.col >= heat.cols) {
      const words = heat?.flat
        ? "Flat map: nothing here speaks for this prompt."
        : (title ?? "Point at a patch to read its value; hold A there for its attention, L for its lens.");
      element.replaceChildren(heat ? words : "", ...more);
      return;
    }
    const at = spot.row * heat.cols + spot.col;
    const raw = heat.raw[at]!;
    const side = heat.signed && raw !== 0 ? (raw > 0 ? " (for)" : " (against)") : "";
    const { percentile, share } = standing(heat, at);
    const plain = !title && !reads;
    element.replaceChildren(
      ...(title ? [title] : []),
      part(overPeaks(store) ? "of peak" : "value", readable(raw) + side),
      ...(plain ? [part("scaled", heat.scaled[at]!.toFixed(2))] : []),
      ...(reads
        ? []
        : [
            part("percentile", String(Math.round(100 * percentile))),
            part("share", `${readable(100 * share, 2)} %`),
          ]),
      ...(mark?.startsWith("row") ? [] : [part("patch", `row ${spot.row + 1}, column ${spot.col + 1}`)]),
      ...(plain ? [part("pixel", `${Math.floor(spot.x)}, ${Math.floor(spot.y)}`)] : []),
      ...more,
    );
  });
  return element;
}

/** Whether the values on the screen have been divided by their layers' peaks. */
const overPeaks = (store: Store) =>
  store.trait("weights").value !== "paper" && store.answer.value?.merge === "mean" && !store.overlay.value;

const part = (name: string, value: string) => el("span", {}, `${name} `, el("b", {}, value));

/** How many of the patches are no higher than this one, and its part of the map's mass: both from 0 to 1. */
export function standing({ raw }: Pick<Heat, "raw">, at: number): { percentile: number; share: number } {
  const [value, mass] = [raw[at]!, raw.reduce((sum, other) => sum + Math.abs(other), 0)];
  return {
    percentile: raw.filter((other) => other <= value).length / raw.length,
    share: mass && Math.abs(value) / mass,
  };
}
