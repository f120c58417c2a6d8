// Small pictures and maps of the samples in sight: asked for as they come into view, kept up to a bound.

import { type Heat, scaleMap } from "../heat/merge";
import { type ReadonlySignal, signal } from "../signals";
import { onEnd } from "../store/watch";
import type { News } from "./wire";

/** Kept beyond what is in sight: a picture of 96 x 96 pixels takes 36 kB. */
export const KEPT = 600;
export const ASK_MS = 40;
const TELL_MS = 20;
/** What was asked for and has not come is asked for again after this, when the view moves. */
const AGAIN_MS = 4000;

export interface Shelf {
  /** The samples whose picture or map has come last, in one go; whoever draws follows it. */
  readonly arrived: ReadonlySignal<ReadonlySet<number>>;
  /** A sample's picture: null where it cannot be read, undefined where it has not come. */
  picture(row: number): ImageBitmap | null | undefined;
  map(row: number): Heat | undefined;
  /** These are in sight, in this order; those of `mapped` are to have a map. */
  see(rows: readonly number[], mapped: (row: number) => boolean): void;
  /** These are in sight beside them. */
  also(rows: readonly number[]): void;
  take(news: News): void;
  forgetMaps(): void;
}

/** A map that keeps its `KEPT` most recently used entries. */
class Recent<T> extends Map<number, T> {
  override get(row: number): T | undefined {
    const found = super.get(row);
    if (found !== undefined || super.has(row)) {
      this.delete(row);
      super.set(row, found as T);
    }
    return found;
  }
  trim(drop: (value: T) => void) {
    for (const [row, value] of this) {
      if (this.size <= KEPT) return;
      this.delete(row);
      drop(value);
    }
  }
}

export function createShelf(
  ask: (pictures: readonly number[], maps: readonly number[]) => void,
  life: AbortSignal,
): Shelf {
  const pictures = new Recent<ImageBitmap | null>();
  const maps = new Recent<Heat>();
  const arrived = signal<ReadonlySet<number>>(new Set());
  let inSight: readonly number[] = [];
  let beside: readonly number[] = [];
  let wantsMap = (_row: number) => false;
  let asked = "";
  let askedAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const close = (bitmap: ImageBitmap | null) => bitmap?.close();
  onEnd(life, () => {
    clearTimeout(timer);
    for (const bitmap of pictures.values()) close(bitmap);
  });

  function request() {
    timer = undefined;
    const all = [...new Set([...beside, ...inSight])];
    const lacking = all.filter((row) => !pictures.has(row));
    const mapless = all.filter((row) => wantsMap(row) && !maps.has(row));
    const words = `${lacking};${mapless}`;
    if (words === ";" || (words === asked && Date.now() - askedAt < AGAIN_MS)) return;
    asked = words;
    askedAt = Date.now();
    ask(lacking, mapless);
  }

  async function unpack(row: number, file: Uint8Array<ArrayBuffer>) {
    let bitmap: ImageBitmap | null = null;
    try {
      if (file.length) bitmap = await createImageBitmap(new Blob([file]));
    } catch {
      // Not a picture after all: the card says so.
    }
    if (life.aborted) return close(bitmap);
    close(pictures.get(row) ?? null);
    pictures.set(row, bitmap);
    pictures.trim(close);
    tell([row]);
  }

  /** Pictures decode one by one; they are told of together. */
  let untold = new Set<number>();
  let telling: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(telling));
  function tell(rows: Iterable<number>) {
    for (const row of rows) untold.add(row);
    telling ??= setTimeout(() => {
      telling = undefined;
      arrived.value = untold;
      untold = new Set();
    }, TELL_MS);
  }

  return {
    arrived,
    picture: (row) => pictures.get(row),
    map: (row) => maps.get(row),
    see(rows, mapped) {
      inSight = rows;
      wantsMap = mapped;
      timer ??= setTimeout(request, ASK_MS);
    },
    also(rows) {
      beside = rows;
      timer ??= setTimeout(request, ASK_MS);
    },
    take(news) {
      if (news.kind === "pictures") {
        for (const [i, row] of news.rows.entries()) void unpack(row, news.files[i]!);
      } else if (news.kind === "maps") {
        const [down, across] = news.grid;
        const size = down * across;
        for (const [i, row] of news.rows.entries()) {
          maps.set(row, scaleMap(news.values.subarray(i * size, (i + 1) * size), down, across, true));
        }
        maps.trim(() => undefined);
        tell(news.rows);
      }
    },
    forgetMaps() {
      const rows = [...maps.keys()];
      maps.clear();
      asked = "";
      tell(rows);
      timer ??= setTimeout(request, ASK_MS);
    },
  };
}
