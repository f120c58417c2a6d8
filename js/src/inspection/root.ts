// The page of the inspector: mistakes and gallery, the open sample, and beneath it the explorer itself.

import { untracked } from "../signals";
import { button, el, focusedIn, listen, onEnd, set, watch } from "../ui/element";
import { NO_SHORTCUTS } from "../ui/keys";
import { slot } from "../ui/slots";
import { progressLine, sieveBar, tagBar } from "./bar";
import { drawSmall, LOOK, words } from "./card";
import { confusion } from "./confusion";
import { grid } from "./grid";
import { legend, sampleView } from "./sample";
import type { GalleryStore } from "./store";

/** What `?` shows. */
const KEYS: readonly (readonly [string, string])[] = [
  ["arrows", "from sample to sample"],
  ["Enter", "open the sample"],
  ["Esc", "close what is open"],
  ["N  Shift + N", "next / previous sample"],
  ["Space, Ctrl-click", "select or not"],
  ["Shift + arrows, -click", "select a range"],
  ["Ctrl + A", "select all shown"],
  ["X", "tag"],
  ["Home End PgUp PgDn", "far moves"],
];

/** `explore` draws the explorer into a box, once. */
export function mountGallery(
  parent: HTMLElement,
  store: GalleryStore,
  explore: ((box: HTMLElement) => void) | null,
  life: AbortSignal,
): void {
  const tags = tagBar(store, life);
  const gallery = grid(store, store.open, life);
  const help = el(
    "div.lg-keys",
    { hidden: true, role: "region", label: "Keys" },
    el("h3.lg-legend", {}, "Keys"),
    ...KEYS.map(([keys, does]) => el("p", {}, el("b", {}, keys), does)),
  );
  const ask = button(
    ".lg-button.lg-square",
    { title: "Keys (?)", label: "Keys", "aria-expanded": false, onclick: toggleHelp },
    "?",
  );
  const complaint = el("p.lg-bad", { role: "alert", testid: "complaint" });
  const drawn = el("span.lg-small");
  const view = sampleView(store, close, life);
  const panels = slot("studies");
  const shown = el("div.lg-stack", {}, sieveBar(store, life, gallery), gallery);
  /** Held free for what a model makes possible. */
  const room = store.card.peek().live ? "height:28px" : undefined;
  const root = el(
    "div.legrad.lg-inspector",
    { testid: "inspector", [NO_SHORTCUTS]: "true", tabindex: -1, role: "group", label: "LeGrad inspector" },
    el("div.lg-row.lg-top", {}, progressLine(store, life), slot("top"), ask),
    help,
    el(
      "div.lg-gallery",
      {},
      confusion(store, life),
      el(
        "section.lg-stack",
        { label: "Gallery" },
        shown,
        el("div.lg-row.lg-pair", {}, legend(), el("div.lg-row", {}, drawn, slot("map", room))),
        tags.element,
        slot("errors", room),
      ),
    ),
    panels,
    complaint,
    view,
  );
  const box = el("div.lg-explorer", { tabindex: -1, hidden: true, testid: "explorer" });
  parent.append(root, box);
  onEnd(life, () => {
    root.remove();
    box.remove();
  });
  let [mounted, studied] = [false, false];

  watch(life, () => {
    const make = store.second.make.value;
    if (!make || studied) return;
    studied = true;
    untracked(() => make(store, root, life, { look: LOOK, small: drawSmall, said: words }));
  });
  watch(life, () => {
    complaint.textContent = store.complaint.value;
    complaint.hidden = !store.complaint.value;
  });
  watch(life, () => {
    const { live, drawn: title } = store.card.value;
    drawn.textContent = title && `map: ${title}`;
    const explored = live && store.opened.value !== null && !!explore;
    box.hidden = !explored;
    if (!explored || mounted) return;
    mounted = true;
    explore(box);
  });

  // What somebody opens comes into sight, and what is narrowed or put in order from a panel beneath.
  watch(life, () => {
    if (!store.openings.value) return;
    view.querySelector<HTMLElement>("[data-testid=next]")?.focus({ preventScroll: true });
    view.scrollIntoView({ block: "nearest" });
  });
  watch(life, () => {
    store.sieve.value;
    store.sort.value;
    if (panels.contains(focusedIn(root))) shown.scrollIntoView({ block: "nearest" });
  });

  function close() {
    store.open(null);
    gallery.focus({ preventScroll: true });
  }
  function toggleHelp() {
    help.hidden = !help.hidden;
    set(ask, "aria-expanded", !help.hidden);
  }

  /** Close the help or the menu, and from anywhere but the open sample a panel too. */
  function fold(target: HTMLElement): boolean {
    const over = view.contains(target) ? ".lg-top " : "";
    const opener = root.querySelector<HTMLElement>(`${over}[aria-expanded=true]`);
    opener?.click();
    if (panels.contains(target)) opener?.focus();
    return !!opener;
  }

  const typed = "input:not([type=checkbox],[type=range]), textarea, select";
  listen(
    root,
    {
      focusin: (event) => set(event.target as Element, NO_SHORTCUTS, "true"),
      keydown(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        const target = event.target as HTMLElement;
        if (event.key === "Escape") {
          if (target.matches(typed)) gallery.focus({ preventScroll: true });
          else if (fold(target)) event.preventDefault();
          else if (store.opened.peek() !== null) close();
          else leave();
          return;
        }
        if (event.key === "Enter" && target.matches("[data-testid=tag]")) {
          // JupyterLab takes Enter from the inputs in its cells: the form would never follow it.
          event.preventDefault();
          (target as HTMLInputElement).form?.requestSubmit();
          return;
        }
        if (target.matches(typed)) return;
        if (event.key === "x" || event.key === "X") tags.focus();
        else if (event.key === "n") store.step(1);
        else if (event.key === "N") store.step(-1);
        else if (event.key === "?") toggleHelp();
        else return;
        event.preventDefault();
      },
    },
    life,
  );
  listen(
    box,
    {
      // The explorer gives the keyboard to what is around it: that is the sample, and then the gallery.
      keydown(event) {
        if (event.key === "Escape" && event.target === box) close();
      },
    },
    life,
  );

  function leave() {
    const outside = root.parentElement?.closest<HTMLElement>("[tabindex]");
    focusedIn(root)?.blur();
    outside?.focus({ preventScroll: true });
  }
}
