// The errors as points in a plane: near ones have similar maps, layers and embeddings. The cards beside it say the same
// in words.

import { signal } from "../../signals";
import { claim, el, listen, onEnd, watch } from "../../ui/element";
import type { Studies } from "./store";
import type { Groups } from "./wire";

/** Canvas pixels, twice those on the screen; and what stays free at the edges. */
const SIDE = 640;
const EDGE = 28;
/** As near as that, in canvas pixels, a point is meant; as far as that a click becomes a rectangle. */
const NEAR = 24;
const FAR = 10;
/** One for each group; no two that stand beside each other look alike. */
const COLOURS = "4e79a7 f28e2b 59a14f e15759 b07aa1 edc948 76b7b2 ff9da7 9c755f d37295 86bcb6 bab0ac".split(
  " ",
);

export const colourOf = (group: number) => `#${COLOURS[(group - 1) % COLOURS.length]}`;

type Spot = readonly [x: number, y: number];

/** Points [n, 2] in canvas pixels, both axes to the same scale, upwards. */
export function placed(points: Float32Array): readonly Spot[] {
  const count = points.length >> 1;
  const [xs, ys] = [0, 1].map((axis) => Array.from({ length: count }, (_, i) => points[2 * i + axis]!));
  const middle = (values: number[]) => (Math.min(...values) + Math.max(...values)) / 2;
  const wide = (values: number[]) => Math.max(...values) - Math.min(...values);
  const scale = (SIDE - 2 * EDGE) / (Math.max(wide(xs!), wide(ys!)) || 1);
  const [x, y] = [middle(xs!), middle(ys!)];
  return xs!.map((value, i) => [SIDE / 2 + (value - x) * scale, SIDE / 2 - (ys![i]! - y) * scale]);
}

/** The spot nearest to a place; -1 where none is nearer than `most`. */
export function nearest(spots: readonly Spot[], [x, y]: Spot, most = NEAR): number {
  const far = spots.map(([a, b]) => Math.hypot(a - x, b - y));
  const least = Math.min(...far);
  return least <= most ? far.indexOf(least) : -1;
}

