// The conversation with the kernel: questions, pictures, cancelling, and what is known about them.
//
// A question goes out twice, as a custom message and as the `_request` trait: either may be held back by the
// host, and the kernel starts only once for each (client, n). Nothing here waits without an end: every state
// names itself in the status line, and a question that is given up leaves the last answer on the screen.

import { batch, computed, type ReadonlySignal, type Signal, signal } from "../signals";
import {
  type Answer,
  attempt,
  decodeAnswer,
  decodeLook,
  decodeMessage,
  freshName,
  type Question,
  type Status,
  VERSION,
} from "../wire";
import type { Host, Traits } from "./traits";
import { onEnd } from "./watch";

export const LATE_MS = 600;
export const HELLO_MS = 3000;
export const GIVE_UP_MS = 3000;

/** What the status line says. */
export interface Phase {
  readonly kind: "idle" | "busy" | "waiting" | "error" | "offline";
  readonly message: string;
  /** A traceback, or "". */
  readonly detail: string;
  /** 0 to 1 where the kernel counts its steps. */
  readonly progress: number | null;
  readonly cancellable: boolean;
}

export interface Conversation {
  readonly answer: ReadonlySignal<Answer | null>;
  readonly phase: ReadonlySignal<Phase>;
  /** The screen shows an older answer than the one that is on its way. */
  readonly outdated: ReadonlySignal<boolean>;
  /** Ask, and have the active target's map by other methods made as well. */
  ask(question: Question, compare: readonly string[]): void;
  /** Write what a person changed in the view, which asks nothing; it goes both ways too. */
  commitView(changes: Readonly<Record<string, unknown>>): void;
  cancel(): void;
  /** Whether an answer to this question is wanted: it is not overtaken by a later question of ours. */
  isCurrent(rid: string | null | undefined): boolean;
  /** Put a sentence of the page's own into the status line; "" takes it away. */
  complain(sentence: string): void;
  /** A picture on its way to the kernel. */
  readonly sending: Signal<Sending | null>;
  /** A sentence of ours or of the kernel's refusal; stands until the next question. */
  readonly complaint: ReadonlySignal<string>;
  /** The number of one more message. */
  next(): number;
  /** Send a message; false where there is no kernel. */
  send(content: object, buffers?: ArrayBuffer[]): boolean;
  /** Send a message that a tool takes; its name, or null where there is no kernel. */
  post(content: object): string | null;
  hello(): void;
}

interface Open {
  readonly rid: string;
  readonly heard: boolean;
  /** The status has named it. Messages overtake traits: what else the status says may be older until then. */
  readonly named: boolean;
  readonly late: boolean;
}

/** A file of which some parts have been sent. */
export interface Sending {
  readonly name: string;
  readonly sent: number;
  readonly parts: number;
}

const clientOf = (rid: string) => rid.slice(0, rid.lastIndexOf("."));

