// The layer x head matrix: every head's map as a cell, over nothing, all on one colour scale and one canvas. What can
// be pointed at and walked through are empty boxes over it, with a row and a column of names before them.

import { rangeWords, readable } from "../heat/describe";
import { clamp, height, width } from "../heat/frame";
import { type Cell, chooseLayers, type Heat, masses, scaleMap } from "../heat/merge";
import { computed, signal } from "../signals";
import type { Estimates } from "../store/effects";
import type { LiveStore } from "../store/live";
import { effects as ways } from "./effects";
import { claim, el, fill, focusedIn, listen, onEnd, set, watch } from "./element";
import { ARROWS } from "./picture";
import { drawHeat } from "./raster";

interface Drawn {
  readonly heat: Heat;
  /** [layers, heads]: shares of the mass, or what the score loses to first order. */
  readonly values: readonly number[];
  readonly layers: readonly number[];
  readonly count: number;
  /** Where the cells show effects. */
  readonly estimates: Estimates | null;
}

/** With its sign, "+0.012" or "−0.012". */
const signed = (value: number) => (value < 0 ? "−" : "+") + readable(Math.abs(value));

export function matrix(store: LiveStore, life: AbortSignal): HTMLElement {
  const canvas = el("canvas", { "aria-hidden": true });
  const grid = el("div.lg-grid", {
    role: "grid",
    tabindex: 0,
    label: "Heads: a row for each layer",
    "aria-multiselectable": true,
  });
  const frame = el("div.lg-cells", {}, canvas, grid);
  const note = el("p.lg-note");
  const words = el("p.lg-note.lg-readout", { testid: "head-readout" });
  const shown = el("div.lg-stack", {}, el("div.lg-scroll", {}, frame), words);
  const element = el(
    "section.lg-stack.lg-matrix",
    { testid: "matrix", label: "Layers and heads" },
    ways(store, life),
    note,
    shown,
  );
  const { effects } = store;

  /** All maps scaled as one, and each one's number: its share of their mass, or its effect. Null: nothing to draw. */
  const drawn = computed<Drawn | null>(() => {
    const [answer, entry, estimates] = [store.answer.value, store.entry.value, effects.estimates.value];
    if (!store.matrix.value || !answer) return null;
    const [rows, cols] = answer.grid;
    if (estimates) {
      const { maps, values, layers, heads } = estimates;
      if (maps.length !== layers * heads * rows * cols) return null;
      return {
        heat: scaleMap(maps, maps.length / cols, cols, true),
        values: [...values],
        layers: Array.from({ length: layers }, (_, i) => i + 1),
        count: heads,
        estimates,
      };
    }
    if (!entry?.heads) return null;
    const mass = masses(entry.heads, rows * cols);
    const total = mass.reduce((sum, value) => sum + value, 0) || 1;
    return {
      heat: scaleMap(entry.heads, entry.heads.length / cols, cols, answer.signed),
      values: mass.map((value) => value / total),
      layers: answer.layers,
      count: answer.heads,
      estimates: null,
    };
  });
  const layers = () => (drawn.peek() ?? store.answer.peek())?.layers ?? [];
  const count = () => drawn.peek()?.count ?? store.answer.peek()?.heads ?? 0;

  // -- boxes, row by row: the first row names the heads, the first column the layers --------------------------------

  const boxes = signal<readonly HTMLElement[]>([]);
  const cursor = signal(0);
  const shape = computed(() => {
    const { layers, count } = drawn.value ?? {
      layers: store.answer.value?.layers,
      count: store.answer.value?.heads,
    };
    return `${layers}/${count}`;
  });
  watch(life, () => {
    shape.value;
    const named = (role: string, text: string | number, name: string) =>
      el("span", { role, label: name, title: name }, String(text));
    const heads = Array.from({ length: count() }, (_, head) => head);
    const rows = [
      [
        named("columnheader", "all", "All layers and heads"),
        // Many columns are narrow: then every other one has a number.
        ...heads.map((head) =>
          named("columnheader", count() > 12 && head % 2 ? "" : head, `Head ${head} of every layer`),
        ),
      ],
      ...layers().map((layer) => [
        named("rowheader", layer, `Layer ${layer}, all heads`),
        ...heads.map((head) => el("span", { role: "gridcell", "data-head": `${layer}.${head}` })),
      ]),
    ];
    grid.replaceChildren(...rows.map((row) => el("div", { role: "row" }, ...row)));
    frame.style.setProperty("--lg-heads", String(count()));
    frame.style.setProperty("--lg-rows", String(layers().length));
    boxes.value = rows.flat();
    for (const [i, box] of boxes.value.entries()) box.id = `${store.view}-${i}`;
    cursor.value = count() + 2;
  });

  const placeOf = (i: number) => [Math.floor(i / (count() + 1)), i % (count() + 1)] as const;
  function cellAt(i: number): Cell | null {
    const [row, col] = placeOf(i);
    return row && col ? [layers()[row - 1]!, col - 1] : null;
  }
  function choose(i: number, add: boolean) {
    const [row, col] = placeOf(i);
    const cell = cellAt(i);
    if (cell && add) store.toggleHead(cell);
    else if (col) store.chooseHeads(cell ? [cell] : layers().map((layer) => [layer, col - 1]));
    else store.chooseLayers(row ? [layers()[row - 1]!] : null);
  }
  function ablate(i: number) {
    const cell = cellAt(i);
    if (cell) effects.ablate(cell);
  }
  function pointAt(i: number) {
    if (i < 0) return;
    cursor.value = i;
    store.previewHead(cellAt(i));
  }
  const leave = () => store.previewHead(null);
  const at = (event: Event) => boxes.peek().indexOf(event.target as HTMLElement);
  listen(grid, {
    pointerover: (event) => pointAt(at(event)),
    pointerleave: leave,
    blur: leave,
    click(event) {
      if (at(event) < 0) return;
      if (event.ctrlKey || event.metaKey) ablate(at(event));
      else choose(at(event), event.shiftKey);
    },
    keydown(event) {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        claim(event);
        return ablate(cursor.peek());
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = ARROWS[event.key];
      const heads = store.trait("heads").peek();
      if (step) {
        const [row, col] = placeOf(cursor.peek());
        const down = clamp(row + step[0], 0, layers().length);
        pointAt(down * (count() + 1) + clamp(col + step[1], 0, count()));
      } else if (event.key === "Enter" || event.key === " ") choose(cursor.peek(), event.shiftKey);
      else if (event.key === "Escape" && (heads || store.preview.peek())) {
        leave();
        if (heads) store.chooseLayers(null);
      } else return;
      claim(event);
    },
  });

  // -- drawing ------------------------------------------------------------------------------------------------------

  let request = 0;
  function draw() {
    request = 0;
    const now = drawn.peek();
    if (!now) return;
    const [rows, cols] = store.answer.peek()!.grid;
    const { count } = now;
    const across = count * cols;
    // From [layers, heads, rows, columns] to one picture of layers x rows by heads x columns.
    const scaled = now.heat.scaled.map((_, i, all) => {
      const [down, x] = [Math.floor(i / across), i % across];
      const map = Math.floor(down / rows) * count + Math.floor(x / cols);
      return all[(map * rows + (down % rows)) * cols + (x % cols)]!;
    });
    const heat = { ...now.heat, scaled, rows: scaled.length / across, cols: across };
    const look = { ...store.lookOf(heat.signed), threshold: 0, opaque: true };
    drawHeat(canvas, heat, look, heat.cols, heat.rows);
    // Patches smaller than a pixel are averaged by the browser; larger ones keep their edges.
    set(canvas, "data-flat-cells", canvas.clientWidth >= across);
  }
  onEnd(life, () => cancelAnimationFrame(request));
  watch(life, () => {
    drawn.value;
    store.trait("colormap").value;
    request ||= requestAnimationFrame(draw);
  });

  watch(life, () => {
    const { answer, picture } = store;
    const within = focusedIn(element);
    element.hidden = !store.matrix.value || !answer.value;
    // The keys go on working where the matrix was closed by one.
    if (within && element.hidden) element.closest<HTMLElement>("[tabindex]")?.focus();
    shown.hidden = !drawn.value;
    const { estimates, heat, values } = drawn.value ?? {};
    set(grid, "aria-busy", store.outdated.value || estimates?.current === false);
    const { window } = picture.value ?? {};
    const ratio = window ? clamp(width(window) / height(window), 0.4, 2) : 1;
    frame.style.setProperty("--lg-ratio", String(ratio));
    note.textContent = estimates
      ? `What the ${estimates.scoreName || "score"}${estimates.score === null ? "" : ` (${readable(estimates.score)})`} loses without a head, to first order: red for it, blue against it; the map says where. A corner marks what was measured: Ctrl-click a head to ablate it.`
      : values
        ? `${values.length} maps, one colour scale: raw ${rangeWords(heat!)}. Bars: map mass (sum of magnitudes): where the map comes from, not what the score depends on.`
        : answer.value?.heads
          ? "The heads of this prompt are not here."
          : `${store.method.value?.title} has no maps of single heads.`;
  });

  watch(life, () => {
    const answer = store.answer.value;
    if (!answer || !drawn.value) return;
    const { values, estimates } = drawn.value;
    const heads = store.trait("heads").value;
    const merged = chooseLayers(answer.layers, store.layersWanted.value, answer.default);
    const most = Math.max(...values.map(Math.abs));
    set(grid, "data-some", !!heads || merged.length < answer.layers.length);
    for (const [i, box] of boxes.value.entries()) {
      const cell = cellAt(i);
      if (!cell) continue;
      const chosen = heads ? heads.some((other) => `${other}` === `${cell}`) : merged.includes(cell[0]);
      set(box, "aria-selected", chosen);
      set(box, "label", wordsOf(cell));
      const value = numberOf(cell);
      fill(box, Math.min(Math.abs(value) / most, 1) || 0);
      set(box, "data-sign", estimates && (value < 0 ? "against" : "for"));
      set(box, "data-measured", estimates && measuredOf(cell) !== undefined);
    }
  });

  watch(life, () => {
    const { value: preview } = store.preview;
    for (const [i, box] of boxes.value.entries()) set(box, "data-active", i === cursor.value);
    set(grid, "aria-activedescendant", boxes.value[cursor.value]?.id);
    words.textContent =
      preview && drawn.value
        ? `${wordsOf(preview)}${drawn.value.estimates ? "" : `, peak ${readable(store.heat.value?.range[1] ?? 0)}`}`
        : "Point at a head to see its map; click to keep it, Shift-click to add it.";
  });

  const placed = ([layer, head]: Cell) => drawn.value!.values[layers().indexOf(layer) * count() + head]!;
  const measuredOf = (cell: Cell) => effects.measured.value.get(cell.join("."));
  const numberOf = (cell: Cell) => (drawn.value!.estimates && measuredOf(cell)) ?? placed(cell);
  const wordsOf = (cell: Cell) => {
    const start = `layer ${cell[0]}, head ${cell[1]}: `;
    if (!drawn.value!.estimates) return `${start}${readable(100 * placed(cell), 2)} % of the map mass`;
    const measured = measuredOf(cell);
    const estimate = `estimate ${signed(placed(cell))}`;
    return start + (measured === undefined ? estimate : `measured ${signed(measured)}, ${estimate}`);
  };
  return element;
}
