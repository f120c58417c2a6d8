// What is computed about all errors when somebody asks: one computation at a time, on the kernel.

import { type ReadonlySignal, type Signal, signal } from "../../signals";
import { onEnd } from "../../store/watch";
import { attempt } from "../../wire";
import type { GalleryStore } from "../store";
import { decodeFound, decodeRun, type Found, type Run, type Thresholds, type What } from "./wire";

/** Errors that maps are measured on. */
export const SAMPLES = 32;
/** Thresholds are sent this often while a slider moves. */
export const LIMIT_MS = 60;

export interface Studies {
  readonly gallery: GalleryStore;
  readonly run: ReadonlySignal<Run>;
  readonly found: ReadonlySignal<Found>;
  /** The panel that is open. */
  readonly shown: Signal<What | "">;
  start(what: What): void;
  stop(): void;
  /** Put another map over the small pictures. */
  draw(name: string): void;
  /** Where numbers count as high from. */
  limit(thresholds: Thresholds): void;
}

export function studying(gallery: GalleryStore, life: AbortSignal): Studies {
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
  const ask = (what: What, on: boolean) => void gallery.send("study", { what, on, samples: SAMPLES });

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

  return {
    gallery,
    run,
    found: follow("_studies", decodeFound),
    shown: signal<What | "">(""),
    start: (what) => ask(what, true),
    stop: () => ask(run.peek().what, false),
    draw: (name) => void gallery.send("draw", { name }),
    limit(thresholds) {
      next = thresholds;
      if (!timer) flush();
    },
  };
}
