// The built widget without Jupyter: an in-memory model with the echo semantics of a host, and behind it a small
// stand-in for the kernel that answers the wire contract with synthetic maps.
// ?scene=clip|classifier|signed|error|absent|static|empty|deep|wide|letterbox|crop, &theme=dark, &delay=ms, &views=2

import widget from "../../../legrad_widget/static/widget.js";

const params = new URLSearchParams(location.search);
const scene = params.get("scene") ?? "clip";
const delay = Number(params.get("delay") ?? 60);
document.documentElement.dataset.theme = params.get("theme") ?? "light";

const THINGS = {
  cat: [0.3, 0.62, 0.2],
  dog: [0.72, 0.62, 0.2],
  sun: [0.8, 0.16, 0.12],
  tree: [0.08, 0.45, 0.16],
};
const deep = scene === "deep";
const LAYERS = deep ? 24 : 6;
const HEADS = deep ? 16 : 4;
const GRID = deep ? [24, 24] : scene === "wide" ? [6, 12] : [8, 8];
const SIZE = scene === "wide" || scene === "letterbox" || scene === "crop" ? [960, 480] : [640, 640];
const WINDOW = {
  letterbox: [0, -240, 960, 720],
  crop: [240, 0, 720, 480],
}[scene] ?? [0, 0, ...SIZE];

async function paintPicture() {
  const canvas = new OffscreenCanvas(...SIZE);
  const c = canvas.getContext("2d");
  const [w, h] = SIZE;
  const sky = c.createLinearGradient(0, 0, 0, h);
  sky.addColorStop(0, "#7fb4e0");
  sky.addColorStop(0.6, "#e9f1f4");
  c.fillStyle = sky;
  c.fillRect(0, 0, w, h);
  c.fillStyle = "#86a55b";
  c.fillRect(0, 0.72 * h, w, h);
  for (let i = 0; i < 900; i++) {
    c.fillStyle = `hsl(${80 + 30 * Math.random()} 35% ${30 + 25 * Math.random()}%)`;
    c.fillRect(Math.random() * w, (0.72 + 0.28 * Math.random()) * h, 3, 7);
  }
  const at = (u, v) => [u * w, v * h];
  const disc = (u, v, r, colour) => {
    c.fillStyle = colour;
    c.beginPath();
    c.arc(...at(u, v), r * h, 0, 7);
    c.fill();
  };
  disc(0.8, 0.16, 0.08, "#f7d154");
  c.fillStyle = "#6a4a30";
  c.fillRect(0.06 * w, 0.4 * h, 0.035 * w, 0.36 * h);
  disc(0.08, 0.36, 0.13, "#3f7a3d");
  for (const [u, body, ear] of [
    [0.3, "#d98a3d", "#b86c28"],
    [0.72, "#8a6a4f", "#5d4632"],
  ]) {
    disc(u, 0.72, 0.14, body);
    disc(u, 0.53, 0.1, body);
    for (const side of [-1, 1]) {
      c.fillStyle = ear;
      c.beginPath();
      c.moveTo(...at(u + (side * 0.02 * h) / w, 0.45));
      c.lineTo(...at(u + (side * 0.1 * h) / w, 0.48));
      c.lineTo(...at(u + (side * 0.085 * h) / w, 0.385));
      c.fill();
      disc(u + (side * 0.035 * h) / w, 0.52, 0.013, "#1b1b1b");
    }
    disc(u, 0.56, 0.014, "#40261c");
  }
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new DataView(await blob.arrayBuffer());
}

const noise = (i, j, l, s) => Math.abs(Math.sin(i * 12.9 + j * 78.2 + l * 37.7 + s * 11.1) * 43758.5) % 1;

function mapsFor(targets, method) {
  const at = CATALOGUE.indexOf(method);
  const { signed } = method;
  const [rows, cols] = GRID;
  const data = new Float32Array(targets.length * LAYERS * rows * cols);
  let k = 0;
  targets.forEach((target, t) => {
    const words = (target.text ?? target.name ?? target.label).toLowerCase();
    const known = Object.keys(THINGS).find((name) => words.includes(name));
    const [u, v, r] = THINGS[known ?? "cat"];
    for (let l = 0; l < LAYERS; l++) {
      const depth = (l + 1) / LAYERS;
      const [left, top, right, bottom] = WINDOW;
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < cols; j++, k++) {
          const x = (left + ((j + 0.5) / cols) * (right - left)) / SIZE[0];
          const y = (top + ((i + 0.5) / rows) * (bottom - top)) / SIZE[1];
          const far =
            ((1 + 0.2 * (at % 5)) * ((x - u) ** 2 * (SIZE[0] / SIZE[1]) ** 2 + (y - v) ** 2)) / (r * r);
          const blob = known ? Math.exp(-far) : 0;
          data[k] = 0.004 * (depth ** 1.5 * blob * 1.4 + (1.2 - depth) * 0.5 * noise(i, j, l, t + 3 * at));
          if (signed) data[k] -= 0.002 * Math.exp(-((x - 0.72) ** 2 + (y - 0.62) ** 2) / 0.05);
          if (scene === "flat") data[k] = 0.25;
        }
    }
  });
  return new DataView(data.buffer);
}

