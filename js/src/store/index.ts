// Everything the widget knows and can do, without a page: the controls in ui/ read these signals and call
// these actions, and a test can do the same.
//
//   traits (host)  ->  signals  ->  what is shown        (one direction; ui/ only draws it)
//   a person       ->  actions  ->  edits of the view, or a question to the kernel

import { describeHeat } from "../heat/describe";
import { clamp, patchSpot, type Spot, spotAt } from "../heat/frame";
import { type Cell, sortCells } from "../heat/merge";
import { computed, type ReadonlySignal, type Signal, signal, untracked } from "../signals";
import {
  type Answer,
  FULL,
  freshName,
  isFull,
  type Knobs,
  type KnobValue,
  keyOf,
  type Method,
  type Question,
  type Target,
} from "../wire";
import { type Conversation, converse } from "./conversation";
import type { Drafts } from "./drafts";
import type { Live } from "./live";
import type { Overlay } from "./patch";
import { bring, type Second } from "./second";
import { follow, type Shown } from "./shown";
import { type CompareMode, followTraits, type Host, type Note, type Traits, type View } from "./traits";
import { onEnd, watch } from "./watch";

export type { Host } from "./traits";

export const PLAY_MS = 650;
/** Knobs that are turned within this time are one question. */
export const TURN_MS = 300;

/** Keys that the second file acts on. */
const LIVE_KEYS = ["a", "l", "n", "b", "z", "f", "k", "?", "g"];

/** What was last put on the screen; for the page's data attributes. */
export interface Painted {
  readonly what: string;
  readonly ms: number;
}

export interface Store extends Omit<Shown, "behind"> {
  /** A name that no other view has, to make ids of. */
  readonly view: string;
  /** A trait's current value, as a signal. */
  readonly trait: Traits["get"];
  readonly answer: Conversation["answer"];
  readonly isCurrent: Conversation["isCurrent"];
  /** Names of the methods that are compared, in order; [] unless methods are. */
  readonly comparedMethods: ReadonlySignal<readonly string[]>;
  readonly phase: Conversation["phase"];
  /** The screen shows something older than what was asked for. */
  readonly outdated: ReadonlySignal<boolean>;
  readonly method: ReadonlySignal<Method | undefined>;
  readonly kernelless: ReadonlySignal<boolean>;
  /** What was wrong with the knobs that were turned last; "". */
  readonly knobFault: ReadonlySignal<string>;
  readonly playing: ReadonlySignal<number | null>;
  /** Prompts that are being typed; null until the second file is here. */
  readonly typed: Signal<Drafts | null>;
  /** What the second file adds; null until it is here. */
  readonly live: Signal<Live | null>;
  readonly second: Second;
  /** Why a key of the second file does nothing yet; "". */
  readonly waiting: ReadonlySignal<string>;
  /** Why nothing can be asked of a kernel, in a sentence; "" where it can. */
  readonly lacks: ReadonlySignal<string>;
  /** What stands over the picture in place of the merged map; null where that one does. */
  readonly overlay: ReadonlySignal<Overlay | null>;
  /** The patch that is pointed at, and whether by keys: only then is it read out aloud. */
  readonly spot: Signal<Spot | null>;
  readonly byKeys: Signal<boolean>;
  readonly peeking: ReadonlySignal<boolean>;
  /** The head that is looked at before it is chosen: in the matrix, under the pointer or the keys. */
  readonly preview: ReadonlySignal<Cell | null>;
  /** Whether the layer x head matrix is open. */
  readonly matrix: ReadonlySignal<boolean>;
  readonly painted: Signal<Painted>;
  /** Have this told of every change that a person makes, before it. */
  noteBy(note: Note): void;
  /** Stop playing. */
  stop(): void;
  fetchHeads(): void;

