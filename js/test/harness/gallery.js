// The built inspector without Jupyter: an in-memory model, and behind it a stand-in for the kernel that tells of
// synthetic samples by the wire contract.
// ?n=samples, &classes=number, &errors=share, &theme=dark, &live=0, &state=running|idle

import widget from "../../../legrad_widget/static/inspect.js";

const params = new URLSearchParams(location.search);
const N = Number(params.get("n") ?? 400);
const LIVE = params.get("live") !== "0";
const WRONG = Number(params.get("errors") ?? 0.15);
document.documentElement.dataset.theme = params.get("theme") ?? "light";
const NAMES = ["cat", "dog", "wolf", "fox", "<b>bear</b>", "owl", "a bird with a very long name", "hen"];
const CLASSES = Array.from(
  { length: Number(params.get("classes") ?? 6) },
  (_, i) => NAMES[i] ?? `class ${i}`,
);
const GRID = 8;

let seed = 7;
const random = () => {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
};
const column = (make) => Array.from({ length: N }, (_, i) => make(i));
const truth = column(() => Math.floor(random() * CLASSES.length));
const wrong = column(() => (random() < WRONG ? 1 : 0));
const taken = column((i) =>
  wrong[i] ? (truth[i] + 1 + Math.floor(random() ** 2 * (CLASSES.length - 1))) % CLASSES.length : truth[i],
);
const pPred = column(() => 0.4 + 0.6 * random());
const pTrue = column((i) => (wrong[i] ? (1 - pPred[i]) * random() : pPred[i]));
const tags = column((i) => (wrong[i] && i % 17 === 0 ? "shortcut" : ""));
const notes = column(() => "");
const KINDS = ["never right", "lost", "won back and lost", "undecided"];

const ints = (values) => ["int32", new DataView(Int32Array.from(values).buffer)];
const floats = (values) => ["float32", new DataView(Float32Array.from(values).buffer)];
function cells(rows, columns, words) {
  const named = Object.entries(columns);
  tell(
    {
      kind: "cells",
      columns: named.map(([name, [dtype]]) => [name, dtype]),
      words,
    },
    [new DataView(Int32Array.from(rows).buffer), ...named.map(([, [, data]]) => data)],
  );
}
function table(from, to) {
  const rows = Array.from({ length: to - from }, (_, i) => from + i);
  const of = (values) => rows.map((row) => values[row]);
  cells(
    rows,
    {
      true: ints(of(truth)),
      predicted: ints(of(taken)),
      error: ints(of(wrong)),
      p_true: floats(of(pTrue)),
      p_pred: floats(of(pPred)),
      margin: floats(rows.map((row) => (wrong[row] ? pTrue[row] - pPred[row] : pPred[row] - 0.1))),
      loss: floats(rows.map((row) => -Math.log(pTrue[row] + 1e-9))),
      by_near_misses: floats(
        rows.map((row) => (wrong[row] && row % 3 === 0 ? pTrue[row] - pPred[row] : Number.NaN)),
      ),
    },
    {
      name: rows.map((row) => `photo_${String(row).padStart(5, "0")}.jpg`),
      status: rows.map(() => "scored"),
      flip_kind: rows.map((row) => (wrong[row] ? KINDS[row % 4] : "")),
      tags: of(tags),
      note: of(notes),
    },
  );
}

/** Some pictures for all samples: it is not the drawing of them that is to be looked at. */
const drawn = new Map();
async function picture(row) {
  const kind = `${truth[row]},${taken[row]},${row % 4}`;
  if (!drawn.has(kind)) drawn.set(kind, await drawPicture(row));
  return drawn.get(kind);
}
async function drawPicture(row) {
  const canvas = new OffscreenCanvas(96, 96);
  const c = canvas.getContext("2d");
  c.fillStyle = `hsl(${(truth[row] * 360) / CLASSES.length} 30% 82%)`;
  c.fillRect(0, 0, 96, 96);
  c.fillStyle = "#8a9a6a";
  c.fillRect(0, 66, 96, 30);
  const x = 26 + (((row % 4) * 37) % 44);
  c.fillStyle = `hsl(${(truth[row] * 360) / CLASSES.length} 55% 45%)`;
  c.beginPath();
  c.arc(x, 56, 20, 0, 7);
  c.arc(x + 8, 34, 12, 0, 7);
  c.fill();
  if (wrong[row]) {
    c.fillStyle = `hsl(${(taken[row] * 360) / CLASSES.length} 80% 45%)`;
    c.fillRect(76, 8, 12, 12);
  }
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
  return new DataView(await blob.arrayBuffer());
}
function map(row) {
  const x = (26 + (((row % 4) * 37) % 44)) / 96;
  return Array.from({ length: GRID * GRID }, (_, i) => {
    const [v, u] = [(Math.floor(i / GRID) + 0.5) / GRID, ((i % GRID) + 0.5) / GRID];
    const bump = (a, b, s) => Math.exp(-((u - a) ** 2 + (v - b) ** 2) / s);
    return bump(0.86, 0.15, 0.012) - 0.7 * bump(x, 0.55, 0.03);
  });
}

