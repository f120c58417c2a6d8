// What would change it: the search for the smallest flip set is started, and stopped. What it found stands beneath.

import { button, el, watch } from "../../ui/element";
import { isAble, setAble, setHidden } from "../kept-focus";
import type { GalleryStore } from "../store";

/** `heir`: where the focus goes when there is nothing to search. */
export function flipSearch(gallery: GalleryStore, heir: HTMLElement, life: AbortSignal): HTMLElement {
  const ask = (on: boolean) => void gallery.send("flip", { row: gallery.opened.peek(), on });
  const find = button(
    ".lg-button",
    {
      testid: "flip-set",
      title: "The fewest patches without which it says something else",
      onclick: () => isAble(find) && ask(true),
    },
    "Find the smallest flip set",
  );
  const stop = button(".lg-button", { testid: "flip-stop", onclick: () => ask(false) }, "Stop");
  const element = el("div.lg-row", {}, find, stop);
  watch(life, () => {
    const sample = gallery.sample.value;
    const row = gallery.opened.value;
    gallery.version.value;
    const running = sample?.flipSet?.state === "running";
    setHidden(element, row === null || !gallery.table.wrong(row), heir);
    setAble(find, !running && !!sample);
    setHidden(stop, !running, find);
  });
  return element;
}
