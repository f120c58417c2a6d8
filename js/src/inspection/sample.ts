// The sample that is open: what happened to it, when, who is like it, what would change it. The explorer is beneath.

import { scaleMap } from "../heat/merge";
import { button, el, set, watch } from "../ui/element";
import { drawHeat } from "../ui/raster";
import { slot } from "../ui/slots";
import { drawSmall, LOOK, percent, words } from "./card";
import { curveChart } from "./curve";
import type { GalleryStore } from "./store";
import type { Sample } from "./wire";

/** Pixels of the longer side of the picture. */
const LONGEST = 384;

export function sampleView(store: GalleryStore, close: () => void, life: AbortSignal): HTMLElement {
  const name = el("h3.lg-label");
  const says = el("p", { testid: "verdict" });
  const [previous, next] = [
    button(
      ".lg-button",
      { testid: "previous", title: "Shift + N", onclick: () => store.step(-1) },
      "Previous",
    ),
    button(".lg-button", { testid: "next", title: "N", onclick: () => store.step(1) }, "Next"),
  ];
  const at = el("span.lg-small");
  const file = el("p.lg-small.lg-file");
  const head = el(
    "div.lg-row.lg-sample-head",
    {},
    el("div.lg-stack.lg-words", {}, name, says, file),
    el(
      "div.lg-row",
      {},
      at,
      previous,
      next,
      button(".lg-button", { testid: "close-sample", title: "Esc", onclick: close }, "Back to the gallery"),
    ),
  );
  const element = el(
    "section.lg-stack.lg-sample",
    { testid: "sample", label: "Sample", hidden: true },
    head,
    el(
      "div.lg-sample-parts",
      {},
      overview(store, life),
      el("div.lg-stack", {}, lens(store, life), flipSet(store, life)),
      el("div.lg-stack", {}, against(store, life), remark(store, life)),
      neighbours(store, life),
    ),
    slot("plain"),
  );
  watch(life, () => {
    const row = store.opened.value;
    store.version.value;
    element.hidden = row === null;
    if (row === null) return;
    const { table } = store;
    const [t, p] = [table.kind("true", row), table.kind("predicted", row)];
    const [is, taken] = [store.className(t), store.className(p)];
    name.textContent = !table.scored(row) ? "" : t === p ? is : `${is} → ${taken}`;
    says.textContent = `${words(store, row)}.`;
    const tags = table.words("tags", row);
    const margin = table.number("margin", row);
    file.textContent = [
      table.words("name", row),
      !Number.isNaN(margin) &&
        `${percent(Math.abs(margin))} ${margin < 0 ? "behind what it was taken for" : "ahead of the runner-up"}`,
      tags && `tags: ${tags}`,
    ]
      .filter(Boolean)
      .join(" · ");
    const [position, { length }] = [store.order.value.indexOf(row), store.order.value];
    at.textContent = position < 0 ? "not among those shown" : `${position + 1} of ${length}`;
    // Still there for the focus, which walks with them.
    set(previous, "aria-disabled", !length || position === 0);
    set(next, "aria-disabled", !length || position === length - 1);
  });
  return element;
}

/** The picture with the map of the gallery, and the patches of the flip set framed. */
function overview(store: GalleryStore, life: AbortSignal): HTMLElement {
  const canvas = el("canvas.lg-overview", {
    role: "img",
    testid: "overview",
    label: "The picture with its map",
  });
  const needs = el("p.lg-note", { testid: "needs" });
  const mask = el("p.lg-small", { testid: "mask-says" });
  const key = legend();
  const box = el("div.lg-stack", {}, canvas, key, mask, slot("drawing"), needs);
  const [picture, outline] = [unpacked(), unpacked()];
  watch(life, () => {
    const sample = store.sample.value;
    box.hidden = !sample;
    needs.textContent = sample?.needs ?? "";
    mask.textContent = sample?.mask?.says ?? "";
    const words = sample && isRight(store, sample.row) ? RIGHT : WRONG;
    for (const [i, said] of words.entries()) key.children[i]!.textContent = said;
    key.hidden = canvas.hidden = !sample?.picture;
    const bare = store.bare.value;
    if (!sample?.picture) return;
    void Promise.all([picture(sample.picture), outline(sample.mask?.picture)]).then(([image, over]) => {
      if (!image || store.sample.peek() !== sample || store.bare.peek() !== bare) return;
      draw(bare ? { ...sample, map: null } : sample, image, bare ? null : over, canvas);
    });
  });
  return box;
}

