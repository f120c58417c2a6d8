// What the second file adds to the open sample: a mask is drawn, a flip set is searched, plain maps are shown.

import { el } from "../../ui/element";
import { slotOf } from "../../ui/slots";
import type { GalleryStore } from "../store";
import { drawing } from "./drawing";
import { flipSearch } from "./flip-search";
import { plain } from "./plain";
import css from "./workbench.css";

export function workbench(gallery: GalleryStore, root: HTMLElement, life: AbortSignal): void {
  if (gallery.card.peek().page) return;
  root.prepend(el("style", {}, css));
  slotOf(root, "drawing").append(drawing(gallery, root, life));
  root
    .querySelector(".lg-keys")
    ?.append(el("p", {}, el("b", {}, "M  Shift + M"), "draw a mask: rectangle / lasso"));
  if (!gallery.card.peek().live) return;
  slotOf(root, "flip").append(flipSearch(gallery, life));
  slotOf(root, "plain").append(plain(gallery, life));
}