  readonly host: Host;
  readonly post: Conversation["post"];
  readonly complain: Conversation["complain"];
  /** Ask what the screen shows, with these changes. */
  ask(changes: Partial<Question>): void;
  readonly cancel: Conversation["cancel"];
  readonly sending: Conversation["sending"];
  readonly complaint: Conversation["complaint"];
  readonly next: Conversation["next"];
  readonly send: Conversation["send"];
  set<N extends keyof View>(name: N, value: View[N]): void;
  select(index: number): void;
  add(target: Target): void;
  remove(index: number): void;
  setMethod(name: string): void;
  setKnob(name: string, value: KnobValue): void;
  resetKnobs(): void;
  /** Compare nothing, or methods or prompts. */
  compareBy(mode: CompareMode): void;
  compareMethods(names: readonly string[]): void;
  /** Ask again, for what a cancelled question left open. */
  askAgain(): void;
  chooseLayers(layers: readonly number[] | null): void;
  /** One layer on or back; chosen heads stay chosen, in that layer. */
  stepLayer(by: number): void;
  /** Merge these heads alone; null and none for all of them. */
  chooseHeads(cells: readonly Cell[] | null): void;
  /** Add a head to those that are merged, or take it out. */
  toggleHead(cell: Cell): void;
  /** The next head or the one before it, of every chosen layer; false where there are no heads. */
  stepHead(by: number): boolean;
  /** Look at one head; null for what is chosen. */
  previewHead(cell: Cell | null): void;
  toggleMatrix(): void;
  /** Play through depth, or stop where it is; one step at a time where `still`. */
  togglePlay(still?: boolean): void;
  /** Point at a place in fractions of the model's window; outside of it nothing is pointed at. */
  pointAt(u: number, v: number): void;
  moveSpot(rows: number, cols: number): void;
  /** Hide the map to see the picture alone, or end that. */
  peek(on: boolean): void;
  /** Act on a key of the second file, as soon as that is here; false where it is none. */
  press(key: string): boolean;
  /** Such keys are let go of. */
  release(): void;
}

