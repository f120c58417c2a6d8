// The way to the brush: it paints on the explorer's picture, which is brought into sight. What comes of it stands
// under that picture, and all that the brush can do in a fold beneath.

import { button, onEnd } from "../../ui/element";

export interface Door {
  readonly element: HTMLButtonElement;
  /** Open "Test this map" in the explorer, turn the brush on, and go to the picture. */
  walk(): void;
}

/** `explorer`: the box that the explorer is in, once a sample was opened. */
export function brushDoor(explorer: () => Element | null, life: AbortSignal): Door {
  let coming: MutationObserver | undefined;
  onEnd(life, () => coming?.disconnect());

  function walk() {
    coming?.disconnect();
    const fold = explorer()?.querySelector<HTMLDetailsElement>("[data-testid=trust]");
    if (!fold) return;
    fold.open = true;
    const arrive = () => {
      const brush = fold.querySelector<HTMLButtonElement>("[data-testid=brush]");
      if (brush) take(brush);
      return !!brush;
    };
    if (arrive()) return;
    look();
    // The explorer's second file is on its way.
    coming = new MutationObserver(() => arrive() && coming?.disconnect());
    coming.observe(fold, { childList: true, subtree: true });
  }
  function take(brush: HTMLButtonElement) {
    if (brush.getAttribute("aria-pressed") !== "true") brush.click();
    look();
  }
  function look() {
    const picture = explorer()?.querySelector<HTMLElement>("[data-testid=picture]");
    picture?.focus({ preventScroll: true });
    picture?.scrollIntoView({ block: "start" });
  }
  const element = button(
    ".lg-button",
    {
      testid: "to-brush",
      title: "Paint over patches in the explorer beneath, and see what the model says without them (B)",
      onclick: walk,
    },
    "Brush patches away",
  );
  return { element, walk };
}