const state = {
  _gallery: {
    live: LIVE,
    total: N,
    classes: CLASSES,
    sorts: [
      { key: "loss", title: "Largest loss", says: "", column: "loss", ascending: false },
      { key: "margin", title: "Furthest from right", says: "", column: "margin", ascending: true },
      { key: "near", title: "Nearly right", says: "", column: "by_near_misses", ascending: false },
    ],
    filters: [
      { column: "flip_kind", title: "How it was lost" },
      { column: "tags", title: "Tag" },
    ],
    drawn: { name: "attention_gradient/paper", title: "Attention gradient" },
  },
  _scoring: {},
  _sample: {},
  _selected: [],
  _study: {},
  _studies: {
    masks: true,
    drawn: "attention_gradient/paper",
    calibration: null,
    clusters: null,
    cases: null,
  },
  opened: null,
  targets: [],
  active: 0,
  method: "legrad",
  knobs: {},
  layers: null,
  opacity: 0.65,
  colormap: "inferno",
  threshold: 0,
  smooth: true,
  compare: "prompts",
  compared: [],
  compare_scale: "own",
  _catalogue: [],
  _model: {
    name: "tiny",
    layers: 6,
    heads: 4,
    grid: [8, 8],
    patch: [8, 8],
    prompts: false,
    classes: CLASSES,
  },
  _image: {},
  _result: {},
  _comparison: {},
  _tools: {},
  _status: { state: "idle", rid: null, rev: 0, step: 0, total: 0, message: "", detail: "" },
};
const listeners = new Map();
const emit = (event, ...args) => {
  for (const run of [...(listeners.get(event) ?? [])]) run(...args);
};
const setLocal = (name, value) => {
  state[name] = value;
  emit(`change:${name}`, model, value);
};
const log = { sent: [] };
const model = {
  get: (name) => state[name],
  set: setLocal,
  save_changes() {},
  send(content, _callbacks, buffers) {
    log.sent.push(content);
    setTimeout(() => kernel(structuredClone(content), buffers ?? []), 5);
  },
  on: (event, run) => (listeners.get(event) ?? listeners.set(event, new Set()).get(event)).add(run),
  off: (event, run) => listeners.get(event)?.delete(run),
};
const tell = (content, buffers = []) => emit("msg:custom", content, buffers);
const scored = params.get("state") === "running" ? Math.floor(0.6 * N) : N;
const scoring = (more) =>
  setLocal("_scoring", {
    state: scored < N ? "running" : "idle",
    step: scored,
    total: N,
    message: "",
    errors: wrong.slice(0, scored).filter(Boolean).length,
    faults: 0,
    ...more,
  });
scoring({});

const MAPS = ["legrad, equal", "attention_gradient", "legrad, floor", "cdam", "gradcam", "legrad", "rollout"];
const CASES = [
  ["human-aligned", "right, by the object itself"],
  ["sufficient subset", "right, by a part of the object"],
  ["sufficient context", "right, by the object and what is around it"],
  ["context-dependent", "right, by something beside the object"],
  ["confuser", "wrong: it looks at the object and calls it something else"],
  ["insufficient subset", "wrong: it looks at too little of the object"],
  ["distractor", "wrong: the object, and something beside it that wins"],
  ["context confusion", "wrong: decided by something beside the object"],
];
const find = (more) => setLocal("_studies", { ...state._studies, ...more });
const errors = () => column((i) => i).filter((i) => wrong[i]);
function study(what) {
  const packed = (row) => ({
    dtype: "float32",
    shape: [GRID, GRID],
    data: new DataView(Float32Array.from(map(row), (value) => Math.max(0, value)).buffer),
  });
  if (what === "calibrate") {
    const maps = MAPS.map((label, i) => {
      const [method, weights] = label.split(", ");
      const values = [0.812 - 0.09 * i, 0.72 - 0.08 * i, 1 + i, 0.61 - 0.05 * i];
      return { name: `${method}/${weights ?? "paper"}`, title: label, values };
    });
    maps.push({ name: "", title: "Exact removal", values: [1, 1, 1, 0.7] });
    const columns = ["rank_correlation", "top_patch", "flip_size", "mask_precision"];
    find({ drawn: maps[0].name, calibration: { by: columns[0], samples: 32, columns, maps } });
  } else if (what === "clusters") {
    const rows = errors();
    const of = (number) => rows.filter((_, i) => i % 4 === number - 1 || (number === 1 && i % 4 === 3));
    const cards = [1, 2, 3].map((number) => ({
      number,
      size: of(number).length,
      medoid: of(number)[0],
      map: packed(of(number)[0]),
      pairs: of(number)
        .slice(0, 3)
        .map((row, i) => ({ true: CLASSES[truth[row]], predicted: CLASSES[taken[row]], count: 5 - i })),
      flips: 0.9 / number,
      random: 0.04,
    }));
    for (const { number } of cards) cells(of(number), { cluster: ints(of(number).map(() => number)) }, {});
    find({ clusters: { cards } });
  } else limit({ iou: 0.5, saliency: 0.5, ground: 0.5 });
}
function limit(thresholds) {
  const rows = errors();
  const at = (row) => 4 + ((row + Math.round(10 * (thresholds.iou + thresholds.ground))) % 4);
  const named = rows.map((row) => CASES[at(row)][0]);
  cells(rows, {}, { case_predicted: named, case_true: named });
  const count = (name) => named.filter((one) => one === name).length;
  const cases = CASES.map(([name, says]) => ({ name, says, predicted: count(name), true: count(name) }));
  find({ cases: { thresholds, measured: rows.length, cases } });
}

