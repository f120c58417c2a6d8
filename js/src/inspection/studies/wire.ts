// What the kernel finds about all errors: types, and decoding with checks.

import { amount, decodeArray, fields, listOf, number, oneOf, type Reader, record, text } from "../../wire";

const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (raw) =>
    raw === null || raw === undefined ? null : read(raw);

const WHATS = [
  "calibrate",
  "specificity",
  "clusters",
  "regions",
  "alignment",
  "flips",
  "backgrounds",
] as const;
export type What = (typeof WHATS)[number];

/** How far the computation is that was asked for last. */
export interface Run {
  readonly what: What;
  readonly state: "" | "running" | "done" | "failed" | "stopped";
  readonly step: number;
  readonly total: number;
  readonly message: string;
}

export const decodeRun = fields<Run>({
  what: oneOf(...WHATS),
  state: oneOf("", "running", "done", "failed", "stopped"),
  step: amount,
  total: amount,
  message: text,
});

/** What was found, and a sentence where it is of another map, of fewer errors or of other masks than those of now. */
export interface Aged {
  readonly stale: string;
}

/** Maps held against exact removal, the best first; the last one, without a name, is removal itself. */
export interface Calibration extends Aged {
  readonly by: string;
  readonly samples: number;
  /** Whether removal was approximated: some patches at a time first. */
  readonly coarse: boolean;
  readonly columns: readonly string[];
  /** What is shown of them; `more`: more is better. */
  readonly headings: readonly {
    readonly name: string;
    readonly title: string;
    readonly says: string;
    readonly more: boolean;
  }[];
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
  /** How many of its errors change without the region of its map, in words. */
  readonly tested: string;
  /** What to try where no region explains it; "" otherwise. */
  readonly advice: string;
  /** Of each layer, by how much the class it was taken for leads, and that in words; [] and "" without layers. */
  readonly margins: readonly number[];
  readonly lost: string;
}

/** All groups, and every error as a point: `groups` are the numbers of the groups of `rows`. */
export interface Groups extends Aged {
  /** How many, by which map, and how well they part. */
  readonly says: string;
  readonly k: number | null;
  readonly weights: readonly number[];
  readonly tested: boolean;
  readonly rows: readonly number[];
  readonly groups: readonly number[];
  /** x and y of each. */
  readonly points: Float32Array;
  /** What share of all differences each axis shows. */
  readonly shown: readonly number[];
  readonly cards: readonly Group[];
}

/** Flip sets of the errors along the map of now: how many were searched, and found; all of it in words. */
export interface Flips extends Aged {
  readonly asked: number;
  readonly found: number;
  readonly says: string;
}

/** What became of objects on other backgrounds, in words: sentences, and a table of those that change most. */
export interface Backgrounds extends Aged {
  readonly says: readonly string[];
  /** Samples that could not be asked about. */
  readonly left: readonly number[];
  readonly heads: readonly string[];
  readonly rows: readonly { readonly row: number; readonly cells: readonly string[] }[];
}

/** How a study is introduced. */
interface Words {
  readonly title: string;
  readonly says: string;
  /** What the button says. */
  readonly start: string;
}

/** Forwards of one sample, and seconds of one where that was measured. */
export interface Costs {
  readonly calibrate: number;
  readonly flips: number;
  readonly backgrounds: number;
  readonly coarse: boolean;
  readonly paces: Readonly<Partial<Record<What, number>>>;
}

export interface Thresholds {
  readonly iou: number;
  readonly saliency: number;
  readonly ground: number;
}

/** How many samples with a mask are of which case, by the evidence for what they were taken for and for what they are. */
export interface Cases extends Aged {
  readonly thresholds: Thresholds;
  /** What was compared, in words, and how many of these are right answers. */
  readonly says: string;
  readonly right: number;
  readonly cases: readonly {
    readonly name: string;
    readonly says: string;
    readonly predicted: number;
    readonly true: number;
  }[];
}

export interface Found {
  readonly about: Readonly<Record<What, Words>>;
  readonly masks: boolean;
  /** The map that stands over the small pictures. */
  readonly drawn: string;
  /** How many samples are wrong, and right. */
  readonly errors: number;
  readonly right: number;
  /** null without a model. */
  readonly costs: Costs | null;
  readonly calibration: Calibration | null;
  readonly clusters: Groups | null;
  readonly cases: Cases | null;
  readonly flips: Flips | null;
  readonly backgrounds: Backgrounds | null;
  /** Whether plain maps depend on the class: of how many errors that is known, and in words. */
  readonly specificity: (Aged & { readonly asked: number; readonly says: string }) | null;
}

const yes: Reader<boolean> = (raw) => raw === true;
const aged = { stale: text };
const amounts = listOf(amount);

const words = fields<Words>({ title: text, says: text, start: text });

export const decodeFound = fields<Found>({
  about: (raw) => Object.fromEntries(WHATS.map((what) => [what, words(record(raw)[what])])) as Found["about"],
  masks: yes,
  drawn: text,
  errors: amount,
  right: amount,
  costs: maybe(
    fields<Costs>({
      calibrate: amount,
      flips: amount,
      backgrounds: amount,
      coarse: yes,
      paces: (raw) => Object.fromEntries(WHATS.map((what) => [what, amount(record(raw)[what])])),
    }),
  ),
  calibration: maybe(
    fields<Calibration>({
      ...aged,
      by: text,
      samples: amount,
      coarse: yes,
      columns: listOf(text),
      headings: listOf(
        fields<Calibration["headings"][number]>({ name: text, title: text, says: text, more: yes }),
      ),
      maps: listOf(fields<Calibration["maps"][number]>({ name: text, title: text, values: listOf(number) })),
    }),
  ),
  clusters: maybe(
    fields<Groups>({
      ...aged,
      says: text,
      k: number,
      weights: amounts,
      tested: yes,
      rows: amounts,
      groups: amounts,
      points: (raw) => (raw ? decodeArray(raw, "the errors as points").values : new Float32Array()),
      shown: amounts,
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
          tested: text,
          advice: text,
          margins: amounts,
          lost: text,
        }),
      ),
    }),
  ),
  cases: maybe(
    fields<Cases>({
      ...aged,
      thresholds: fields<Thresholds>({ iou: amount, saliency: amount, ground: amount }),
      says: text,
      right: amount,
      cases: listOf(
        fields<Cases["cases"][number]>({ name: text, says: text, predicted: amount, true: amount }),
      ),
    }),
  ),
  specificity: maybe(fields({ ...aged, asked: amount, says: text })),
  flips: maybe(fields<Flips>({ ...aged, asked: amount, found: amount, says: text })),
  backgrounds: maybe(
    fields<Backgrounds>({
      ...aged,
      says: listOf(text),
      left: amounts,
      heads: listOf(text),
      rows: listOf(fields<Backgrounds["rows"][number]>({ row: amount, cells: listOf(text) })),
    }),
  ),
});
