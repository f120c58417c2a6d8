// The row of pinned views: each is a card with its map, that brings the view back.

import type { ReadonlySignal } from "../signals";
import type { LiveStore } from "../store/live";
import type { Card } from "../store/pins";
import { button, claim, el, focusedIn, icon, set, watch } from "./element";
import { drawOver } from "./raster";

/** Canvas pixels of a card's width. */
const PIXELS = 208;

export function pins(
  store: LiveStore,
  bitmap: ReadonlySignal<ImageBitmap | null>,
  life: AbortSignal,
): HTMLElement {
  const { cards, show, remove } = store.pins;
  const row = el("ul.lg-pins", { label: "Pinned views", testid: "pins" });
  watch(life, () => {
    const held = focusedIn(row);
    const at = held ? [...row.querySelectorAll("button")].indexOf(held as HTMLButtonElement) : -1;
    row.hidden = !cards.value.length;
    row.replaceChildren(...cards.value.map(item));
    if (at >= 0)
      [...row.querySelectorAll("button")]
        .slice(0, at + 1)
        .at(-1)
        ?.focus();
  });

  function item(card: Card, i: number): HTMLElement {
    const { title, words, current, lack } = card;
    const element = el(
      "li.lg-pin",
      {
        onkeydown: (event: KeyboardEvent) => {
          if (event.key !== "Delete" && event.key !== "Backspace") return;
          claim(event);
          remove(i);
        },
      },
      button(
        ".lg-plain",
        {
          testid: "pin",
          title: lack || `Show ‘${title}’, ${words}`,
          "aria-disabled": !!lack,
          onclick: () => lack || show(i),
        },
        picture(card),
        el("b.lg-name", {}, el("bdi", {}, title)),
        el("span.lg-small", {}, words),
      ),
      button(
        ".lg-plain.lg-remove",
        { label: `Take the pin of ${title} away`, onclick: () => remove(i) },
        icon("remove"),
      ),
    );
    if (current) set(element, "aria-current", "true");
    return element;
  }

  function picture({ heat, lack }: Card): HTMLElement {
    const { value: seen } = store.picture;
    if (!heat || !seen || !bitmap.value) return el("p.lg-small", {}, lack || "Choose it to see its map");
    const canvas = el("canvas", { "aria-hidden": true });
    const smooth = store.trait("smooth").value;
    drawOver(canvas, bitmap.value, seen, heat, store.lookOf(heat.signed), { width: PIXELS, smooth });
    return canvas;
  }

  return row;
}
