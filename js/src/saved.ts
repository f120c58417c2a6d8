// The model of a saved page: the traits as they were, and instead of a kernel the answers that were saved with them.
//
// `_saved` holds one answer for each method, about every target of the page. A question is looked up there; what
// is not there stays unanswered, and the controls that would ask for it are disabled.

import type { AnyModel } from "@anywidget/types";
import { pageModel, type State } from "./page-model";

interface Stored {
  readonly method: string;
  readonly knobs: unknown;
  readonly seconds: number;
  readonly maps: { readonly shape: readonly number[]; readonly data: Uint8Array };
  readonly targets: readonly { readonly target: unknown; readonly label: string; readonly error: string }[];
}

interface Asked {
  readonly kind: string;
  readonly rid: string;
  readonly active: number;
  readonly method: string;
  readonly compare: readonly string[];
}

/** `live`: the second file, where the page holds it. */
export function savedModel(state: State, live = ""): AnyModel {
  const saved = (state._saved ?? []) as readonly Stored[];
  const answerBy = (method: string) => saved.find((answer) => answer.method === method);

  state._result = answerBy(state.method as string) ?? {};
  state._comparison =
    state.compare === "methods" ? compareSaved("", state.active as number, state.compared as string[]) : {};

  const { model, set } = pageModel(state, live, (content: Asked) => {
    if (content.kind === "ask") answer(content);
  });

  function answer({ rid, active, method, compare }: Asked) {
    const found = answerBy(method);
    if (!found) return;
    set("method", method);
    set("knobs", found.knobs);
    set("active", active);
    set("_comparison", compareSaved(rid, active, compare));
    set("_result", { ...found, rid });
  }

  /** `_comparison` of one target; methods that were not saved have no pane. */
  function compareSaved(rid: string, active: number, methods: readonly string[]): State {
    const panes = methods.flatMap((method) => {
      const found = answerBy(method);
      return found ? [pane(found, active)] : [];
    });
    const about = saved[0]?.targets[active];
    if (!panes.length || !about) return {};
    const { image_rev, grid } = saved[0] as unknown as State;
    return { rid, image_rev, grid, target: about.target, label: about.label, panes, pending: [] };
  }

  return model;
}

/** One target's maps of an answer, as a pane of the comparison. */
function pane({ targets, maps, ...answer }: Stored, at: number): State {
  const { method } = answer;
  const error = targets[at]?.error;
  if (error) return { method, error };
  const [count = 1, ...shape] = maps.shape;
  const size = maps.data.length / count;
  const data = maps.data.subarray(at * size, (at + 1) * size);
  const seconds = answer.seconds / count;
  return { ...answer, seconds, error: "", maps: { ...maps, shape, data } };
}
