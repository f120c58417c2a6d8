// The page of one view: where each control goes.

import { height, stageOf, width } from "../heat/frame";
import { untracked } from "../signals";
import type { Store } from "../store";
import { beside } from "./beside";
import { chooser } from "./chooser";
import { colorbar, readout } from "./colorbar";
import { controls } from "./controls";
import { button, el, onEnd, set, watch } from "./element";
import { installKeys, NO_SHORTCUTS } from "./keys";
import { methods } from "./methods";
import { picture } from "./picture";
import { prompts } from "./prompts";
import { decodedPicture } from "./raster";
import { predictions, score } from "./score";
import { scrubber } from "./scrubber";
import { slot } from "./slots";
import { announcer, status } from "./status";
import { tests } from "./tests";

export function mount(parent: HTMLElement, store: Store, life: AbortSignal): void {
  const { bitmap, fault } = decodedPicture(store, life);
  const root = el(
    "div.legrad",
    {
      testid: "legrad",
      [NO_SHORTCUTS]: "true",
      tabindex: -1,
      role: "group",
      label: "LeGrad explorer",
    },
    el(
      "div.lg-body",
      {},
      el(
        "div.lg-row.lg-top",
        {},
        prompts(store, life),
        slot("top", "width:62px"),
        chooser(store, life),
        slot("acts", "width:88px"),
        button(
          ".lg-button.lg-square",
          {
            testid: "help",
            title: "Keys (?)",
            label: "Keys",
            "aria-expanded": false,
            onclick: () => store.press("?"),
          },
          "?",
        ),
      ),
      slot("prompts"),
      el(
        "div.lg-main",
        {},
        el(
          "section.lg-stack.lg-view",
          { label: "Heatmap" },
          picture(store, bitmap, fault, life),
          colorbar(store, life),
          readout(store, life),
        ),
        scrubber(store, bitmap, life),
        el(
          "div.lg-stack.lg-side",
          {},
          el("div.lg-stack.lg-first", {}, score(store, life), slot("score", "height:28px"), slot("matrix")),
          el(
            "div.lg-stack.lg-more",
            {},
            predictions(store, life),
            methods(store, life),
            slot("methods"),
            controls(store, life),
          ),
        ),
      ),
      slot("pins"),
      beside(store, life),
      tests(store, life),
      slot("end"),
      status(store, life),
      announcer(store, life),
    ),
  );
  installKeys(root, store, life);
  watch(life, () => {
    const shown = store.picture.value;
    const stage = shown ? stageOf(shown.original, shown.window) : ([0, 0, 3, 2] as const);
    root.style.setProperty("--lg-aspect", String(width(stage) / height(stage)));
  });
  watch(life, () => {
    const { what, ms } = store.painted.value;
    if (!what) return;
    set(root, "data-painted", what);
    set(root, "data-paint-ms", ms.toFixed(2));
  });
  watch(life, () => set(root, "data-outdated", store.outdated.value));
  parent.append(root);
  onEnd(life, () => root.remove());
  const { make } = store.second;
  watch(life, () => {
    if (make.value) store.live.value = untracked(() => make.value!(store, { root, bitmap }, life));
  });
}

/** A view that could not be drawn says so. */
export function fail(parent: HTMLElement, error: unknown): void {
  const why = error instanceof Error ? error.message : String(error);
  parent.append(
    el(
      "div.legrad",
      { testid: "legrad", role: "alert" },
      el(
        "p.lg-bad",
        {},
        `The widget could not be drawn: ${why}. Run the cell again; the browser's console has the traceback.`,
      ),
    ),
  );
  console.error(error);
}
