// The way to the brush: it paints on the explorer's picture, and its controls lie in a fold beneath that.

import { button, onEnd } from "../../ui/element";

export interface Door {
  readonly element: HTMLButtonElement;
  /** Open "Test this map" in the explorer, turn the brush on, and go there. */
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
    fold.scrollIntoView({ block: "end" });
    // The explorer's second file is on its way.
    coming = new MutationObserver(() => arrive() && coming?.disconnect());
    coming.observe(fold, { childList: true, subtree: true });
  }
  function take(brush: HTMLButtonElement) {
    if (brush.getAttribute("aria-pressed") !== "true") brush.click();
    explorer()?.querySelector("[data-testid=picture]")?.scrollIntoView({ block: "start" });
    brush.scrollIntoView({ block: "nearest" });
    brush.focus({ preventScroll: true });
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
