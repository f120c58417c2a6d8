// What the model says without the patches that are painted: under the picture, where whoever paints is looking. The
// whole of it stands beside the brush.

import { readable } from "../heat/describe";
import type { LiveStore } from "../store/live";
import type { Trust } from "../store/trust";
import type { Moved, ToolOf } from "../tools-wire";
import { wayOf } from "./brush";
import { el, set, watch } from "./element";
import { probability } from "./score";

const HINT = "Drag over the picture, or Space on a patch, to take patches away. Alt erases, Z undoes.";

export function outcome(store: LiveStore, trust: Trust, life: AbortSignal): HTMLElement {
  const line = el("p.lg-note", { role: "status", testid: "outcome" });
  watch(life, () => {
    const painted = trust.painted.value.size;
    line.hidden = !trust.brushing.value && !painted;
    set(line, "aria-busy", !!painted && trust.awaiting.value);
    const found = store.tools.latest("brush").value;
    const ours = painted && found?.rev === store.answer.value?.rev ? found : null;
    line.replaceChildren(...((ours && sentence(ours)) ?? [HINT]));
  });
  return line;
}

/** The likeliest class now and before, and the prompt in view beside it; of a model without classes the first target. */
function sentence(found: ToolOf<"brush">): (string | Node)[] | null {
  const { state, message, classes, targets, args, label } = found;
  if (state === "failed") return [message];
  const top = (when: "before" | "after") =>
    classes.reduce<Moved | undefined>(
      (best, one) => (best && best[when] >= one[when] ? best : one),
      undefined,
    );
  const target = targets.find(({ of }) => of);
  const [now, was] = [top("after") ?? target, top("before") ?? target];
  if (!now || !was) return null;
  const say = [now.after, was.before].every((value) => value >= 0 && value <= 1) ? probability : readable;
  const before = `${now.label === was.label ? "" : `${was.label} `}${say(was.before)}`;
  const asked = targets.find((it) => it.label === label && it.of === now.of);
  const count = (args.patches as readonly unknown[]).length;
  const patches = `${count} patch${count === 1 ? "" : "es"}`;
  return [
    args.how === "drop" ? `Without ${patches}: ` : `${patches} brushed, ${wayOf(found)}: `,
    el("b", {}, `${now.label} ${say(now.after)}`),
    ` (was ${before})`,
    ...(asked && asked.label !== now.label && asked.label !== was.label
      ? [" · ", el("b", {}, `${asked.label} ${say(asked.after)}`), ` (was ${say(asked.before)})`]
      : []),
  ];
}
