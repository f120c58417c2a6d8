// By how much the class that errors were taken for leads over the true one, layer by layer: small, for a card.

import { set } from "../../ui/element";

const [WIDE, HIGH] = [120, 28];

/** A line that is red where the wrong class leads and blue where the true one does; `says` it in words. */
export function marginCurve(margins: readonly number[], says: string): SVGElement {
  const most = Math.max(...margins.map(Math.abs)) || 1;
  const x = (i: number) => 2 + ((WIDE - 4) * i) / (margins.length - 1);
  const y = (value: number) => HIGH / 2 - (value / most) * (HIGH / 2 - 2);
  const made = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "lg-margins", role: "img", label: says });
  made.append(
    svg("line", { x2: WIDE, y1: HIGH / 2, y2: HIGH / 2 }),
    ...margins.slice(1).map((value, i) =>
      svg("line", {
        "data-kind": value + margins[i]! > 0 ? "taken" : "right",
        x1: x(i),
        x2: x(i + 1),
        y1: y(margins[i]!),
        y2: y(value),
      }),
    ),
  );
  return made;
}

function svg(tag: string, props: Record<string, string | number>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) set(made, name, value);
  return made;
}
