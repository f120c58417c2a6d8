// What is on the screen, derived from picture, answer and view: nothing here is set, all of it follows.

import { describeHeat, nameCells, nameLayers, readable } from "../heat/describe";
import {
  type Cell,
  chooseLayers,
  floorOf,
  type Heat,
  headStack,
  layerMap,
  layerShares,
  layersOf,
  mergeLayers,
  type Stack,
  scaleMap,
  stackOf,
} from "../heat/merge";
import type { Look } from "../heat/palette";
import { batch, computed, type ReadonlySignal, signal } from "../signals";
import { type Answer, attempt, decodePicture, type Entry, keyOf, type Picture } from "../wire";
import type { Host, Traits } from "./traits";
import { watch } from "./watch";

export interface Shown {
  readonly picture: ReadonlySignal<Picture | null>;
  /** Why the picture could not be read, or "". */
  readonly pictureFault: ReadonlySignal<string>;
  /** Index of the active target, clamped. */
  readonly active: ReadonlySignal<number>;
  /** The answer's entry on the screen; an older one stays until the one asked for has arrived. */
  readonly entry: ReadonlySignal<Entry | null>;
  /** The map on the screen is of another target, or by another method, than the one that is chosen. */
  readonly behind: ReadonlySignal<boolean>;
  /** The layers that a person chose or that are played; null for each method's own choice. */
  readonly layersWanted: ReadonlySignal<readonly number[] | null>;
  /** Layers that are merged, 1-based and sorted. */
  readonly chosen: ReadonlySignal<readonly number[]>;
  /** Heads that are merged, of those that there are; null for all heads of the chosen layers. */
  readonly cells: ReadonlySignal<readonly Cell[] | null>;
  /** The chosen layers, and heads, in words. */
  readonly naming: ReadonlySignal<string>;
  readonly stack: ReadonlySignal<Stack | null>;
  /** The map on the screen; null where there is none to draw. */
  readonly heat: ReadonlySignal<Heat | null>;
  /** Each layer's own map, for the thumbnails. */
  readonly layerHeats: ReadonlySignal<readonly Heat[]>;
  /** Each layer's share of the merged map; [] where maps are not averaged. */
  readonly shares: ReadonlySignal<readonly number[]>;
  /** Median over peak of the merged map, and of each layer's own; null where all is zero. */
  readonly floor: ReadonlySignal<number | null>;
  readonly floors: ReadonlySignal<readonly (number | null)[]>;
  readonly look: ReadonlySignal<Look>;
  /** How maps with or without signs are drawn; read inside an effect it follows the traits. */
  readonly lookOf: (signed: boolean) => Look;
  readonly description: ReadonlySignal<string>;
}