export function scatter(studies: Studies, life: AbortSignal) {
  const { gallery, brush, clusters } = studies;
  const canvas = el("canvas", {
    width: SIDE,
    height: SIDE,
    tabindex: 0,
    role: "application",
    testid: "plane",
    label: "Errors as points. Arrows go from error to error, Enter opens, Space selects.",
  });
  const small = el("canvas", { "aria-hidden": true });
  const said = el("p.lg-note", { role: "status", testid: "plane-words" });
  const tip = el("div.lg-row", {}, small, said);
  /** The error that is meant: its place among `rows`, or -1. */
  const meant = signal(-1);
  let spots: readonly Spot[] = [];
  let given: Groups | null = null;
  let [from, to]: (Spot | null)[] = [null, null];

  const row = () => given?.rows[meant.peek()];
  const open = () => {
    const at = row();
    if (at !== undefined) gallery.open(at);
  };
  const place = (event: PointerEvent): Spot => {
    const { left, top, width } = canvas.getBoundingClientRect();
    return [((event.clientX - left) * SIDE) / width, ((event.clientY - top) * SIDE) / width];
  };

  watch(life, () => {
    given = clusters.value;
    spots = given ? placed(given.points) : [];
    meant.value = -1;
  });
  let frame = 0;
  onEnd(life, () => cancelAnimationFrame(frame));
  function later() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
    });
  }
  watch(life, () => {
    clusters.value;
    meant.value;
    gallery.sieve.value;
    gallery.selected.value;
    gallery.opened.value;
    if (studies.shown.value === "clusters") later();
  });
  watch(life, () => {
    meant.value;
    gallery.shelf.arrived.value;
    const at = row();
    small.hidden = at === undefined || brush.small(small, gallery, at) !== "drawn";
    const shares = given?.shown.map((share) => Math.round(100 * share)) ?? [];
    said.textContent =
      at === undefined
        ? `Near points are alike; the axes show ${shares.join(" % and ")} % of all differences. A click opens, a dragged rectangle selects.`
        : `${gallery.table.words("name", at) || `sample ${at}`}, group ${given?.groups[meant.peek()]}: ${brush.said(gallery, at)}`;
  });

  function paint() {
    const context = canvas.getContext("2d");
    if (!context || !given) return;
    const { color, backgroundColor } = getComputedStyle(canvas);
    const { cluster } = gallery.sieve.peek().values;
    const [selected, opened] = [gallery.selected.peek(), gallery.opened.peek()];
    context.clearRect(0, 0, SIDE, SIDE);
    for (const [i, [x, y]] of spots.entries()) {
      const [at, group] = [given.rows[i]!, given.groups[i]!];
      context.globalAlpha = cluster && cluster !== String(group) ? 0.2 : 1;
      context.beginPath();
      context.arc(x, y, at === opened || i === meant.peek() ? 15 : 10, 0, 7);
      context.fillStyle = colourOf(group);
      context.fill();
      const marked = selected.has(at) || at === opened || i === meant.peek();
      context.lineWidth = marked ? 5 : 2;
      context.strokeStyle = marked ? color : backgroundColor;
      context.stroke();
    }
    context.globalAlpha = 1;
    context.font = "600 26px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { number } of given.cards) {
      const own = spots.filter((_, i) => given?.groups[i] === number);
      const [x, y] = [0, 1].map((axis) => own.reduce((sum, spot) => sum + spot[axis]!, 0) / own.length);
      context.lineWidth = 8;
      context.strokeStyle = backgroundColor;
      context.strokeText(String(number), x!, y!);
      context.fillStyle = color;
      context.fillText(String(number), x!, y!);
    }
    if (!from || !to) return;
    context.lineWidth = 3;
    context.strokeStyle = color;
    context.setLineDash([10, 8]);
    context.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
    context.setLineDash([]);
  }

  function take(add: boolean) {
    if (!from || !to || !given) return;
    const [left, right] = [Math.min(from[0], to[0]), Math.max(from[0], to[0])];
    const [top, bottom] = [Math.min(from[1], to[1]), Math.max(from[1], to[1])];
    const inside = given.rows.filter((_, i) => {
      const [x, y] = spots[i]!;
      return x >= left && x <= right && y >= top && y <= bottom;
    });
    studies.select(add ? [...new Set([...gallery.selected.peek(), ...inside])] : inside);
  }

  listen(
    canvas,
    {
      pointerdown(event) {
        if (event.button !== 0) return;
        from = place(event);
        canvas.setPointerCapture(event.pointerId);
      },
      pointermove(event) {
        const now = place(event);
        if (from && (to || Math.hypot(now[0] - from[0], now[1] - from[1]) > FAR)) {
          to = now;
          later();
        } else meant.value = nearest(spots, now);
      },
      pointerup(event) {
        if (to) take(event.shiftKey);
        else if (from) open();
        from = to = null;
        later();
      },
      pointercancel() {
        from = to = null;
        later();
      },
      pointerleave() {
        if (!from) meant.value = -1;
      },
      keydown(event) {
        if (!spots.length || event.ctrlKey || event.metaKey || event.altKey) return;
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const at = row();
        if (step) meant.value = meant.peek() < 0 ? 0 : (meant.peek() + step + spots.length) % spots.length;
        else if (at === undefined) return;
        else if (event.key === "Enter") open();
        else if (event.key === " ") {
          const now = gallery.selected.peek();
          studies.select(now.has(at) ? [...now].filter((other) => other !== at) : [...now, at]);
        } else return;
        claim(event);
      },
      blur() {
        meant.value = -1;
      },
    },
    life,
  );
  return {
    element: el("div.lg-stack.lg-scatter", {}, canvas, tip),
    meant: () => (meant.value < 0 ? [] : [row()!]),
  };
}
