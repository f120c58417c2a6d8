// The gallery: 10,000 samples scroll as smoothly as 10, since only the cards in sight are in the page.

import { claim, el, listen, onEnd, set, watch } from "../ui/element";
import { freshName } from "../wire";
import { type CardView, createCard } from "./card";
import type { GalleryStore } from "./store";

/** A card's size with the gap; the style sheet knows them too. */
const [WIDTH, HEIGHT] = [122, 182];
/** Rows of cards beyond the edges that are kept ready. */
const BEYOND = 1;

export function grid(store: GalleryStore, open: (row: number) => void, life: AbortSignal): HTMLElement {
  const id = freshName();
  const sheet = el("div.lg-sheet", { role: "presentation" });
  const none = el("p.lg-note.lg-none");
  const element = el(
    "div.lg-grid-view",
    {
      testid: "gallery",
      tabindex: 0,
      role: "listbox",
      label: "Samples",
      "aria-multiselectable": "true",
    },
    sheet,
    none,
  );
  const cards: CardView[] = [];
  let frame = 0;
  let [across, seen] = [1, ""];

  /** Put cards where the view is; each keeps its sample while that stays in sight. */
  function lay() {
    frame = 0;
    const width = element.clientWidth - 4;
    if (held || width < 0) return;
    across = Math.max(1, Math.floor(width / WIDTH));
    sheet.style.height = `${Math.ceil(store.order.peek().length / across) * HEIGHT}px`;
    if (hidden) reveal();
    hidden = false;
    const pitch = width / across;
    const order = store.order.peek();
    const first = Math.max(0, Math.floor(element.scrollTop / HEIGHT) - BEYOND) * across;
    const down = Math.ceil(element.clientHeight / HEIGHT) + 1 + 2 * BEYOND;
    const pool = down * across;
    if (stale) for (const card of cards) card.position = -1; // also of those that a narrower view needs no more
    const end = Math.min(order.length, first + pool);
    while (cards.length < Math.min(pool, order.length)) {
      const card = createCard(store, `${id}-${cards.length}`);
      cards.push(card);
      sheet.append(card.element);
    }
    // A position always has the same card: what stays in sight is not drawn again, and keeps the focus.
    for (let position = first; position < end; position++) {
      const card = cards[position % pool]!;
      if (card.position === position && !fresh.has(order[position]!)) continue;
      card.show(position, order[position]!);
      const [row, column] = [Math.floor(position / across), position % across];
      card.element.style.width = `${Math.floor(pitch) - 4}px`;
      card.element.style.transform = `translate(${Math.round(column * pitch)}px,${row * HEIGHT}px)`;
    }
    for (const card of cards) card.element.hidden = card.position < first || card.position >= end;
    stale = false;
    fresh.clear();
    const cursor = cards.find(({ position }) => position === store.cursor.peek());
    set(element, "aria-activedescendant", cursor && !cursor.element.hidden ? cursor.element.id : null);
    const rows = [...order.subarray(first, end)];
    if (`${rows}` !== seen || unasked) {
      seen = `${rows}`;
      unasked = false;
      store.shelf.see(rows, store.table.wrong);
    }
  }
  /** Every card has to be drawn again, and samples in sight to be asked for again. */
  let stale = true;
  let unasked = true;
  /** The cursor has moved, perhaps out of sight. */
  let hidden = false;
  /** A card is being pressed: no other may come to its place before the click. */
  let held = false;
  /** Samples whose picture or map has come since. */
  const fresh = new Set<number>();
  const again = (all: boolean) => {
    stale ||= all;
    frame ||= requestAnimationFrame(lay);
  };

  listen(element, { scroll: () => again(false) }, life);
  const resized = new ResizeObserver(() => again(true));
  resized.observe(element);
  onEnd(life, () => {
    resized.disconnect();
    cancelAnimationFrame(frame);
  });
  watch(life, () => {
    store.order.value;
    store.version.value;
    unasked = true;
    again(true);
  });
  watch(life, () => {
    for (const row of store.shelf.arrived.value) fresh.add(row);
    again(false);
  });
  watch(life, () => {
    store.selected.value;
    store.opened.value;
    store.cursor.value;
    store.bare.value;
    again(true);
  });
  watch(life, () => {
    none.hidden = store.order.value.length > 0;
    none.textContent = none.hidden ? "" : emptyWords(store);
  });

  /** Scroll so that a position is in sight. */
  function reveal() {
    const position = store.cursor.peek();
    const top = Math.floor(position / across) * HEIGHT;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + HEIGHT > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + HEIGHT - element.clientHeight;
    }
  }
  watch(life, () => {
    store.cursor.value;
    hidden = true;
    again(false);
  });

  // -- the pointer and the keys ---------------------------------------------------------------------------------

  /** Where the sample that a card shows is now: the order may have changed since the card was drawn. */
  const positionAt = (target: EventTarget | null) =>
    store.order.peek().indexOf(Number((target as Element).closest<HTMLElement>("[data-row]")?.dataset.row));
  const release = () => {
    held = false;
    again(false);
  };
  listen(
    element,
    {
      pointerdown(event) {
        held = event.target !== element; // which is its scroll bar
      },
      pointerup: release,
      pointerleave: release, // after a cancel too
      click(event) {
        const position = positionAt(event.target);
        if (position < 0) return;
        const box = (event.target as Element).classList.contains("lg-check");
        if (event.shiftKey) store.moveTo(position, true);
        else if (event.ctrlKey || event.metaKey || box) store.toggle(position);
        else {
          store.moveTo(position);
          open(store.order.peek()[position]!);
        }
      },
      keydown(event) {
        const now = store.cursor.peek();
        const page = Math.max(1, Math.floor(element.clientHeight / HEIGHT)) * across;
        const last = store.order.peek().length - 1;
        const to: Readonly<Record<string, number>> = {
          ArrowLeft: now - 1,
          ArrowRight: now + 1,
          ArrowUp: now < across ? now : now - across,
          ArrowDown: now + across > last ? now : now + across,
          PageUp: now - page,
          PageDown: now + page,
          Home: 0,
          End: last,
        };
        if (event.altKey) return;
        if (event.key in to) store.moveTo(to[event.key]!, event.shiftKey);
        else if (event.key === "a" && (event.ctrlKey || event.metaKey)) store.selectAll(true);
        else if (event.ctrlKey || event.metaKey) return;
        else if (event.key === " ") store.toggle(now);
        else if (event.key === "Enter" && last >= 0) open(store.order.peek()[now]!);
        else return;
        claim(event);
      },
    },
    life,
  );
  return element;
}

function emptyWords(store: GalleryStore): string {
  const { state, step, total, errors } = store.progress.value;
  const { pairs, values, search, skipped } = store.sieve.value;
  const running = state === "running";
  if (!store.card.peek().total) return "There are no samples.";
  if (skipped || pairs.length || search || Object.keys(values).length) return "No sample fits these filters.";
  if (store.behind.value && (errors || !running)) return "…";
  if (!step) return `Nothing is scored yet${running ? " …" : "."}`;
  if (running || step < total) return `None of ${step} samples is wrong so far${running ? " …" : "."}`;
  if (!store.told.value.scored) return "No sample could be scored. Show all samples to see why.";
  return "No errors: every sample that was scored is right. Show all samples to look at them.";
}
