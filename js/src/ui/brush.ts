// Brush and re-predict: patches are painted on the big picture, and the model says what it sees without them.

import { readable } from "../heat/describe";
import { clamp } from "../heat/frame";
import type { LiveStore } from "../store/live";
import { CONTROLS, type How, type Patches, type Trust } from "../store/trust";
import type { ChangedCurve, Moved, ToolOf } from "../tools-wire";
import { chart } from "./chart";
import { button, claim, el, listen, set, watch } from "./element";
import { probability } from "./score";
import { segments } from "./segments";

/** Canvas pixels along a patch. */
const PIXELS = 32;

// -- on the picture ---------------------------------------------------------------------------------------------------

/** What is painted or erased, to lie over the model's window; while the brush is on, drags and keys paint. */
export function takeBrush(root: HTMLElement, store: LiveStore, trust: Trust, life: AbortSignal): HTMLElement {
  const stage = root.querySelector<HTMLElement>("[data-testid=picture]")!;
  const canvas = el("canvas.lg-placed.lg-brushed", { testid: "brushed", "aria-hidden": true });
  let last: readonly [number, number] | null = null;

  function paint(event: PointerEvent) {
    const { rows, cols } = store.stack.peek()!;
    const box = canvas.getBoundingClientRect();
    const at = (part: number, count: number) => clamp(Math.floor(part * count), 0, count - 1);
    const row = at((event.clientY - box.top) / box.height, rows);
    const col = at((event.clientX - box.left) / box.width, cols);
    // A quick drag skips patches: the straight line from the last one is painted.
    const [r, c] = last ?? [row, col];
    const steps = Math.max(Math.abs(row - r), Math.abs(col - c), 1);
    const line = Array.from({ length: steps + 1 }, (_, i) => {
      const part = i / steps;
      return Math.round(r + part * (row - r)) * cols + Math.round(c + part * (col - c));
    });
    last = [row, col];
    trust.paint(line, !event.altKey);
  }
  function end() {
    if (last) trust.endStroke();
    last = null;
  }
  listen(canvas, {
    pointerdown(event) {
      if (event.button !== 0 || !trust.brushing.peek() || !store.stack.peek()) return;
      canvas.setPointerCapture(event.pointerId);
      trust.startStroke();
      paint(event);
    },
    pointermove: (event) => last && paint(event),
    pointerup: end,
    pointercancel: end,
    lostpointercapture: end,
  });
  listen(stage, {
    keydown(event) {
      const grid = store.stack.peek();
      if (!trust.brushing.peek() || !grid || ![" ", "Enter"].includes(event.key)) return;
      claim(event);
      if (!store.spot.peek()) store.moveSpot(0, 0);
      const { row, col } = store.spot.peek()!;
      trust.toggle(row * grid.cols + col);
    },
  });
  watch(life, () => {
    set(stage, "data-brushing", trust.brushing.value);
    set(stage, "data-erasing", trust.erased.value.size > 0);
  });
  watch(life, () => {
    const { rows = 0, cols = 0 } = store.stack.value ?? {};
    canvas.hidden = !trust.brushing.value && !trust.painted.value.size && !trust.erased.value.size;
    canvas.width = cols * PIXELS;
    canvas.height = rows * PIXELS;
    const context = canvas.getContext("2d");
    if (context) drawPatches(context, cols, trust.painted.value, trust.erased.value);
  });
  return canvas;
}

/** Erased patches are black, as the model is shown them; painted ones are hatched. */
function drawPatches(context: CanvasRenderingContext2D, cols: number, painted: Patches, erased: Patches) {
  const squares = (patches: Patches) => {
    context.beginPath();
    for (const i of patches) context.rect((i % cols) * PIXELS, Math.floor(i / cols) * PIXELS, PIXELS, PIXELS);
  };
  squares(erased);
  context.fill();
  squares(painted);
  context.fillStyle = "rgb(0 0 0 / 0.62)";
  context.fill();
  context.clip();
  context.beginPath();
  const { width, height } = context.canvas;
  for (let x = -height; x < width; x += PIXELS / 2) {
    context.moveTo(x, 0);
    context.lineTo(x + height, height);
  }
  context.strokeStyle = "rgb(255 255 255 / 0.8)";
  context.lineWidth = 2;
  context.stroke();
}

