// What the kernel finds about all errors: types, and decoding with checks.

import { amount, decodeArray, fields, listOf, number, oneOf, type Reader, record, text } from "../../wire";

const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (raw) =>
    raw === null || raw === undefined ? null : read(raw);

export type What = "calibrate" | "clusters" | "alignment";

/** How far the computation is that was asked for last. */
export interface Run {
  readonly what: What;
  readonly state: "" | "running" | "done" | "failed" | "stopped";
  readonly step: number;
  readonly total: number;
  readonly message: string;
}

export const decodeRun = fields<Run>({
  what: oneOf("calibrate", "clusters", "alignment"),
  state: oneOf("", "running", "done", "failed", "stopped"),
  step: amount,
  total: amount,
  message: text,
});

/** Maps held against exact removal, the best first; the last one, without a name, is removal itself. */
export interface Calibration {
  readonly by: string;
  readonly samples: number;
  readonly columns: readonly string[];
  readonly maps: readonly {
    readonly name: string;
    readonly title: string;
    readonly values: readonly (number | null)[];
  }[];
}

/** Errors that are alike. */
export interface Group {
  readonly number: number;
  readonly size: number;
  /** The sample nearest to its middle. */
  readonly medoid: number;
  readonly map: { readonly rows: number; readonly cols: number; readonly values: Float32Array };
  readonly pairs: readonly { readonly true: string; readonly predicted: string; readonly count: number }[];
  /** Shares of its errors that change without the region of its map, and without a random one. */
  readonly flips: number | null;
  readonly random: number | null;
}

export interface Thresholds {
  readonly iou: number;
  readonly saliency: number;
  readonly ground: number;
}

/** How many samples with a mask are of which case, by the evidence for what they were taken for and for what they are. */
export interface Cases {
  readonly thresholds: Thresholds;
  readonly measured: number;
  readonly cases: readonly {
    readonly name: string;
    readonly says: string;
    readonly predicted: number;
    readonly true: number;
  }[];
}

export interface Found {
  readonly masks: boolean;
  /** The map that stands over the small pictures. */
  readonly drawn: string;
  readonly calibration: Calibration | null;
  readonly clusters: { readonly cards: readonly Group[] } | null;
  readonly cases: Cases | null;
}

export const decodeFound = fields<Found>({
  masks: (raw) => raw === true,
  drawn: text,
  calibration: maybe(
    fields<Calibration>({
      by: text,
      samples: amount,
      columns: listOf(text),
      maps: listOf(fields<Calibration["maps"][number]>({ name: text, title: text, values: listOf(number) })),
    }),
  ),
  clusters: maybe((raw) => ({
    cards: listOf(
      fields<Group>({
        number: amount,
        size: amount,
        medoid: amount,
        map: (map) => {
          const { shape, values } = decodeArray(map, "the map of a group");
          return { rows: shape[0]!, cols: shape[1] ?? 1, values };
        },
        pairs: listOf(fields<Group["pairs"][number]>({ true: text, predicted: text, count: amount })),
        flips: number,
        random: number,
      }),
    )(record(raw).cards),
  })),
  cases: maybe(
    fields<Cases>({
      thresholds: fields<Thresholds>({ iou: amount, saliency: amount, ground: amount }),
      measured: amount,
      cases: listOf(
        fields<Cases["cases"][number]>({ name: text, says: text, predicted: amount, true: amount }),
      ),
    }),
  ),
});
