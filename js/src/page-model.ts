// The anywidget model of a saved page: the traits as they were, and somebody in the page who answers for the kernel.

import type { AnyModel } from "@anywidget/types";

export type State = Record<string, unknown>;
export type Buffers = readonly (ArrayBuffer | Uint8Array)[];

/** Bytes travel in JSON as base64: `{"$bytes": "..."}`. */
export const reviveBytes = (_: string, value: unknown): unknown => {
  const packed = (value as { $bytes?: unknown } | null)?.$bytes;
  if (typeof packed !== "string") return value;
  return Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
};

export interface PageModel {
  readonly model: AnyModel;
  /** Write a trait, as the kernel does. */
  set(name: string, value: unknown): void;
  /** Send a message, as the kernel does. */
  tell(content: object, buffers?: Buffers): void;
}

/** `live`: the second file, where the page holds it. `hear`: takes every other message. */
export function pageModel(
  state: State,
  live: string,
  hear: (content: never, buffers: Buffers) => void,
): PageModel {
  const listeners = new Map<string, Set<(content?: unknown, buffers?: Buffers) => void>>();
  const emit = (event: string, content?: unknown, buffers?: Buffers) => {
    for (const run of [...(listeners.get(event) ?? [])]) run(content, buffers);
  };
  function set(name: string, value: unknown) {
    if (Object.is(state[name], value)) return;
    state[name] = value;
    emit(`change:${name}`);
  }
  const tell = (content: object, buffers?: Buffers) => emit("msg:custom", content, buffers);
  const model = {
    get: (name: string) => state[name],
    set,
    save_changes() {},
    send(content: { kind: string; hash?: string }, _callbacks?: unknown, buffers: Buffers = []) {
      const { kind, hash } = content;
      if (kind !== "live") hear(content as never, buffers);
      else if (live) tell({ kind, hash }, [new TextEncoder().encode(live)]);
    },
    on(event: string, run: () => void) {
      listeners.set(event, (listeners.get(event) ?? new Set()).add(run));
    },
    off: (event: string, run: () => void) => listeners.get(event)?.delete(run),
  };
  return { model: model as unknown as AnyModel, set, tell };
}
