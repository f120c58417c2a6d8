// Everything the gallery knows and can do, without a page: the parts in this folder draw these signals and call these
// actions, and a test can do the same.

import type { MakeGallery } from "../gallery";
import { clamp } from "../heat/frame";
import { batch, computed, type ReadonlySignal, type Signal, signal } from "../signals";
import { bring, type Second } from "../store/second";
import type { Host } from "../store/traits";
import { onEnd } from "../store/watch";
import { attempt, freshName, VERSION } from "../wire";
import { createShelf, type Shelf } from "./shelf";
import { type Confusion, confusionOf, OPEN, type Pair, pick, type Sieve, sift } from "./sift";
import { createTable, type Table } from "./table";
import {
  decodeGallery,
  decodeNews,
  decodeOpened,
  decodeProgress,
  decodeRows,
  decodeSample,
  type GalleryCard,
  type Progress,
  type Sample,
  type Sort,
} from "./wire";

/** The second file that belongs to this one; the build writes it. */
export const HASH = "the-gallery-files-hash";
/** While samples are still being scored the order is made anew this often: cards should not move all the time. */
export const SETTLE_MS = 1000;

export interface GalleryStore {
  readonly host: Host;
  readonly card: ReadonlySignal<GalleryCard>;
  readonly progress: ReadonlySignal<Progress>;
  readonly table: Table;
  /** Counts news about the table; whoever draws cells of it follows this. */
  readonly version: ReadonlySignal<number>;
  readonly shelf: Shelf;
  readonly sieve: ReadonlySignal<Sieve>;
  readonly sort: ReadonlySignal<Sort | undefined>;
  /** Sort keys of which any sample has a value. */
  readonly sorts: ReadonlySignal<readonly Sort[]>;
  /** The samples shown, in order. */
  readonly order: ReadonlySignal<Int32Array>;
  readonly confusion: ReadonlySignal<Confusion>;
  /** How many samples are scored, how many of them wrong, and how many others cannot be used, as far as it is told. */
  readonly told: ReadonlySignal<{
    readonly scored: number;
    readonly wrong: number;
    readonly skipped: number;
  }>;
  /** Whether the kernel knows of more than is shown: samples are being scored, or what became of them is on its way. */
  readonly behind: ReadonlySignal<boolean>;
  readonly selected: ReadonlySignal<ReadonlySet<number>>;
  /** The position in `order` that the keys are at. */
  readonly cursor: ReadonlySignal<number>;
  readonly opened: ReadonlySignal<number | null>;
  /** Counts the samples that somebody asked for here, whatever part of the page that was in. */
  readonly openings: ReadonlySignal<number>;
  /** What is known of the open sample; null until it has come. */
  readonly sample: ReadonlySignal<Sample | null>;
  /** Whether all pictures are shown without their maps, for as long as somebody holds that. */
  readonly bare: Signal<boolean>;
  /** Why something cannot be done or read, in a sentence; "". */
  readonly complaint: ReadonlySignal<string>;
  /** The second file, which adds what is computed about all errors. */
  readonly second: Second<MakeGallery>;

  className(kind: number): string;
  narrow(change: Partial<Sieve>): void;
  pickPair(pair: Pair, add: boolean): void;
  sortBy(key: string): void;
  /** Move the cursor to a position; with `extend` the selection goes from where it began to there. */
  moveTo(position: number, extend?: boolean): void;
  /** Add the sample at the cursor to the selection, or take it out. */
  toggle(position: number): void;
  selectAll(on: boolean): void;
  open(row: number | null): void;
  /** Open the next sample of the order, or the one before. */
  step(by: number): void;
  /** Tag what is selected, or the sample at the cursor where nothing is. */
  tag(name: string, on: boolean): void;
  note(row: number, words: string): void;
  steer(to: "pause" | "run"): void;
  /** Send a message, about `rows` where it is about some; false where there is no kernel. */
  send(kind: string, content: object, rows?: readonly number[]): boolean;
}