/** The maps of every head: layer maps taken apart, so that the mean over the heads is the layer's map. */
function headsOf(maps, at) {
  const size = GRID[0] * GRID[1];
  const data = new Float32Array(LAYERS * HEADS * size);
  for (let l = 0; l < LAYERS; l++) {
    const weights = Array.from({ length: HEADS }, (_, h) => noise(h, l, at, 3) ** 4 + 0.02);
    const mean = weights.reduce((sum, value) => sum + value, 0) / HEADS;
    for (let h = 0; h < HEADS; h++)
      for (let i = 0; i < size; i++) {
        data[(l * HEADS + h) * size + i] = (maps[(at * LAYERS + l) * size + i] * weights[h]) / mean;
      }
  }
  return { dtype: "float32", shape: [LAYERS, HEADS, ...GRID], data: new DataView(data.buffer) };
}

const CLASSES =
  scene === "classifier"
    ? Array.from(
        { length: 1000 },
        (_, i) => ["tabby cat", "golden retriever", "sundial", "oak tree"][i] ?? `class number ${i}`,
      )
    : ["cat", "dog", "sun", "tree"];
const prompts = scene !== "classifier";
const first = prompts
  ? [
      { kind: "text", text: "a photo of a cat" },
      { kind: "text", text: "a photo of a dog" },
    ]
  : [{ kind: "class", index: 0, name: "tabby cat" }];
if (scene === "absent")
  first.splice(0, 2, { kind: "text", text: "a red aeroplane" }, { kind: "text", text: "<b>cat</b> 🐈 قطة" });
if (scene === "error") first.push({ kind: "held", key: "v1", label: "direction 1" });

const METHODS = [
  // name, title, signed, merge, default, slow, reason where there is one
  ["legrad", "LeGrad", false, "mean", "all"],
  ["cdam", "CDAM", true, "mean", "last"],
  ["tam", "TAM", true, "mean", "last", true],
  ["chefercam", "CheferCAM", false, "last", "last"],
  ["transformer_attribution", "Transformer Attribution", false, "last", "last", true],
  [
    "lrp",
    "LRP",
    true,
    "mean",
    "last",
    true,
    "LRP has no rule for the rotary positions of this model; use CheferCAM.",
  ],
  ["partial_lrp", "Partial LRP", false, "mean", "last", true],
  ["rollout", "Rollout", false, "last", "last"],
  ["raw_attention", "Raw attention", false, "mean", "last"],
  [
    "gradcam",
    "GradCAM",
    false,
    "mean",
    "last",
    false,
    "GradCAM needs a class token; this model pools by mean.",
  ],
  ["attentioncam", "AttentionCAM", true, "mean", "last"],
  ["textspan", "TextSpan", true, "mean", "all"],
  ["reciprocam", "ReciproCAM", false, "mean", "last", true],
];
const KNOBS = {
  legrad: [
    {
      name: "pool",
      kind: "choice",
      default: "native",
      choices: ["native", "cls", "mean"],
      help: "Which tokens read the layer out.",
    },
    { name: "relu", kind: "bool", default: true, help: "Keep only what speaks for the prompt." },
    {
      name: "preset",
      kind: "choice",
      default: null,
      choices: ["paper", "reference"],
      optional: true,
      help: "Settings of the paper, or of the authors' code.",
    },
    {
      name: "correction",
      kind: "text",
      default: null,
      optional: true,
      help: "A background prompt whose map is taken away.",
    },
    {
      name: "correction_threshold",
      kind: "number",
      default: 0.8,
      low: 0,
      high: 1,
      help: "What of the background's map is taken away: values above it.",
    },
  ],
  gradcam: [
    { name: "layer", kind: "number", default: null, optional: true, integer: true, low: 1, high: LAYERS },
  ],
};
const CATALOGUE = METHODS.map(([name, title, signed, merge, rule, slow = false, reason = ""]) => ({
  name,
  title,
  summary:
    name === "legrad"
      ? "Gradient of each layer's score with respect to its attention, positive part, mean over heads."
      : `What ${title} shows, in one sentence that is as long as such sentences are.`,
  paper: name === "legrad" ? "Bousselham et al., ICCV 2025" : "Someone et al., 2021",
  cost: slow ? "n vision forwards" : "no vision forward, one small backward",
  signed,
  class_discriminative: true,
  merge,
  default: rule,
  slow,
  knobs: (KNOBS[name] ?? []).map((knob) => ({
    optional: false,
    low: null,
    high: null,
    integer: false,
    ...knob,
  })),
  available: !reason,
  reason,
}));

