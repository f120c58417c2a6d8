import { describe, expect, it } from "vitest";
import { correlation, overlap, ranks, topPatches } from "../src/heat/agreement";

type Values = ArrayLike<number>;
const rankCorrelation = (a: Values, b: Values) => correlation(ranks(a), ranks(b));
const iouTop = (a: Values, b: Values, share: number) => overlap(topPatches(a, share), topPatches(b, share));

/** Numbers of few values, so that ties are common; the same ones for the same seed. */
function values(seed: number, count: number, different: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const x = Math.sin(seed * 91.7 + i * 47.3) * 43758.5453;
    return Math.floor((x - Math.floor(x)) * different) - different / 2;
  });
}

/** The definition, word by word: the mean of the places that a value can stand in. */
const slowRank = (all: number[], value: number) => {
  const below = all.filter((other) => other < value).length;
  const equal = all.filter((other) => other === value).length;
  return below + (equal + 1) / 2;
};
const slowCorrelation = (a: number[], b: number[]) => {
  const mean = (all: number[]) => all.reduce((sum, value) => sum + value, 0) / all.length;
  const [x, y] = [a.map((value) => slowRank(a, value)), b.map((value) => slowRank(b, value))];
  const [p, q] = [x.map((rank) => rank - mean(x)), y.map((rank) => rank - mean(y))];
  const spread = Math.sqrt(mean(p.map((v) => v * v))) * Math.sqrt(mean(q.map((v) => v * v)));
  return spread > 0 ? mean(p.map((v, i) => v * q[i]!)) / spread : null;
};
/** Taking the highest one out again and again; the first of equal ones. */
const slowTop = (all: number[], count: number) => {
  const left = all.map((value, i) => ({ value, i }));
  return Array.from({ length: count }, () => {
    const best = left.reduce((a, b) => (b.value > a.value ? b : a));
    left.splice(left.indexOf(best), 1);
    return best.i;
  });
};

const CASES = Array.from({ length: 40 }, (_, seed) => {
  const count = 1 + ((seed * 7) % 30);
  return [seed, values(seed, count, 2 + (seed % 9)), values(seed + 100, count, 2 + (seed % 5))] as const;
});

describe("agreement", () => {
  it("ties share the mean of their ranks", () => {
    expect([...ranks([5, 1, 5, 3])]).toEqual([3.5, 1, 3.5, 2]);
    expect([...ranks([2, 2, 2])]).toEqual([2, 2, 2]);
  });
  it.each(CASES)("ranks and their correlation are those of the definition (%i)", (_, a, b) => {
    expect([...ranks(a)]).toEqual(a.map((value) => slowRank(a, value)));
    const [fast, slow] = [rankCorrelation(a, b), slowCorrelation(a, b)];
    if (slow === null) expect(fast).toBeNull();
    else expect(fast).toBeCloseTo(slow, 12);
  });
  it.each(CASES)("the highest fifth is the highest fifth, the first of equal ones (%i)", (_, a, b) => {
    const count = Math.max(1, Math.round(a.length / 5));
    const [p, q] = [slowTop(a, count), slowTop(b, count)];
    expect([...topPatches(a, 0.2)].sort()).toEqual([...p].sort());
    const both = p.filter((i) => q.includes(i)).length;
    expect(iouTop(a, b, 0.2)).toBeCloseTo(both / new Set([...p, ...q]).size, 12);
  });
  it("agrees wholly with itself, is opposite to its negative, and has no order where it is flat", () => {
    const a = [0.1, 3, -2, 7, 0.5];
    expect(rankCorrelation(a, a)).toBeCloseTo(1, 12);
    expect(
      rankCorrelation(
        a,
        a.map((v) => -v),
      ),
    ).toBeCloseTo(-1, 12);
    expect(rankCorrelation(a, [1, 1, 1, 1, 1])).toBeNull();
    expect(iouTop(a, a, 0.2)).toBe(1);
  });
  it("asks for the order alone: any growing change of the values leaves it", () => {
    const [a, b] = [values(3, 25, 50), values(4, 25, 50)];
    const grown = a.map((v) => Math.exp(v / 10));
    expect(rankCorrelation(grown, b)).toBeCloseTo(rankCorrelation(a, b)!, 12);
    expect(iouTop(grown, b, 0.2)).toBe(iouTop(a, b, 0.2));
  });
});
