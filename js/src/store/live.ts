// What the second file adds to a view: the store with tools, and what the first file shows of them.

import type { Cell } from "../heat/merge";
import { computed, type ReadonlySignal } from "../signals";
import type { Store } from ".";
import { type Compare, comparing } from "./compare";
import { type Drafts, drafting } from "./drafts";
import { type Effects, effectsOf } from "./effects";
import type { History } from "./history";
import { type Overlay, type PatchTools, patchTools } from "./patch";
import { type Pins, pinning } from "./pins";
import { undoing } from "./recall";
import { type Tools, tooling } from "./tools";
import type { Undoable } from "./traits";
import { type Upload, uploading } from "./upload";

/** The store as the second file's parts know it. */
export interface LiveStore extends Store, Compare {
  readonly drafts: Drafts;
  readonly tools: Tools;
  readonly pins: Pins;
  readonly history: History<Undoable>;
  readonly upload: Upload;
  readonly effects: Effects;
  readonly patch: PatchTools;
}

/** What the first file shows and calls. */
export interface Live {
  /** What stands over the picture in place of the merged map; null where that one does. */
  readonly overlay: ReadonlySignal<Overlay | null>;
  readonly patch: PatchTools;
  /** Edit a prompt. */
  edit(at: number): void;
  /** Act on a key; false where it is none of ours. */
  press(key: string): boolean;
  /** The keys are let go of. */
  release(): void;
}

export function withTools(store: Store, life: AbortSignal): LiveStore {
  const tools = tooling(store, life);
  const wanted = computed(() => store.matrix.value && !store.outdated.value);
  const drafts = drafting(store, life);
  store.typed.value = drafts;
  return {
    ...store,
    drafts,
    ...comparing(store),
    pins: pinning(store),
    history: undoing(store),
    upload: uploading(store, life),
    tools,
    effects: effectsOf(tools, store.entry, wanted, life),
    patch: patchTools(tools, store.answer, store.spot, store.chosen, store.cells, life),
  };
}

export function overlayOf(
  { patch, effects, preview }: LiveStore,
  control: ReadonlySignal<Overlay | null>,
): ReadonlySignal<Overlay | null> {
  return computed(() => patch.overlay.value ?? effectAt(effects, preview.value) ?? control.value);
}

function effectAt(effects: Effects, cell: Cell | null): Overlay | null {
  const heat = cell && effects.heatOf(cell);
  const title = `effect of layer ${cell?.[0]}, head ${cell?.[1]}`;
  return heat && { heat, title, mark: `effect.${cell.join(".")}`, prefix: [], outliers: [] };
}
