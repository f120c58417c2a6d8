// What stands side by side: the active target under several methods, or every target under the one method.

import { correlation, overlap, ranks, topPatches } from "../heat/agreement";
import { nameLayers } from "../heat/describe";
import {
  chooseLayers,
  type Heat,
  mergeLayers,
  type Stack,
  scaleMap,
  sharedRange,
  stackOf,
} from "../heat/merge";
import { computed, type ReadonlySignal } from "../signals";
import { type Answer, type Comparison, keyOf, labelOf, type MapsOf } from "../wire";
import type { Shown } from "./shown";
import type { Traits } from "./traits";

/** The share of the patches that count as a map's highest. */
export const TOP_SHARE = 0.2;

export interface Pane {
  /** A method's name, or a target's key. */
  readonly key: string;
  readonly title: string;
  /** Null where there is no map, and `note` says why. */
  readonly heat: Heat | null;
  readonly layers: string;
  readonly note: string;
  readonly state: "drawn" | "faded" | "pending" | "missing" | "failed";
}

/** One pair of panes, by their positions. */
export interface Agreement {
  /** Spearman's rank correlation; null where a map is flat. */
  readonly rank: number | null;
  readonly iou: number | null;
}

export interface Compare {
  /** Names of the methods that are compared, in order; [] unless methods are. */
  readonly comparedMethods: ReadonlySignal<readonly string[]>;
  readonly panes: ReadonlySignal<readonly Pane[]>;
  /** How pane i agrees with pane j. */
  readonly agreement: ReadonlySignal<readonly (readonly Agreement[])[]>;
}

/** A pane before its map is scaled. */
interface Unscaled extends Omit<Pane, "heat" | "layers"> {
  readonly of?: MapsOf;
  readonly stack?: Stack;
}

export function comparing(
  trait: Traits["get"],
  answer: ReadonlySignal<Answer | null>,
  comparison: ReadonlySignal<Comparison | null>,
  shown: Pick<Shown, "picture" | "active" | "layersWanted">,
  outdated: ReadonlySignal<boolean>,
): Compare {
  const catalogue = trait("_catalogue");
  const comparedMethods = computed(() => {
    if (trait("compare").value !== "methods") return [];
    const available = catalogue.value.filter((method) => method.available);
    const named = trait("compared").value.filter((name) => available.some((method) => method.name === name));
    return named.length ? named : available.filter(({ slow }) => !slow).map(({ name }) => name);
  });

  const absent = (key: string, title: string, pending: boolean): Unscaled => ({
    key,
    title,
    note: pending ? "Computing …" : trait("_static").value ? "Not in this saved page." : "Not computed.",
    state: pending ? "pending" : "missing",
  });

  function ofMethods(): Unscaled[] {
    const given = comparison.value?.imageRev === shown.picture.value?.rev ? comparison.value : null;
    const target = trait("targets").value[shown.active.value];
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
    const given = answer.value?.imageRev === shown.picture.value?.rev ? answer.value : null;
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
    return unscaled.map(({ of, stack, ...pane }): Pane => {
      if (!of || !stack) return { ...pane, heat: null, layers: "" };
      const wanted = shown.layersWanted.value;
      const chosen = chooseLayers(of.layers, wanted, of.default);
      const layers = (of.merge === "last" ? "up to " : "") + nameLayers(chosen, of.layers);
      const lacks = wanted && !wanted.some((layer) => of.layers.includes(layer));
      const raw = mergeLayers(stack, chosen, of.merge, trait("weights").value);
      return {
        ...pane,
        heat: scaleMap(raw, stack.rows, stack.cols, of.signed),
        layers,
        note: lacks ? `Has no layer ${wanted.join(", ")}: ${layers}.` : pane.note,
      };
    });
  });

  const panes = computed(() => {
    if (trait("compare_scale").value === "own") return merged.value;
    const heats = merged.value.flatMap(({ heat }) => heat ?? []);
    const [plain, signed] = [false, true].map((sign) =>
      sharedRange(heats.filter((heat) => heat.signed === sign)),
    );
    return merged.value.map((pane) => {
      if (!pane.heat) return pane;
      const { raw, rows, cols, signed: sign } = pane.heat;
      return { ...pane, heat: scaleMap(raw, rows, cols, sign, sign ? signed : plain) };
    });
  });

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

  return { comparedMethods, panes, agreement };
}
