// Tests of the map on the screen: patches that are brushed away, and the picture erased in the order of the map.
// State alone: ui/trust.ts, ui/brush.ts and ui/curves.ts draw it.

import { clamp } from "../heat/frame";
import { batch, computed, type ReadonlySignal, type Signal, signal } from "../signals";
import { amount, fields, listOf, number, record, text } from "../wire";
import type { LiveStore } from "./live";
import { onEnd, watch } from "./watch";

export const UNDO_STEPS = 20;
/** Sets of equally many random patches that the brushed ones are held against. */
export const CONTROLS = 10;
/** Random orders that the curves are held against. */
const ORDERS = 3;
/** After this time an unanswered stroke does not hold up the next one. */
export const LOST_MS = 8000;

/** What happens to brushed patches: their tokens leave, at once or late, or their pixels become something else. */
export type How = "drop" | "block" | "blur" | "mean" | "surroundings" | "paste";
/** Samples that are like the one on the screen, by their numbers. */
export interface Neighbours {
  readonly title: string;
  readonly rows: readonly number[];
}
const readNeighbours = listOf(fields<Neighbours>({ title: text, rows: listOf(amount) }));
/** Patches by their number in reading order. */
export type Patches = ReadonlySet<number>;
const NONE: Patches = new Set();

export interface Trust {
  /** Whether the section is open, and whether a drag over the picture paints. */
  readonly open: Signal<boolean>;
  readonly brushing: Signal<boolean>;
  readonly how: Signal<How>;
  /** The same, as far as it can be had. */
  readonly way: ReadonlySignal<How>;
  /** How many layers the model has, from 1, and the one from which on nothing reads patches that are blocked. */
  readonly depth: number;
  readonly fromLayer: ReadonlySignal<number>;
  blockFrom(layer: number): void;
  /** Whom patches can be pasted from, [] outside of the inspector, and the one that is chosen; null: the nearest that
   *  is right, of the true class. */
  readonly donors: ReadonlySignal<readonly Neighbours[]>;
  readonly donor: Signal<number | null>;
  readonly painted: ReadonlySignal<Patches>;
  readonly undoable: ReadonlySignal<boolean>;
  /** Newer numbers than those on the screen are wanted. */
  readonly awaiting: ReadonlySignal<boolean>;
  /** The share of the picture that the slider erases, 0 to 1, and the patches that these are. */
  readonly share: Signal<number>;
  readonly erased: ReadonlySignal<Patches>;
  toggleBrush(): void;
  /** Everything until `endStroke` is one step of undo. */
  startStroke(): void;
  paint(patches: readonly number[], on: boolean): void;
  endStroke(): void;
  /** Paint this patch alone, or take it out. */
  toggle(patch: number): void;
  clear(): void;
  undo(): void;
  /** Ask for the curves of deletion and insertion. */
  measure(): void;
}

/** The first patches of a share of all, highest value first; equal ones in reading order. */
export function strongest(raw: ArrayLike<number>, share: number): Patches {
  const order = Array.from(raw, (_, i) => i).sort((a, b) => raw[b]! - raw[a]!);
  return new Set(order.slice(0, Math.round(share * order.length)));
}

