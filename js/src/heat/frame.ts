// Where things lie: the picture, the window of it that the model saw, and the patches of that window.
// Everything is in pixels of the user's original picture.

export const clamp = (value: number, least: number, most: number): number =>
  Math.min(Math.max(value, least), most);

/** [left, top, right, bottom]. */
export type Box = readonly [number, number, number, number];

export const width = (box: Box): number => box[2] - box[0];
export const height = (box: Box): number => box[3] - box[1];

/** The box that holds the picture and the model's window (which may reach outside it: letterbox). */
export function stageOf(original: readonly [number, number], window: Box): Box {
  const [left, top, right, bottom] = window;
  return [Math.min(0, left), Math.min(0, top), Math.max(original[0], right), Math.max(original[1], bottom)];
}

/** `inner` as fractions of `outer`: left, top, width, height. */
export function within(inner: Box, outer: Box): Box {
  return [
    (inner[0] - outer[0]) / width(outer),
    (inner[1] - outer[1]) / height(outer),
    width(inner) / width(outer),
    height(inner) / height(outer),
  ];
}

/** A patch of the grid (0-based) and the point of the original picture that was asked for. */
export interface Spot {
  readonly row: number;
  readonly col: number;
  readonly x: number;
  readonly y: number;
}

/** The patch under a point given in fractions of the window; null outside it. */
export function spotAt(u: number, v: number, rows: number, cols: number, window: Box): Spot | null {
  if (!(u >= 0 && u <= 1 && v >= 0 && v <= 1)) return null;
  return {
    row: Math.min(Math.floor(v * rows), rows - 1),
    col: Math.min(Math.floor(u * cols), cols - 1),
    x: window[0] + u * width(window),
    y: window[1] + v * height(window),
  };
}

/** The patch (row, col), clamped to the grid, seen at its centre. */
export function patchSpot(row: number, col: number, rows: number, cols: number, window: Box): Spot {
  const centre = (at: number, count: number) => (clamp(at, 0, count - 1) + 0.5) / count;
  return spotAt(centre(col, cols), centre(row, rows), rows, cols, window)!;
}
