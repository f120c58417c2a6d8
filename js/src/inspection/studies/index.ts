// Computations about all errors, in panels between gallery and sample. Without a model they show what was found before.

import { el, watch } from "../../ui/element";
import { slotOf } from "../../ui/slots";
import type { Brush } from "../card";
import type { GalleryStore } from "../store";
import { backgrounds } from "./backgrounds";
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
  const about = [groups, flips, cases, backgrounds].map((study) => study(store, life));
  const [first, second, ...others] = about.map(({ opener }) => opener);
  const masked = el("div.lg-slot.lg-row", {}, ...others);
  slotOf(root, "map").append(maps.opener);
  slotOf(root, "errors").append(el("div.lg-row", {}, first, second, masked));
  slotOf(root, "studies").append(maps.panel, ...about.map(({ panel }) => panel));
  watch(life, () => {
    masked.hidden = !store.found.value.masks;
    if (masked.hidden && /^(alignment|backgrounds)$/.test(store.shown.peek())) store.shown.value = "";
  });
}