/** Decodes a picture, once for as long as it is the same. */
function unpacked() {
  let held: { readonly of: Uint8Array; readonly image: Promise<ImageBitmap | null> } | undefined;
  return (picture: Sample["picture"] | undefined) => {
    if (!picture) return null;
    const { mime, data } = picture;
    if (held?.of.length !== data.length || held.of.some((byte, i) => byte !== data[i])) {
      void held?.image.then((image) => image?.close());
      held = { of: data, image: createImageBitmap(new Blob([data], { type: mime })).catch(() => null) };
    }
    return held.image;
  };
}

function draw(
  { map, flipSet }: Sample,
  image: ImageBitmap,
  outline: ImageBitmap | null,
  canvas: HTMLCanvasElement,
) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const scale = LONGEST / Math.max(image.width, image.height);
  const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  [canvas.width, canvas.height] = [width, height];
  context.drawImage(image, 0, 0, width, height);
  const heat = map && scaleMap(map.values, map.rows, map.cols, true);
  if (heat && !heat.flat) {
    const over = document.createElement("canvas");
    drawHeat(over, heat, LOOK, width, height);
    context.drawImage(over, 0, 0);
  }
  if (outline) context.drawImage(outline, 0, 0, width, height);
  if (!map) return;
  const [across, down] = [width / map.cols, height / map.rows];
  for (const [row, column] of flipSet?.patches ?? []) {
    for (const [colour, line] of [
      ["#000", 5],
      ["#fff", 2],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(column! * across + 2, row! * down + 2, across - 4, down - 4);
    }
  }
}

/** What the colours of the small maps mean. */
export const legend = () =>
  el(
    "p.lg-small.lg-key",
    {},
    ...WRONG.map((words, i) => el("span", { "data-kind": i ? "right" : "taken" }, words)),
  );

/** Of wrong samples, and of right ones, where the runner-up stands in the place of the true class. */
const WRONG = ["for what it was taken for", "for what it is"] as const;
const RIGHT = ["for what it is", "for the runner-up"] as const;
/** Follows the table, which may come after the sample. */
const isRight = ({ table, version }: GalleryStore, row: number) =>
  version.value > 0 && table.scored(row) && table.kind("true", row) === table.kind("predicted", row);

/** When the true class lost, or how it won. */
function lens(store: GalleryStore, life: AbortSignal): HTMLElement {
  const title = el("h3.lg-legend");
  const plot = el("div");
  const key = el("p.lg-small.lg-key");
  const flip = el("p.lg-note", { testid: "flip" });
  const box = el("div.lg-stack", { testid: "curve" }, title, plot, key, flip);
  watch(life, () => {
    const sample = store.sample.value;
    const known = !!sample?.true.length;
    box.hidden = !known;
    if (!sample || !known) return;
    const { row, true: label, predicted: rival } = sample;
    const right = isRight(store, row);
    const is = store.className(store.table.kind("true", row));
    const other = right
      ? store.table.words("rival", row) || "the runner-up"
      : store.className(store.table.kind("predicted", row));
    title.textContent = right ? "How it won" : "When it was lost";
    // Red is the answer, as on the maps, whether it is right or wrong.
    const curves = right ? { ...sample, true: rival, predicted: label } : sample;
    const [blue, red] = right ? [other, is] : [is, other];
    plot.replaceChildren(curveChart(curves, [blue, red]));
    key.replaceChildren(
      el("span", { "data-kind": "right" }, blue),
      el("span", { "data-kind": "taken" }, red),
      ...(sample.weak.some(Boolean) ? [el("span", { "data-kind": "band" }, "lens near chance")] : []),
    );
    flip.textContent = sample.flip;
  });
  return box;
}

