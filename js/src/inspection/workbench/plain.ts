// Whether the plain maps of both classes stand beneath, beside the contrasts: kept from sample to sample by the kernel.

import { signal } from "../../signals";
import { el, watch } from "../../ui/element";
import type { GalleryStore } from "../store";

export function plain(gallery: GalleryStore, life: AbortSignal): HTMLElement {
  const { host } = gallery;
  const on = signal(host.read("plain") === true);
  host.onChange("plain", () => {
    on.value = host.read("plain") === true;
  });
  const box = el("input", {
    type: "checkbox",
    testid: "plain",
    onchange: () => void gallery.send("plain", { on: box.checked }),
  });
  const element = el(
    "label.lg-row",
    {
      title:
        "Beneath are the contrasts: why one class rather than the other. Plain maps show what speaks for a class at all; of two similar classes they look much alike",
    },
    box,
    "Plain maps of both classes too",
  );
  watch(life, () => {
    box.checked = on.value;
  });
  return element;
}
