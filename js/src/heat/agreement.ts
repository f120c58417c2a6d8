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

/** Spearman's rank correlation: Pearson's of the ranks, in [-1, 1]; null where a map has no order. */
export function rankCorrelation(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const mean = (a.length + 1) / 2;
  const [x, y] = [ranks(a), ranks(b)].map((all) => all.map((rank) => rank - mean)) as [
    Float64Array,
    Float64Array,
  ];
  const dot = (p: Float64Array, q: Float64Array) => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  const norm = Math.sqrt(dot(x, x) * dot(y, y));
  return norm > 0 ? dot(x, y) / norm : null;
}

/** Indices of the highest `share` of the values, at least one; of equal values the first come first. */
export function topPatches(values: ArrayLike<number>, share: number): Set<number> {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
  return new Set(order.slice(0, Math.max(1, Math.round(share * values.length))));
}

/** Intersection over union of the highest `share` of two maps, in [0, 1]. */
export function iouTop(a: ArrayLike<number>, b: ArrayLike<number>, share: number): number {
  const [p, q] = [topPatches(a, share), topPatches(b, share)];
  const both = [...p].filter((i) => q.has(i)).length;
  return both / (p.size + q.size - both);
}
