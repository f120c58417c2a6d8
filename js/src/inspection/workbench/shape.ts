// Shapes that are drawn on a picture: corners in fractions of it, from its upper left.

import { clamp } from "../../heat/frame";

export type Corner = readonly [number, number];
export type Shape = readonly Corner[];

/** Corners that are sent at most; the kernel takes up to 500. */
export const MOST = 400;
/** Two corners of a lasso are at least so far apart, and a shape is at least so wide and high. */
const LEAST = 0.004;
const SMALL = 0.01;

/** A place in the picture, to four digits. */
export const within = (x: number, y: number): Corner => [place(x), place(y)];
const place = (part: number) => Math.round(1e4 * clamp(part, 0, 1)) / 1e4;

export const rectangle = ([x0, y0]: Corner, [x1, y1]: Corner): Shape => [
  [x0, y0],
  [x1, y0],
  [x1, y1],
  [x0, y1],
];

/** A lasso with one corner more, unless that is as good as the last. */
export function extended(shape: Shape, corner: Corner): Shape {
  const last = shape.at(-1);
  const near = last && Math.hypot(corner[0] - last[0], corner[1] - last[1]) < LEAST;
  return near ? shape : [...shape, corner];
}

/** Every second corner of a long lasso, until there are few enough. */
export function thinned(shape: Shape): Shape {
  return shape.length <= MOST ? shape : thinned(shape.filter((_, i) => i % 2 === 0));
}

/** Whether it holds anything worth comparing. */
export function isLarge(shape: Shape): boolean {
  const spans = [0, 1].map((side) => {
    const values = shape.map((corner) => corner[side]!);
    return Math.max(...values) - Math.min(...values);
  });
  return shape.length > 2 && Math.min(...spans) >= SMALL;
}
