// What is computed about all errors when somebody asks: one computation at a time, on the kernel.

import { computed, type ReadonlySignal, type Signal, signal } from "../../signals";
import { onEnd } from "../../store/watch";
import { attempt } from "../../wire";
import type { Brush } from "../card";
import type { GalleryStore } from "../store";
import {
  decodeFound,
  decodeRun,
  type Found,
  type Groups,
  type Run,
  type Thresholds,
  type What,
} from "./wire";

/** Thresholds are sent this often while a slider moves. */
export const LIMIT_MS = 60;

/** What somebody chose; the kernel knows what is usual. */
export interface Options {
  readonly samples?: number;
  readonly by?: string;
  readonly k?: number | null;
  readonly weights?: readonly number[];
  readonly right?: boolean;
  readonly selected?: boolean;
}

export interface Studies {
  readonly gallery: GalleryStore;
  readonly brush: Brush;
  readonly run: ReadonlySignal<Run>;
  readonly found: ReadonlySignal<Found>;
  /** Of `found`, the same object for as long as nothing in it changed: what is drawn of it keeps the focus. */
  readonly clusters: ReadonlySignal<Groups | null>;
  /** Seconds that the computation which runs will still take, by what it took so far; NaN: not known. */
  readonly left: ReadonlySignal<number>;
  /** The panel that is open. */
  readonly shown: Signal<What | "">;
  start(what: What, options?: Options): void;
  stop(): void;
  /** Put another map over the small pictures. */
  draw(name: string): void;
  /** Where numbers count as high from. */
  limit(thresholds: Thresholds): void;
  select(rows: readonly number[]): void;
}

export function studying(gallery: GalleryStore, brush: Brush, life: AbortSignal): Studies {
  const { host } = gallery;
  function follow<T>(trait: string, decode: (raw: unknown) => T): ReadonlySignal<T> {
    const followed = signal(decode({}));
    const read = () => {
      attempt("What the kernel found", () => {
        followed.value = decode(host.read(trait));
      });
    };
    host.onChange(trait, read);
    read();
    return followed;
  }
  const run = follow("_study", decodeRun);
  const found = follow("_studies", decodeFound);
  let [clusters, told]: [Groups | null, string] = [null, "null"];

  let next: Thresholds | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));
  function flush() {
    timer = undefined;
    if (!next) return;
    gallery.send("thresholds", next);
    next = null;
    timer = setTimeout(flush, LIMIT_MS);
  }

  /** Where this view saw the computation first. */
  let from = { what: "", step: 0, at: 0 };
  const left = computed(() => {
    const { what, state, step, total } = run.value;
    if (state !== "running") from = { what: "", step: 0, at: 0 };
    else if (from.what !== what) from = { what, step, at: Date.now() };
    return step > from.step
      ? ((Date.now() - from.at) / 1000 / (step - from.step)) * (total - step)
      : Number.NaN;
  });

  return {
    gallery,
    brush,
    run,
    found,
    clusters: computed(() => {
      const now = found.value.clusters;
      const says = JSON.stringify(now);
      if (says !== told) [clusters, told] = [now, says];
      return clusters;
    }),
    left,
    shown: signal<What | "">(""),
    start: (what, options) => void gallery.send("study", { what, on: true, ...options }),
    stop: () => void gallery.send("study", { what: run.peek().what, on: false }),
    draw: (name) => void gallery.send("draw", { name }),
    limit(thresholds) {
      next = thresholds;
      if (!timer) flush();
    },
    select: (rows) => void gallery.send("select", {}, rows),
  };
}
