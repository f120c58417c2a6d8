// What the kernel knows of one patch, fetched when it is asked for and kept: its row of attention, what a layer
// reads from it, and the norms of all tokens of a layer.

import type { Spot } from "../heat/frame";
import { type Cell, type Heat, scaleMap } from "../heat/merge";
import { computed, type ReadonlySignal, type Signal, signal } from "../signals";
import type { Packed, ToolName, ToolOf } from "../tools-wire";
import type { Answer } from "../wire";
import type { Tools } from "./tools";
import { onEnd, watch } from "./watch";

/** A map that stands over the picture in place of the merged one. */
export interface Overlay {
  readonly heat: Heat;
  /** Whose map it is, in words. */
  readonly title: string;
  /** As the painted mark and tests read it. */
  readonly mark: string;
  /** The values of class and register tokens. */
  readonly prefix: readonly number[];
  /** Patches that stand out: [row, column]. */
  readonly outliers: readonly (readonly number[])[];
}

export interface PatchTools {
  /** Attention while its key is held, or the norms; null where the merged map stands. */
  readonly overlay: ReadonlySignal<Overlay | null>;
  readonly attending: Signal<boolean>;
  readonly norms: Signal<boolean>;
  readonly lensing: Signal<boolean>;
  /** What the layer reads from the patch; "" where that is off. */
  readonly lens: ReadonlySignal<string>;
  /** Why what was asked for is not there yet, or cannot be; "". */
  readonly lack: ReadonlySignal<string>;
}

type Patchwise = "row" | "lens" | "norms";
interface Wish {
  readonly tool: Patchwise;
  readonly args: object;
  readonly key: string;
}

/** A pointer that rests this long on a patch asks about it. */
export const REST_MS = 120;
/** What fits into the read-out. */
const GUESSES = 3;
/** Answers that are kept. */
const KEPT = 500;

