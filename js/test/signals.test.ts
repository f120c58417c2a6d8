import * as oracle from "@preact/signals-core";
import { describe, expect, it } from "vitest";
import * as ours from "../src/signals";

type Library = Pick<typeof ours, "batch" | "computed" | "effect" | "signal" | "untracked">;

describe("signals", () => {
  it("run an effect at once and after every change, until it ends", () => {
    const count = ours.signal(1);
    const seen: number[] = [];
    const end = ours.effect(() => {
      seen.push(count.value);
    });
    count.value = 2;
    count.value = 2;
    end();
    count.value = 3;
    expect(seen).toEqual([1, 2]);
  });
  it("compute when they are read, and once for each change", () => {
    const count = ours.signal(1);
    let runs = 0;
    const double = ours.computed(() => {
      runs++;
      return 2 * count.value;
    });
    expect(runs).toBe(0);
    expect([double.value, double.peek(), runs]).toEqual([2, 2, 1]);
    count.value = 4;
    expect([runs, double.value, double.value, runs]).toEqual([1, 8, 8, 2]);
  });
  it("run an effect only where what it read has changed", () => {
    const count = ours.signal(1);
    const odd = ours.computed(() => count.value % 2 === 1);
    const seen: boolean[] = [];
    ours.effect(() => {
      seen.push(odd.value);
    });
    count.value = 3;
    count.value = 4;
    expect(seen).toEqual([true, false]);
  });
  it("never show an effect one half of a change", () => {
    const count = ours.signal(1);
    const next = ours.computed(() => count.value + 1);
    const seen: number[] = [];
    ours.effect(() => {
      seen.push(next.value - count.value);
    });
    count.value = 5;
    expect(seen).toEqual([1, 1]);
  });
  it("follow what the last run read, not what an earlier one did", () => {
    const [which, a, b] = [ours.signal(true), ours.signal("a"), ours.signal("b")];
    const seen: string[] = [];
    ours.effect(() => {
      seen.push(which.value ? a.value : b.value);
    });
    b.value = "B";
    which.value = false;
    a.value = "A";
    b.value = "BB";
    expect(seen).toEqual(["a", "B", "BB"]);
  });
  it("run effects once for a batch, and do not follow what is read aside", () => {
    const [a, b, aside] = [ours.signal(1), ours.signal(1), ours.signal(1)];
    const seen: number[] = [];
    ours.effect(() => {
      seen.push(a.value + b.value + ours.untracked(() => aside.value) + aside.peek());
    });
    ours.batch(() => {
      a.value = 10;
      b.value = 10;
    });
    aside.value = 100;
    expect(seen).toEqual([4, 22]);
  });
  it("go on after an error: the other effects run, and the failed one follows what it read", () => {
    const count = ours.signal(0);
    const risky = ours.computed(() => {
      if (count.value === 1) throw new Error("one");
      return count.value;
    });
    const seen: string[] = [];
    ours.effect(() => {
      seen.push(`risky ${risky.value}`);
    });
    ours.effect(() => {
      seen.push(`plain ${count.value}`);
    });
    expect(() => {
      count.value = 1;
    }).toThrow("one");
    expect(() => risky.value).toThrow("one");
    expect(() => risky.peek()).toThrow("one");
    count.value = 2;
    expect(seen).toEqual(["risky 0", "plain 0", "plain 1", "plain 2", "risky 2"].sort(bySeen(seen)));
  });
  it("say so where effects set each other off without an end", () => {
    const count = ours.signal(0);
    expect(() =>
      ours.effect(() => {
        count.value = count.value + 1;
      }),
    ).toThrow("without an end");
    expect(() => ours.batch(() => {})).not.toThrow();
  });
});

/** The order in which effects run is nobody's business. */
const bySeen = (seen: string[]) => (a: string, b: string) => seen.indexOf(a) - seen.indexOf(b);

/** A small generator of numbers, so that a failure can be run again. */
function dice(seed: number) {
  let state = seed;
  return (sides: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** What a random graph shows: the values that every effect saw, in its own order, and how often things ran. */
function story({ batch, computed, effect, signal, untracked }: Library, seed: number) {
  const roll = dice(seed);
  const sources = Array.from({ length: 2 + roll(4) }, (_, i) => signal(i));
  const nodes: { readonly value: number; peek(): number }[] = [...sources];
  const runs: number[] = [];
  for (let c = 0; c < 3 + roll(6); c++) {
    const [a, b, other, size] = [
      nodes[roll(nodes.length)]!,
      nodes[roll(nodes.length)]!,
      nodes[0]!,
      1 + roll(4),
    ];
    runs.push(0);
    nodes.push(
      computed(() => {
        runs[c]!++;
        const first = a.value;
        // What is read depends on what was read, and small results repeat: both must be followed rightly.
        return first % 3 === 0
          ? first % size
          : (first + b.value + 0 * untracked(() => other.value)) % (2 * size + 1);
      }),
    );
  }
  const seen: number[][] = [];
  const ends = Array.from({ length: 1 + roll(4) }, (_, e) => {
    const [a, b] = [nodes[roll(nodes.length)]!, nodes[roll(nodes.length)]!];
    seen.push([]);
    return effect(() => {
      seen[e]!.push(a.value % 2 ? a.value : 1000 + b.value);
    });
  });
  for (let step = 0; step < 25; step++) {
    const set = () => {
      sources[roll(sources.length)]!.value = roll(7);
    };
    const what = roll(8);
    if (what < 4) set();
    else if (what < 6) batch(() => [set(), set(), set()]);
    else if (what < 7) seen.push([nodes[roll(nodes.length)]!.peek()]);
    else ends[roll(ends.length)]!();
  }
  return { seen, runs, last: nodes.map((node) => node.peek()) };
}

describe("against the library that they stand in for", () => {
  it("random graphs tell the same story, with no more work", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const [mine, theirs] = [story(ours, seed), story(oracle as never, seed)];
      expect({ seed, seen: mine.seen, last: mine.last }).toEqual({
        seed,
        seen: theirs.seen,
        last: theirs.last,
      });
      for (const [c, count] of mine.runs.entries())
        expect([seed, c, count <= theirs.runs[c]!]).toEqual([seed, c, true]);
    }
  });
});
