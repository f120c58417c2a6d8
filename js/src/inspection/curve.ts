// The scores of the true and of the predicted class over the layers, and behind them how far the lens is to be trusted.

import { readable } from "../heat/describe";
import { set } from "../ui/element";
import type { Sample } from "./wire";

const [LEFT, TOP, WIDE, HIGH] = [44, 12, 244, 100];

function svg(
  tag: string,
  props: Record<string, string | number>,
  ...children: (Node | string)[]
): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) set(made, name, value);
  made.append(...children);
  return made;
}

/** `names` of the true and the predicted class. Weak layers are shaded, and the lines dashed there. */
export function curveChart(
  { layers, true: right, predicted, weak, trust }: Sample,
  names: readonly [string, string],
): SVGElement {
  const all = [...right, ...predicted].filter((value) => !Number.isNaN(value));
  const least = Math.min(0, ...all);
  const most = Math.max(...all, least + 1e-9);
  const step = WIDE / Math.max(layers.length, 1);
  const x = (i: number) => LEFT + step * (i + 0.5);
  const y = (value: number) => TOP + (HIGH * (most - value)) / (most - least);
  const bands = layers.flatMap((layer, i) => {
    const sure = trust[i];
    const said =
      sure === undefined || Number.isNaN(sure)
        ? ""
        : `layer ${layer}: the lens puts the right one of two classes first in ${Math.round(100 * sure)} %`;
    const band = svg("rect", {
      x: LEFT + step * i,
      y: TOP,
      width: step,
      height: HIGH,
      "data-weak": String(!!weak[i]),
    });
    if (said) band.append(svg("title", {}, said));
    return weak[i] ? [band] : [];
  });
  const line = (values: readonly number[], kind: string) =>
    values.slice(1).map((value, i) => {
      const before = values[i]!;
      if (Number.isNaN(value) || Number.isNaN(before)) return "";
      const unsure = weak[i] || weak[i + 1];
      return svg("line", {
        "data-kind": kind,
        "data-unsure": String(!!unsure),
        x1: x(i),
        y1: y(before),
        x2: x(i + 1),
        y2: y(value),
      });
    });
  const words = (left: number, top: number, said: string, anchor = "middle") =>
    svg("text", { x: left, y: top, "text-anchor": anchor }, said);
  const every = Math.ceil(layers.length / 8);
  const last = (values: readonly number[]) => values.at(-1) ?? Number.NaN;
  const said = `Scores over ${layers.length} layers: at the last ${names[0]} ${readable(last(right), 2)}, ${names[1]} ${readable(last(predicted), 2)}`;
  return svg(
    "svg",
    { viewBox: "0 0 300 140", class: "lg-lens", role: "img", "aria-label": said },
    ...bands,
    svg("line", { "data-kind": "rule", x1: LEFT, y1: y(least), x2: LEFT + WIDE, y2: y(least) }),
    words(LEFT - 4, TOP + 6, readable(most, 2), "end"),
    words(LEFT - 4, y(least) + 4, readable(least, 2), "end"),
    ...layers.flatMap((layer, i) =>
      i % every && i !== layers.length - 1 ? [] : [words(x(i), TOP + HIGH + 14, String(layer))],
    ),
    words(LEFT + WIDE / 2, 138, "layer"),
    ...line(right, "right"),
    ...line(predicted, "taken"),
  );
}
