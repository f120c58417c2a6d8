// The compared methods' curves in one chart, and the picture as each of them would erase it.

import { readable } from "../heat/describe";
import { signal } from "../signals";
import { type Contest, KINDS, type Kind } from "../store/contest";
import type { LiveStore } from "../store/live";
import type { Trust } from "../store/trust";
import { chart, type Point } from "./chart";
import { eraser } from "./curves";
import { el, onEnd, watch } from "./element";
import { segments } from "./segments";
import { trial } from "./trial";

/** Pixels of the chart: as wide as there is room, between these. */
const [NARROW, WIDE] = [270, 760];

export function contest(store: LiveStore, state: Contest, trust: Trust, life: AbortSignal): HTMLElement {
  const plot = el("div.lg-wide");
  const width = signal(WIDE);
  const observer = new ResizeObserver(([entry]) => {
    width.value = Math.round(Math.min(Math.max(entry!.contentRect.width, NARROW), WIDE));
  });
  observer.observe(plot);
  onEnd(life, () => observer.disconnect());

  const kinds = segments("curve", "Curve", (value) => {
    state.kind.value = value as Kind;
  });
  kinds.offer(
    Object.entries(KINDS).map(([value, { title, does }]) => ({
      value,
      title,
      hint: `The picture is ${does}`,
    })),
  );
  const says = el("p.lg-note", { role: "status", testid: "contest-says" });
  const faults = el("ul.lg-note.lg-warn");
  const titleOf = (name: string) =>
    store.trait("_catalogue").value.find((one) => one.name === name)?.title ?? name;
  const erased = el("p.lg-small");
  const erase = el("div.lg-stack", {}, eraser(store, trust, life, "erase-by"), erased);
  watch(life, () => {
    erased.textContent = `In the picture, as ${store.method.value?.title ?? "the map"} shows it; a click on a name shows that method's.`;
  });

  watch(life, () => kinds.mark(state.kind.value));
  watch(life, () => {
    const found = state.found.value;
    const all = state.curves.value;
    plot.hidden = kinds.element.hidden = erase.hidden = !all.length;
    if (!found || !all.length) {
      says.textContent = "";
      plot.replaceChildren();
      return;
    }
    const kind = state.kind.value;
    const catalogue = store.trait("_catalogue").value;
    const lines = all
      .filter((curve) => curve.kind === kind)
      .map(({ method, fractions, values }) => ({
        kind: "method",
        name: titleOf(method),
        ink: catalogue.findIndex(({ name }) => name === method),
        lead: method === store.trait("method").value,
        points: values.map((value, i): Point => [fractions[i]!, value]),
        onclick: () => store.setMethod(method),
      }));
    plot.replaceChildren(
      chart(
        {
          x: kind === "insertion" ? "share put in" : "share erased",
          y: found.of,
          end: 1,
          last: "100 %",
          lines,
          band: around(found.band, kind),
          at: KINDS[kind].low ? trust.share.value : 0,
          size: [width.value, width.value < 500 ? 220 : 300],
        },
        `${KINDS[kind].title} for ${found.label}: ${lines.map(({ name }) => name).join(", ")}`,
      ),
    );
    says.textContent = verdict(kind, all, found.chance[kind] ?? null, titleOf);
  });
  watch(life, () => {
    const errors = Object.entries(state.found.value?.errors ?? {});
    faults.hidden = !errors.length;
    faults.replaceChildren(...errors.map(([name, why]) => el("li", {}, `${titleOf(name)}: ${why}`)));
  });
  return trial(
    store,
    {
      tool: "faithfulness",
      title: "Faithfulness of each map",
      about:
        "Erases the picture in the order of each map, or puts it back in, and asks each time. The areas are columns of the table; the grey band is what random orders give.",
      button: "Measure each map",
      ask: state.measure,
      fits: () => state.curves.value.length > 0,
    },
    life,
    kinds.element,
    plot,
    says,
    faults,
    erase,
  );
}

interface Ends {
  readonly fractions: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** Around what random orders give; a random order that is put in is one that is erased, read backwards. */
function around(band: Ends | null, kind: Kind): Point[] {
  if (!band) return [];
  const end = kind === "positive" || kind === "negative" ? 0.9 : 1;
  const edge = (values: readonly number[]) =>
    values.flatMap((value, i): Point[] => {
      const share = band.fractions[i]!;
      return share > end + 1e-9 ? [] : [[kind === "insertion" ? 1 - share : share, value]];
    });
  return [...edge(band.low), ...edge(band.high).reverse()];
}

/** Which maps do no better than random order. */
export function verdict(
  kind: Kind,
  curves: readonly { readonly kind: string; readonly method: string; readonly area: number | null }[],
  chance: number | null,
  titleOf: (method: string) => string,
): string {
  const { low } = KINDS[kind];
  const done = curves.flatMap(({ kind: of, method, area }) =>
    of === kind && area !== null ? [{ method, area: low ? area : -area }] : [],
  );
  if (!done.length) return "";
  const best = done.reduce((a, b) => (b.area < a.area ? b : a));
  const said = `${low ? "Lower" : "Higher"} is better: ${titleOf(best.method)} ${readable(Math.abs(best.area), 2)}`;
  if (chance === null) return `${said}.`;
  const bar = low ? chance : -chance;
  const failed = done.filter(({ area }) => area >= bar).map(({ method }) => titleOf(method));
  const rest = failed.length ? `No better than that: ${failed.join(", ")}.` : "All do better than that.";
  return `${said}; random order ${readable(chance, 2)}. ${rest}`;
}
