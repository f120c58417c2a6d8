// What the second file adds to the open sample: a mask is drawn, a flip set is searched, plain maps are shown.

import { el, listen, watch } from "../../ui/element";
import { slotOf } from "../../ui/slots";
import type { GalleryStore } from "../store";
import { brushDoor } from "./brush-door";
import { drawing } from "./drawing";
import { flipSearch } from "./flip-search";
import { otherMap } from "./other-map";
import { plain } from "./plain";
import css from "./workbench.css";

export function workbench(gallery: GalleryStore, root: HTMLElement, life: AbortSignal): void {
  if (gallery.card.peek().page) return;
  root.prepend(el("style", {}, css));
  slotOf(root, "drawing").append(drawing(gallery, root, life));
  const explain = (keys: string, does: string) =>
    root.querySelector(".lg-keys")?.append(el("p", {}, el("b", {}, keys), does));
  explain("M  Shift + M", "draw a mask: rectangle / lasso");
  if (!gallery.card.peek().live) return;
  const door = brushDoor(() => root.nextElementSibling, life);
  explain("B", "brush patches away in the explorer");
  listen(
    root,
    {
      keydown(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if ((event.target as HTMLElement).matches("input:not([type=checkbox]), textarea, select")) return;
        if (event.key.toLowerCase() !== "b" || door.element.hidden) return;
        door.walk();
        event.preventDefault();
      },
    },
    life,
  );
  watch(life, () => {
    gallery.version.value;
    const row = gallery.opened.value;
    door.element.hidden = row === null || !gallery.table.scored(row);
  });
  slotOf(root, "flip").append(el("div.lg-row", {}, flipSearch(gallery, door.element, life), door.element));
  slotOf(root, "plain").append(el("div.lg-stack", {}, plain(gallery, life), otherMap(gallery, life)));
}
