// What stands side by side: the active target under several methods, or every target under the one method.

import { type Comparison, decodeComparison } from "../comparison-wire";
import { correlation, overlap, ranks, topPatches } from "../heat/agreement";
import { nameLayers } from "../heat/describe";
import {
  chooseLayers,
  type Heat,
  layerMap,
  mergeLayers,
  type Stack,
  scaleMap,
  sharedRange,
  stackOf,
} from "../heat/merge";
import { computed, type ReadonlySignal, type Signal, signal } from "../signals";
import { attempt, keyOf, labelOf, type MapsOf } from "../wire";
import type { Store } from ".";

/** The share of the patches that count as a map's highest. */
export const TOP_SHARE = 0.2;

export interface Pane {
  /** A method's name, or a target's key. */
  readonly key: string;
  readonly title: string;
  /** Null where there is no map, and `note` says why. */
  readonly heat: Heat | null;
  readonly layers: string;
  /** The one layer that it shows, in a row of layers; else 0. */
  readonly layer: number;
  readonly note: string;
  readonly state: "drawn" | "faded" | "pending" | "missing" | "failed";
  /** What was merged. */
  readonly stack?: Stack | undefined;
}

/** One pair of panes, by their positions. */
export interface Agreement {
  /** Spearman's rank correlation; null where a map is flat. */
  readonly rank: number | null;
  readonly iou: number | null;
}

/** One more column of the table: how good each row's map is by some measure. */
export interface Measure {
  readonly title: string;
  readonly about: string;
  /** By the rows' keys; what is missing is still to come. */
  readonly values: ReadonlyMap<string, number>;
  /** What a random order of the patches gives. */
  readonly chance: number | null;
}

export interface Compare {
  /** Whether each row shows its chosen layers one by one, instead of merged. */
  readonly unfolded: Signal<boolean>;
  /** A method's or a target's maps: one, or one for each layer. */
  readonly rows: ReadonlySignal<readonly (readonly Pane[])[]>;
  /** The panes of all rows. */
  readonly panes: ReadonlySignal<readonly Pane[]>;
  /** How the merged map of row i agrees with that of row j. */
  readonly agreement: ReadonlySignal<readonly (readonly Agreement[])[]>;
  /** What was measured of these very maps; set by whoever measures. */
  readonly measures: Signal<readonly Measure[]>;
}

/** A pane before its map is scaled. */
interface Unscaled extends Omit<Pane, "heat" | "layers" | "layer"> {
  readonly of?: MapsOf;
}

