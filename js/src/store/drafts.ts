// Prompts that are being typed. A draft sits among the targets, so that its map can be seen before Enter makes
// it one of them; it is a new chip at the end, or stands in for one that is being edited.

import { batch, type ReadonlySignal, signal } from "../signals";
import { FULL, isFull, keyOf, readThrough, type Target } from "../wire";
import type { Store } from ".";
import { onEnd, watch } from "./watch";

export const TYPING_MS = 200;

export interface Draft {
  readonly at: number;
  readonly key: string;
  /** The chip that it stands in for, or null where it is a new one. */
  readonly was: Target | null;
}

export interface Drafts {
  readonly draft: ReadonlySignal<Draft | null>;
  /** The words have changed: ask for them once the typing pauses. */
  type(words: string): void;
  /** Ask at once and keep the prompt; false where it cannot be one. */
  commit(words: string): boolean;
  /** Take the draft away; what it stood in for comes back. */
  drop(): void;
  edit(at: number): void;
  /** Read every prompt through these templates, and those that are typed from now on. */
  readThrough(templates: readonly string[]): void;
  /** The draft is a prompt like the others now. */
  keep(): void;
}

export function drafting(act: Store, life: AbortSignal): Drafts {
  const { active, trait, phase } = act;
  const [targets, templates] = [trait("targets"), trait("templates")];
  const draft = signal<Draft | null>(null);
  /** The active target to go back to. */
  let before = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopWaiting = () => clearTimeout(timer);
  onEnd(life, stopWaiting);

  // Targets may change from Python meanwhile: a draft whose chip is gone is no draft.
  watch(life, () => {
    const current = draft.value;
    const target = current && targets.value[current.at];
    if (current && !(target && keyOf(target) === current.key)) draft.value = null;
  });

  /** The targets as they would be without the draft, and where a draft goes. */
  function settled(): { list: Target[]; at: number } {
    const list = [...targets.peek()];
    const current = draft.peek();
    if (!current) return { list, at: list.length };
    if (current.was) list[current.at] = current.was;
    else list.splice(current.at, 1);
    return { list, at: current.at };
  }

  /** The words as a target; they stay in the templates of the prompt that they replace. */
  function worded(text: string): Target {
    const was = draft.peek()?.was;
    const own = was?.kind === "text" ? (was.templates ?? []) : templates.peek();
    return readThrough({ kind: "text", text }, own);
  }

  function preview(text: string) {
    const target = worded(text);
    const key = keyOf(target);
    const current = draft.peek();
    if (current?.key === key) return;
    const { list, at } = settled();
    const known = list.findIndex((other) => keyOf(other) === key);
    if (known >= 0 && !(current?.was && known === at)) {
      draft.value = null;
      if (current) act.ask({ targets: list, active: known });
      else act.select(known);
      return;
    }
    const was = current?.was ?? null;
    if (!was && isFull(list)) return act.complain(FULL);
    if (!current) before = active.peek();
    list.splice(at, was ? 1 : 0, target);
    batch(() => {
      draft.value = null;
      act.ask({ targets: list, active: at });
      draft.value = { at, key, was };
    });
  }

  const drafts: Drafts = {
    draft,
    type(words) {
      stopWaiting();
      act.complain("");
      const text = words.trim();
      timer = setTimeout(() => (text ? preview(text) : drafts.drop()), TYPING_MS);
    },
    commit(words) {
      stopWaiting();
      const text = words.trim();
      const current = draft.peek();
      if (!text) act.complain("An empty prompt asks nothing: type what to look for.");
      else if (!current && isFull(targets.peek())) act.complain(FULL);
      else {
        if (current?.key === keyOf(worded(text)) && phase.peek().kind === "error") act.ask({});
        else preview(text);
        drafts.keep();
        return true;
      }
      return false;
    },
    drop() {
      stopWaiting();
      const current = draft.peek();
      if (!current) return;
      const { list } = settled();
      draft.value = null;
      act.ask({ targets: list, active: current.was ? current.at : before });
    },
    edit(at) {
      const was = targets.peek()[at];
      if (was?.kind !== "text") return;
      act.select(at);
      draft.value = { at, key: keyOf(was), was };
    },
    readThrough(given) {
      drafts.keep();
      const list = targets.peek().map((target) => readThrough(target, given));
      const known = list.map(keyOf);
      // Two that differed in their templates alone are one now.
      const left = list.filter((_, i) => known.indexOf(known[i]!) === i);
      const at = known.indexOf(known[active.peek()] ?? "");
      act.ask({ templates: given, targets: left, active: Math.max(0, left.indexOf(list[at]!)) });
    },
    keep() {
      stopWaiting();
      draft.value = null;
    },
  };
  return drafts;
}
