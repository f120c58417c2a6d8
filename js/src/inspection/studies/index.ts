// What the second file adds to the gallery: computations about all errors, in panels between gallery and sample.

import { el, watch } from "../../ui/element";
import { slotOf } from "../../ui/slots";
import type { GalleryStore } from "../store";
import { calibrate } from "./calibrate";
import { cases } from "./cases";
import { groups } from "./groups";
import { studying } from "./store";
import css from "./studies.css";

export type MakeStudies = (gallery: GalleryStore, root: HTMLElement, life: AbortSignal) => void;

export const studies: MakeStudies = (gallery, root, life) => {
  const store = studying(gallery, life);
  root.prepend(el("style", {}, css));
  const maps = calibrate(store, life);
  const [alike, masked] = [groups(store, life), cases(store, life)];
  slotOf(root, "map").append(maps.opener);
  slotOf(root, "errors").append(el("div.lg-row", {}, alike.opener, masked.opener));
  slotOf(root, "studies").append(maps.panel, alike.panel, masked.panel);
  watch(life, () => {
    masked.opener.hidden = !store.found.value.masks;
  });
};