export function comparing(store: Store): Compare {
  const { trait, answer, comparedMethods, outdated, host } = store;
  const comparison = signal<Comparison | null>(null);
  function read() {
    const why = attempt("The comparison", () => {
      const given = decodeComparison(host.read("_comparison"));
      if (store.isCurrent(given?.rid)) comparison.value = given;
    });
    if (why) store.complain(why);
  }
  host.onChange("_comparison", read);
  read();
  const catalogue = trait("_catalogue");

  const absent = (key: string, title: string, pending: boolean): Unscaled => ({
    key,
    title,
    note: pending ? "Computing …" : trait("_static").value ? "Not in this saved page." : "Not computed.",
    state: pending ? "pending" : "missing",
  });

  function ofMethods(): Unscaled[] {
    const given = comparison.value?.imageRev === store.picture.value?.rev ? comparison.value : null;
    const target = trait("targets").value[store.active.value];
    const current = given && target && keyOf(given.target) === keyOf(target);
    return comparedMethods.value.map((key) => {
      const title = catalogue.value.find(({ name }) => name === key)?.title ?? key;
      const pane = given?.panes.find(({ method }) => method === key);
      if (!given || !pane) return absent(key, title, outdated.value || !!given?.pending.includes(key));
      if (pane.error) return { key, title, note: pane.error, state: "failed" };
      const stack = stackOf(pane.maps, 0, pane.layers, given.grid);
      return { key, title, of: pane, stack, note: "", state: current ? "drawn" : "faded" };
    });
  }

  function ofPrompts(): Unscaled[] {
    const given = answer.value?.imageRev === store.picture.value?.rev ? answer.value : null;
    return trait("targets").value.map((target) => {
      const [key, title] = [keyOf(target), labelOf(target)];
      const at = given ? given.targets.findIndex((entry) => keyOf(entry.target) === key) : -1;
      const entry = given?.targets[at];
      if (!given || !entry) return absent(key, title, outdated.value);
      if (entry.error) return { key, title, note: entry.error, state: "failed" };
      const seen = entry.supported !== false;
      return {
        key,
        title,
        of: given,
        stack: stackOf(given.maps, at, given.layers, given.grid),
        note: seen ? "" : "The model does not see it here: faded.",
        state: seen ? "drawn" : "faded",
      };
    });
  }

  const merged = computed(() => {
    const mode = trait("compare").value;
    const unscaled = mode === "off" ? [] : mode === "methods" ? ofMethods() : ofPrompts();
    return unscaled.map(({ of, stack, ...pane }): Pane & { chosen: readonly number[] } => {
      if (!of || !stack) return { ...pane, heat: null, layers: "", layer: 0, chosen: [] };
      const wanted = store.layersWanted.value;
      const chosen = chooseLayers(of.layers, wanted, of.default);
      const layers = (of.merge === "last" ? "up to " : "") + nameLayers(chosen, of.layers);
      const lacks = wanted && !wanted.some((layer) => of.layers.includes(layer));
      const raw = mergeLayers(
        stack,
        chosen,
        of.merge,
        trait("weights").value,
        trait("_model").value.layerWeights,
      );
      return {
        ...pane,
        heat: scaleMap(raw, stack.rows, stack.cols, of.signed),
        layers,
        layer: 0,
        stack,
        chosen,
        note: lacks ? `Has no layer ${wanted.join(", ")}: ${layers}.` : pane.note,
      };
    });
  });

  const unfolded = signal(false);
  const unscaled = computed(() =>
    merged.value.map(({ chosen, ...pane }): Pane[] => {
      const { heat, stack } = pane;
      if (!unfolded.value || !heat || !stack) return [pane];
      return chosen.map((layer) => {
        const raw = layerMap(stack, stack.layers.indexOf(layer));
        const one = scaleMap(raw, stack.rows, stack.cols, heat.signed);
        return { ...pane, heat: one, layers: nameLayers([layer], stack.layers), layer };
      });
    }),
  );
  const rows = computed(() => {
    const scale = trait("compare_scale").value;
    const all = unscaled.value;
    if (scale === "own") return all;
    return all.map((row) => onOneScale(row, scale === "row" ? row : all.flat()));
  });
  const panes = computed(() => rows.value.flat());

  const agreement = computed(() => {
    const orders = merged.value.map(({ heat }) =>
      heat && !heat.flat ? { ranks: ranks(heat.raw), top: topPatches(heat.raw, TOP_SHARE) } : null,
    );
    return orders.map((a) =>
      orders.map((b) =>
        a && b
          ? { rank: correlation(a.ranks, b.ranks), iou: overlap(a.top, b.top) }
          : { rank: null, iou: null },
      ),
    );
  });

  return { unfolded, rows, panes, agreement, measures: signal([]) };
}

/** Panes on the scale of several; maps with signs have one of their own. */
function onOneScale(panes: readonly Pane[], several: readonly Pane[]): Pane[] {
  const heats = several.flatMap(({ heat }) => heat ?? []);
  const [plain, signed] = [false, true].map((sign) =>
    sharedRange(heats.filter((heat) => heat.signed === sign)),
  );
  return panes.map((pane) => {
    if (!pane.heat) return pane;
    const { raw, rows, cols, signed: sign } = pane.heat;
    return { ...pane, heat: scaleMap(raw, rows, cols, sign, sign ? signed : plain) };
  });
}