let rev = 0;
function resultFor(rid, targets, method, knobs) {
  const of = CATALOGUE.find((entry) => entry.name === method);
  const maps = mapsFor(targets, of);
  const heads = of.merge === "mean" ? HEADS : 0;
  return {
    rid,
    rev: ++rev,
    image_rev: state._image.rev,
    method,
    knobs,
    seconds: 0.083,
    layers: Array.from({ length: LAYERS }, (_, i) => i + 1),
    signed: of.signed,
    merge: of.merge,
    default: of.default,
    grid: GRID,
    maps: { dtype: "float32", shape: [targets.length, LAYERS, ...GRID], data: maps },
    heads,
    targets: targets.map((target, t) => {
      const words = (target.text ?? target.name ?? target.label).toLowerCase();
      const known = Object.keys(THINGS).some((name) => words.includes(name));
      return {
        target,
        label: target.text ?? target.name ?? target.label,
        score: prompts ? (known ? 0.312 - 0.02 * t : 0.118) : 9.31 - t,
        score_name: prompts ? "cosine" : "logit",
        probability: known ? 0.94 - 0.2 * t : 0.021,
        probability_of: prompts ? "sigmoid" : "softmax over 1000 classes",
        supported: known,
        note:
          scene === "absent" && t === 1
            ? "The built-in model does not know 'قطة'; try: cat, dog, pizza."
            : "",
        layer_scores: Array.from({ length: LAYERS }, (_, i) => 0.02 + (0.29 * (i + 1)) / LAYERS),
        degenerate: Array.from({ length: LAYERS }, () => false),
        heads: heads ? headsOf(new Float32Array(maps.buffer), t) : null,
        error: target.kind === "held" ? "A direction has 512 numbers for this model; this one has 384." : "",
      };
    }),
    predictions:
      prompts && scene !== "clip"
        ? []
        : CLASSES.slice(0, 5).map((name, index) => ({
            index,
            name,
            probability: [0.81, 0.11, 0.034, 0.0121, 0.0004][index],
          })),
    predictions_of: prompts ? "softmax over 137 nouns" : "softmax over 1000 classes",
  };
}

// -- the model: Backbone's events on set, echo through save_changes ------------------------------------------

const state = {
  targets: first,
  active: scene === "error" ? 0 : 0,
  method: scene === "signed" ? "cdam" : "legrad",
  knobs: {},
  layers: null,
  opacity: 0.65,
  colormap: "inferno",
  threshold: 0,
  smooth: true,
  compare: "off",
  compared: [],
  compare_scale: "own",
  _catalogue: CATALOGUE,
  _model: {
    name: "builtin",
    kind: prompts ? "clip" : "classifier",
    layers: LAYERS,
    heads: 4,
    grid: GRID,
    patch: [8, 8],
    prompts,
    classes: CLASSES,
    builtin: true,
    suggestions: ["a cat", "a dog", "the sun", "a tree"],
    scale: "cosine",
  },
  _image: {},
  _result: {},
  _request: {},
  _comparison: {},
  _status: { state: "idle", rid: null, rev: 0, step: 0, total: 0, message: "", detail: "" },
  _static: scene === "static",
};
const listeners = new Map();
const emit = (event, ...args) => {
  for (const run of [...(listeners.get(event) ?? [])]) run(...args);
};
const log = { sent: [], saved: [], kernel: true };
const setLocal = (name, value) => {
  if (Object.is(state[name], value)) return;
  state[name] = value;
  emit(`change:${name}`, model, value);
};
const model = {
  get: (name) => state[name],
  set: setLocal,
  save_changes() {
    log.saved.push({ opacity: state.opacity, layers: state.layers, active: state.active });
  },
  send(content, _callbacks, buffers) {
    if (!log.kernel) throw new Error("Cannot send");
    log.sent.push(structuredClone(content));
    setTimeout(() => kernel(structuredClone(content), buffers), 5);
  },
  on: (event, run) => (listeners.get(event) ?? listeners.set(event, new Set()).get(event)).add(run),
  off: (event, run) => listeners.get(event)?.delete(run),
};
const tell = (content, buffers = []) => emit("msg:custom", content, buffers);
const status = (changes) =>
  setLocal("_status", {
    ...state._status,
    rev: state._result.rev ?? 0,
    rid: null,
    step: 0,
    total: 0,
    message: "",
    detail: "",
    ...changes,
  });

