// Undo and redo of what a person changed in the view, act by act.
//
// An act begins where a hand does: with a press of a button or key. Whatever changes until the next one begins is
// one step, so that a drag is one, however long it takes, and so is a prompt with the maps shown while it was typed.
// A step holds what its own act changed and no more: what Python or another page changed meanwhile stays.

import { batch, computed, type ReadonlySignal, signal } from "../signals";

export const STEPS = 20;

export interface History<Values extends object> {
  readonly undoable: ReadonlySignal<boolean>;
  readonly redoable: ReadonlySignal<boolean>;
  /** What changes from here on is another step. */
  begin(): void;
  /** `name` is about to change from `before`. */
  note<N extends keyof Values>(name: N, before: Values[N]): void;
  undo(): void;
  redo(): void;
}

/** `now` gives a value as it is; `restore` sets several, of which nothing is noted. */
export function remember<Values extends object>(
  now: <N extends keyof Values>(name: N) => Values[N],
  restore: (values: Partial<Values>) => void,
): History<Values> {
  type Step = Partial<Values>;
  const past = signal<readonly Step[]>([]);
  const future = signal<readonly Step[]>([]);
  /** The step of the act that goes on, once it has changed something. */
  let current: Step | null = null;
  let restoring = false;

  const present = (step: Step) =>
    Object.fromEntries(Object.keys(step).map((name) => [name, now(name as keyof Values)])) as Step;
  const same = (a: Step, b: Step) => JSON.stringify(a) === JSON.stringify(b);

  function move(from: typeof past, to: typeof past) {
    current = null;
    const steps = [...from.peek()];
    while (steps.length) {
      const step = steps.pop()!;
      const back = present(step);
      // A drag that ended where it began, or a question that was refused, is no step.
      if (same(step, back)) continue;
      restoring = true;
      try {
        batch(() => {
          from.value = steps;
          to.value = [...to.peek(), back];
          restore(step);
        });
      } finally {
        restoring = false;
      }
      return;
    }
    from.value = steps;
  }

  return {
    undoable: computed(() => past.value.length > 0),
    redoable: computed(() => future.value.length > 0),
    begin() {
      current = null;
    },
    note(name, before) {
      if (restoring) return;
      if (!current) {
        current = {};
        past.value = [...past.peek(), current].slice(-STEPS);
        future.value = [];
      }
      if (!(name in current)) current[name] = before;
    },
    undo: () => move(past, future),
    redo: () => move(future, past),
  };
}
