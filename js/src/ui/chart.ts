// Lines over a share or a count, with their axes, and names at the lines where there are several.

import { readable } from "../heat/describe";
import { set } from "./element";

export type Point = readonly [x: number, y: number];

export interface Line {
  readonly kind: string;
  readonly points: readonly Point[];
  /** Written at the line; colour and dashes are those of this number. */
  readonly name?: string;
  readonly ink?: number;
  /** Drawn heavier than the others. */
  readonly lead?: boolean;
  readonly onclick?: () => void;
}

export interface Plot {
  /** What the axes are, and the last value of the horizontal one in words. */
  readonly x: string;
  readonly y: string;
  readonly end: number;
  readonly last: string;
  readonly lines: readonly Line[];
  /** Around a region: along its lower edge and back along its upper one. */
  readonly band?: readonly Point[];
  /** Where a vertical line stands; 0 for none. */
  readonly at?: number;
  /** Of the whole chart, in pixels. */
  readonly size?: readonly [width: number, height: number];
}

const [LEFT, TOP, RIGHT, BELOW] = [44, 24, 12, 22];
/** Colours and dashes, numbered in live.css; no two of 28 lines have both in common. */
const [INKS, DASHES] = [7, 4];

export function svg(
  tag: string,
  props: Record<string, string | number | boolean>,
  ...children: (Node | string)[]
): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) set(made, name, value);
  made.append(...children);
  return made;
}

const leadLast = (a: Line, b: Line) => Number(a.lead ?? false) - Number(b.lead ?? false);

export const inkOf = (line: number) => ({ "data-ink": line % INKS, "data-dash": line % DASHES });

/** From 0, or the lowest value, to the highest one. */
export function chart(plot: Plot, label: string): SVGElement {
  const { x, y, end, last, lines, band = [], at = 0, size = [300, 162] } = plot;
  const [wide, high] = [size[0] - LEFT - RIGHT, size[1] - TOP - BELOW];
  const heights = [...lines.flatMap(({ points }) => points), ...band].map((point) => point[1]);
  const least = Math.min(0, ...heights);
  const most = Math.max(...heights, least + 1e-9);
  const place = ([across, up]: Point): Point => [
    LEFT + (wide * across) / end,
    TOP + (high * (most - up)) / (most - least),
  ];
  const line = (kind: string, points: readonly Point[], shape = "polyline", more = {}) =>
    svg(shape, { "data-kind": kind, ...more, points: points.map(place).join(" ") });
  const words = (left: number, top: number, said: string, anchor = "end") =>
    svg("text", { x: left, y: top, "text-anchor": anchor }, said);
  const rule = (up: number) => line("rule", [[0, up], [end, up]]); // biome-ignore format: a line
  const bottom = TOP + high;
  const drawn = svg(
    "svg",
    { viewBox: `0 0 ${size.join(" ")}`, class: "lg-chart", role: "img", "aria-label": label },
    rule(0),
    rule(least),
    rule(most),
    words(LEFT - 4, TOP + 4, readable(most, 2)),
    words(LEFT - 4, bottom + 4, readable(least, 2)),
    words(LEFT, bottom + 15, "0", "middle"),
    words(LEFT + wide / 2, bottom + 15, x, "middle"),
    words(LEFT + wide + 10, bottom + 15, last),
    words(LEFT, 12, y, "start"),
    line("band", band, "polygon"),
    ...[...lines]
      .sort(leadLast)
      .map(({ kind, points, ink, lead = false }) =>
        line(kind, points, "polyline", ink === undefined ? {} : { ...inkOf(ink), "data-lead": lead }),
      ),
    at ? line("at", [[at, least], [at, most]]) : "", // biome-ignore format: a line
  );
  const named = lines.filter(({ name, points }) => name && points.length > 1);
  const spots = placeNames(
    named.map(({ name, points }) => ({ name: name!, points: points.map(place) })),
    [LEFT, TOP, LEFT + wide, bottom],
  );
  for (const [i, { name, ink = 0, onclick }] of named.entries()) {
    const { spot, foot } = spots[i]!;
    const text = svg("text", { x: spot[0], y: spot[1] + 4, "text-anchor": "middle", ...inkOf(ink) }, name!);
    if (onclick) text.addEventListener("click", onclick);
    if (Math.abs(foot[1] - spot[1]) > AWAY) {
      drawn.append(
        svg("polyline", { "data-kind": "leader", "data-ink": ink % INKS, points: [spot, foot].join(" ") }),
      );
    }
    drawn.append(text);
  }
  return drawn;
}

// -- names at lines ---------------------------------------------------------------------------------------------------

/** Pixels: of a letter of the chart's text, of a line of it, and from its middle to the line that it names. */
const [LETTER, TALL, AWAY] = [7.3, 14, 9];
/** Pixels between places that are tried: along a line, and away from it, so often. */
const [STEP, RUNG, RUNGS] = [8, 15, 10];

/** The height of a line at `x`; null where it has not come so far. */
function heightAt(points: readonly Point[], x: number): number | null {
  const next = points.findIndex((point) => point[0] >= x);
  if (next < 0) return null;
  const [right, below] = points[next]!;
  const [left, above] = points[next - 1] ?? points[next]!;
  return right === left ? below : above + ((below - above) * (x - left)) / (right - left);
}

interface Placed {
  /** The middle of the name, and the place of its line that it belongs to. */
  readonly spot: Point;
  readonly foot: Point;
}

/**
 * Where names stand: above or below their own lines, where other lines and names are far. Lines meet at their ends and
 * often run together, so a name may stand away from its line, on a leader. `box`: left, top, right, bottom.
 */
export function placeNames(
  lines: readonly { readonly name: string; readonly points: readonly Point[] }[],
  [left, top, right, bottom]: readonly [number, number, number, number],
): Placed[] {
  const placed: (Placed & { half: number })[] = [];
  for (const { name, points } of lines) {
    const half = (LETTER * name.length) / 2;
    const last = points.at(-1)![0];
    const start: Placed = { spot: points[0]!, foot: points[0]! };
    let best = { cost: Number.POSITIVE_INFINITY, place: start };
    for (let x = left + half; x <= Math.max(right - half, left + half); x += STEP) {
      const across = Math.min(x, last);
      const own = heightAt(points, across)!;
      for (let rung = -RUNGS; rung < RUNGS; rung++) {
        const y = own + (rung < 0 ? rung * RUNG + RUNG - AWAY : rung * RUNG + AWAY);
        if (y < top || y > bottom - TALL / 2) continue;
        let cost = 3 * Math.abs(y - own) + 4 * Math.abs(x - across);
        for (const line of lines) {
          for (const reach of [-half, -half / 2, 0, half / 2, half]) {
            const there = heightAt(line.points, x + reach);
            if (there !== null) cost += Math.max(0, TALL - Math.abs(there - y)) ** 2;
          }
        }
        for (const other of placed) {
          const [u, v] = other.spot;
          if (Math.abs(u - x) < half + other.half + 4 && Math.abs(v - y) < TALL) cost += 1e5;
        }
        if (cost < best.cost) best = { cost, place: { spot: [x, y], foot: [across, own] } };
      }
    }
    placed.push({ ...best.place, half });
  }
  return placed;
}
