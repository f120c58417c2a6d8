import type { Target } from "../src/wire";

/** A float32 array as the kernel sends it. */
export function packed(shape: number[], values: ArrayLike<number>) {
  const data = Float32Array.from(values);
  return { dtype: "float32", shape, data: new DataView(data.buffer) };
}

export const text = (words: string): Target => ({ kind: "text", text: words });

export const LAYERS = 3;
export const GRID = [2, 3] as const;

/** An answer whose map of target t, layer l holds 100 t + 10 l + patch number. */
export function result(targets: readonly Target[], changes: Record<string, unknown> = {}) {
  const [rows, cols] = GRID;
  const values: number[] = [];
  for (let t = 0; t < targets.length; t++)
    for (let l = 1; l <= LAYERS; l++) for (let i = 0; i < rows * cols; i++) values.push(100 * t + 10 * l + i);
  return {
    rid: null,
    rev: 1,
    image_rev: 1,
    method: "legrad",
    knobs: {},
    seconds: 0.05,
    layers: [1, 2, 3],
    signed: false,
    merge: "mean",
    default: "all",
    grid: [...GRID],
    maps: packed([targets.length, LAYERS, rows, cols], values),
    targets: targets.map((target) => ({
      target,
      label: target.kind === "text" ? target.text : "",
      score: 0.3,
      score_name: "cosine",
      probability: 0.9,
      probability_of: "sigmoid",
      supported: true,
      note: "",
      layer_scores: [0.1, 0.2, null],
      degenerate: [false, false, false],
      error: "",
    })),
    predictions: [],
    predictions_of: "",
    ...changes,
  };
}

export const IMAGE = {
  rev: 1,
  name: "scene.png",
  mime: "image/png",
  data: new DataView(new ArrayBuffer(8)),
  width: 60,
  height: 40,
  original: [600, 400],
  window: [0, 0, 600, 400],
};

export const IDLE = { state: "idle", rid: null, rev: 0, step: 0, total: 0, message: "", detail: "" };

/** The state of a widget that has answered for two prompts. */
export function answered(): Record<string, unknown> {
  const targets = [text("cat"), text("dog")];
  return {
    targets,
    active: 0,
    method: "legrad",
    knobs: {},
    layers: null,
    opacity: 0.65,
    colormap: "inferno",
    threshold: 0,
    smooth: true,
    _catalogue: [
      {
        name: "legrad",
        title: "LeGrad",
        merge: "mean",
        default: "all",
        available: true,
        knobs: [
          { name: "relu", kind: "bool", default: true },
          { name: "preset", kind: "choice", default: null, choices: [null, "paper"] },
        ],
      },
      { name: "rollout", title: "Rollout", merge: "last", default: "last", available: true, knobs: [] },
      { name: "gradcam", title: "Grad-CAM", available: false, reason: "It needs a class token.", knobs: [] },
    ],
    _model: { name: "tiny", kind: "clip", layers: 3, prompts: true, classes: null, suggestions: ["a cat"] },
    _image: IMAGE,
    _result: result(targets),
    _status: IDLE,
  };
}

/** A comparison whose map of pane p, layer l holds sin(3 p + l + patch number), and minus that every other pane. */
export function comparison(methods: readonly string[], changes: Record<string, unknown> = {}) {
  const [rows, cols] = GRID;
  return {
    rid: null,
    rev: 1,
    image_rev: 1,
    target: text("cat"),
    label: "cat",
    grid: [...GRID],
    pending: [],
    panes: methods.map((method, p) => ({
      method,
      knobs: {},
      seconds: 0.01,
      layers: [1, 2, 3],
      signed: p % 2 === 1,
      merge: "mean",
      default: "all",
      degenerate: [false, false, false],
      maps: packed(
        [LAYERS, rows, cols],
        Array.from({ length: LAYERS * rows * cols }, (_, k) => {
          const [l, i] = [Math.floor(k / (rows * cols)), k % (rows * cols)];
          return (p % 2 ? -1 : 1) * (p + 1) * Math.sin(3 * p + l + i);
        }),
      ),
      error: "",
    })),
    ...changes,
  };
}