async function kernel(content, buffers) {
  const rows = buffers[0] ? [...new Int32Array(buffers[0])] : [];
  if (content.kind === "live") {
    const file = await (await fetch("../../../legrad_widget/static/gallery.js")).arrayBuffer();
    tell({ kind: "live", hash: content.hash, message: "" }, [new DataView(file)]);
  } else if (content.kind === "study") {
    const run = (state, step) =>
      setLocal("_study", { what: content.what, state, step, total: 32, message: "" });
    if (!content.on) return run("stopped", 0);
    run("running", 11);
    if (params.get("study") !== "running") {
      study(content.what);
      run("done", 32);
    }
  } else if (content.kind === "draw") find({ drawn: content.name });
  else if (content.kind === "thresholds") {
    const { iou, saliency, ground } = content;
    limit({ iou, saliency, ground });
  }
  if (content.kind === "table") {
    for (let from = 0; from < scored; from += 2000) table(from, Math.min(from + 2000, scored));
  } else if (content.kind === "visible") {
    const [lacking, mapless] = [rows.slice(0, content.pictures), rows.slice(content.pictures)];
    for (let at = 0; at < lacking.length; at += 8) {
      const some = lacking.slice(at, at + 8);
      const files = await Promise.all(some.map(picture));
      tell({ kind: "pictures" }, [new DataView(Int32Array.from(some).buffer), ...files]);
    }
    if (mapless.length)
      tell({ kind: "maps", grid: [GRID, GRID] }, [
        new DataView(Int32Array.from(mapless).buffer),
        new DataView(Float32Array.from(mapless.flatMap(map)).buffer),
      ]);
  } else if (content.kind === "select") setLocal("_selected", rows);
  else if (content.kind === "tag") {
    for (const row of rows) tags[row] = content.on ? content.tag : "";
    cells(rows, {}, { tags: rows.map((row) => tags[row]) });
  } else if (content.kind === "note") {
    notes[content.row] = content.text;
    cells([content.row], {}, { note: [content.text] });
  } else if (content.kind === "steer") scoring({ state: content.to === "pause" ? "paused" : "running" });
  else if (content.kind === "open") {
    setLocal("opened", content.row);
    setLocal("_sample", content.row === null ? {} : await sample(content.row));
  } else if (content.kind === "flip") {
    setLocal("_sample", {
      ...state._sample,
      flip_set: {
        state: "done",
        words:
          "Without 1 patch (2 % of the picture) it says cat instead of dog; as many random ones do that in 0 %.",
        patches: [[0, 6]],
      },
    });
  }
}

async function sample(row) {
  const near = (n) =>
    wrong.flatMap((flag, i) => (flag === n && i !== row ? [i] : [])).slice(row % 9, (row % 9) + 4);
  return {
    row,
    layers: [1, 2, 3, 4, 5, 6],
    true: [0.1, 0.2, 0.5, 0.8, 0.7, 0.6],
    predicted: [0.15, 0.1, 0.3, 0.6, 1.1, 1.8],
    trust: [0.5, 0.55, 0.7, 0.8, 0.95, 1],
    weak: [true, true, false, false, false, false],
    flip: `${CLASSES[truth[row]]} led, and lost at layer 5 of 6.`,
    neighbours: [
      { title: "Nearest that are right, of the true class", rows: near(0) },
      { title: "Nearest with the same mistake", rows: near(1) },
    ],
    cases: [
      {
        about: "the class it took it for",
        name: "context confusion",
        says: "something else than the object decided: a shortcut?",
      },
    ],
    picture: { mime: "image/jpeg", data: await picture(row) },
    map: { dtype: "float32", shape: [GRID, GRID], data: new DataView(Float32Array.from(map(row)).buffer) },
    needs: LIVE
      ? ""
      : "Other maps, brushing and flip sets need the model: lw.open_inspection(folder, model=model).",
    flip_set: null,
  };
}

widget.render({ model, el: document.getElementById("root") });
window.harness = { state, log, setLocal };
document.documentElement.dataset.ready = "1";
