// What the heads do to the score: first-order estimates for all of them at once, and what was measured by ablation.

import { type Cell, type Heat, scaleMap } from "../heat/merge";
import { computed, type ReadonlySignal, type Signal, signal } from "../signals";
import type { ToolOf } from "../tools-wire";
import type { Entry } from "../wire";
import type { Tools } from "./tools";
import { watch } from "./watch";

/** What the cells of the matrix show: the method's maps with their mass, or the effects on the final score. */
export type Measure = "mass" | "effect";

export interface Estimates {
  readonly layers: number;
  readonly heads: number;
  /** [layers, heads], and [layers, heads, rows, columns]: what the score would lose, to first order. */
  readonly values: Float32Array;
  readonly maps: Float32Array;
  readonly score: number | null;
  readonly scoreName: string;
  /** They are about what is on the screen; otherwise the ones that are have not come yet. */
  readonly current: boolean;
}

export interface Effects {
  readonly measure: Signal<Measure>;
  readonly estimates: ReadonlySignal<Estimates | null>;
  /** Whether there are estimates for what is on the screen. */
  readonly known: ReadonlySignal<boolean>;
  /** What the score loses without a head, by "layer.head". */
  readonly measured: ReadonlySignal<ReadonlyMap<string, number>>;
  /** The effect map of one head; null where it is not known. */
  heatOf(cell: Cell): Heat | null;
  /** Measure what the score loses without one head: the answer stands beside the estimates. */
  ablate(cell: Cell): void;
  /** Ablate the heads with the largest estimates, one by one. */
  verify(): void;
}

export const TOP = 10;

export function effectsOf(
  tools: Tools,
  entry: ReadonlySignal<Entry | null>,
  /** Whether the matrix is open and nothing newer is on its way. */
  wanted: ReadonlySignal<boolean>,
  life: AbortSignal,
): Effects {
  const measure = signal<Measure>("mass");
  const measured = signal<ReadonlyMap<string, number>>(new Map());
  const now = tools.entry("effects");
  const latest = tools.latest("effects");

  watch(life, () => {
    entry.value;
    measured.value = new Map();
  });
  const note = (found: readonly (readonly [string, number])[]) => {
    if (found.length) measured.value = new Map([...measured.peek(), ...found]);
  };
  watch(life, () => {
    const { args, change } = tools.entry("ablate").value ?? {};
    const cells = (args?.cells ?? []) as readonly Cell[];
    if (cells.length === 1 && typeof change === "number") note([[cells[0]!.join("."), -change]]);
  });
  watch(life, () => {
    const found = tools.entry("verify").value?.found ?? [];
    note(found.map(({ layer, head, measured }) => [`${layer}.${head}`, measured]));
  });

  /** The entry whose effects were asked for last: what failed is not asked again and again. */
  let askedFor: Entry | null = null;
  watch(life, () => {
    if (measure.value === "mass" || !wanted.value || now.value?.values || tools.lacks.value) return;
    if (tools.busy.value?.tool === "verify" || askedFor === entry.value) return;
    askedFor = entry.value;
    tools.ask("effects");
  });

  const estimates = computed(() => (measure.value === "mass" ? null : read(latest.value, !!now.value)));
  return {
    measure,
    estimates,
    known: computed(() => !!now.value?.values),
    measured,
    heatOf([layer, head]) {
      const { layers, heads, maps, current } = estimates.value ?? {};
      if (!maps || !current || layer > layers! || head >= heads!) return null;
      const [rows, cols] = latest.value!.maps!.shape.slice(2) as [number, number];
      const at = ((layer - 1) * heads! + head) * rows * cols;
      return scaleMap(maps.subarray(at, at + rows * cols), rows, cols, true);
    },
    ablate(cell) {
      measure.value = "effect";
      tools.ask("ablate", { cells: [cell] });
    },
    verify: () => void tools.ask("verify", { top: TOP }),
  };
}

function read(entry: ToolOf<"effects"> | null, current: boolean): Estimates | null {
  if (!entry?.values || !entry.maps) return null;
  const { values, maps, score, scoreName } = entry;
  const [layers = 0, heads = 0] = values.shape;
  return { layers, heads, values: values.values, maps: maps.values, score, scoreName, current };
}