export function createGallery(host: Host, life: AbortSignal): GalleryStore {
  const client = freshName();
  let n = 0;
  const complaint = signal("");

  /** A trait as a signal; what cannot be read is complained of, and the value before stands. */
  function follow<T>(trait: string, decode: (raw: unknown) => T): ReadonlySignal<T> {
    const followed = signal(decode(undefined));
    const read = () => {
      const why = attempt("What the kernel says", () => {
        followed.value = decode(host.read(trait));
      });
      if (why) complaint.value = why;
    };
    host.onChange(trait, read);
    read();
    return followed;
  }

  const card = follow("_gallery", decodeGallery);
  const progress = follow("_scoring", decodeProgress);
  const sample = follow("_sample", decodeSample);
  const theirs = follow("_selected", decodeRows);
  const openedThere = follow("opened", decodeOpened);

  const table = createTable(card.peek().total);
  const version = signal(0);
  const sieve = signal<Sieve>(OPEN);
  const key = signal("");
  const selected = signal<ReadonlySet<number>>(new Set());
  const opened = signal<number | null>(openedThere.peek());
  const openings = signal(0);
  const cursor = signal(0);
  let anchor = 0;

  function send(kind: string, content: object, rows?: readonly number[]): boolean {
    n += 1;
    try {
      host.send({ ...content, kind, v: VERSION, client, n }, rows ? [Int32Array.from(rows).buffer] : []);
      complaint.value = "";
      return true;
    } catch {
      complaint.value = "The kernel is gone: what is on the screen stays, but nothing can be asked or saved.";
      return false;
    }
  }

  const ask = { send: (content: object) => send("live", content) };
  const second = bring<MakeGallery>(host, ask, signal(""), life, HASH);
  const shelf = createShelf(
    (pictures, maps) => send("visible", { pictures: pictures.length }, [...pictures, ...maps]),
    life,
  );

  // -- news ---------------------------------------------------------------------------------------------------

  let timer: ReturnType<typeof setTimeout> | undefined;
  let settledAt = 0;
  function settle() {
    timer = undefined;
    settledAt = Date.now();
    version.value = version.peek() + 1;
  }
  onEnd(life, () => clearTimeout(timer));

  host.onMessage((content, buffers = []) => {
    const news = decodeNews(content, buffers);
    if (news?.kind === "cells") {
      table.take(news);
      // Where nothing is shown yet, nothing can move.
      const settling = progress.peek().state === "running" && order.peek().length > 0;
      const wait = settling ? settledAt + SETTLE_MS - Date.now() : 0;
      if (wait <= 0) settle();
      else timer ??= setTimeout(settle, wait);
    } else if (news?.kind === "stale") shelf.forgetMaps();
    else if (news?.kind === "denied") complaint.value = news.message;
    else if (news) shelf.take(news);
  });

  host.onChange("_scoring", () => {
    if (!timer || progress.peek().state === "running") return;
    clearTimeout(timer);
    settle();
  });

  /** The kernel's selection, unless it echoes one of ours: a later one of ours may stand here by now. */
  let sentSelections: string[] = [];
  const adopt = () => {
    const rows = theirs.peek();
    const at = sentSelections.indexOf(`${rows}`);
    sentSelections = at < 0 ? [] : sentSelections.slice(at + 1);
    if (at < 0) selected.value = new Set(rows);
  };
  host.onChange("_selected", adopt);
  adopt();
  host.onChange("opened", () => {
    opened.value = openedThere.peek();
  });

  // -- what follows ---------------------------------------------------------------------------------------------

  const sorts = computed(() => {
    version.value;
    return card.value.sorts.filter(({ column }) => table.has(column));
  });
  const sort = computed(() => sorts.value.find((one) => one.key === key.value) ?? sorts.value[0]);
  const order = computed(() => {
    version.value;
    return sift(table, sieve.value, sort.value);
  });
  const confusion = computed(() => {
    version.value;
    return confusionOf(table, sieve.value.errors);
  });

  const told = computed(() => {
    version.value;
    let [scored, wrong, skipped] = [0, 0, 0];
    for (let row = 0; row < table.total; row++) {
      scored += Number(table.scored(row));
      wrong += Number(table.wrong(row));
      skipped += Number(table.skipped(row));
    }
    return { scored, wrong, skipped };
  });
  const behind = computed(() => {
    const { state, step, errors } = progress.value;
    const { scored, wrong, skipped } = told.value;
    return state === "running" || wrong < errors || scored + skipped < step;
  });

  // -- actions --------------------------------------------------------------------------------------------------

  function choose(rows: Iterable<number>) {
    const chosen = [...new Set(rows)];
    selected.value = new Set(chosen);
    sentSelections.push(`${chosen}`);
    send("select", {}, chosen);
  }

  /** Keep the sample under the cursor under it where the order changes, as far as it is still there. */
  function rearrange(change: () => void) {
    const row = opened.peek() ?? order.peek()[cursor.peek()];
    batch(change);
    const at = row === undefined ? -1 : order.peek().indexOf(row);
    anchor = cursor.value = Math.max(at, 0);
  }

  function turnTo(row: number | null): boolean {
    if (!send("open", { row })) return false;
    opened.value = row;
    const at = row === null ? -1 : order.peek().indexOf(row);
    if (at >= 0) anchor = cursor.value = at;
    return true;
  }

  const store: GalleryStore = {
    host,
    card,
    progress,
    table,
    version,
    shelf,
    sieve,
    sort,
    sorts,
    order,
    confusion,
    told,
    behind,
    selected,
    cursor,
    opened,
    openings,
    sample: computed(() => (sample.value?.row === opened.value ? sample.value : null)),
    bare: signal(false),
    complaint,
    second,

    className: (kind) => (kind < 0 ? "–" : (card.peek().classes[kind] ?? `class ${kind}`)),
    narrow(change) {
      rearrange(() => {
        sieve.value = { ...sieve.peek(), ...change };
      });
    },
    pickPair(pair, add) {
      store.narrow({ pairs: pick(sieve.peek().pairs, pair, add) });
    },
    sortBy(name) {
      rearrange(() => {
        key.value = name;
      });
      anchor = cursor.value = 0;
    },
    moveTo(position, extend = false) {
      const rows = order.peek();
      const at = clamp(position, 0, Math.max(rows.length - 1, 0));
      cursor.value = at;
      if (extend) choose(rows.slice(Math.min(anchor, at), Math.max(anchor, at) + 1));
      else anchor = at;
    },
    toggle(position) {
      const row = order.peek()[position];
      if (row === undefined) return;
      anchor = cursor.value = position;
      const now = selected.peek();
      choose(now.has(row) ? [...now].filter((other) => other !== row) : [...now, row]);
    },
    selectAll: (on) => choose(on ? order.peek() : []),
    open(row) {
      if (turnTo(row) && row !== null) openings.value = openings.peek() + 1;
    },
    step(by) {
      const rows = order.peek();
      const now = opened.peek();
      const from = now === null ? cursor.peek() : rows.indexOf(now);
      const at = from < 0 ? cursor.peek() : from + by;
      const row = rows[at];
      if (row === undefined) return;
      if (now === null) store.moveTo(at);
      else turnTo(row);
    },
    tag(name, on) {
      const chosen = [...selected.peek()];
      const row = opened.peek() ?? order.peek()[cursor.peek()];
      const rows = chosen.length ? chosen : row === undefined ? [] : [row];
      if (name.trim() && rows.length) send("tag", { tag: name.trim(), on }, rows);
    },
    note: (row, words) => void send("note", { row, text: words }),
    steer: (to) => void send("steer", { to }),
    send,
  };
  send("table", {});
  second.want();
  return store;
}
