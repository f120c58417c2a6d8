// Bilinear resampling of a patch grid, with the half-pixel convention of torch's
// `interpolate(mode="bilinear", align_corners=False)`: samples sit at cell centres, edges are clamped.

interface Taps {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly weight: Float64Array;
}

/** For each of `size` outputs along one axis: the two source cells and the weight of the higher one. */
function taps(cells: number, size: number): Taps {
  const low = new Int32Array(size);
  const high = new Int32Array(size);
  const weight = new Float64Array(size);
  const step = cells / size;
  for (let i = 0; i < size; i++) {
    const centre = Math.max((i + 0.5) * step - 0.5, 0);
    const cell = Math.min(Math.floor(centre), cells - 1);
    low[i] = cell;
    high[i] = Math.min(cell + 1, cells - 1);
    weight[i] = centre - cell;
  }
  return { low, high, weight };
}

/** Resample `grid` [rows, cols] to [height, width]; returns height * width values in C order. */
export function resample(
  grid: Float64Array,
  rows: number,
  cols: number,
  height: number,
  width: number,
): Float64Array {
  const x = taps(cols, width);
  const y = taps(rows, height);
  const out = new Float64Array(height * width);
  const line = new Float64Array(cols);
  for (let i = 0; i < height; i++) {
    const above = y.low[i]! * cols;
    const below = y.high[i]! * cols;
    const down = y.weight[i]!;
    for (let c = 0; c < cols; c++) line[c] = grid[above + c]! * (1 - down) + grid[below + c]! * down;
    const start = i * width;
    for (let j = 0; j < width; j++) {
      const across = x.weight[j]!;
      out[start + j] = line[x.low[j]!]! * (1 - across) + line[x.high[j]!]! * across;
    }
  }
  return out;
}
