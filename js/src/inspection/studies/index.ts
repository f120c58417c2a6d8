// Computations about all errors, in panels between gallery and sample. Without a model they show what was found before.

import { el, watch } from "../../ui/element";
import { slotOf } from "../../ui/slots";
import type { Brush } from "../card";
import type { GalleryStore } from "../store";
import { calibrate } from "./calibrate";
import { cases } from "./cases";
import { flips } from "./flips";
import { groups } from "./groups";
import { studying } from "./store";
import css from "./studies.css";

export function studies(gallery: GalleryStore, root: HTMLElement, life: AbortSignal, brush: Brush): void {
  const store = studying(gallery, brush, life);
  root.prepend(el("style", {}, css));
  const maps = calibrate(store, life);
  const about = [groups(store, life), flips(store, life), cases(store, life)];
  const masked = el("div.lg-slot", {}, about[2]!.opener);
  slotOf(root, "map").append(maps.opener);
  slotOf(root, "errors").append(el("div.lg-row", {}, about[0]!.opener, about[1]!.opener, masked));
  slotOf(root, "studies").append(maps.panel, ...about.map(({ panel }) => panel));
  watch(life, () => {
    masked.hidden = !store.found.value.masks;
    if (masked.hidden && store.shown.peek() === "alignment") store.shown.value = "";
  });
}
