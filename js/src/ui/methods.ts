// The method toggle: what makes the map, in a line, with its price, its paper and its knobs.

import { untracked } from "../signals";
import type { Store } from "../store";
import { el, watch } from "./element";
import { segments } from "./segments";
import { slot } from "./slots";
import { fold } from "./tests";

export function methods(store: Store, life: AbortSignal): HTMLElement {
  const toggle = segments("method", "Method", store.setMethod);
  const about = el("p");
  const paper = el("p.lg-small");
  const catalogue = store.trait("_catalogue");
  const chosen = store.trait("method");
  const mark = () => toggle.mark(chosen.value);

  watch(life, () => {
    const offered = store.kernelless.value && store.trait("_saved").value;
    toggle.offer(
      catalogue.value.map(({ name, title, available, reason, summary }) => ({
        value: name,
        title,
        hint: !available
          ? reason
          : offered && !offered.includes(name)
            ? "Not in this saved page: it needs a running kernel"
            : summary,
        disabled: !(available && (offered || [name]).includes(name)) && name !== chosen.peek(),
        describedBy: available ? undefined : idOfReason(store, name),
      })),
    );
    untracked(mark);
  });
  watch(life, mark);

  watch(life, () => {
    const method = store.method.value;
    about.textContent = method ? method.summary : `'${chosen.value}' is not in this model's catalogue.`;
    paper.textContent = method ? [method.cost, method.paper].filter(Boolean).join(" · ") : "";
  });

  return el(
    "fieldset.lg-stack",
    {},
    el("legend.lg-legend", {}, "Method"),
    toggle.element,
    blocked(store, life),
    about,
    paper,
    fold(store, "card", "About this method", "card", life),
    slot("knobs", "height:24px"),
  );
}

/** Element that says why a method is not to be had. */
export const idOfReason = (store: Store, name: string): string => `${store.view}-${name}`;

/** Why methods are not to be had: a disabled control takes no focus, so its reason stands in a list as well. */
function blocked(store: Store, life: AbortSignal): HTMLElement {
  const summary = el("summary");
  const list = el("ul.lg-note");
  const element = el("details", { testid: "unavailable" }, summary, list);
  watch(life, () => {
    const missing = store.trait("_catalogue").value.filter(({ available }) => !available);
    element.hidden = missing.length === 0;
    summary.textContent = `${missing.length} not available for this model`;
    list.replaceChildren(
      ...missing.map(({ name, title, reason }) =>
        el("li", { id: idOfReason(store, name) }, el("b", {}, title), `: ${reason}`),
      ),
    );
  });
  return element;
}
