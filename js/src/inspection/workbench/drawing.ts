// A mask is drawn on the open sample's picture: a rectangle or a lasso, with the pointer or with the keys.

import { signal } from "../../signals";
import { button, claim, el, focusedIn, listen, set, watch } from "../../ui/element";
import { segments } from "../../ui/segments";
import { setHidden } from "../kept-focus";
import type { GalleryStore } from "../store";
import { type Corner, extended, isLarge, rectangle, type Shape, thinned, within } from "./shape";

type Tool = "" | "box" | "lasso";
type How = "replace" | "add" | "remove";

/** How far an arrow key moves, of the picture; with Shift. */
const [STEP, FINE] = [1 / 40, 1 / 200];
const ARROWS: Readonly<Record<string, Corner>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const HINTS: Readonly<Record<Tool, string>> = {
  "": "",
  box: "Drag from corner to corner. Shift adds, Alt takes away, Esc leaves. By keys: arrows, and Space at two corners.",
  lasso:
    "Drag around the object. Shift adds, Alt takes away, Esc leaves. By keys: arrows, Space at corners, Enter closes it.",
};

/** The controls under the picture; what is being drawn lies over it. */
export function drawing(gallery: GalleryStore, root: HTMLElement, life: AbortSignal): HTMLElement {
  const tool = signal<Tool>("");
  const how = signal<How>("replace");
  /** What is being drawn, and once it is sent until the kernel has answered. */
  const shape = signal<Shape>([]);
  /** Where the keys are. */
  const spot = signal<Corner | null>(null);
  const said = signal("");
  let begun: { readonly from: Corner; readonly how: How } | null = null;

  const picture = root.querySelector<HTMLCanvasElement>("[data-testid=overview]")!;
  const layer = el("canvas.lg-sketch", { testid: "draw-layer", tabindex: 0, role: "application" });
  const frame = el("div.lg-drawn");
  picture.replaceWith(frame);
  frame.append(picture, layer);

  // -- the shape --------------------------------------------------------------------------------------------------------

  function begin(from: Corner, mode: How) {
    begun = { from, how: mode };
    said.value = "";
    shape.value = [from];
  }
  function reach(to: Corner) {
    if (begun) shape.value = tool.peek() === "box" ? rectangle(begun.from, to) : extended(shape.peek(), to);
  }
  function drop() {
    begun = null;
    shape.value = [];
  }
  function finish() {
    const row = gallery.opened.peek();
    const [drawn, mode] = [thinned(shape.peek()), begun?.how];
    begun = null;
    if (!mode || row === null) return;
    if (isLarge(drawn) && gallery.send("mask", { row, how: mode, polygon: drawn })) return;
    said.value = "That is too small to hold anything.";
    shape.value = [];
  }
  function take(chosen: Tool) {
    drop();
    said.value = "";
    tool.value = tool.peek() === chosen ? "" : chosen;
    if (tool.peek()) layer.focus({ preventScroll: true });
  }

  // -- on the picture ---------------------------------------------------------------------------------------------------

  function at(event: PointerEvent): Corner {
    const box = layer.getBoundingClientRect();
    return within((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }
  listen(layer, {
    pointerdown(event) {
      if (event.button !== 0) return;
      layer.setPointerCapture(event.pointerId);
      layer.focus({ preventScroll: true });
      spot.value = null;
      begin(at(event), event.altKey ? "remove" : event.shiftKey ? "add" : how.peek());
    },
    pointermove: (event) => layer.hasPointerCapture(event.pointerId) && reach(at(event)),
    pointerup: (event) => layer.hasPointerCapture(event.pointerId) && finish(),
    pointercancel: drop,
    keydown(event) {
      const { key } = event;
      const arrow = ARROWS[key];
      if (arrow) {
        const by = event.shiftKey ? FINE : STEP;
        const [x, y] = spot.peek() ?? [0.5, 0.5];
        spot.value = within(x + by * arrow[0], y + by * arrow[1]);
        if (begun && tool.peek() === "box") reach(spot.value);
      } else if (key === " ") {
        spot.value ??= [0.5, 0.5];
        if (!begun) begin(spot.value, how.peek());
        else {
          reach(spot.value);
          if (tool.peek() === "box") finish();
        }
      } else if (key === "Enter" && begun) finish();
      else if (key === "Escape") {
        if (begun) drop();
        else {
          const left = tool.peek();
          take("");
          (left === "box" ? box : lasso).focus();
        }
      } else return;
      claim(event);
    },
  });
  listen(
    root,
    {
      keydown(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if ((event.target as HTMLElement).matches("input:not([type=checkbox]), textarea, select")) return;
        if (event.key.toLowerCase() !== "m" || !gallery.sample.peek()?.picture) return;
        take(event.key === "m" ? "box" : "lasso");
        event.preventDefault();
      },
    },
    life,
  );
  watch(life, () => {
    const row = gallery.opened.value;
    drop();
    spot.value = null;
    // Until the next picture is here none is shown: nothing beneath it keeps the focus.
    if (row !== null && focusedIn(frame.parentElement!))
      root.querySelector<HTMLElement>("[data-testid=next]")!.focus({ preventScroll: true });
  });
  // The mask as it stands now is drawn beneath: what was sent is not needed any more, or was refused.
  watch(life, () => {
    gallery.sample.value?.mask;
    gallery.complaint.value;
    if (!begun) shape.value = [];
  });

  // -- beneath it -------------------------------------------------------------------------------------------------------

  const box = button(
    ".lg-button",
    { testid: "draw-box", title: "Draw a rectangle around the object (M)", onclick: () => take("box") },
    "Rectangle",
  );
  const lasso = button(
    ".lg-button",
    { testid: "draw-lasso", title: "Draw around the object (Shift + M)", onclick: () => take("lasso") },
    "Lasso",
  );
  const clear = button(
    ".lg-button",
    {
      testid: "draw-clear",
      onclick: () => gallery.send("mask", { row: gallery.opened.peek(), how: "clear", polygon: [] }),
    },
    "Clear",
  );
  const ways = segments("draw", "What the shape does", (value) => {
    how.value = value as How;
    layer.focus({ preventScroll: true });
  });
  ways.offer([
    { value: "replace", title: "New" },
    { value: "add", title: "Add", hint: "Shift while drawing" },
    { value: "remove", title: "Take away", hint: "Alt while drawing" },
  ]);
  const hint = el("p.lg-note", { role: "status", testid: "draw-hint" });
  const element = el(
    "div.lg-stack.lg-drawing",
    { role: "group", label: "Mask" },
    el("div.lg-row", {}, el("span.lg-legend", {}, "Mask"), box, lasso, clear),
    ways.element,
    hint,
  );
  watch(life, () => {
    setHidden(layer, !tool.value || !gallery.sample.value?.picture, box);
    [layer.width, layer.height] = [picture.width, picture.height];
    const context = layer.getContext("2d");
    if (context && !layer.hidden) draw(context, shape.value, spot.value);
  });
  watch(life, () => {
    const sample = gallery.sample.value;
    element.hidden = !sample?.picture;
    const drawn = sample?.mask?.drawn === true;
    setHidden(clear, !drawn, tool.peek() === "lasso" ? lasso : box);
    if (!drawn && how.peek() === "remove" && !sample?.mask) how.value = "replace";
  });
  watch(life, () => {
    const chosen = tool.value;
    set(box, "aria-pressed", chosen === "box");
    set(lasso, "aria-pressed", chosen === "lasso");
    ways.element.hidden = !chosen;
    ways.mark(how.value);
    hint.textContent = said.value || HINTS[chosen];
    hint.hidden = !hint.textContent;
    set(layer, "label", `Draw a mask. ${HINTS[chosen]}`);
  });
  return element;
}

function draw(context: CanvasRenderingContext2D, shape: Shape, spot: Corner | null) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  const path = new Path2D();
  for (const [i, [x, y]] of shape.entries()) path[i ? "lineTo" : "moveTo"](x * width, y * height);
  if (shape.length > 2) path.closePath();
  context.fillStyle = "rgb(255 213 74 / 0.25)";
  context.fill(path, "nonzero");
  if (spot) {
    const [x, y] = [spot[0] * width, spot[1] * height];
    path.moveTo(x - 12, y);
    path.lineTo(x + 12, y);
    path.moveTo(x, y - 12);
    path.lineTo(x, y + 12);
  }
  for (const [colour, line] of [
    ["#000", 5],
    ["#ffd54a", 2.5],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.stroke(path);
  }
}