export function createStore(host: Host, life: AbortSignal): Store {
  let note: Note = () => {};
  const traits = followTraits(
    host,
    (changes) => conversation.commitView(changes),
    (name, before) => note(name, before),
    life,
  );
  const conversation: Conversation = converse(host, traits, life);
  const { answer, phase, complain } = conversation;
  const trait = traits.get;
  const targets = trait("targets");
  const kernelless = trait("_static");

  const playing = signal<number | null>(null);
  const preview = signal<Cell | null>(null);
  const matrix = signal(false);
  const { behind, ...shown } = follow(host, trait, answer, playing, preview, life);
  const { active, chosen } = shown;
  const outdated = computed(() => conversation.outdated.value || behind.value);
  const comparedMethods = computed(() => {
    if (trait("compare").value !== "methods") return [];
    const available = trait("_catalogue").value.filter((method) => method.available);
    const named = trait("compared").value.filter((name) => available.some((method) => method.name === name));
    return named.length ? named : available.filter(({ slow }) => !slow).map(({ name }) => name);
  });
  const spot = signal<Spot | null>(null);
  const typed = signal<Drafts | null>(null);
  const live = signal<Live | null>(null);
  const overlay = computed(() => live.value?.overlay.value ?? null);
  /** A key that waits for the second file. */
  const pressed = signal("");
  watch(life, () => {
    const { value: there } = live;
    const key = pressed.peek();
    if (there && key) untracked(() => there.press(key));
  });
  const lacks = computed(() => (phase.value.kind === "offline" ? "Needs a live kernel." : ""));
  const second = bring(host, conversation, lacks, life);
  const waiting = computed(() => pressed.value && second.wait.value);
  const byKeys = signal(false);
  const peeking = signal(false);
  const method = computed(() => trait("_catalogue").value.find(({ name }) => name === trait("method").value));
  const layers = () => answer.peek()?.layers ?? [];

  /** Whether the last question came of a knob. */
  const turned = signal(false);
  /** Knobs that wait to be asked with. */
  let turning: Knobs | undefined;
  let turnTimer: ReturnType<typeof setTimeout> | undefined;
  function turn(knobs: Knobs, ms: number) {
    clearTimeout(turnTimer);
    turning = knobs;
    turnTimer = setTimeout(() => {
      ask({ knobs });
      turned.value = true;
    }, ms);
  }
  onEnd(life, () => clearTimeout(turnTimer));

  function ask(changes: Partial<Question>) {
    clearTimeout(turnTimer);
    const knobs = turning ?? trait("knobs").peek();
    turning = undefined;
    turned.value = false;
    const question = {
      templates: trait("templates").peek(),
      targets: targets.peek(),
      active: active.peek(),
      method: trait("method").peek(),
      knobs,
      ...changes,
    };
    // A saved page answers for the methods and targets that are in it.
    if (kernelless.peek() && (changes.targets || !trait("_saved").peek().includes(question.method))) return;
    conversation.ask(question, comparedMethods.peek());
  }

  /** The heads of many prompts do not fit into one answer; those of the active one always do. */
  function fetchHeads() {
    const entry = shown.entry.peek();
    if (matrix.peek() && entry && !entry.heads && !entry.error && answer.peek()!.heads) ask({});
  }

  let ticking: ReturnType<typeof setInterval> | undefined;
  function stop() {
    clearInterval(ticking);
    playing.value = null;
  }
  onEnd(life, stop);

  const store: Store = {
    ...shown,
    isCurrent: conversation.isCurrent,
    comparedMethods,
    view: freshName(),
    trait,
    answer,
    phase,
    outdated,
    method,
    kernelless,
    typed,
    live,
    second,
    waiting,
    lacks,
    overlay,
    heat: computed(() => (shown.heat.value && overlay.value?.heat) || shown.heat.value),
    look: computed(() => (overlay.value ? shown.lookOf(overlay.value.heat.signed) : shown.look.value)),
    description: computed(() =>
      overlay.value
        ? describeHeat(overlay.value.heat, overlay.value.title, "over the picture")
        : shown.description.value,
    ),
    knobFault: computed(() => (turned.value && phase.value.kind === "error" ? phase.value.message : "")),
    playing,
    spot,
    byKeys,
    peeking,
    preview,
    matrix,
    painted: signal({ what: "", ms: 0 }),
    noteBy(run) {
      note = run;
    },
    stop,
    fetchHeads,
    host,
    post: conversation.post,
    complain,
    ask,
    cancel: conversation.cancel,
    sending: conversation.sending,
    complaint: conversation.complaint,
    next: conversation.next,
    send: conversation.send,
    set: traits.edit,

    select(at) {
      if (!targets.peek()[at]) return;
      const drafts = typed.peek();
      if (drafts?.draft.peek()?.at !== at) drafts?.keep();
      // Methods are compared on one target; the others' maps by the one method are here already.
      if (at !== active.peek() && comparedMethods.peek().length) ask({ active: at });
      traits.edit("active", at);
      fetchHeads();
    },
    add(target) {
      typed.peek()?.keep();
      const list = targets.peek();
      const known = list.findIndex((other) => keyOf(other) === keyOf(target));
      if (known >= 0) store.select(known);
      else if (isFull(list)) complain(FULL);
      else ask({ targets: [...list, target], active: list.length });
    },
    remove(at) {
      typed.peek()?.keep();
      const list = targets.peek().filter((_, i) => i !== at);
      const now = active.peek();
      ask({ targets: list, active: Math.max(0, at < now || now === list.length ? now - 1 : now) });
    },
    setMethod(name) {
      if (name !== trait("method").peek()) ask({ method: name, knobs: {} });
    },
    setKnob(name, value) {
      const knob = method.peek()?.knobs.find((known) => known.name === name);
      const now = turning ?? trait("knobs").peek();
      const { [name]: was = knob?.default, ...others } = now;
      // Browsers tell of a change when it is made, and some again when the control loses the focus.
      if (value !== was) turn(value === knob?.default ? others : { ...others, [name]: value }, TURN_MS);
    },
    resetKnobs: () => turn({}, 0),

    compareBy(mode) {
      traits.edit("compare", mode);
      if (mode === "methods") ask({});
    },
    compareMethods(names) {
      traits.edit("compared", names);
      ask({});
    },
    askAgain: () => ask({}),

    chooseLayers(chosenLayers) {
      stop();
      traits.edit("heads", null);
      traits.edit("layers", chosenLayers?.length ? [...chosenLayers].sort((a, b) => a - b) : null);
    },
    stepLayer(by) {
      const all = layers();
      const now = shown.cells.peek();
      const free = now ? shown.chosen.peek().length === all.length : trait("layers").peek() === null;
      const merged = free && playing.peek() === null;
      const from = all.indexOf(chosen.peek().at(by > 0 ? -1 : 0) ?? 0);
      // From all layers merged, the first step goes to the first or the last one.
      const at = merged ? (by > 0 ? 0 : all.length - 1) : from + by;
      const layer = all[clamp(at, 0, all.length - 1)];
      if (layer === undefined) return;
      if (now) store.chooseHeads(now.map(([, head]) => [layer, head]));
      else store.chooseLayers([layer]);
    },
    chooseHeads(cells) {
      stop();
      preview.value = null;
      traits.edit("heads", cells?.length ? sortCells(cells) : null);
    },
    toggleHead(cell) {
      const now = trait("heads").peek() ?? [];
      const others = now.filter((other) => `${other}` !== `${cell}`);
      store.chooseHeads(others.length < now.length ? others : [...now, cell]);
    },
    stepHead(by) {
      const count = answer.peek()?.heads ?? 0;
      if (!count || !shown.entry.peek()?.heads) return false;
      const from = shown.cells.peek()?.at(by > 0 ? -1 : 0)?.[1] ?? (by > 0 ? -1 : count);
      const head = clamp(from + by, 0, count - 1);
      store.chooseHeads(shown.chosen.peek().map((layer) => [layer, head]));
      return true;
    },
    previewHead(cell) {
      preview.value = cell;
    },
    toggleMatrix() {
      matrix.value = !matrix.peek();
      preview.value = null;
      fetchHeads();
    },
    togglePlay(still = false) {
      const [now, all] = [chosen.peek(), layers()];
      if (playing.peek() !== null) return store.chooseLayers(now);
      if (still) {
        const ended = trait("layers").peek() !== null && now.at(-1) === all.at(-1);
        return ended ? store.chooseLayers(null) : store.stepLayer(1);
      }
      if (all.length === 0) return;
      playing.value = 0;
      ticking = setInterval(() => {
        const next = playing.peek()! + 1;
        if (next < layers().length) playing.value = next;
        else stop();
      }, PLAY_MS);
    },

    press(key) {
      if (live.peek()) return live.peek()!.press(key);
      if (!LIVE_KEYS.includes(key)) return false;
      pressed.value = key;
      second.want();
      return true;
    },
    release() {
      pressed.value = "";
      live.peek()?.release();
    },
    peek(on) {
      peeking.value = on;
    },
    pointAt(u, v) {
      const grid = shown.stack.peek();
      const picture = shown.picture.peek();
      byKeys.value = false;
      spot.value = grid && picture && spotAt(u, v, grid.rows, grid.cols, picture.window);
    },
    moveSpot(rows, cols) {
      const grid = shown.stack.peek();
      const picture = shown.picture.peek();
      if (!grid || !picture) return;
      const now = spot.peek();
      const [row, col] = now
        ? [now.row + rows, now.col + cols]
        : [Math.floor((grid.rows - 1) / 2), Math.floor((grid.cols - 1) / 2)];
      byKeys.value = true;
      spot.value = patchSpot(row, col, grid.rows, grid.cols, picture.window);
    },
  };

  conversation.hello();
  if (kernelless.peek()) second.want(); // a saved page holds it
  return store;
}

/** What is merged as the painted mark and tests read it: "all", layers "3", "2,3,4", or heads "3.1,3.2". */
export function markOf(answer: Answer, chosen: readonly number[], cells: readonly Cell[] | null): string {
  if (cells) return cells.map((cell) => cell.join(".")).join();
  return chosen.length === answer.layers.length ? "all" : chosen.join(",");
}
