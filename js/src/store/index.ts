// Everything the widget knows and can do, without a page: the controls in ui/ read these signals and call
// these actions, and a test can do the same.
//
//   traits (host)  ->  signals  ->  what is shown        (one direction; ui/ only draws it)
//   a person       ->  actions  ->  edits of the view, or a question to the kernel

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { describeHeat, nameLayers, readable } from "../heat/describe";
import { patchSpot, type Spot } from "../heat/frame";
import { type Heat, layerMap, layerShares, mergeLayers, type Stack, scaleMap } from "../heat/merge";
import type { Look } from "../heat/palette";
import {
  type Answer,
  decodePicture,
  type Entry,
  type Knobs,
  type KnobValue,
  keyOf,
  MAX_TARGETS,
  type Method,
  type Picture,
  type Target,
  WireError,
} from "../wire";
import { type Conversation, converse } from "./conversation";
import { followTraits, type Host, type Traits, type View } from "./traits";
import { onEnd, watch } from "./watch";

export type { Host } from "./traits";

export const TYPING_MS = 200;
export const PLAY_MS = 650;

/** A prompt that is being typed: it sits among the targets, and Enter makes it one of them. */
export interface Draft {
  readonly at: number;
  readonly key: string;
  /** The chip that it stands in for, or null where it is a new one. */
  readonly was: Target | null;
}

/** What was last put on the screen; for the page's data attributes. */
export interface Painted {
  readonly what: string;
  readonly ms: number;
}

export interface Store {
  /** A trait's current value, as a signal. */
  readonly trait: Traits["get"];
  readonly answer: Conversation["answer"];
  readonly phase: Conversation["phase"];
  readonly picture: ReadonlySignal<Picture | null>;
  readonly pictureFault: ReadonlySignal<string>;
  /** Index of the active target, clamped. */
  readonly active: ReadonlySignal<number>;
  readonly draft: ReadonlySignal<Draft | null>;
  /** The answer's entry on the screen; an older one stays until the one asked for has arrived. */
  readonly entry: ReadonlySignal<Entry | null>;
  /** Layers that are merged, 1-based and sorted. */
  readonly chosen: ReadonlySignal<readonly number[]>;
  readonly stack: ReadonlySignal<Stack | null>;
  /** The map on the screen; null where there is none to draw. */
  readonly heat: ReadonlySignal<Heat | null>;
  /** Each layer's own map, for the thumbnails. */
  readonly layerHeats: ReadonlySignal<readonly Heat[]>;
  readonly shares: ReadonlySignal<readonly number[]>;
  readonly look: ReadonlySignal<Look>;
  readonly outdated: ReadonlySignal<boolean>;
  readonly description: ReadonlySignal<string>;
  readonly method: ReadonlySignal<Method | undefined>;
  readonly kernelless: ReadonlySignal<boolean>;
  readonly playing: ReadonlySignal<number | null>;
  readonly spot: Signal<Spot | null>;
  readonly peeking: Signal<boolean>;
  readonly painted: Signal<Painted>;

  readonly cancel: Conversation["cancel"];
  readonly upload: Conversation["upload"];
  set<N extends keyof View>(name: N, value: View[N]): void;
  select(index: number): void;
  add(target: Target): void;
  remove(index: number): void;
  type(text: string): void;
  commitDraft(text: string): boolean;
  dropDraft(): void;
  editChip(index: number): void;
  setMethod(name: string): void;
  setKnob(name: string, value: KnobValue): void;
  resetKnobs(): void;
  chooseLayers(layers: readonly number[] | null): void;
  stepLayer(by: number): void;
  togglePlay(still?: boolean): void;
  moveSpot(rows: number, cols: number): void;
}

