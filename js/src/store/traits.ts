// The widget's traits as signals. Python holds the truth; a person's own edit is ahead of it for a moment.
//
// Echo guard: what comes back from the model is adopted only when it differs, and not while it could undo an
// edit that is still on its way: for SETTLE_MS after a local edit, until the kernel has heard of it, and while a
// question of ours is open.

import type { Cell, Weights } from "../heat/merge";
import { type Palette, SEQUENTIAL } from "../heat/palette";
import { type ReadonlySignal, type Signal, signal } from "../signals";
import {
  type Concepts,
  decodeCatalogue,
  decodeCells,
  decodeConcepts,
  decodeKnobs,
  decodeLayers,
  decodeModel,
  decodeStatus,
  decodeTargets,
  type Knobs,
  listOf,
  type Method,
  type ModelCard,
  oneOf,
  type Question,
  type Status,
  type Target,
  text,
} from "../wire";
import { onEnd } from "./watch";

/** What the store needs of whatever hosts it. */
export interface Host {
  read(trait: string): unknown;
  /** Set traits and save them; may be held back by the host, never throws. */
  write(changes: Readonly<Record<string, unknown>>): void;
  /** Send a custom message; throws where there is no kernel any more. */
  send(content: object, buffers?: ArrayBuffer[]): void;
  onChange(trait: string, changed: () => void): void;
  onMessage(arrived: (content: unknown, buffers?: readonly unknown[]) => void): void;
}

/** State of the view alone: changing it asks the kernel for nothing. */
export interface View {
  readonly active: number;
  readonly layers: readonly number[] | null;
  /** While these are set they name the layers too, and `layers` waits. */
  readonly heads: readonly Cell[] | null;
  readonly weights: Weights;
  readonly opacity: number;
  readonly colormap: Palette;
  readonly threshold: number;
  readonly smooth: boolean;
  readonly compare: CompareMode;
  readonly compared: readonly string[];
  readonly compare_scale: CompareScale;
  readonly pins: readonly Pin[];
}

/** The view as a request carries it. */
export type Look = Omit<View, "active" | "pins">;

/** What can be undone. */
export type Undoable = View & Question;
export type Note = <N extends keyof Undoable>(name: N, before: Undoable[N]) => void;

/** What a pinned view holds. */
export const PINNED = ["targets", "active", "method", "knobs", "layers", "heads", "weights"] as const;
export type Pin = Pick<Undoable, (typeof PINNED)[number]>;

export type CompareMode = "off" | "methods" | "prompts";
/** Each map by itself, all maps of a row, or all of them, on one scale. */
export type CompareScale = "own" | "row" | "shared";

export const COMMIT_MS = 150;
export const SETTLE_MS = 400;

const LOOK = [
  ...(["layers", "heads", "weights", "opacity", "colormap", "threshold", "smooth"] as const),
  ...(["compare", "compared", "compare_scale"] as const),
];
const VIEW = [...LOOK, "active", "pins"] as const;
const QUESTION = ["templates", "targets", "active", "method", "knobs"] as const;

export const isAsked = (name: string): name is keyof Question =>
  (QUESTION as readonly string[]).includes(name);

const fraction = (otherwise: number) => (raw: unknown) =>
  typeof raw === "number" && raw >= 0 && raw <= 1 ? raw : otherwise;

/** Of a saved answer only this is read before it is asked for. */
const methodOf = (raw: unknown) => text((raw as { method?: unknown } | null)?.method);

function decodePin(raw: unknown): Pin {
  const parts = PINNED.map((name) => [name, DECODE[name]((raw as Partial<Pin> | null)?.[name])]);
  return Object.fromEntries(parts) as Pin;
}

const DECODE = {
  templates: listOf(text),
  targets: decodeTargets,
  active: (raw: unknown) => (Number.isInteger(raw) ? Math.max(raw as number, 0) : 0),
  method: (raw: unknown) => (typeof raw === "string" ? raw : "legrad"),
  knobs: decodeKnobs,
  layers: decodeLayers,
  heads: decodeCells,
  weights: oneOf<Weights>("paper", "equal", "reliability"),
  opacity: fraction(0.65),
  colormap: (raw: unknown): Palette => SEQUENTIAL.find((name) => name === raw) ?? "inferno",
  threshold: fraction(0),
  smooth: (raw: unknown) => raw !== false,
  compare: oneOf<CompareMode>("off", "methods", "prompts"),
  compared: listOf(text),
  compare_scale: oneOf<CompareScale>("own", "row", "shared"),
  pins: listOf(decodePin),
  _catalogue: decodeCatalogue,
  _model: decodeModel,
  _concepts: decodeConcepts,
  _status: decodeStatus,
  _static: (raw: unknown) => raw === true,
  _saved: listOf(methodOf),
};

