// A second file: what a page needs only with a live kernel. The kernel hands it over when it is first asked, and the
// page runs it once for all widgets. The explorer's is `live.js` (`../live.ts`; what it adds to a view is `Live`), the
// inspector's `gallery.js` (`../gallery.ts`).

import { core } from "../core";
import { computed, type ReadonlySignal, signal } from "../signals";
import { decodeBytes, decodeMessage } from "../wire";
import type { Store } from ".";
import { type Conversation, LATE_MS } from "./conversation";
import type { Live } from "./live";
import type { Host } from "./traits";
import { onEnd } from "./watch";

/** The second file that belongs to this first one; the build writes it. */
export const HASH = "the-live-files-hash";
/** A file that was asked for by another widget of the page is waited for that long. */
export const PATIENCE_MS = 5000;

/** What the second file adds its parts to. */
export interface Page {
  readonly root: HTMLElement;
  readonly bitmap: ReadonlySignal<ImageBitmap | null>;
}
export type MakeLive = (store: Store, page: Page, life: AbortSignal) => Live;

export interface Second<Made = MakeLive> {
  /** The second file, run; null until it is here. */
  readonly make: ReadonlySignal<Made | null>;
  /** What is said where it is wanted and not here: that it is on its way, or why it cannot come. */
  readonly wait: ReadonlySignal<string>;
  /** Ask for it. */
  want(): void;
}

/** One file on its way into this page, whichever widget asks for it. */
interface Delivery {
  readonly file: Promise<(core: (at: number) => unknown) => unknown>;
  arrive(code: BlobPart): void;
  /** When it was asked for last; 0: not yet. */
  asked: number;
}

const page = globalThis as unknown as { legradWidget?: Record<string, Delivery> };

function deliveryOf(hash: string): Delivery {
  page.legradWidget ??= {};
  page.legradWidget[hash] ??= expect();
  return page.legradWidget[hash];
}

function expect(): Delivery {
  let arrive: (code: BlobPart) => void;
  const code = new Promise<BlobPart>((resolve) => {
    arrive = resolve;
  });
  return { file: code.then(run), arrive: arrive!, asked: 0 };
}

async function run(code: BlobPart) {
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    return (await import(/* @vite-ignore */ address)).default;
  } finally {
    URL.revokeObjectURL(address);
  }
}

export function bring<Made = MakeLive>(
  host: Host,
  { send }: Pick<Conversation, "send">,
  /** Why there is no kernel to ask. */
  lacks: ReadonlySignal<string>,
  life: AbortSignal,
  /** Of the file. */
  expected = HASH,
): Second<Made> {
  const make = signal<Made | null>(null);
  /** Why the kernel did not hand it over, when last asked; why it does not run. */
  const refusal = signal("");
  const fault = signal("");
  const wanted = signal(false);
  const late = signal(false);
  const delivery = deliveryOf(expected);
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));

  delivery.file.then(
    (file) => {
      make.value = file(core) as Made;
    },
    (error) => {
      fault.value = `The tools could not be started: ${error}. Reload the page.`;
    },
  );
  host.onMessage((content, buffers = []) => {
    const { kind, hash, message } = decodeMessage(content);
    // A greeting was answered: there is a kernel, and keys that need the file will not have to wait for it.
    if (kind === "alive" && Date.now() - delivery.asked > PATIENCE_MS) ask();
    if (kind !== "live") return;
    refusal.value = message;
    if (hash === expected && buffers[0]) delivery.arrive(decodeBytes(buffers[0], "the tools"));
  });

  function ask() {
    if (make.peek()) return;
    delivery.asked = Date.now();
    send({ kind: "live", hash: expected });
  }

  return {
    make,
    wait: computed(() => {
      if (make.value || !wanted.value) return "";
      if (fault.value || refusal.value) return fault.value || refusal.value;
      return lacks.value || (late.value ? "Waiting for the kernel (busy?) …" : "Fetching …");
    }),
    want() {
      wanted.value = true;
      refusal.value = "";
      ask();
      clearTimeout(timer);
      timer = setTimeout(() => {
        late.value = true;
      }, LATE_MS);
    },
  };
}