export function testing(store: LiveStore, life: AbortSignal): Trust {
  const { tools, answer, stack } = store;
  const painted = signal<Patches>(NONE);
  const history = signal<readonly Patches[]>([]);
  const stroking = signal(false);
  const how = signal<How>("drop");
  const depth = number(record(store.host.read("_model")).layers) ?? 1;
  /** As chosen; null: in the middle, since from the first one on it is what removing does. */
  const chosenLayer = signal<number | null>(null);
  const fromLayer = computed(() => clamp(chosenLayer.value ?? 1 + Math.floor(depth / 2), 1, depth));
  const donors = signal<readonly Neighbours[]>([]);
  const donor = signal<number | null>(null);
  /** Whether the picture is an inspector's sample: it has a curve over the layers. */
  const sampled = signal(false);
  const readSample = () =>
    batch(() => {
      const sample = record(store.host.read("_sample"));
      const there = readNeighbours(sample.neighbours);
      sampled.value = number(sample.row) !== null;
      // Much else changes in that trait.
      if (JSON.stringify(there) !== JSON.stringify(donors.peek())) donors.value = there;
    });
  store.host.onChange("_sample", readSample);
  readSample();
  const way = computed(() => (how.value === "paste" && !donors.value.length ? "drop" : how.value));
  const brushing = signal(false);
  const open = signal(false);
  const share = signal(0);

  // -- one question in flight, then the latest stroke ---------------------------------------------------------------

  /** What is wanted of the kernel, as one string; "" for nothing. */
  const wanted = computed(() => {
    if (!painted.value.size || !stack.value) return "";
    const { cols } = stack.value;
    const patches = [...painted.value].sort((a, b) => a - b).map((i) => [Math.floor(i / cols), i % cols]);
    // Random patches cost a forward each: they wait for the end of the stroke.
    const args = {
      patches,
      how: way.value,
      control: stroking.value ? 0 : CONTROLS,
      ...(way.value === "block" && { from_layer: fromLayer.value }),
      ...(way.value === "paste" && { donor: donor.value }),
      ...(sampled.value && !stroking.value && { curve: true }),
    };
    return JSON.stringify([answer.value?.rev, store.active.value, args]);
  });
  const asked = signal("");
  const overdue = signal<string | null>(null);
  const flying = computed(() => {
    const busy = tools.busy.value;
    return busy?.tool === "brush" && busy.rid !== overdue.value;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));
  watch(life, () => {
    const next = wanted.value;
    if (flying.value || store.outdated.value || next === asked.value) return;
    asked.value = next;
    if (!next) return;
    const rid = tools.ask("brush", JSON.parse(next)[2]);
    clearTimeout(timer);
    timer = setTimeout(() => {
      overdue.value = rid;
    }, LOST_MS);
  });

  function change(patches: Patches) {
    history.value = [...history.peek(), painted.peek()].slice(-UNDO_STEPS);
    painted.value = patches;
  }

  // Another picture, or another grid, has other patches.
  let about = "";
  watch(life, () => {
    const now = `${store.picture.value?.rev}/${stack.value?.rows}/${stack.value?.cols}`;
    if (now === about) return;
    about = now;
    batch(() => {
      painted.value = NONE;
      history.value = [];
      share.value = 0;
      donor.value = null;
    });
  });

  const trust: Trust = {
    open,
    brushing,
    how,
    way,
    donors,
    donor,
    depth,
    fromLayer,
    blockFrom(layer) {
      if (Number.isInteger(layer)) chosenLayer.value = layer;
    },
    painted,
    undoable: computed(() => history.value.length > 0),
    awaiting: computed(() => flying.value || wanted.value !== asked.value),
    share,
    erased: computed(() =>
      share.value && store.heat.value ? strongest(store.heat.value.raw, share.value) : NONE,
    ),
    toggleBrush() {
      batch(() => {
        brushing.value = !brushing.peek() && !tools.lacks.peek();
        if (brushing.peek()) open.value = true;
        share.value = 0;
      });
    },
    startStroke() {
      change(painted.peek());
      stroking.value = true;
    },
    paint(patches, on) {
      const next = new Set(painted.peek());
      for (const patch of patches) on ? next.add(patch) : next.delete(patch);
      if (next.size !== painted.peek().size) painted.value = next;
    },
    endStroke() {
      stroking.value = false;
      // A stroke that changed nothing is no step.
      if (history.peek().at(-1) === painted.peek()) history.value = history.peek().slice(0, -1);
    },
    toggle(patch) {
      batch(() => {
        trust.startStroke();
        trust.paint([patch], !painted.peek().has(patch));
        trust.endStroke();
      });
    },
    clear() {
      if (painted.peek().size) change(NONE);
    },
    undo() {
      const steps = history.peek();
      if (!steps.length) return;
      painted.value = steps.at(-1)!;
      history.value = steps.slice(0, -1);
    },
    measure() {
      open.value = true;
      tools.ask("curves", {
        mode: "pixels",
        kinds: ["deletion", "insertion"],
        random: ORDERS,
        method: null,
      });
    },
  };
  return trust;
}
