// The second file: everything that needs a live kernel. It adds its parts to a view that stands already.
//
// A part is a factory in ui/ that takes the `LiveStore`; it is put into a slot of the page (ui/slots.ts) here.
// What these parts import of the first file is not packed a second time (build.mjs).

import css from "./live.css";
import { contesting } from "./store/contest";
import { overlayOf, withTools } from "./store/live";
import type { MakeLive } from "./store/second";
import { holdAgainst } from "./store/specificity";
import { testing } from "./store/trust";
import { asking } from "./ui/asking";
import { takeBrush } from "./ui/brush";
import { card } from "./ui/card";
import { compare } from "./ui/compare";
import { contest } from "./ui/contest";
import { correction } from "./ui/correction";
import { el } from "./ui/element";
import { examples } from "./ui/examples";
import { exporting } from "./ui/export";
import { help } from "./ui/help";
import { knobs } from "./ui/knobs";
import { matrix } from "./ui/matrix";
import { outcome } from "./ui/outcome";
import { outliers } from "./ui/outliers";
import { pins } from "./ui/pins";
import { slotOf } from "./ui/slots";
import { specificity } from "./ui/specificity";
import { templates } from "./ui/templates";
import { fillTrust } from "./ui/trust";
import { takeActs, undo } from "./ui/undo";
import { takePictures } from "./ui/upload";

export const live: MakeLive = (view, { root, bitmap }, life) => {
  const store = withTools(view, life);
  const { patch } = store;
  const tests = testing(store, life);

  root.prepend(el("style", {}, css));
  const compared = compare(store, bitmap, life);
  slotOf(root, "pins").append(pins(store, bitmap, life));
  slotOf(root, "beside").append(...compared.ways);
  slotOf(root, "compared").append(...compared.parts);
  const editor = templates(store, life);
  const control = holdAgainst(store, life);
  const ask = slotOf(root, "ask");
  ask.append(examples(store, ask.closest("form")!.parentElement!, life), editor.opener);
  const out = exporting(store, life);
  slotOf(root, "top").append(editor.panel, out.opener, out.panel);
  slotOf(root, "score").append(specificity(store, control, life));
  slotOf(root, "knobs").append(knobs(store, life));
  slotOf(root, "methods").append(correction(store, life));
  slotOf(root, "matrix").append(matrix(store, life));
  slotOf(root, "picture").append(outliers(store, life), takeBrush(root, store, tests, life));
  root.querySelector("[data-testid=picture]")!.after(outcome(store, tests, life));
  fillTrust(slotOf(root, "tests"), store, tests, life);
  slotOf(root, "compare").append(contest(store, contesting(store, life), tests, life));
  const about = slotOf(root, "card");
  about.append(card(store, about.closest("details")!, life));

  takeActs(root, store, life);
  slotOf(root, "acts").append(undo(store, life));
  takePictures(root, store, life);

  const keyList = help(root);
  slotOf(root, "prompts").append(keyList.panel);

  const keys: Readonly<Record<string, () => void>> = {
    a: () => {
      patch.attending.value = true;
    },
    l: () => {
      patch.lensing.value = !patch.lensing.peek();
    },
    n: () => {
      patch.norms.value = !patch.norms.peek();
    },
    b: tests.toggleBrush,
    z: tests.undo,
    f: tests.measure,
    k: store.pins.add,
    g: store.toggleMatrix,
    "?": keyList.toggle,
  };
  return {
    overlay: overlayOf(store, control.overlay),
    patch,
    edit: asking(root, store),
    press(key) {
      if (key === "escape") return keyList.close();
      keys[key]?.();
      return key in keys;
    },
    release() {
      patch.attending.value = false;
    },
  };
};
