// Tools: what is asked about the answer on the screen, one at a time, and what they gave.
//
// A request is a message and nothing else. What came of it is in `_tools`: the newest entry of every tool, and
// `busy` while one is queued or runs. An old entry stays until the first data of the next one is there.

import { batch, computed, type ReadonlySignal, signal } from "../signals";
import { type Busy, decodeBusy, decodeTool, TOOLS, type ToolName, type ToolOf } from "../tools-wire";
import { type Answer, attempt, decodeMessage, type Entry } from "../wire";
import type { Store } from ".";
import { LATE_MS } from "./conversation";
import { onEnd } from "./watch";

export interface Tools {
  /** Ask a tool about the target on the screen; the latest request wins. Its name, or null where it cannot be asked. */
  ask(tool: ToolName, args?: object): string | null;
  /** The tool's newest entry where it is about the target and the answer on the screen; else null. */
  entry<N extends ToolName>(tool: N): ReadonlySignal<ToolOf<N> | null>;
  /** The tool's newest entry, whatever it is about. */
  latest<N extends ToolName>(tool: N): ReadonlySignal<ToolOf<N> | null>;
  /** What was asked and has not ended; null at rest. */
  readonly busy: ReadonlySignal<Busy | null>;
  /** Why no tool can be asked, in a sentence; "" where they can. */
  readonly lacks: ReadonlySignal<string>;
  /** End what is under way; what it gave stays. */
  stop(): void;
}

export function tooling(
  { host, answer, entry: shown, post, complain, lacks }: Store,
  life: AbortSignal,
): Tools {
  const newest = Object.fromEntries(TOOLS.map((tool) => [tool, signal(null)])) as unknown as {
    [N in ToolName]: ReturnType<typeof signal<ToolOf<N> | null>>;
  };
  const running = signal<Busy | null>(null);
  /** Sent, and not taken up as far as is known. */
  const asked = signal<Busy | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));

  const at = (given: Answer | null, entry: Entry | null) => (entry ? given!.targets.indexOf(entry) : -1);
  const present = Object.fromEntries(
    TOOLS.map((tool) => [
      tool,
      computed(() => {
        const entry = newest[tool].value;
        const fits = entry?.rev === answer.value?.rev && entry?.target === at(answer.value, shown.value);
        return fits ? entry : null;
      }),
    ]),
  ) as unknown as { [N in ToolName]: ReadonlySignal<ToolOf<N> | null> };

  function readTool<N extends ToolName>(tool: N, raw: unknown) {
    const target = newest[tool];
    target.value = decodeTool(raw, tool, target.peek());
  }
  function read() {
    const raw = host.read("_tools");
    const why = attempt("What a tool gave", () =>
      batch(() => {
        for (const tool of TOOLS) readTool(tool, raw);
        running.value = decodeBusy(raw);
        const { tool, rid } = asked.peek() ?? {};
        if (tool && (running.peek()?.rid === rid || newest[tool].peek()?.rid === rid)) heard();
      }),
    );
    if (why) complain(why);
  }
  function heard() {
    clearTimeout(timer);
    asked.value = null;
  }
  host.onChange("_tools", read);
  host.onMessage((content) => {
    const { kind, rid, message } = decodeMessage(content);
    if (kind !== "refused" || !rid || rid !== asked.peek()?.rid) return;
    heard();
    // A question that came between makes what was asked about the answer before it pointless.
    if (sentFor === answer.peek()?.rev) complain(message);
  });
  /** The answer that the last request was about. */
  let sentFor = 0;
  read();

  function send(tool: ToolName | "stop", args: object): string | null {
    const given = answer.peek();
    const target = at(given, shown.peek());
    if (!given || target < 0 || lacks.peek()) return null;
    sentFor = given.rev;
    return post({ kind: "tool", rev: given.rev, target, tool, args });
  }

  return {
    ask(tool, args = {}) {
      const rid = send(tool, args);
      if (!rid) return null;
      clearTimeout(timer);
      const sent = { tool, rid, step: 0, total: 0, message: "Asking …" };
      asked.value = sent;
      timer = setTimeout(() => {
        if (asked.peek() === sent) asked.value = { ...sent, message: "Waiting for the kernel (busy?) …" };
      }, LATE_MS);
      return rid;
    },
    entry: (tool) => present[tool],
    latest: (tool) => newest[tool],
    busy: computed(() => {
      const sent = asked.value;
      // Nothing comes of what was asked about an answer that has been replaced since.
      const waits = sent && answer.value?.rev === sentFor ? sent : null;
      return lacks.value ? null : (waits ?? running.value);
    }),
    lacks,
    stop() {
      heard();
      send("stop", {});
    },
  };
}
