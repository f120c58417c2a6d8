// How the map is drawn: opacity, threshold, colours, smooth or patches. None of it asks the kernel.

import { type Palette, SEQUENTIAL } from "../heat/palette";
import type { Store } from "../store";
import { button, el, icon, listen, watch } from "./element";

export function controls(store: Store, life: AbortSignal): HTMLElement {
  return el(
    "fieldset.lg-stack",
    {},
    el("legend.lg-legend", {}, "Look"),
    slider(store, "opacity", "Opacity", life),
    slider(store, "threshold", "Threshold", life),
    el("div.lg-row.lg-pair", {}, colormap(store, life), smooth(store, life), peek(store, life)),
  );
}

function slider(store: Store, name: "opacity" | "threshold", title: string, life: AbortSignal): HTMLElement {
  const value = store.trait(name);
  const number = el("output.lg-small");
  const input = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    testid: name,
    label: title,
    oninput: () => store.set(name, Number(input.value)),
  });
  watch(life, () => {
    input.value = String(value.value);
    number.textContent = value.value.toFixed(2);
  });
  return el("label.lg-slider", {}, el("span", {}, title), input, number);
}

function colormap(store: Store, life: AbortSignal): HTMLElement {
  const select = el(
    "select",
    {
      testid: "colormap",
      label: "Colours",
      onchange: () => store.set("colormap", select.value as Palette),
    },
    ...SEQUENTIAL.map((name) => el("option", { value: name }, name)),
  );
  watch(life, () => {
    const signed = store.look.value.signed;
    select.value = store.trait("colormap").value;
    select.disabled = signed;
    select.title = signed ? "Signed: red for, blue against, white at zero" : "Colours";
  });
  return el("label.lg-row", {}, "Colours", select);
}

function smooth(store: Store, life: AbortSignal): HTMLElement {
  const input = el("input", {
    type: "checkbox",
    testid: "smooth",
    onchange: () => store.set("smooth", input.checked),
  });
  watch(life, () => {
    input.checked = store.trait("smooth").value;
  });
  return el("label.lg-row", { title: "Interpolate between patches" }, input, "Smooth");
}

function peek(store: Store, life: AbortSignal): HTMLElement {
  const end = () => store.peek(false);
  listen(window, { pointerup: end, pointercancel: end, blur: end }, life);
  return button(
    ".lg-button",
    {
      title: "Hold to see the picture alone (Space)",
      onpointerdown: () => store.peek(true),
    },
    icon("eye"),
    "Peek",
  );
}