let job = 0;
async function kernel(content) {
  if (log.busy) return;
  if (content.kind === "hello") return tell({ kind: "alive" });
  if (content.kind === "live") {
    const file = await fetch("/legrad_widget/static/live.js");
    return tell({ kind: "live", hash: content.hash, message: "" }, [await file.arrayBuffer()]);
  }
  if (content.kind === "cancel") {
    job += 1;
    return status({ state: "idle" });
  }
  if (content.kind === "view") return;
  if (content.kind === "image")
    return tell({
      kind: "refused",
      rid: null,
      message: `${content.name} is not a picture that can be read; send a PNG or JPEG.`,
    });
  if (content.kind !== "ask")
    return tell({ kind: "refused", rid: content.rid ?? null, message: `unknown kind ${content.kind}` });
  const long = content.targets.find((target) => target.text?.length > 1000);
  if (long)
    return tell({
      kind: "refused",
      rid: content.rid,
      message: `A prompt has 1 to 1000 characters; this one has ${long.text.length}.`,
    });
  const mine = ++job;
  tell({ kind: "accepted", rid: content.rid });
  for (const name of ["targets", "active", "method", "knobs"]) setLocal(name, content[name]);
  const steps = 4;
  for (let step = 0; step < steps; step++) {
    status({
      state: "running",
      rev: rev + 1,
      rid: content.rid,
      step,
      total: steps,
      message: `LeGrad: layer ${step + 1} of ${steps} …`,
    });
    await new Promise((done) => setTimeout(done, delay / steps));
    if (mine !== job) return;
  }
  if (content.targets.some((target) => target.text === "crash")) {
    return status({
      state: "error",
      rev: rev + 1,
      rid: content.rid,
      message: "The model's weights hold NaN in block 3 (mlp.fc1): reload the checkpoint.",
      detail:
        'Traceback (most recent call last):\n  File "explainer.py", line 81, in explain\n    raise NotFinite(name)\nNotFinite: The model\'s weights hold NaN in block 3 (mlp.fc1): reload the checkpoint.',
    });
  }
  setLocal(
    "_result",
    content.targets.length ? resultFor(content.rid, content.targets, content.method, content.knobs) : {},
  );
  if (content.compare?.length) await compareMethods(content, mine);
  if (mine === job) status({ state: "idle", rid: content.rid });
}

/** One pane after the other, the slow ones last; one of them fails. */
async function compareMethods({ rid, targets, active, compare, method, knobs }, mine) {
  const target = targets[active];
  const slow = (name) => CATALOGUE.find((entry) => entry.name === name).slow;
  const order = [...compare].sort((a, b) => slow(a) - slow(b));
  const done = new Map();
  const show = () =>
    setLocal("_comparison", {
      ...{ rid, rev, image_rev: state._image.rev, target, label: target.text ?? target.name, grid: GRID },
      panes: compare.filter((name) => done.has(name)).map((name) => done.get(name)),
      pending: compare.filter((name) => !done.has(name)),
    });
  show();
  for (const name of order) {
    const { title } = CATALOGUE.find((entry) => entry.name === name);
    const message = `comparing ${title} (${done.size + 1} of ${compare.length})`;
    status({ state: "running", rid, step: done.size * 40, total: 400, message });
    await new Promise((finished) => setTimeout(finished, delay / 2));
    if (mine !== job) return setLocal("_comparison", { ...state._comparison, pending: [] });
    const { maps, ...rest } = resultFor(rid, [target], name, name === method ? knobs : {});
    rev -= 1;
    const error = "TAM was stopped: the picture's 196 tokens need more memory than there is; use CDAM.";
    const pane = { ...rest, maps: { ...maps, shape: maps.shape.slice(1) }, degenerate: [], error: "" };
    done.set(name, name === "tam" ? { method: name, error } : pane);
    show();
  }
}

if (scene !== "empty") {
  state._image = {
    rev: 1,
    name: "scene.png",
    mime: "image/png",
    data: await paintPicture(),
    width: SIZE[0],
    height: SIZE[1],
    original: SIZE,
    window: WINDOW,
  };
  state._result = resultFor(null, first, state.method, {});
} else state.targets = [];

window.harness = { model, state, log, setLocal, status, tell, emit, resultFor, listeners };
const views = Number(params.get("views") ?? 1);
for (let i = 0; i < views; i++) {
  const el = document.createElement("div");
  el.style.marginBottom = "24px";
  document.getElementById("root").append(el);
  window.harness[`end${i}`] = widget.render({ model, el, signal: new AbortController().signal });
}
document.documentElement.dataset.ready = "1";
