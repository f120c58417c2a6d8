// Maps against masks: how many errors are of which case, and from where on a number counts as high.

import { button, el, watch } from "../../ui/element";
import { choice } from "./choice";
import { panel, takesMaps } from "./panel";
import type { Studies } from "./store";
import type { Cases, Thresholds } from "./wire";

const SLIDERS: readonly (readonly [keyof Thresholds, string, string])[] = [
  ["iou", "on the object: IoU from", "What map and mask share, of what either covers"],
  ["saliency", "inside it: share of the map on the mask from", "Saliency coverage"],
  ["ground", "all of it: share of the mask under the map from", "Ground truth coverage"],
];
const SIDES = [
  ["predicted", "for what it was taken for"],
  ["true", "for what it is"],
] as const;

export function cases(studies: Studies, life: AbortSignal) {
  const { gallery, found } = studies;
  const inputs = SLIDERS.map(([name, title, says]) => {
    const value = el("output");
    const input = el("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      testid: `limit-${name}`,
      oninput: () => {
        value.textContent = input.value;
        const wanted = inputs.map((one) => [one.name, Number(one.input.value)]);
        studies.limit(Object.fromEntries(wanted) as unknown as Thresholds);
      },
    });
    return { name, input, value, row: el("label.lg-limit", { title: says }, title, input, value) };
  });
  const table = el("table.lg-ranked", { testid: "case-counts" });
  const limits = inputs.map(({ row }) => row);
  const box = el("div.lg-stack", {}, el("div.lg-scroll", {}, table), el("div.lg-limits", {}, ...limits));

  watch(life, () => {
    const given = found.value.cases;
    const { values } = gallery.sieve.value;
    box.hidden = !given;
    if (!given) return;
    for (const { name, input, value } of inputs) {
      if (input.matches(":active, :focus")) continue; // what a person moves is ahead of the kernel
      input.value = value.textContent = String(given.thresholds[name]);
    }
    const at = table.querySelector(":focus")?.getAttribute("data-case");
    table.replaceChildren(...rows(given, values));
    if (at) table.querySelector<HTMLElement>(`[data-case="${at}"]`)?.focus();
  });

  function rows({ cases: all, says, right: fine }: Cases, values: Readonly<Record<string, string>>) {
    const pick = (column: string, name: string, wrong: boolean) => {
      const { case_predicted: _, case_true: __, ...others } = values;
      gallery.narrow({
        errors: wrong,
        values: values[column] === name ? others : { ...others, [column]: name },
      });
    };
    return [
      el("caption.lg-sr", {}, "How many samples are of which case, by the evidence for either class"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, `${says}; the evidence`),
          ...SIDES.map(([, title]) => el("th", { scope: "col" }, title)),
        ),
      ),
      el(
        "tbody",
        {},
        ...all.flatMap((one) => {
          const wrong = one.says.startsWith("wrong");
          if (!wrong && !fine) return [];
          return el(
            "tr",
            {},
            el("th", { scope: "row", title: one.name }, one.says),
            ...SIDES.map(([side, title]) => {
              const column = `case_${side}`;
              return el(
                "td",
                {},
                button(
                  ".lg-plain",
                  {
                    "data-case": `${side} ${one.name}`,
                    "aria-pressed": values[column] === one.name,
                    label: `${one.says}, by the evidence ${title}: ${one[side]}`,
                    onclick: () => pick(column, one.name, wrong),
                  },
                  String(one[side]),
                ),
              );
            }),
          );
        }),
      ),
    ];
  }
  const also = choice(life, "also-right", () => `also the ${found.value.right} that are right`);
  return panel(
    studies,
    {
      starts: [
        {
          what: "alignment",
          options: () => ({ right: also.on.peek() }),
          cost: ({ errors, right: fine }) => takesMaps(errors + (also.on.value ? fine : 0)),
        },
      ],
      result: ({ cases: given }) => given,
    },
    life,
    [also.element],
    box,
  );
}
