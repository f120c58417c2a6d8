// The layer strip: look along the layers, choose one or a range, play through depth.

import { clamp } from "../heat/frame";
import type { Weights } from "../heat/merge";
import type { ReadonlySignal } from "../signals";
import type { Store } from "../store";
import { button, claim, el, icon, listen, set, watch } from "./element";
import { still } from "./keys";
import { segments } from "./segments";
import { thumbnails } from "./thumbnails";

const STEPS: Readonly<Record<string, number>> = {
  ArrowRight: 1,
  ArrowLeft: -1,
  Home: -1e9,
  End: 1e9,
};

export function scrubber(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  life: AbortSignal,
): HTMLElement {
  const strip = el("div.lg-strip", {
    role: "listbox",
    tabindex: 0,
    label: "Layers",
    "aria-multiselectable": true,
    "aria-orientation": "horizontal",
  });
  thumbnails(store, bitmap, strip, life);
  choosing(store, strip);

  const all = button(".lg-button", { testid: "all-layers", onclick: () => store.chooseLayers(null) });
  const play = button(".lg-button.lg-square", { testid: "play", onclick: () => store.togglePlay(still()) });
  const caption = el("span", { testid: "merged" });
  const floor = el("span.lg-floor", {
    testid: "floor",
    title: "Median over peak of the merged map: what min-max scaling hides",
  });
  const heads = button(
    ".lg-button",
    { testid: "heads", title: "Layer × head matrix (G)", onclick: () => store.press("g") },
    "Heads",
  );
  const norms = button(".lg-button", { testid: "norms", onclick: () => store.press("n") }, "Norms");
  const weights = segments("weights", "Weights of the layers", (value) =>
    store.set("weights", value as Weights),
  );
  watch(life, () => {
    const disabled = store.trait("_model").value.layerWeights.length === 0;
    weights.offer([
      { value: "paper", title: "Paper", hint: "As in the paper: the mean of the raw maps" },
      {
        value: "equal",
        title: "Equal",
        hint: "Layers equal: each map is divided by its peak first; flat ones are left out",
      },
      {
        value: "reliability",
        title: "Reliability",
        hint: disabled
          ? "Not known for this model: m.calibrate_layers(images, targets) in Python measures it"
          : "As equal, and each layer counts by how well its score finds its target: 2 AUC − 1, at chance 0",
        disabled,
      },
    ]);
    weights.mark(store.trait("weights").peek());
    weights.element.prepend(el("span.lg-small", {}, "Weights"));
  });
  const head = el("div.lg-row", {}, play, all, el("p.lg-note", {}, caption, floor));
  const ways = el("div.lg-row.lg-pair", {}, weights.element, el("div.lg-row", {}, norms, heads));
  const element = el("section.lg-stack.lg-depth", { label: "Depth" }, head, strip, ways);

  watch(life, () => {
    const { layers = [], default: rule, merge } = store.answer.value ?? {};
    const chosen = store.chosen.value;
    const playing = store.playing.value !== null;
    element.hidden = layers.length === 0;
    all.textContent = rule === "last" ? `Last layer (${layers.at(-1)})` : `All ${layers.length} layers`;
    const merged = store.trait("layers").value === null && !store.trait("heads").value;
    set(all, "aria-pressed", merged && !playing);
    play.replaceChildren(icon(playing ? "pause" : "play"));
    play.title = playing ? "Pause here (P)" : "Play through depth (P)";
    set(play, "label", play.title);
    const many = chosen.length > 1 || (store.cells.value?.length ?? 0) > 1;
    const how = merge === "last" ? (layers.length > 1 ? "up to " : "") : many ? "mean of " : "";
    const most = Math.max(...store.shares.value);
    const from = layers[store.shares.value.indexOf(most)];
    const part = chosen.length > 1 && most > 0 ? `, ${Math.round(100 * most)} % from layer ${from}` : "";
    caption.textContent = how + store.naming.value + part;
    const least = store.floor.value;
    floor.textContent = least === null ? "" : `floor ${least.toFixed(2)}`;
    weights.element.hidden = merge === "last" || layers.length < 2;
    weights.mark(store.trait("weights").value);
    set(heads, "aria-pressed", store.matrix.value);
    const shown = !!store.live.value?.patch.norms.value;
    set(norms, "aria-pressed", shown);
    norms.disabled = !!store.lacks.value && !shown;
    norms.title =
      store.lacks.value ||
      "Token norms: how long the tokens of the deepest chosen layer are, outliers marked (N)";
  });
  return element;
}

/** One layer by a click or an arrow, a range by dragging or with Shift. */
function choosing(store: Store, strip: HTMLElement): void {
  /** Where a range starts, and its end that moves. */
  let anchor = 0;
  let head = 0;
  const choose = (layer: number, extend: boolean) => {
    const chosen = store.chosen.peek();
    if (!extend || store.trait("layers").peek() === null) anchor = layer;
    else if (!chosen.includes(anchor)) anchor = chosen[0]!;
    head = layer;
    set(strip, "aria-activedescendant", strip.children[store.answer.peek()!.layers.indexOf(layer)]?.id);
    const [from, to] = [Math.min(anchor, head), Math.max(anchor, head)];
    store.chooseLayers(store.answer.peek()!.layers.filter((it) => it >= from && it <= to));
  };

  const layerAt = (event: PointerEvent) => {
    const root = strip.getRootNode() as Document | ShadowRoot;
    const item = root.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-layer]");
    return item && strip.contains(item) ? Number(item.dataset.layer) : 0;
  };
  listen(strip, {
    pointerdown(event) {
      const layer = layerAt(event);
      if (!layer || event.button !== 0) return;
      strip.setPointerCapture(event.pointerId);
      choose(layer, event.shiftKey);
    },
    pointermove(event) {
      const layer = strip.hasPointerCapture(event.pointerId) ? layerAt(event) : 0;
      if (layer && layer !== head) choose(layer, true);
    },
    keydown(event) {
      const step = STEPS[event.key];
      if (!step) return;
      claim(event);
      const layers = store.answer.peek()?.layers ?? [];
      const chosen = store.chosen.peek();
      if (!chosen.includes(head)) head = chosen.at(anchor === chosen[0] ? -1 : 0) ?? 0;
      // From all layers merged, the first step goes to the first or the last one.
      const from = store.trait("layers").peek() ? layers.indexOf(head) : step > 0 ? -1 : layers.length;
      const layer = layers[clamp(from + step, 0, layers.length - 1)];
      if (layer) choose(layer, event.shiftKey);
    },
  });
}
