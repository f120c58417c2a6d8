// The inspector's second file, beside the explorer's `live.js`: what a kernel finds about all errors, what is done with
// the open sample, and the ways out. It adds its parts to a gallery that stands already.

import type { Brush } from "./inspection/card";
import { leaving } from "./inspection/leave";
import { peek } from "./inspection/peek";
import type { GalleryStore } from "./inspection/store";
import { studies } from "./inspection/studies";
import { workbench } from "./inspection/workbench";
import { slotOf } from "./ui/slots";

export type MakeGallery = (store: GalleryStore, root: HTMLElement, life: AbortSignal, brush: Brush) => void;

export const gallery: MakeGallery = (store, root, life, brush) => {
  slotOf(root, "top").append(...leaving(store, life));
  studies(store, root, life, brush);
  workbench(store, root, life);
  peek(store, root, life);
};