export function patchTools(
  tools: Tools,
  answer: ReadonlySignal<Answer | null>,
  spot: ReadonlySignal<Spot | null>,
  chosen: ReadonlySignal<readonly number[]>,
  cells: ReadonlySignal<readonly Cell[] | null>,
  life: AbortSignal,
): PatchTools {
  const [attending, norms, lensing] = [signal(false), signal(false), signal(false)];
  const image = computed(() => answer.value?.imageRev);
  /** Of this picture. */
  const known = computed(() => {
    image.value;
    return new Map<string, ToolOf<Patchwise>>();
  });
  /** Counts what has become known. */
  const news = signal(0);

  /** The deepest chosen layer, and its head where exactly one is chosen. */
  const layer = computed(() => chosen.value.at(-1) ?? 0);
  const head = computed(() => (cells.value?.length === 1 ? cells.value[0]![1] : null));
  const wish = (tool: Patchwise, args: WishArgs): Wish => ({ tool, args, key: keyOf(tool, args) });
  const patch = computed(() => {
    const { row, col } = spot.value ?? {};
    return row === undefined ? null : ([row, col!] as const);
  });
  const wantedMap = computed(() => {
    if (!layer.value) return null;
    if (attending.value && patch.value)
      return wish("row", { layer: layer.value, head: head.value, patch: patch.value });
    return norms.value ? wish("norms", { layer: layer.value }) : null;
  });
  const wantedLens = computed(() =>
    lensing.value && patch.value ? wish("lens", { layer: layer.value, patch: patch.value }) : null,
  );

  // -- asking, once for each, and keeping ---------------------------------------------------------------------------

  for (const tool of ["row", "lens", "norms"] as const) {
    watch(life, () => {
      const entry = tools.latest(tool).value;
      if (!entry || entry.state === "running") return;
      const kept = known.peek();
      if (kept.size >= KEPT) kept.clear();
      kept.set(keyOf(tool, entry.args), entry);
      news.value = news.peek() + 1;
    });
  }
  const knownOf = <N extends Patchwise>(wanted: Wish | null): ToolOf<N> | null => {
    news.value;
    return wanted && ((known.value.get(wanted.key) ?? null) as ToolOf<N> | null);
  };

  /** Something slow runs that a glance at a patch must not end. */
  const blocked = computed(() => {
    const tool = tools.busy.value?.tool;
    return !!tool && !(["row", "lens", "norms"] as readonly ToolName[]).includes(tool);
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));
  const next = computed(() =>
    [wantedMap.value, wantedLens.value].find((wanted) => wanted && !knownOf(wanted)),
  );
  const nextKey = computed(() =>
    next.value && !blocked.value ? `${next.value.key}@${answer.value?.rev}` : "",
  );
  watch(life, () => {
    clearTimeout(timer);
    if (!nextKey.value) return;
    timer = setTimeout(() => {
      const { tool, args } = next.peek() ?? {};
      if (tool) tools.ask(tool, args);
    }, REST_MS);
  });

  // -- showing ------------------------------------------------------------------------------------------------------

  /** What stood last of the same kind stays until the next is there. */
  let last: Overlay | null = null;
  let lastImage: number | undefined;
  const overlay = computed(() => {
    const wanted = wantedMap.value;
    const found = knownOf<"row" | "norms">(wanted);
    if (found?.map && fits(found.map)) {
      last = overlayOf(found, wanted!.key);
      lastImage = image.value;
    } else if (!wanted || !last?.mark.startsWith(wanted.tool) || lastImage !== image.value) last = null;
    return last;
  });
  const fits = ({ shape }: Packed) => shape.join() === answer.value?.grid.join();

  const lens = computed(() => {
    const found = knownOf<"lens">(wantedLens.value);
    if (!found?.predictions.length) return "";
    const guesses = found.predictions
      .slice(0, GUESSES)
      .map(({ name, probability }) => `${name} ${probability.toFixed(2)}`);
    return `layer ${layer.value} reads: ${guesses.join(" · ")}${found.of ? ` (${found.of})` : ""}`;
  });

  const lack = computed(() => {
    const asked = attending.value || norms.value || lensing.value;
    if (!asked) return "";
    if (attending.value && !patch.value) return "Point at a patch to see what it attends to.";
    const failed = [wantedMap.value, wantedLens.value]
      .map((wanted) => knownOf(wanted)?.message)
      .find(Boolean);
    if (failed) return failed;
    if (!next.value) return "";
    if (tools.lacks.value) return `${NAMES[next.value.tool]}: needs a live kernel.`;
    return blocked.value ? "Another tool runs; stop it first." : (tools.busy.value?.message ?? "");
  });

  return { overlay, attending, norms, lensing, lens, lack };
}

const NAMES = { row: "Attention of a patch", lens: "Patch lens", norms: "Token norms" };

type WishArgs = {
  readonly layer?: unknown;
  readonly head?: unknown;
  readonly patch?: unknown;
};
const keyOf = (tool: Patchwise, { layer, head, patch }: WishArgs) =>
  [tool, layer, ...(tool === "row" ? [head ?? "mean"] : []), ...(patch ? [patch] : [])].join(".");

function overlayOf(found: ToolOf<"row" | "norms">, mark: string): Overlay {
  const { map, prefix, args } = found;
  const [rows, cols] = map!.shape as [number, number];
  const outliers = "outliers" in found ? found.outliers : [];
  const [row, col] = (args.patch ?? []) as readonly number[];
  const heads = typeof args.head === "number" ? `head ${args.head}` : "mean of heads";
  const title =
    row === undefined
      ? `token norms, layer ${args.layer}: ${outliers.length || "no"} outlier${outliers.length === 1 ? "" : "s"}`
      : `attention of row ${row + 1}, column ${col! + 1}: layer ${args.layer}, ${heads}`;
  return { heat: scaleMap(map!.values, rows, cols, false), title, mark, prefix, outliers };
}
