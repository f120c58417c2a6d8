// Can the map be trusted? Three tests of it, folded away until they are wanted.

import type { LiveStore } from "../store/live";
import type { Trust } from "../store/trust";
import { brush } from "./brush";
import { faithfulness, randomisation } from "./curves";
import { el, listen, watch } from "./element";

/** Fill the section that ui/tests.ts has folded. */
export function fillTrust(slot: HTMLElement, store: LiveStore, state: Trust, life: AbortSignal): void {
  const section = slot.closest("details")!;
  slot.append(
    el(
      "div.lg-tests",
      {},
      brush(store, state, life),
      faithfulness(store, state, life),
      randomisation(store, life),
    ),
  );
  state.open.value = section.open;
  listen(section, {
    toggle: () => {
      state.open.value = section.open;
    },
  });
  watch(life, () => {
    section.open = state.open.value;
  });
}
