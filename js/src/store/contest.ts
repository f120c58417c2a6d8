// How faithful the compared methods are on this picture: what was measured of the very maps that are on the screen.

import { computed, type ReadonlySignal, type Signal, signal } from "../signals";
import type { RivalCurve, ToolOf } from "../tools-wire";
import { keyOf } from "../wire";
import type { Measure } from "./compare";
import type { LiveStore } from "./live";
import { watch } from "./watch";

export const KINDS = {
  deletion: { title: "Deletion", low: true, does: "erased, highest values first, until nothing is left" },
  insertion: { title: "Insertion", low: false, does: "put into an empty one, highest values first" },
  positive: { title: "Positive", low: true, does: "erased up to 90 %, highest values first" },
  negative: { title: "Negative", low: false, does: "erased up to 90 %, lowest values first" },
} as const;
export type Kind = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as readonly Kind[];
/** Random orders that the curves are held against. */
const ORDERS = 3;

export interface Contest {
  /** The kind of curve that is drawn. */
  readonly kind: Signal<Kind>;
  /** What was measured last, where it is of this picture and target; else null. */
  readonly found: ReadonlySignal<ToolOf<"faithfulness"> | null>;
  /** Its curves of maps that are on the screen. */
  readonly curves: ReadonlySignal<readonly RivalCurve[]>;
  measure(): void;
}

export function contesting(store: LiveStore, life: AbortSignal): Contest {
  const { tools } = store;
  const methods = store.trait("compare");
  const found = computed(() => {
    const entry = tools.latest("faithfulness").value;
    const target = store.trait("targets").value[store.active.value];
    const same =
      entry?.about &&
      target &&
      methods.value === "methods" &&
      entry.imageRev === store.picture.value?.rev &&
      keyOf(entry.about) === keyOf(target);
    return same ? entry : null;
  });
  /** Of the maps on the screen, by method. */
  const digests = computed(() => {
    if (!found.value) return new Map<string, number>();
    const shown = store.rows.value.flatMap(([pane]) => (pane?.stack && pane.state === "drawn" ? pane : []));
    return new Map(shown.map(({ key, stack }) => [key, digestOf(stack!.maps)]));
  });
  const curves = computed(() =>
    (found.value?.curves ?? []).filter(({ method, digest }) => digests.value.get(method) === digest),
  );
  watch(life, () => {
    const { chance, of } = found.value ?? {};
    store.measures.value = NAMES.flatMap((kind): Measure[] => {
      const ours = curves.value.filter((curve) => curve.kind === kind);
      if (!ours.length) return [];
      const { title, low, does } = KINDS[kind];
      const better = low ? "lower is better" : "higher is better";
      return [
        {
          title: `${title} ${low ? "↓" : "↑"}`,
          about: `Mean ${of} while the picture is ${does}: ${better}`,
          values: new Map(
            ours.flatMap(({ method, area }) => (area === null ? [] : [[method, area] as const])),
          ),
          chance: chance?.[kind] ?? null,
        },
      ];
    });
  });
  return {
    kind: signal<Kind>("deletion"),
    found,
    curves,
    measure() {
      const methods = store.rows.peek().flatMap(([pane]) => (pane?.heat ? pane.key : []));
      if (methods.length) tools.ask("faithfulness", { methods, kinds: NAMES, random: ORDERS });
    },
  };
}

// -- which map a curve is of ------------------------------------------------------------------------------------------

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});
const known = new WeakMap<ArrayBufferLike, number>();

/** CRC-32 of the bytes of raw maps, as the kernel has it. */
export function digestOf(maps: Float32Array | Float64Array): number {
  const whole = maps.byteLength === maps.buffer.byteLength;
  const before = whole ? known.get(maps.buffer) : undefined;
  if (before !== undefined) return before;
  let sum = ~0;
  for (const byte of new Uint8Array(maps.buffer, maps.byteOffset, maps.byteLength)) {
    sum = TABLE[(sum ^ byte) & 255]! ^ (sum >>> 8);
  }
  const digest = ~sum >>> 0;
  if (whole) known.set(maps.buffer, digest);
  return digest;
}