// -- beside it --------------------------------------------------------------------------------------------------------

export function brush(store: LiveStore, trust: Trust, life: AbortSignal): HTMLElement {
  const toggle = button(
    ".lg-button",
    { testid: "brush", title: "Drag over the picture to paint; Alt erases (B)", onclick: trust.toggleBrush },
    "Brush",
  );
  const how = segments("brush", "What happens to the patches", (value) => {
    trust.how.value = value as How;
  });
  const WAYS = [
    { value: "drop", title: "Removed", hint: "Their tokens leave before the first block" },
    { value: "block", title: "Blocked", hint: "From a layer on nothing reads them: where do they act?" },
    { value: "blur", title: "Blurred" },
    { value: "mean", title: "Mean colour" },
    { value: "surroundings", title: "Filled", hint: "From what is around them" },
  ];
  const PASTE = {
    value: "paste",
    title: "From a neighbour",
    hint: "They become those of a sample that is like this one",
  };
  const layer = el("input.lg-text", {
    type: "number",
    min: 1,
    max: trust.depth,
    testid: "brush-layer",
    oninput: () => trust.blockFrom(layer.valueAsNumber),
    onchange: () => {
      layer.value = String(trust.fromLayer.peek());
    },
  });
  const from = el(
    "label.lg-row",
    { title: "From layer 1 on it is what Removed does" },
    "from layer",
    layer,
    `on, of ${trust.depth}`,
  );
  const donor = el("select", {
    testid: "brush-donor",
    label: "Which neighbour",
    onchange: () => {
      trust.donor.value = donor.value ? Number(donor.value) : null;
    },
  });
  watch(life, () => {
    const donors = trust.donors.value;
    how.offer(donors.length ? [...WAYS, PASTE] : WAYS);
    donor.replaceChildren(
      el("option", { value: "" }, "the nearest right one of its class"),
      ...donors.map(({ title, rows }) => {
        const group = el("optgroup", {}, ...rows.map((row) => el("option", { value: row }, `sample ${row}`)));
        group.label = title;
        return group;
      }),
    );
    how.mark(trust.way.peek());
    donor.value = String(trust.donor.peek() ?? "");
  });
  const undo = button(".lg-button", { testid: "brush-undo", title: "Undo (Z)", onclick: trust.undo }, "Undo");
  const clear = button(".lg-button", { testid: "brush-clear", onclick: trust.clear }, "Clear");
  const count = el("p.lg-note", { testid: "brush-count", role: "status" });
  const list = el("ul.lg-stack.lg-moves", { testid: "moves" });
  const legend = el("p.lg-small", { testid: "brush-way" });
  const saw = el("canvas", { role: "img", testid: "brush-saw", label: "What the model saw" });

  watch(life, () => {
    const lacks = !!store.tools.lacks.value;
    const on = trust.brushing.value;
    const some = trust.painted.value.size;
    how.mark(trust.way.value);
    from.hidden = trust.way.value !== "block";
    donor.hidden = trust.way.value !== "paste";
    donor.value = String(trust.donor.value ?? "");
    if (layer.valueAsNumber !== trust.fromLayer.value && !layer.matches(":focus"))
      layer.value = String(trust.fromLayer.value);
    set(toggle, "aria-pressed", on);
    toggle.disabled = lacks;
    undo.disabled = !trust.undoable.value;
    clear.disabled = !some;
    const { rows = 0, cols = 0 } = store.stack.value ?? {};
    count.textContent =
      on || some
        ? `${some} of ${rows * cols} patches. ${on ? "Drag over the picture, or Space on a patch; Alt erases." : ""}`
        : "Take patches away and see what the model still sees.";
  });
  watch(life, () => {
    const found = store.tools.latest("brush").value;
    const fault = found?.state === "failed" ? found.message : "";
    list.hidden = legend.hidden = !trust.painted.value.size || !found;
    set(list, "aria-busy", trust.awaiting.value || found?.rev !== store.answer.value?.rev);
    if (!found || list.hidden) return;
    legend.textContent = `Bar: ${wayOf(found)}; line: as they are; band: the same with ${CONTROLS} sets of as many random ones (5 to 95 %).`;
    list.replaceChildren(
      ...(fault
        ? [el("li.lg-note.lg-bad", {}, fault)]
        : found.targets.filter(({ of }) => of).map((moved) => row(moved))),
      ...found.classes.map((moved, i) => row(moved, i === 0)),
    );
  });
  const over = el("div", { testid: "brush-curve" });
  watch(life, () => {
    const found = store.tools.latest("brush").value;
    over.hidden = !trust.painted.value.size || !found;
    // While a stroke lasts nobody asks for it: the one before it stays.
    if (over.hidden) over.replaceChildren();
    else if (found!.curve) over.replaceChildren(...layerChart(found!.curve));
  });
  watch(life, () => {
    const found = store.tools.latest("brush").value;
    const picture = trust.painted.value.size ? found?.picture : null;
    // Patches that left or are blocked are painted over already.
    saw.hidden = !picture || ["drop", "block"].includes(found!.args.how as string);
    if (saw.hidden) return;
    void createImageBitmap(new Blob([picture!.data], { type: picture!.mime })).then((image) => {
      if (store.tools.latest("brush").peek() === found) {
        [saw.width, saw.height] = [image.width, image.height];
        saw.getContext("2d")?.drawImage(image, 0, 0);
      }
      image.close();
    });
  });
  return el(
    "section.lg-stack",
    { label: "Brush and re-predict" },
    el("h3.lg-legend", {}, "Brush and re-predict"),
    el("div.lg-row", {}, toggle, undo, clear),
    how.element,
    from,
    donor,
    count,
    list,
    legend,
    saw,
    over,
  );
}

