// Views to go back to: the last ones, and those that were pinned.

import { batch } from "../signals";
import type { Question } from "../wire";
import type { Store } from ".";
import { type History, remember } from "./history";
import { isAsked, same, type Undoable } from "./traits";

/** Show a view as it was: ask again what was asked, which the kernel remembers, and set what asks nothing. */
export function recall(store: Store, view: Partial<Undoable>): void {
  store.stop();
  store.typed.peek()?.keep();
  store.previewHead(null);
  const question: { -readonly [N in keyof Question]?: Question[N] } = {};
  const changed = (Object.keys(view) as (keyof Undoable)[]).filter(
    (name) => !same(view[name], store.trait(name).peek()),
  );
  batch(() => {
    for (const name of changed) {
      const value = view[name] as never;
      if (isAsked(name)) question[name] = value;
      if (name === "active" || !isAsked(name)) store.set(name, value);
    }
  });
  const compared = store.comparedMethods.peek().length ? ["active", "compare", "compared"] : [];
  if (changed.some((name) => compared.includes(name) || (isAsked(name) && name !== "active")))
    store.ask(question);
  else store.fetchHeads();
}

export function undoing(store: Store): History<Undoable> {
  const history = remember<Undoable>(
    (name) => store.trait(name).peek() as Undoable[typeof name],
    (view) => recall(store, view),
  );
  store.noteBy(history.note);
  return history;
}