/** Who is like it. */
function neighbours(store: GalleryStore, life: AbortSignal): HTMLElement {
  const box = el("div.lg-alike", { testid: "neighbours" });
  let shown: { readonly row: number; readonly canvas: HTMLCanvasElement }[] = [];
  watch(life, () => {
    const groups = store.sample.value?.neighbours.filter(({ rows }) => rows.length) ?? [];
    box.hidden = groups.length === 0;
    shown = [];
    box.replaceChildren(
      ...groups.map(({ title, rows }) =>
        el(
          "div",
          {},
          el("h3.lg-legend", {}, title),
          el(
            "div.lg-row",
            {},
            ...rows.map((row) => {
              const canvas = el("canvas", { "aria-hidden": true });
              shown.push({ row, canvas });
              const said = `${store.table.words("name", row)}: ${words(store, row)}`;
              return button(
                ".lg-plain.lg-near",
                { title: said, label: said, onclick: () => store.open(row) },
                canvas,
              );
            }),
          ),
        ),
      ),
    );
  });
  watch(life, () => {
    store.shelf.arrived.value;
    store.sample.value;
    store.bare.value;
    for (const { row, canvas } of shown) drawSmall(canvas, store, row);
  });
  watch(life, () => {
    const rows = store.sample.value?.neighbours.flatMap((group) => group.rows) ?? [];
    if (rows.length) store.shelf.also(rows);
  });
  return box;
}

/** What would change it. */
function flipSet(store: GalleryStore, life: AbortSignal): HTMLElement {
  const found = el("p.lg-note", { role: "status", testid: "flip-words" });
  watch(life, () => {
    const given = store.sample.value?.flipSet;
    found.textContent = given?.words ?? "";
    found.classList.toggle("lg-bad", given?.state === "failed");
    set(found, "data-patches", JSON.stringify(given?.patches ?? []));
  });
  return el("div.lg-stack", {}, slot("flip"), found);
}

/** Where the evidence is, against the mask: what case that is, and the numbers. */
function against(store: GalleryStore, life: AbortSignal): HTMLElement {
  const cases = el("ul.lg-stack", { testid: "cases" });
  const table = el("table.lg-against", { testid: "against" });
  const share = el("p.lg-small");
  const box = el("div.lg-stack", {}, el("h3.lg-legend", {}, "Against the mask"), cases, table, share);
  const row = (title: string, says: string | undefined, values: readonly string[], tag: "th" | "td") =>
    el(
      "tr",
      {},
      el("th", { scope: "row", title: says }, title),
      ...values.map((value) => el(tag, {}, value)),
    );
  watch(life, () => {
    const sample = store.sample.value;
    const numbers = sample?.against;
    box.hidden = !numbers && !sample?.cases.length;
    cases.replaceChildren(
      ...(sample?.cases ?? []).map(({ about, name, says }) =>
        el("li.lg-note", { title: name }, `${says || name} (evidence for ${about})`),
      ),
    );
    table.hidden = !numbers;
    share.textContent = numbers?.says ?? "";
    if (!numbers) return;
    table.replaceChildren(
      row("evidence for", undefined, numbers.sides, "th"),
      ...numbers.rows.map(({ title, says, values }) => row(title, says, values, "td")),
    );
  });
  return box;
}

/** What somebody wrote about it. */
function remark(store: GalleryStore, life: AbortSignal): HTMLElement {
  const note = el("textarea.lg-text" as "textarea", {
    testid: "note",
    rows: 3,
    maxlength: 2000,
    placeholder: "what you think happened here",
    onchange: () => {
      if (noted !== null) store.note(noted, note.value);
    },
  });
  /** The sample that the note is about: another one may be opened while somebody writes. */
  let noted: number | null = null;
  watch(life, () => {
    const row = store.opened.value;
    store.version.value;
    const saved = row === null ? "" : store.table.words("note", row);
    if (note.matches(":focus")) return;
    noted = row;
    if (note.value !== saved) note.value = saved;
  });
  return el("label.lg-stack", {}, el("span.lg-legend", {}, "Note about this sample"), note);
}