export function converse(host: Host, traits: Traits, life: AbortSignal): Conversation {
  const client = freshName();
  let n = 0;
  let newest = "";
  /** The number of our last edit of the view. */
  let look = 0;
  const answer = signal<Answer | null>(null);
  const open = signal<Open | null>(null);
  const sending = signal<Sending | null>(null);
  /** A sentence of ours or of the kernel's refusal; stands until the next question. */
  const complaint = signal("");
  /** Why the answer could not be read; "". */
  const unreadable = signal("");
  const gone = signal(false);
  /** Nothing was heard within HELLO_MS of the greeting. */
  const silent = signal(false);
  let heard = false;
  /** The `rev` of a status that is no longer believed: its question was cancelled, and nothing followed. */
  const abandoned = signal<number | null>(null);

  const timers = new Set<ReturnType<typeof setTimeout>>();
  function later(run: () => void, ms: number) {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timers.add(timer);
  }
  onEnd(life, () => timers.forEach(clearTimeout));

  /** The kernel has taken up the question `rid`. */
  function taken(rid: string | null, named: boolean) {
    const current = open.peek();
    if (current && rid === current.rid) open.value = { rid, heard: true, named, late: false };
  }

  /** Where hosts keep the status that named a question to themselves, it ends when all stays at rest. */
  function accept(rid: string | null) {
    taken(rid, false);
    later(() => {
      const current = open.peek();
      if (current && rid === current.rid && !isUnderWay(traits.get("_status").peek())) settle();
    }, LATE_MS);
  }

  function send(content: object, buffers?: ArrayBuffer[]): boolean {
    try {
      host.send({ v: VERSION, client, ...content }, buffers);
      gone.value = false;
      return true;
    } catch {
      gone.value = true;
      return false;
    }
  }

  function settle() {
    open.value = null;
    traits.release();
  }

  const isOurs = (rid: string | null | undefined) => rid != null && clientOf(rid) === client;
  /** Neither overtaken by a later question of ours, nor of no interest: the state is shared. */
  const isCurrent = (rid: string | null | undefined) => !isOurs(rid) || rid === newest;

  function readAnswer() {
    unreadable.value = attempt("The kernel's answer", () => {
      const result = decodeAnswer(host.read("_result"));
      if (!isCurrent(result?.rid)) return;
      batch(() => {
        answer.value = result;
        sending.value = null;
        complaint.value = "";
        if (isOurs(result?.rid)) settle();
      });
    });
    if (unreadable.value) settle();
  }

  function listen() {
    heard = true;
    silent.value = gone.value = false;
  }

  function readStatus() {
    listen();
    const status = traits.get("_status").peek();
    if (sending.peek()?.sent === sending.peek()?.parts) sending.value = null;
    const over = !isUnderWay(status);
    const current = open.peek();
    if (!current) return;
    // At rest with another question's name: ours was heard, and then overtaken.
    if (!over) taken(status.rid, true);
    else if (status.rid === current.rid || current.named) settle();
  }

  host.onChange("_result", readAnswer);
  host.onChange("_status", readStatus);
  host.onChange("_look", () => {
    const edit = decodeLook(host.read("_look"));
    if (edit.taken && edit.client === client && edit.n >= look) traits.viewHeard();
  });
  host.onChange("_image", () => {
    sending.value = null;
    complaint.value = "";
  });
  host.onMessage((content) => {
    const { kind, rid, message } = decodeMessage(content);
    if (!kind) return;
    listen();
    if (kind === "accepted") accept(rid);
    if (kind === "refused") refuse(rid, message);
  });

  function refuse(rid: string | null, why: string) {
    if (rid === null) traits.viewHeard();
    if (rid !== null && rid !== newest) return;
    complaint.value = why || "The kernel refused this request.";
    sending.value = null;
    if (rid !== null && open.peek()?.rid === rid) settle();
  }

  const phase = computed<Phase>(() => {
    const status = traits.get("_status").value;
    const say = (kind: Phase["kind"], message: string, more: Partial<Phase> = {}): Phase => ({
      kind,
      message,
      detail: "",
      progress: null,
      cancellable: false,
      ...more,
    });
    const cancellable = true;
    if (traits.get("_static").value) {
      return say("offline", "A saved page: everything here works except what needs a kernel.");
    }
    if (gone.value) return say("offline", "Kernel disconnected; showing the last result.");
    const file = sending.value;
    if (file) {
      return file.sent < file.parts
        ? say("busy", `Sending ${file.name} (${file.sent + 1} of ${file.parts}) …`)
        : say("waiting", `Sent ${file.name}; waiting for the kernel …`);
    }
    const current = open.value;
    if (current && !current.heard) {
      return current.late
        ? say("waiting", "Waiting for the kernel (busy?) …", { cancellable })
        : say("busy", "Asking …", { cancellable });
    }
    if (isUnderWay(status) && status.rev !== abandoned.value) {
      const progress = status.total > 0 ? Math.min(status.step / status.total, 1) : null;
      return say("busy", status.message || "Computing …", { progress, cancellable });
    }
    if (unreadable.value) return say("error", unreadable.value);
    if (!current && complaint.value) return say("error", complaint.value);
    if (status.state === "error") {
      return say("error", status.message || "The kernel failed.", { detail: status.detail });
    }
    if (current) return say("busy", "Asked …", { cancellable });
    if (silent.value && !answer.value) return say("waiting", "Waiting for the kernel …");
    const seconds = answer.value?.seconds ?? 0;
    const took = seconds > 0 ? `The last answer took ${duration(seconds)}.` : "";
    return say("idle", status.message ? sentence(status.message) : `Ready. ${took}`);
  });

  /** The kernel works on something that the screen does not show yet, and not on comparing it with others. */
  const outdated = computed(() => {
    const status = traits.get("_status").value;
    const working = isUnderWay(status) && status.rev !== answer.value?.rev;
    return open.value !== null || sending.value !== null || (working && status.rev !== abandoned.value);
  });

  readAnswer();

  return {
    answer,
    isCurrent,
    phase,
    outdated,
    ask(question, compare) {
      n += 1;
      const rid = `${client}.${n}`;
      newest = rid;
      const envelope = { n, rid, ...question, compare, view: traits.view() };
      batch(() => {
        complaint.value = "";
        unreadable.value = "";
        open.value = { rid, heard: false, named: false, late: false };
        traits.anticipate(question);
      });
      if (!send({ kind: "ask", ...envelope })) return settle();
      host.write({ _request: { v: VERSION, client, ...envelope } });
      later(() => {
        const current = open.peek();
        if (current?.rid === rid && !current.heard) open.value = { ...current, late: true };
      }, LATE_MS);
    },
    commitView(changes) {
      if (traits.get("_static").peek()) return host.write(changes);
      n += 1;
      look = n;
      // A write may be held back until later questions were heard: by its name the kernel knows it is old.
      host.write({ ...changes, _look: { client, n } });
      const view = { ...traits.view(), ...changes };
      if (!send({ kind: "view", n, view, active: traits.get("active").peek() })) traits.viewHeard();
    },
    complain(sentence) {
      complaint.value = sentence;
    },
    cancel() {
      n += 1;
      send({ kind: "cancel", n });
      if (open.peek()) settle();
      const { rev } = traits.get("_status").peek();
      later(() => {
        const status = traits.get("_status").peek();
        if (status.rev !== rev || !isUnderWay(status)) return;
        batch(() => {
          abandoned.value = rev;
          complaint.value = "The kernel has not stopped yet; showing the last result.";
        });
      }, GIVE_UP_MS);
    },
    sending,
    complaint,
    next: () => ++n,
    send,
    post(content) {
      n += 1;
      const rid = `${client}.t${n}`;
      return send({ ...content, n, rid }) ? rid : null;
    },
    hello() {
      if (traits.get("_static").peek()) return;
      send({ kind: "hello" });
      later(() => {
        silent.value = !heard;
      }, HELLO_MS);
    },
  };
}

const isUnderWay = ({ state }: Status) => state === "queued" || state === "running";

/** Seconds for reading: "85 ms", "1.2 s". */
export function duration(seconds: number): string {
  return seconds < 1 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : `${seconds.toFixed(1)} s`;
}

const sentence = (words: string) => words.charAt(0).toUpperCase() + words.slice(1);