export function createStore(host: Host, life: AbortSignal): Store {
  const traits = followTraits(host, () => conversation.tellView(), life);
  const conversation: Conversation = converse(host, traits, life);
  const { answer, phase } = conversation;
  const trait = traits.get;

  // -- the picture ------------------------------------------------------------------------------------------

  const picture = signal<Picture | null>(null);
  const pictureFault = signal("");
  function readPicture() {
    try {
      const next = decodePicture(host.read("_image"));
      batch(() => {
        picture.value = next;
        pictureFault.value = "";
        spot.value = null;
      });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      pictureFault.value = `The picture could not be read: ${error.message}.`;
    }
  }

  // -- what is shown ----------------------------------------------------------------------------------------

  const targets = trait("targets");
  const active = computed(() => Math.min(trait("active").value, Math.max(targets.value.length - 1, 0)));
  const kernelless = trait("_static");
  const spot = signal<Spot | null>(null);
  const peeking = signal(false);
  const painted = signal<Painted>({ what: "", ms: 0 });
  const playing = signal<number | null>(null);

  const wantedKey = computed(() => {
    const target = targets.value[active.value];
    return target ? keyOf(target) : "";
  });
  const shownKey = signal("");
  watch(life, () => {
    const keys = answer.value?.entries.map((entry) => keyOf(entry.target)) ?? [];
    if (keys.includes(wantedKey.value)) shownKey.value = wantedKey.value;
    else if (!keys.includes(shownKey.peek())) shownKey.value = keys[0] ?? "";
  });
  const index = computed(
    () => answer.value?.entries.findIndex((entry) => keyOf(entry.target) === shownKey.value) ?? -1,
  );
  const entry = computed(() => (targets.value.length ? (answer.value?.entries[index.value] ?? null) : null));

  const stack = computed<Stack | null>(() => {
    const { value } = answer;
    if (!value || !entry.value) return null;
    const size = value.layers.length * value.rows * value.cols;
    const maps = value.maps.subarray(index.value * size, (index.value + 1) * size);
    return { maps, layers: value.layers, rows: value.rows, cols: value.cols };
  });

  const chosen = computed(() => {
    const all = answer.value?.layers ?? [];
    if (playing.value !== null) return all.slice(playing.value, playing.value + 1);
    const wanted = trait("layers").value?.filter((layer) => all.includes(layer));
    if (wanted?.length) return wanted;
    return answer.value?.default === "last" ? all.slice(-1) : all;
  });

  const drawable = computed(
    () =>
      !!answer.value && !!entry.value && !entry.value.error && answer.value.imageRev === picture.value?.rev,
  );
  const heat = computed<Heat | null>(() => {
    const current = stack.value;
    if (!current || !drawable.value) return null;
    const raw = mergeLayers(current, chosen.value, answer.value!.merge);
    return scaleMap(raw, current.rows, current.cols, answer.value!.signed);
  });
  const layerHeats = computed<readonly Heat[]>(() => {
    const current = stack.value;
    if (!current || !drawable.value) return [];
    const { signed } = answer.value!;
    return current.layers.map((_, i) => scaleMap(layerMap(current, i), current.rows, current.cols, signed));
  });
  const shares = computed(() => {
    if (!stack.value || answer.value?.merge !== "mean") return [];
    return layerShares(stack.value, chosen.value);
  });
  const look = computed<Look>(() => ({
    palette: answer.value?.signed ? "RdBu_r" : trait("colormap").value,
    opacity: trait("opacity").value,
    threshold: trait("threshold").value,
    signed: answer.value?.signed ?? false,
  }));

  const outdated = computed(
    () => conversation.outdated.value || (entry.value !== null && shownKey.value !== wantedKey.value),
  );

  const description = computed(() => {
    const current = entry.value;
    if (!picture.value) return "No picture yet.";
    if (!current) return "No heatmap yet.";
    if (current.error) return `No heatmap for '${current.label}': ${current.error}`;
    if (!heat.value) return "The heatmap belongs to another picture; a new one is on its way.";
    const layers = nameLayers(chosen.value, answer.value!.layers);
    const score =
      current.score === null ? "" : `; ${current.scoreName || "score"} ${readable(current.score)}`;
    const absent = current.supported === false ? "; the model does not see it here" : "";
    return `${describeHeat(heat.value, current.label, layers)}${score}${absent}.`;
  });

  const method = computed(() => trait("_catalogue").value.find(({ name }) => name === trait("method").value));

  // -- asking -----------------------------------------------------------------------------------------------

  const draft = signal<Draft | null>(null);
  let typing: ReturnType<typeof setTimeout> | undefined;
  /** The active index to go back to when a draft is dropped. */
  let before = 0;
  onEnd(life, () => clearTimeout(typing));

  function ask(changes: { targets?: readonly Target[]; active?: number; method?: string; knobs?: Knobs }) {
    if (kernelless.peek()) return;
    conversation.ask({
      targets: targets.peek(),
      active: active.peek(),
      method: trait("method").peek(),
      knobs: trait("knobs").peek(),
      ...changes,
    });
  }

  // A draft stands only while its chip is still where it was put: targets may change from Python meanwhile.
  watch(life, () => {
    const current = draft.value;
    if (!current) return;
    const target = targets.value[current.at];
    if (!target || keyOf(target) !== current.key) draft.value = null;
  });

  function withoutDraft(): { list: Target[]; at: number } {
    const list = [...targets.peek()];
    const current = draft.peek();
    if (!current) return { list, at: list.length };
    if (current.was) list[current.at] = current.was;
    else list.splice(current.at, 1);
    return { list, at: current.at };
  }

  function preview(text: string) {
    const target: Target = { kind: "text", text };
    const key = keyOf(target);
    if (draft.peek()?.key === key) return;
    const { list, at } = withoutDraft();
    const known = list.findIndex((other) => keyOf(other) === key);
    if (known >= 0 && !(draft.peek()?.was && known === at)) {
      if (!draft.peek()) return store.select(known);
      draft.value = null;
      return ask({ targets: list, active: known });
    }
    if (list.length >= MAX_TARGETS && !draft.peek()?.was) return;
    if (!draft.peek()) before = active.peek();
    const was = draft.peek()?.was ?? null;
    if (was) list[at] = target;
    else list.splice(at, 0, target);
    batch(() => {
      draft.value = null;
      ask({ targets: list, active: at });
      draft.value = { at, key, was };
    });
  }

  // -- playing through depth --------------------------------------------------------------------------------

  let ticking: ReturnType<typeof setInterval> | undefined;
  function stop() {
    clearInterval(ticking);
    ticking = undefined;
    const at = playing.peek();
    const layer = at === null ? undefined : answer.peek()?.layers[at];
    batch(() => {
      playing.value = null;
      if (layer !== undefined) traits.edit("layers", [layer]);
    });
  }
  function finish() {
    clearInterval(ticking);
    ticking = undefined;
    playing.value = null;
  }
  onEnd(life, finish);

  const store: Store = {
    trait,
    answer,
    phase,
    cancel: conversation.cancel,
    upload: conversation.upload,
    picture,
    pictureFault,
    active,
    draft,
    entry,
    chosen,
    stack,
    heat,
    layerHeats,
    shares,
    look,
    outdated,
    description,
    method,
    kernelless,
    playing,
    spot,
    peeking,
    painted,

    set: (name, value) => traits.edit(name, value),
    select(at) {
      if (at < 0 || at >= targets.peek().length) return;
      if (draft.peek() && draft.peek()?.at !== at) draft.value = null;
      traits.edit("active", at);
    },
    add(target) {
      clearTimeout(typing);
      const list = [...targets.peek()];
      const known = list.findIndex((other) => keyOf(other) === keyOf(target));
      draft.value = null;
      if (known >= 0) return store.select(known);
      if (list.length >= MAX_TARGETS) return;
      ask({ targets: [...list, target], active: list.length });
    },
    remove(at) {
      const list = targets.peek().filter((_, i) => i !== at);
      const current = active.peek();
      draft.value = null;
      ask({
        targets: list,
        active: Math.max(0, at < current || current === list.length ? current - 1 : current),
      });
    },
    type(text) {
      clearTimeout(typing);
      conversation.complain("");
      const trimmed = text.trim();
      typing = setTimeout(() => (trimmed ? preview(trimmed) : store.dropDraft()), TYPING_MS);
    },
    commitDraft(text) {
      clearTimeout(typing);
      const trimmed = text.trim();
      if (kernelless.peek()) return false;
      if (!trimmed) {
        conversation.complain("An empty prompt asks nothing: type what to look for.");
        return false;
      }
      if (targets.peek().length >= MAX_TARGETS && !draft.peek()) return false;
      const failed = phase.peek().kind === "error";
      if (draft.peek() && failed) ask({});
      else preview(trimmed);
      draft.value = null;
      return true;
    },
    dropDraft() {
      clearTimeout(typing);
      const current = draft.peek();
      if (!current) return;
      const { list } = withoutDraft();
      draft.value = null;
      ask({
        targets: list,
        active: current.was ? current.at : Math.min(before, Math.max(list.length - 1, 0)),
      });
    },
    editChip(at) {
      const target = targets.peek()[at];
      if (target?.kind !== "text" || kernelless.peek()) return;
      before = at;
      batch(() => {
        traits.edit("active", at);
        draft.value = { at, key: keyOf(target), was: target };
      });
    },
    setMethod(name) {
      if (name !== trait("method").peek()) ask({ method: name, knobs: {} });
    },
    setKnob(name, value) {
      const knob = method.peek()?.knobs.find((known) => known.name === name);
      const { [name]: _, ...others } = trait("knobs").peek();
      ask({ knobs: value === knob?.default ? others : { ...others, [name]: value } });
    },
    resetKnobs: () => ask({ knobs: {} }),
    chooseLayers(layers) {
      finish();
      traits.edit("layers", layers?.length ? [...layers].sort((a, b) => a - b) : null);
    },
    stepLayer(by) {
      const all = answer.peek()?.layers ?? [];
      const current = trait("layers").peek() === null && playing.peek() === null ? null : chosen.peek();
      const edge = current?.at(by > 0 ? -1 : 0);
      const at = edge === undefined ? (by > 0 ? 0 : all.length - 1) : all.indexOf(edge) + by;
      const layer = all[Math.min(Math.max(at, 0), all.length - 1)];
      if (layer !== undefined) store.chooseLayers([layer]);
    },
    togglePlay(still = false) {
      if (playing.peek() !== null) return stop();
      if (still) {
        const last = answer.peek()?.layers.at(-1);
        const wrap = trait("layers").peek() !== null && chosen.peek().at(-1) === last;
        return wrap ? store.chooseLayers(null) : store.stepLayer(1);
      }
      if (!answer.peek()?.layers.length) return;
      playing.value = 0;
      ticking = setInterval(() => {
        const next = playing.peek()! + 1;
        if (next < answer.peek()!.layers.length) playing.value = next;
        else finish();
      }, PLAY_MS);
    },
    moveSpot(rows, cols) {
      const grid = stack.peek();
      const shown = picture.peek();
      if (!grid || !shown) return;
      const now = spot.peek();
      const from = now ?? { row: Math.floor((grid.rows - 1) / 2), col: Math.floor((grid.cols - 1) / 2) };
      const [down, right] = now ? [rows, cols] : [0, 0];
      spot.value = patchSpot(from.row + down, from.col + right, grid.rows, grid.cols, shown.window);
    },
  };

  host.onChange("_image", readPicture);
  readPicture();
  conversation.hello();
  return store;
}

/** The layers of a choice as the painted mark and tests read it: "all", "3", "2-4". */
export function markOf(answer: Answer, chosen: readonly number[]): string {
  return chosen.length === answer.layers.length ? "all" : chosen.join(",");
}
