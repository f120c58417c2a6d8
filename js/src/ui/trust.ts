// Can the map be trusted? Three tests of it, folded away until they are wanted.

import type { Store } from "../store";
import type { Trust } from "../store/trust";
import { brush } from "./brush";
import { faithfulness, randomisation } from "./curves";
import { el, watch } from "./element";

export function trust(store: Store, state: Trust, life: AbortSignal): HTMLElement {
  const lacks = el("p.lg-note.lg-warn", { testid: "trust-lacks" });
  const element = el(
    "details",
    {
      testid: "trust",
      ontoggle: () => {
        state.open.value = element.open;
      },
    },
    el("summary", {}, "Test this map"),
    lacks,
    el(
      "div.lg-tests",
      {},
      brush(store, state, life),
      faithfulness(store, state, life),
      randomisation(store, life),
    ),
  );
  watch(life, () => {
    element.open = state.open.value;
    lacks.textContent = store.tools.lacks.value;
    lacks.hidden = !lacks.textContent;
  });
  return element;
}
