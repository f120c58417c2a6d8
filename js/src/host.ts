// The anywidget model behind the store's `Host`: the only file that knows it.

import type { AnyModel } from "@anywidget/types";
import type { Host } from "./store/traits";
import { onEnd } from "./store/watch";

/** Wrap a model; its listeners end with `life`, also in hosts that do not drop them on their own. */
export function hostOf(model: AnyModel, life: AbortSignal): Host {
  const listen = (event: string, run: (content: unknown, buffers?: readonly unknown[]) => void) => {
    // The model's `get` is read inside `run`: hosts disagree on what they pass to "change:" listeners.
    model.on(event, run);
    onEnd(life, () => model.off(event, run));
  };
  return {
    read: (trait) => model.get(trait),
    write(changes) {
      for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
      try {
        model.save_changes();
      } catch {
        // No kernel behind this page: the values stand here, and `send` is what reports the loss.
      }
    },
    send: (content, buffers) => model.send(content, undefined, buffers ?? []),
    onChange: (trait, changed) => listen(`change:${trait}`, () => changed()),
    onMessage: (arrived) => listen("msg:custom", arrived),
  };
}
