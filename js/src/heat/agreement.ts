// How far two maps of the same grid agree: in the order of their patches, and in which they rank highest.

/** Rank of each value, from 1 for the smallest; equal values share the mean of their ranks. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const out = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    // The ranks from + 1 to `to`, on average.
    for (const i of order.slice(from, to)) out[i] = (from + 1 + to) / 2;
    from = to;
  }
  return out;
}

/** Spearman's rank correlation of two maps, given their ranks: Pearson's of these, in [-1, 1]; null without an order. */
export function correlation(a: Float64Array, b: Float64Array): number | null {
  const mean = (a.length + 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - mean, b[i]! - mean];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : null;
}

/** Indices of the highest `share` of the values, at least one; of equal values the first come first. */
export function topPatches(values: ArrayLike<number>, share: number): Set<number> {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
  return new Set(order.slice(0, Math.max(1, Math.round(share * values.length))));
}

/** Intersection over union of two sets of patches, in [0, 1]. */
export function overlap(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  const both = [...a].filter((i) => b.has(i)).length;
  return both / (a.size + b.size - both);
}
