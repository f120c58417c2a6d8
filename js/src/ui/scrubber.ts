// The layer strip: one small map for each layer, to look along and to choose from.

import type { ReadonlySignal } from "@preact/signals-core";
import { nameLayers, readable } from "../heat/describe";
import type { Store } from "../store";
import { button, claim, el, icon, onEnd, set, watch } from "./element";
import { still } from "./keys";
import { drawHeat } from "./raster";

const THUMB_PX = 112;

export function scrubber(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  life: AbortSignal,
): HTMLElement {
  const { answer } = store;
  const strip = el("div", {
    class: "lg-strip",
    role: "listbox",
    tabindex: 0,
    "aria-label": "Layers",
    "aria-multiselectable": "true",
    "aria-orientation": "horizontal",
  });
  const all = button({
    class: "lg-button",
    testid: "all-layers",
    onclick: () => store.chooseLayers(null),
  });
  const play = button({
    class: "lg-button lg-square",
    testid: "play",
    onclick: () => store.togglePlay(still()),
  });
  const element = el(
    "section",
    { class: "lg-depth", "aria-label": "Depth" },
    el("div", { class: "lg-depth-head" }, play, all, caption(store, life)),
    strip,
  );

  // -- one thumbnail for each layer -------------------------------------------------------------------------

  watch(life, () => {
    const layers = answer.value?.layers ?? [];
    element.hidden = layers.length === 0;
    if (strip.childElementCount !== layers.length) strip.replaceChildren(...layers.map(thumbnail));
  });

  let drawing = 0;
  const draw = () => {
    drawing = 0;
    const image = bitmap.peek();
    const shown = store.picture.peek();
    for (const [i, heat] of store.layerHeats.peek().entries()) {
      const canvas = strip.children[i]?.querySelector("canvas");
      if (!canvas) continue;
      const context = canvas.getContext("2d");
      if (!context) return;
      const tall = Math.round(THUMB_PX * Math.min(Math.max(heat.rows / heat.cols, 0.5), 2));
      canvas.width = THUMB_PX;
      canvas.height = tall;
      if (image && shown) {
        const [left, top, right, bottom] = shown.window;
        const scale = image.width / shown.original[0];
        const size = [(right - left) * scale, (bottom - top) * scale] as const;
        context.filter = "saturate(0.4)";
        context.drawImage(image, left * scale, top * scale, ...size, 0, 0, THUMB_PX, tall);
        context.filter = "none";
      }
      if (heat.flat) continue;
      const overlay = document.createElement("canvas");
      const look = { ...store.look.peek(), opacity: 0.9, threshold: 0 };
      drawHeat(overlay, heat, look, THUMB_PX, tall);
      context.drawImage(overlay, 0, 0);
    }
  };
  watch(life, () => {
    store.layerHeats.value;
    store.look.value.palette;
    bitmap.value;
    drawing ||= requestAnimationFrame(draw);
  });
  onEnd(life, () => cancelAnimationFrame(drawing));

  watch(life, () => {
    const { layers = [], merge } = answer.value ?? {};
    const scores = store.entry.value?.layerScores ?? [];
    const heats = store.layerHeats.value;
    const most = Math.max(...store.shares.value, Number.MIN_VALUE);
    for (const [i, layer] of layers.entries()) {
      const item = strip.children[i]!;
      const score = scores[i] ?? null;
      const chosen = store.chosen.value.includes(layer);
      const share = store.shares.value[i] ?? 0;
      const flat = heats[i]?.flat ?? false;
      set(item, "aria-selected", chosen ? "true" : "false");
      set(item, "data-flat", flat);
      item.querySelector(".lg-score")!.textContent = flat ? "flat" : score === null ? "" : readable(score);
      item.querySelector<HTMLElement>(".lg-share")!.style.setProperty("--lg-part", (share / most).toFixed(3));
      const parts = [
        `layer ${layer}`,
        score !== null && `score ${readable(score)}`,
        flat && "flat map",
        merge === "mean" && chosen && `${Math.round(100 * share)} % of the merged map`,
      ].filter(Boolean);
      set(item, "aria-label", parts.join(", "));
      set(item, "title", parts.join(", "));
    }
  });

  watch(life, () => {
    const { layers = [], default: rule } = answer.value ?? {};
    const isDefault = store.trait("layers").value === null && store.playing.value === null;
    all.textContent = rule === "last" ? `Last layer (${layers.at(-1)})` : `All ${layers.length} layers`;
    set(all, "aria-pressed", String(isDefault));
    const playing = store.playing.value !== null;
    play.replaceChildren(icon(playing ? "pause" : "play"));
    set(play, "aria-label", playing ? "Pause" : "Play through depth");
    play.title = playing ? "Pause here (P)" : "Play through depth (P)";
  });

  // -- choosing: click, drag across, keys -------------------------------------------------------------------

  let anchor: number | null = null;
  const layerAt = (event: PointerEvent) => {
    const root = strip.getRootNode() as Document | ShadowRoot;
    const item = root.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-layer]");
    return item && strip.contains(item) ? Number(item.dataset.layer) : null;
  };
  const chooseTo = (layer: number) => {
    const [from, to] = [Math.min(anchor!, layer), Math.max(anchor!, layer)];
    store.chooseLayers(answer.peek()!.layers.filter((candidate) => candidate >= from && candidate <= to));
  };
  strip.addEventListener("pointerdown", (event) => {
    const layer = layerAt(event);
    if (layer === null || event.button !== 0) return;
    strip.setPointerCapture(event.pointerId);
    if (!event.shiftKey || anchor === null) anchor = layer;
    chooseTo(layer);
  });
  strip.addEventListener("pointermove", (event) => {
    if (!strip.hasPointerCapture(event.pointerId)) return;
    const layer = layerAt(event);
    if (layer !== null) chooseTo(layer);
  });

  let head: number | null = null;
  strip.addEventListener("keydown", (event) => {
    const layers = answer.peek()?.layers ?? [];
    const current = store.trait("layers").peek() ? store.chosen.peek() : null;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined && event.key !== "Home" && event.key !== "End") return;
    claim(event);
    const move = (layer: number) =>
      layers[Math.min(Math.max(layers.indexOf(layer) + (step ?? 0), 0), layers.length - 1)]!;
    const edge = event.key === "Home" ? layers[0]! : event.key === "End" ? layers.at(-1)! : null;
    if (event.shiftKey && current) {
      // The range grows and shrinks at its moving end, as in any list.
      if (anchor === null || !current.includes(anchor)) anchor = current[0]!;
      if (head === null || !current.includes(head))
        head = anchor === current[0] ? current.at(-1)! : current[0]!;
      head = edge ?? move(head);
      chooseTo(head);
      return;
    }
    if (edge !== null) store.chooseLayers([edge]);
    else store.stepLayer(step!);
    anchor = head = store.chosen.peek()[0] ?? null;
  });
  return element;
}

function thumbnail(layer: number): HTMLElement {
  return el(
    "div",
    { class: "lg-layer", role: "option", testid: "layer", "data-layer": layer },
    el("canvas", { "aria-hidden": "true" }),
    el("span", { class: "lg-share" }),
    el("p", {}, el("b", {}, String(layer)), el("span", { class: "lg-score" })),
  );
}

/** Whose map is on the screen, in a few words. */
function caption(store: Store, life: AbortSignal): HTMLElement {
  const text = el("p", { class: "lg-caption" });
  watch(life, () => {
    const answer = store.answer.value;
    const entry = store.entry.value;
    if (!answer || !entry) return;
    const chosen = store.chosen.value;
    const how = answer.merge === "last" ? "up to" : chosen.length > 1 ? "mean of" : "";
    text.textContent = `${how} ${nameLayers(chosen, answer.layers)}`.trim();
  });
  return text;
}
