// Would the same map come of another prompt? The map on the screen, held against the method's map of a control.
// State alone: ui/specificity.ts draws it.

import { type Heat, mergeLayers, type Stack, scaleMap, stackOf } from "../heat/merge";
import { computed, type ReadonlySignal, type Signal, signal } from "../signals";
import type { LiveStore } from "./live";
import type { Overlay } from "./patch";
import { watch } from "./watch";

/** A question that another tool ended is asked again so often. */
const TRIES = 3;

export interface Specificity {
  /** What the map is held against, "" for the empty prompt; null where that is not wanted. */
  readonly control: Signal<string | null>;
  /** 1 - correlation with the control's map, of the layers that are chosen; null while it is not known. */
  readonly value: ReadonlySignal<number | null>;
  /** What there is to say of it: why it is not there, or what it means. */
  readonly words: ReadonlySignal<string>;
  readonly awaiting: ReadonlySignal<boolean>;
  /** Whether the control's map stands over the picture. */
  readonly showing: Signal<boolean>;
  readonly heat: ReadonlySignal<Heat | null>;
  readonly overlay: ReadonlySignal<Overlay | null>;
}

/** 1 - Pearson's correlation; null where a map is flat: rounding beside its magnitude, as in Python. */
export function specificity(a: Heat, b: Heat): number | null {
  if (a.flat || b.flat) return null;
  const centred = ({ raw }: Heat) => {
    const mean = raw.reduce((sum, value) => sum + value, 0) / raw.length;
    return raw.map((value) => value - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  const dot = (p: Float64Array, q: Float64Array) => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  return 1 - dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

export function holdAgainst(store: LiveStore, life: AbortSignal): Specificity {
  const { answer, entry, tools, lacks } = store;
  const before = tools.latest("specificity").peek()?.args.control;
  const control = signal<string | null>(typeof before === "string" ? before : null);
  const showing = signal(false);
  /** The method never hears of the prompt: nothing has to be computed. */
  const blind = computed(() => store.method.value?.classDiscriminative === false);
  const found = computed(() => {
    const known = tools.entry("specificity").value;
    return known?.args.control === control.value ? known : null;
  });

  const merged = (stack: Stack, signed: boolean): Heat => {
    const raw = mergeLayers(
      stack,
      store.chosen.value,
      answer.value!.merge,
      store.trait("weights").value,
      store.trait("_model").value.layerWeights,
    );
    return scaleMap(raw, stack.rows, stack.cols, signed);
  };
  const heat = computed(() => {
    const { maps, layers, signed } = found.value ?? {};
    if (!maps || maps.shape.slice(1).join() !== answer.value?.grid.join()) return null;
    const [rows, cols] = answer.value.grid;
    return merged({ maps: maps.values, layers: layers!, rows, cols }, signed!);
  });
  const value = computed(() => {
    if (!entry.value) return null;
    if (blind.value) return 0;
    if (control.value === null) return null;
    const given = answer.value;
    if (!heat.value || !given) return null;
    const ours = stackOf(given.maps, given.targets.indexOf(entry.value), given.layers, given.grid);
    return specificity(merged(ours, given.signed), heat.value);
  });

  let asked = "";
  let tries = 0;
  watch(life, () => {
    const wanted = control.value;
    if (wanted === null || blind.value || found.value || lacks.value || tools.busy.value) return;
    if (!entry.value || entry.value.error || store.outdated.value) return;
    const now = JSON.stringify([answer.value!.rev, store.active.value, wanted]);
    tries = now === asked ? tries + 1 : 1;
    asked = now;
    if (tries <= TRIES) tools.ask("specificity", { control: wanted });
  });

  const words = computed(() => {
    if (!entry.value) return "";
    if (blind.value)
      return `${store.method.value!.title} never sees the prompt: the same map, whatever is asked.`;
    if (control.value === null) return "";
    if (lacks.value && !found.value) return lacks.value;
    const { state, message, note } = found.value ?? {};
    if (state === "failed" || state === "stopped") return message!;
    if (!heat.value) return "";
    if (value.value === null) return "One of the two maps is flat: there is nothing to compare.";
    const much = value.value < 0.1 ? "Much the same map without this prompt: it says little about it. " : "";
    return `${much}${note ?? ""}`.trim();
  });

  return {
    control,
    value,
    words,
    awaiting: computed(
      () => tools.busy.value?.tool === "specificity" || (store.outdated.value && control.value !== null),
    ),
    showing,
    heat,
    overlay: computed(() => {
      if (!showing.value || !heat.value || blind.value) return null;
      const title = `control: ${control.value || "the empty prompt"}`;
      return { heat: heat.value, title, mark: "control", prefix: [], outliers: [] };
    }),
  };
}
