// The picture with the map over it: what is looked at, pointed at and peeked under.

import { stageOf, within } from "../heat/frame";
import type { ReadonlySignal } from "../signals";
import { markOf, type Store } from "../store";
import { claim, el, listen, onEnd, set, watch } from "./element";
import { drawHeat } from "./raster";
import { slot } from "./slots";

/** Backing-store pixels of the longer side; beyond it a smooth map gains nothing. */
const FINEST = 768;

export const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function picture(
  store: Store,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  fault: ReadonlySignal<string>,
  life: AbortSignal,
): HTMLElement {
  const base = el("canvas.lg-placed", { "aria-hidden": true });
  const heat = el("canvas.lg-heat", { testid: "heat", role: "img" });
  const patch = el("div.lg-placed.lg-patch", { hidden: true });
  const frame = el("div.lg-placed.lg-window", {}, heat, slot("picture"), patch);
  const empty = el("p.lg-empty");
  const stage = el(
    "div.lg-stage",
    {
      testid: "picture",
      tabindex: 0,
      role: "group",
      label: "Heatmap; arrow keys move from patch to patch",
      onkeydown: (event: KeyboardEvent) => {
        const step = ARROWS[event.key];
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
        claim(event);
        store.moveSpot(...step);
      },
      onblur: () => {
        store.spot.value = null;
      },
    },
    base,
    frame,
    empty,
  );

  takePointer(stage, frame, store);

  // -- painting ---------------------------------------------------------------------------------------------

  let frameRequest = 0;
  function paint() {
    frameRequest = 0;
    const map = store.heat.peek();
    const answer = store.answer.peek();
    heat.hidden = !map || map.flat;
    if (!map || !answer) return;
    const started = performance.now();
    if (!map.flat) {
      const [width, height] = backing(map.cols, map.rows);
      if (width === 0) return;
      drawHeat(heat, map, store.look.peek(), width, height);
    }
    const layers = store.overlay.peek()?.mark ?? markOf(answer, store.chosen.peek(), store.cells.peek());
    store.painted.value = {
      what: `${answer.rid ?? ""}:${layers}:${answer.rev}`,
      ms: performance.now() - started,
    };
  }

  /** Canvas pixels: one for each patch, or what the screen resolves where the map is smooth. */
  function backing(cols: number, rows: number): [number, number] {
    if (!store.trait("smooth").peek()) return [cols, rows];
    const { width, height } = frame.getBoundingClientRect();
    if (width === 0 || height === 0) return [0, 0];
    const scale = Math.min(devicePixelRatio, FINEST / Math.max(width, height));
    return [Math.max(Math.round(width * scale), 1), Math.max(Math.round(height * scale), 1)];
  }

  const repaint = () => {
    frameRequest ||= requestAnimationFrame(paint);
  };
  const resized = new ResizeObserver(repaint);
  resized.observe(frame);
  onEnd(life, () => {
    resized.disconnect();
    cancelAnimationFrame(frameRequest);
  });

  watch(life, () => {
    store.heat.value;
    store.look.value;
    store.answer.value;
    set(heat, "data-flat-cells", !store.trait("smooth").value);
    repaint();
  });

  // -- what lies where --------------------------------------------------------------------------------------

  watch(life, () => {
    const shown = store.picture.value;
    const image = bitmap.value;
    base.hidden = frame.hidden = !shown || !image;
    empty.hidden = !!shown && !!image && !fault.value;
    empty.textContent = fault.value || (shown ? "" : emptyWords(store));
    if (!shown || !image) return;
    base.width = image.width;
    base.height = image.height;
    base.getContext("2d")?.drawImage(image, 0, 0);
    const stageBox = stageOf(shown.original, shown.window);
    place(base, within([0, 0, ...shown.original], stageBox));
    place(frame, within(shown.window, stageBox));
  });

  watch(life, () => showPatch(patch, store));

  watch(life, () => set(heat, "label", store.description.value));
  watch(life, () => {
    set(stage, "aria-busy", store.outdated.value);
    set(stage, "data-outdated", store.outdated.value);
    set(stage, "data-peeking", store.peeking.value);
    // What else stands over the picture is not about whether the target is there.
    set(stage, "data-absent", store.entry.value?.supported === false && !store.overlay.value);
  });

  return stage;
}

const emptyWords = (store: Store) =>
  store.kernelless.value
    ? "No picture was saved in this page."
    : "Drop a picture here, paste one, or choose one above.";

/** The pointer over `area` points at what lies under it in `frame`, the model's window. */
export function takePointer(area: HTMLElement, frame: HTMLElement, store: Store): void {
  listen(area, {
    pointermove(event) {
      const box = frame.getBoundingClientRect();
      store.pointAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    },
    pointerleave: () => {
      store.spot.value = null;
    },
  });
}

/** Frame the patch that is pointed at. */
export function showPatch(patch: HTMLElement, store: Store): void {
  const spot = store.spot.value;
  const grid = store.stack.value;
  patch.hidden = !spot || !grid;
  if (spot && grid) {
    place(patch, [spot.col / grid.cols, spot.row / grid.rows, 1 / grid.cols, 1 / grid.rows]);
  }
}

/** Put an element at [left, top, width, height], in fractions of what it is placed in. */
export function place(
  element: HTMLElement,
  [left, top, width, height]: readonly [number, number, number, number],
) {
  const percent = (fraction: number) => `${(100 * fraction).toFixed(4)}%`;
  Object.assign(element.style, {
    left: percent(left),
    top: percent(top),
    width: percent(width),
    height: percent(height),
  });
}