type Decoded = {
  templates: readonly string[];
  targets: readonly Target[];
  active: number;
  method: string;
  knobs: Knobs;
  layers: readonly number[] | null;
  heads: readonly Cell[] | null;
  weights: Weights;
  opacity: number;
  colormap: Palette;
  threshold: number;
  smooth: boolean;
  compare: CompareMode;
  compared: readonly string[];
  compare_scale: CompareScale;
  pins: readonly Pin[];
  _catalogue: readonly Method[];
  _model: ModelCard;
  _concepts: Concepts;
  _status: Status;
  _static: boolean;
  /** The methods that a saved page has the answers of. */
  _saved: readonly string[];
};
type Name = keyof Decoded;
const NAMES = Object.keys(DECODE) as Name[];

export interface Traits {
  /** The current value, as a signal. */
  get<N extends Name>(name: N): ReadonlySignal<Decoded[N]>;
  /** Change one part of the view; the model hears of it after COMMIT_MS of quiet. */
  edit<N extends keyof View>(name: N, value: View[N]): void;
  /** Show a question before the kernel has taken it up, and hold what comes back until `release`. */
  anticipate(question: Question): void;
  /** The question is settled: whatever the model holds now is true. */
  release(): void;
  /** The kernel has heard of every edit of the view: what it says now is newer. */
  viewHeard(): void;
  /** The view as it is now. */
  view(): Look;
}

export const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

export function followTraits(
  host: Host,
  commitView: (changes: Readonly<Record<string, unknown>>) => void,
  /** Told of every change that a person makes, before it. */
  note: Note,
  life: AbortSignal,
): Traits {
  const decode = <N extends Name>(name: N) => DECODE[name](host.read(name)) as Decoded[N];
  const signals = Object.fromEntries(NAMES.map((name) => [name, signal(decode(name))])) as unknown as {
    [N in Name]: Signal<Decoded[N]>;
  };
  const pending = new Set<keyof View>();
  const edited = new Map<Name, number>();
  let asking = false;
  let unheard = false;
  let commitTimer: ReturnType<typeof setTimeout> | undefined;
  let settleTimer: ReturnType<typeof setTimeout> | undefined;

  const held = (name: Name) =>
    (asking && (QUESTION as readonly Name[]).includes(name)) ||
    (unheard && (VIEW as readonly Name[]).includes(name)) ||
    Date.now() - (edited.get(name) ?? 0) < SETTLE_MS;

  function adopt<N extends Name>(name: N) {
    if (held(name)) return;
    const value = decode(name);
    if (!same(value, signals[name].peek())) signals[name].value = value;
  }
  const adoptAll = () => NAMES.forEach(adopt);
  for (const name of NAMES) host.onChange(name, () => adopt(name));

  function commit() {
    clearTimeout(commitTimer);
    if (pending.size === 0) return;
    const changes = Object.fromEntries([...pending].map((name) => [name, signals[name].peek()]));
    pending.clear();
    unheard = true;
    commitView(changes);
  }

  function settleLater() {
    clearTimeout(settleTimer);
    settleTimer = setTimeout(adoptAll, SETTLE_MS + 1);
  }

  onEnd(life, () => {
    commit();
    clearTimeout(settleTimer);
  });

  return {
    get: (name) => signals[name],
    edit(name, value) {
      edited.set(name, Date.now());
      settleLater();
      if (same(value, signals[name].peek())) return;
      note(name, signals[name].peek() as Undoable[typeof name]);
      (signals[name] as Signal<View[typeof name]>).value = value;
      pending.add(name);
      clearTimeout(commitTimer);
      commitTimer = setTimeout(commit, COMMIT_MS);
    },
    anticipate(question) {
      asking = true;
      for (const name of QUESTION) {
        if (!same(question[name], signals[name].peek())) {
          note(name, signals[name].peek());
          (signals[name] as Signal<Question[typeof name]>).value = question[name];
        }
      }
      pending.delete("active");
    },
    release() {
      asking = false;
      adoptAll();
    },
    viewHeard() {
      unheard = false;
      adoptAll();
    },
    view: () => Object.fromEntries(LOOK.map((name) => [name, signals[name].peek()])) as unknown as Look,
  };
}
