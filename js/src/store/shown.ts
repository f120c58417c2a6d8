// What is on the screen, derived from picture, answer and view: nothing here is set, all of it follows.

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals-core";
import { describeHeat, nameLayers, readable } from "../heat/describe";
import { type Heat, layerMap, layerShares, mergeLayers, type Stack, scaleMap } from "../heat/merge";
import type { Look } from "../heat/palette";
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
  /** Layers that are merged, 1-based and sorted. */
  readonly chosen: ReadonlySignal<readonly number[]>;
  readonly stack: ReadonlySignal<Stack | null>;
  /** The map on the screen; null where there is none to draw. */
  readonly heat: ReadonlySignal<Heat | null>;
  /** Each layer's own map, for the thumbnails. */
  readonly layerHeats: ReadonlySignal<readonly Heat[]>;
  /** Each layer's share of the merged map; [] where maps are not averaged. */
  readonly shares: ReadonlySignal<readonly number[]>;
  readonly look: ReadonlySignal<Look>;
  readonly description: ReadonlySignal<string>;
}

export function follow(
  host: Host,
  trait: Traits["get"],
  answer: ReadonlySignal<Answer | null>,
  /** Position of the layer that is played, or null. */
  playing: ReadonlySignal<number | null>,
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
  const keys = computed(() => answer.value?.entries.map((entry) => keyOf(entry.target)) ?? []);
  const shown = signal("");
  watch(life, () => {
    if (keys.value.includes(wanted.value)) shown.value = wanted.value;
    else if (!keys.value.includes(shown.peek())) shown.value = keys.value[0] ?? "";
  });
  const at = computed(() => (targets.value.length ? keys.value.indexOf(shown.value) : -1));
  const entry = computed(() => answer.value?.entries[at.value] ?? null);

  const stack = computed<Stack | null>(() => {
    if (!answer.value || !entry.value) return null;
    const { layers, rows, cols, maps } = answer.value;
    const size = layers.length * rows * cols;
    return { maps: maps.subarray(at.value * size, (at.value + 1) * size), layers, rows, cols };
  });
  const chosen = computed(() => {
    const all = answer.value?.layers ?? [];
    if (playing.value !== null) return all.slice(playing.value, playing.value + 1);
    const picked = trait("layers").value?.filter((layer) => all.includes(layer));
    if (picked?.length) return picked;
    return answer.value?.default === "last" ? all.slice(-1) : all;
  });

  const drawable = computed(
    () => !!entry.value && !entry.value.error && answer.value?.imageRev === picture.value?.rev,
  );
  const scale = (raw: ArrayLike<number>) =>
    scaleMap(raw, answer.value!.rows, answer.value!.cols, answer.value!.signed);
  const heat = computed(() =>
    drawable.value ? scale(mergeLayers(stack.value!, chosen.value, answer.value!.merge)) : null,
  );
  const layerHeats = computed(() =>
    drawable.value ? stack.value!.layers.map((_, i) => scale(layerMap(stack.value!, i))) : [],
  );
  const shares = computed(() =>
    stack.value && answer.value?.merge === "mean" ? layerShares(stack.value, chosen.value) : [],
  );
  const look = computed<Look>(() => {
    const signed = answer.value?.signed ?? false;
    return {
      palette: signed ? "RdBu_r" : trait("colormap").value,
      opacity: trait("opacity").value,
      threshold: trait("threshold").value,
      signed,
    };
  });

  const description = computed(() => {
    const current = entry.value;
    if (!picture.value) return "No picture yet.";
    if (!current) return "No heatmap yet.";
    if (current.error) return `No heatmap for '${current.label}': ${current.error}`;
    if (!heat.value) return "A heatmap of this picture is on its way.";
    const words = describeHeat(heat.value, current.label, nameLayers(chosen.value, answer.value!.layers));
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
    chosen,
    stack,
    heat,
    layerHeats,
    shares,
    look,
    description,
  };
}
