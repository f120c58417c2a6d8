// Pinned views: what was asked, and which layers and heads were merged, to come back to.

import { nameCells, nameLayers } from "../heat/describe";
import {
  chooseLayers,
  type Heat,
  headStack,
  layersOf,
  mergeLayers,
  type Stack,
  scaleMap,
  stackOf,
  type Trust,
} from "../heat/merge";
import { computed, type ReadonlySignal } from "../signals";
import { type Answer, attempt, decodeAnswer, keyOf, labelOf } from "../wire";
import type { Store } from ".";
import { recall } from "./recall";
import { PINNED, type Pin, same } from "./traits";

export const MAX_PINS = 12;

export interface Card {
  readonly pin: Pin;
  readonly title: string;
  /** Method, layers and heads. */
  readonly words: string;
  /** Null where the map is not known in this page. */
  readonly heat: Heat | null;
  /** It is the view on the screen. */
  readonly current: boolean;
  /** Why it cannot be shown again; "". */
  readonly lack: string;
}

export interface Pins {
  readonly cards: ReadonlySignal<readonly Card[]>;
  /** Pin what is shown. */
  add(): void;
  /** Show a pinned view again. */
  show(at: number): void;
  remove(at: number): void;
}

/** A pin's merged map, from an answer by its method with its knobs; null where its target is not in it. */
export function heatOf(
  answer: Answer,
  { targets, active, layers, heads, weights }: Pin,
  trust: Trust = [],
): Heat | null {
  const key = keyOf(targets[active]!);
  const at = answer.targets.findIndex(({ target }) => keyOf(target) === key);
  const entry = answer.targets[at];
  if (!entry || entry.error || (heads && !entry.heads)) return null;
  const own: Stack = stackOf(answer.maps, at, answer.layers, answer.grid);
  const stack = heads ? headStack(own, entry.heads!, answer.heads, heads) : own;
  const chosen = chooseLayers(answer.layers, heads ? layersOf(heads) : layers, answer.default);
  return scaleMap(mergeLayers(stack, chosen, answer.merge, weights, trust), ...answer.grid, answer.signed);
}

export function pinning(store: Store): Pins {
  const { host, trait, answer, picture, entry, outdated, complain } = store;
  const pins = trait("pins");
  const present = computed(
    () => Object.fromEntries(PINNED.map((name) => [name, trait(name).value])) as unknown as Pin,
  );
  /** Maps of pins that this page has seen, of this picture. */
  const seen = new Map<string, Heat>();

  /** The answer by a pin's method with its knobs, if it is on the screen or in this saved page. */
  function answerFor({ method, knobs }: Pin): Answer | null {
    const { value } = answer;
    if (!outdated.value && value?.method === method && same(trait("knobs").value, knobs)) return value;
    const saved = trait("_static").value ? (host.read("_saved") as readonly Partial<Pin>[]) : [];
    const found = saved.find((other) => other.method === method && same(other.knobs, knobs));
    let read: Answer | null = null;
    if (found) attempt("A saved answer", () => (read = decodeAnswer(found)));
    return read;
  }

  function card(pin: Pin): Card {
    const target = pin.targets[pin.active]!;
    const method = trait("_catalogue").value.find(({ name }) => name === pin.method);
    const found = answerFor(pin);
    const rev = picture.value?.rev;
    const key = JSON.stringify([rev, pin]);
    const known =
      seen.get(key) ??
      (found?.imageRev === rev ? found && heatOf(found, pin, trait("_model").value.layerWeights) : null);
    if (known) seen.set(key, known);
    const { layers = [], heads = 0 } = answer.value ?? {};
    const words = [
      method?.title ?? pin.method,
      ...Object.entries(pin.knobs).map(([name, value]) => `${name} ${value}`),
      pin.heads ? nameCells(pin.heads, layers, heads) : pin.layers && nameLayers(pin.layers, layers),
      pin.weights !== "paper" && `weights ${pin.weights}`,
    ];
    return {
      pin,
      title: labelOf(target),
      words: words.filter(Boolean).join(" · "),
      heat: known ?? null,
      current: same(pin, present.value),
      lack: trait("_static").value && !known ? "Not in this saved page" : "",
    };
  }

  return {
    cards: computed(() => pins.value.map(card)),
    add() {
      const list = pins.peek();
      const view = present.peek();
      if (!view.targets.length || !entry.peek()) complain("There is no map to pin yet.");
      else if (list.length >= MAX_PINS) complain(`${MAX_PINS} pins are the most: take one away first.`);
      else if (!list.some((pin) => same(pin, view))) store.set("pins", [...list, view]);
    },
    show(at) {
      const pin = pins.peek()[at];
      if (!pin) return;
      const { targets, ...view } = pin;
      // The prompts of a saved page are what they are: the pinned one is chosen among them.
      const active = trait("targets")
        .peek()
        .findIndex((target) => keyOf(target) === keyOf(targets[pin.active]!));
      recall(store, trait("_static").peek() ? { ...view, active } : pin);
    },
    remove(at) {
      store.set(
        "pins",
        pins.peek().filter((_, i) => i !== at),
      );
    },
  };
}