/** Where the brush acts: the scores of the sample's two classes over the layers before it, and after it in grey. */
function layerChart({ names, before, after }: ChangedCurve): Node[] {
  const end = before[0]!.length;
  // Inks 0 and 1 are colours; 12 and 5 are grey, and dashed as those are.
  const line = (values: readonly number[], ink: number, name = "") => ({
    kind: "layers",
    points: values.map((value, i) => [i + 1, value] as const),
    ink,
    name,
  });
  const lines = [
    ...after.map((values, i) => line(values, [12, 5][i]!)),
    ...before.map((values, i) => line(values, i, names[i])),
  ];
  const said = names.map(
    (name, i) => `${name} ${readable(before[i]!.at(-1)!, 2)} → ${readable(after[i]!.at(-1)!, 2)}`,
  );
  return [
    chart({ x: "layer", y: "score", end, last: `${end}`, lines }, `At the last layer: ${said.join(", ")}`),
    el("p.lg-small", {}, "Where they act: the scores over the layers, in grey after the brush."),
  ];
}

/** What was done to the patches that an entry is about. */
export function wayOf({ args, donor }: ToolOf<"brush">): string {
  const ways: Readonly<Record<string, string>> = {
    drop: "without them",
    block: `nothing reads them from layer ${args.from_layer} on`,
    blur: "with them blurred",
    mean: "with them in the mean colour",
    surroundings: "with them filled from what is around",
    paste: `with those of ${donor?.name} (${donor?.label})`,
  };
  return ways[args.how as string] ?? "with them changed";
}

/** One target or class: its name, a bar with what it was and the random band, and the two numbers. */
function row({ label, before, after, of, low, high }: Moved, first = false): HTMLElement {
  const values = [0, before, after, low ?? 0, high ?? 0];
  const least = Math.min(...values);
  const most = Math.max(...values);
  const isShare = least >= 0 && most <= 1;
  const place = (value: number) => (isShare ? value : (value - least) / (most - least || 1));
  const say = (value: number) => (isShare ? probability(value) : readable(value));
  const track = el("span.lg-track", { "aria-hidden": true });
  const marks = { "--lg-low": low, "--lg-high": high, "--lg-was": before, "--lg-part": after };
  for (const [name, value] of Object.entries(marks)) {
    track.style.setProperty(name, String(place(value ?? 0)));
  }
  const band = low === null || high === null ? "" : `; as many random patches: ${say(low)} to ${say(high)}`;
  const words = `${say(before)} → ${say(after)}`;
  return el(
    `li${first ? ".lg-first" : ""}` as "li",
    { title: label },
    el("span.lg-name", {}, label || "(empty prompt)"),
    track,
    el("span.lg-small", {}, words, el("span.lg-sr", {}, ` ${of}${band}`)),
  );
}