export function follow(
  host: Host,
  trait: Traits["get"],
  answer: ReadonlySignal<Answer | null>,
  /** Position of the layer that is played, or null. */
  playing: ReadonlySignal<number | null>,
  /** A head that is looked at before it is chosen, or null. */
  preview: ReadonlySignal<Cell | null>,
  life: AbortSignal,
): Shown {
  const picture = signal<Picture | null>(null);
  const pictureFault = signal("");
  const readPicture = () =>
    batch(() => {
      pictureFault.value = attempt("The picture", () => {
        picture.value = decodePicture(host.read("_image"));
      });
    });
  host.onChange("_image", readPicture);
  readPicture();

  const targets = trait("targets");
  const active = computed(() => Math.min(trait("active").value, Math.max(targets.value.length - 1, 0)));
  const wanted = computed(() => {
    const target = targets.value[active.value];
    return target ? keyOf(target) : "";
  });
  const keys = computed(() => answer.value?.targets.map((entry) => keyOf(entry.target)) ?? []);
  const shown = signal("");
  watch(life, () => {
    if (keys.value.includes(wanted.value)) shown.value = wanted.value;
    else if (!keys.value.includes(shown.peek())) shown.value = keys.value[0] ?? "";
  });
  const at = computed(() => (targets.value.length ? keys.value.indexOf(shown.value) : -1));
  const entry = computed(() => answer.value?.targets[at.value] ?? null);

  const stack = computed<Stack | null>(() => {
    if (!answer.value || !entry.value) return null;
    return stackOf(answer.value.maps, at.value, answer.value.layers, answer.value.grid);
  });
  const layersWanted = computed(() => {
    const played = playing.value === null ? undefined : answer.value?.layers[playing.value];
    if (played !== undefined) return [played];
    const heads = trait("heads").value;
    return heads ? layersOf(heads) : trait("layers").value;
  });
  const cells = computed(() => {
    if (playing.value !== null || !entry.value?.heads) return null;
    const { layers, heads: count } = answer.value!;
    const wanted = preview.value ? [preview.value] : (trait("heads").value ?? []);
    const present = wanted.filter(([layer, head]) => layers.includes(layer) && head < count);
    return present.length ? present : null;
  });
  const chosen = computed(() =>
    cells.value
      ? layersOf(cells.value)
      : chooseLayers(answer.value?.layers ?? [], layersWanted.value, answer.value?.default ?? "all"),
  );
  const naming = computed(() => {
    const { layers = [], heads = 0 } = answer.value ?? {};
    return cells.value ? nameCells(cells.value, layers, heads) : nameLayers(chosen.value, layers);
  });
  /** The stack that is merged: that of the chosen heads. */
  const merging = computed(() =>
    stack.value && cells.value
      ? headStack(stack.value, entry.value!.heads!, answer.value!.heads, cells.value)
      : stack.value,
  );

  const drawable = computed(
    () => !!entry.value && !entry.value.error && answer.value?.imageRev === picture.value?.rev,
  );
  const weighed = () => [trait("weights").value, trait("_model").value.layerWeights] as const;
  const scale = (raw: ArrayLike<number>) => scaleMap(raw, ...answer.value!.grid, answer.value!.signed);
  const heat = computed(() =>
    drawable.value
      ? scale(mergeLayers(merging.value!, chosen.value, answer.value!.merge, ...weighed()))
      : null,
  );
  const layerHeats = computed(() =>
    drawable.value ? stack.value!.layers.map((_, i) => scale(layerMap(stack.value!, i))) : [],
  );
  const shares = computed(() =>
    merging.value && answer.value?.merge === "mean"
      ? layerShares(merging.value, chosen.value, "mean", ...weighed())
      : [],
  );
  const lookOf = (signed: boolean): Look => ({
    palette: signed ? "RdBu_r" : trait("colormap").value,
    opacity: trait("opacity").value,
    threshold: trait("threshold").value,
    signed,
  });

  const description = computed(() => {
    const current = entry.value;
    if (!picture.value) return "No picture yet.";
    if (!current) return "No heatmap yet.";
    if (current.error) return `No heatmap for '${current.label}': ${current.error}`;
    if (!heat.value) return "A heatmap of this picture is on its way.";
    const words = describeHeat(heat.value, current.label, naming.value);
    const score =
      current.score === null ? "" : `; ${current.scoreName || "score"} ${readable(current.score)}`;
    return `${words}${score}${current.supported === false ? "; the model does not see it here" : ""}.`;
  });

  return {
    picture,
    pictureFault,
    active,
    entry,
    behind: computed(
      () => !!entry.value && (shown.value !== wanted.value || answer.value?.method !== trait("method").value),
    ),
    layersWanted,
    chosen,
    cells,
    naming,
    stack,
    heat,
    layerHeats,
    shares,
    floor: computed(() => heat.value && floorOf(heat.value.raw)),
    floors: computed(() => layerHeats.value.map(({ raw }) => floorOf(raw))),
    look: computed(() => lookOf(answer.value?.signed ?? false)),
    lookOf,
    description,
  };
}
