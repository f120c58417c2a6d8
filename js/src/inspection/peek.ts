// The pictures without their maps, for as long as somebody holds that, as in the explorer.

import { button, el, icon, listen, watch } from "../ui/element";
import { slotOf } from "../ui/slots";
import type { GalleryStore } from "./store";

/** A button beside the colours of the small maps and under the open sample's picture, and a key. */
export function peek({ bare, sample }: GalleryStore, root: HTMLElement, life: AbortSignal): void {
  const show = (on: boolean) => () => {
    bare.value = on;
  };
  const cover = show(false);
  listen(window, { pointerup: cover, pointercancel: cover, blur: cover }, life);
  listen(
    root,
    {
      keydown(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if ((event.target as HTMLElement).matches("input:not([type=checkbox]), textarea, select")) return;
        if (event.key === "h" || event.key === "H") bare.value = true;
      },
      keyup: cover,
      focusout: cover,
    },
    life,
  );
  for (const place of ["map", "drawing"] as const) {
    const hold = button(
      ".lg-button",
      {
        testid: "peek",
        title: "Hold to see the pictures without maps (H)",
        onpointerdown: show(true),
        onkeydown: ({ key }: KeyboardEvent) => {
          if (key === " " || key === "Enter") bare.value = true;
        },
      },
      icon("eye"),
      "Peek",
    );
    slotOf(root, place).prepend(hold);
    if (place === "drawing")
      watch(life, () => {
        hold.hidden = !sample.value?.picture;
      });
  }
  root.querySelector(".lg-keys")?.append(el("p", {}, el("b", {}, "H (hold)"), "pictures without maps"));
}
