// The model of a saved gallery: the table, pictures and details that were saved, and instead of a kernel what finds
// them. Tags and notes change here, for as long as the page is open: whoever leaves it with some that are in no table
// yet is asked first.

import type { AnyModel } from "@anywidget/types";
import { type Buffers, pageModel, type State } from "../page-model";
import { type Judged, judge, SIDES } from "./judged";
import type { Cases, Thresholds } from "./studies/wire";

/** A message of the kernel's, as it was sent. */
type Message = readonly [content: { readonly words?: Readonly<Record<string, string[]>> }, buffers: Buffers];

/** What is in the page beside the traits. */
interface Saved {
  /** All that the table has, and small pictures. */
  readonly _table: readonly Message[];
  readonly _pictures: Message;
  /** By their rows, what is known of samples beside the table; what is the same for all of them stands once. */
  readonly _details: Readonly<Record<number, State>>;
  readonly _same: State;
  /** Of the samples that were compared with their masks, what decides their cases; null where there are none. */
  readonly _judged: Judged | null;
  /** What is said of any other sample. */
  readonly _absent: string;
  /** What is said where a kernel would be needed. */
  readonly _needs: string;
}

interface Wish extends Thresholds {
  readonly kind: string;
  readonly row: number | null;
  readonly pictures: number;
  readonly tag: string;
  readonly on: boolean;
  readonly text: string;
}

interface Map32 {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Rows as they travel. */
function rowsOf(buffer: Buffers[number] = new ArrayBuffer()): number[] {
  return [...new Int32Array(new Uint8Array(buffer).buffer)];
}
const packed = (rows: readonly number[]) => Int32Array.from(rows).buffer;

/** `live`: the second file, where the page holds it. */
export function savedGallery(state: State, live = ""): AnyModel {
  const { _table, _pictures, _details, _same, _judged, _absent, _needs } = state as unknown as Saved;
  const [rows, ...files] = _pictures[1];
  const fileOf = new Map(rowsOf(rows).map((row, i) => [row, files[i]!]));

  /** A column of words, by rows. */
  function wordsOf(column: string): Map<number, string> {
    const found = new Map<number, string>();
    for (const [{ words }, buffers] of _table) {
      const said = words?.[column];
      if (said) for (const [i, row] of rowsOf(buffers[0]).entries()) found.set(row, said[i]!);
    }
    return found;
  }
  const [tags, notes] = [wordsOf("tags"), wordsOf("note")];

  /** By their rows the cases of both sides, once thresholds were moved. */
  const moved = new Map<number, readonly number[]>();
  const studies = () => state._studies as { readonly cases: Cases };

  function detailOf(row: number): State {
    if (!_details[row]) return { row, needs: _absent };
    const detail = { ..._same, ..._details[row], row } as State & { cases?: object[] };
    const now = moved.get(row)?.filter((at) => at >= 0);
    const cases = now && detail.cases?.map((one, i) => ({ ...one, ...named(now[i]!) }));
    return cases ? { ...detail, cases } : detail;
  }
  /** A case by its number. */
  const named = (at: number) => {
    const { name, says } = studies().cases.cases[at] ?? { name: "", says: "" };
    return { name, says };
  };

  /** Other thresholds of the cases: the table, the counts and the open sample follow. */
  function limit({ iou, saliency, ground }: Thresholds) {
    if (!_judged) return;
    const rows = rowsOf(_judged.rows);
    const thresholds = { iou, saliency, ground };
    const sides = judge(_judged, thresholds);
    for (const [i, row] of rows.entries())
      moved.set(
        row,
        sides.map((side) => side[i]!),
      );
    const { cases } = studies();
    const counted = cases.cases.map((one, at) => ({
      ...one,
      ...Object.fromEntries(SIDES.map((side, k) => [side, sides[k]!.filter((found) => found === at).length])),
    }));
    set("_studies", { ...studies(), cases: { ...cases, thresholds, cases: counted } });
    tellCases();
    if (state.opened !== null) set("_sample", detailOf(state.opened as number));
  }
  function tellCases() {
    const wanted = [...moved.keys()];
    if (!wanted.length) return;
    for (const [k, side] of SIDES.entries())
      retell(
        `case_${side}`,
        wanted,
        wanted.map((row) => named(moved.get(row)![k]!).name),
      );
  }

  function sendPictures(wanted: readonly number[]) {
    const found = wanted.map((row) => fileOf.get(row) ?? new Uint8Array());
    if (wanted.length) tell({ kind: "pictures" }, [packed(wanted), ...found]);
  }

  function sendMaps(wanted: readonly number[]) {
    for (const row of wanted) {
      const map = detailOf(row).map as Map32 | null | undefined;
      if (map) tell({ kind: "maps", grid: map.shape }, [packed([row]), map.data]);
    }
  }

  /** Samples whose tags or note are in no table yet. */
  const loose = new Set<number>();
  addEventListener("beforeunload", (event) => {
    if (loose.size) event.preventDefault();
  });

  /** Write a column of words of some samples, and tell of it. */
  function write(column: string, known: Map<number, string>, wanted: readonly number[], said: string[]) {
    for (const [i, row] of wanted.entries()) {
      known.set(row, said[i]!);
      loose.add(row);
    }
    retell(column, wanted, said);
  }

  function retell(column: string, wanted: readonly number[], said: string[]) {
    tell({ kind: "cells", columns: [], words: { [column]: said } }, [packed(wanted)]);
  }

  function tagged(row: number, tag: string, on: boolean): string {
    const others = (tags.get(row) ?? "").split(", ").filter((one) => one && one !== tag);
    return [...others, ...(on ? [tag] : [])].join(", ");
  }

  const grants: Readonly<Record<string, (wish: Wish, rows: readonly number[]) => void>> = {
    table() {
      for (const [content, buffers] of _table) tell(content, buffers);
      retell("tags", [...tags.keys()], [...tags.values()]);
      retell("note", [...notes.keys()], [...notes.values()]);
      tellCases();
    },
    thresholds: limit,
    visible({ pictures }, wanted) {
      sendPictures(wanted.slice(0, pictures));
      sendMaps(wanted.slice(pictures));
    },
    open({ row }) {
      set("opened", row);
      set("_sample", row === null ? {} : detailOf(row));
    },
    select: (_, wanted) => set("_selected", wanted),
    tag: ({ tag, on }, wanted) =>
      write(
        "tags",
        tags,
        wanted,
        wanted.map((row) => tagged(row, tag, on)),
      ),
    note: ({ row, text }) => row !== null && write("note", notes, [row], [text]),
    kept(_, wanted) {
      for (const row of wanted) loose.delete(row);
    },
  };
  const { model, set, tell } = pageModel(state, live, (wish: Wish, buffers) => {
    const grant = grants[wish.kind];
    if (grant) grant(wish, rowsOf(buffers[0]));
    else queueMicrotask(() => tell({ kind: "denied", message: _needs })); // once `send` has returned, as a kernel would
  });
  return model;
}
