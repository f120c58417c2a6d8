// Pictures on their way to the kernel, in parts.

import { batch } from "../signals";
import { freshName, MAX_UPLOAD_BYTES, UPLOAD_PART_BYTES } from "../wire";
import type { Store } from ".";
import { onEnd } from "./watch";

/** A picture that the kernel has taken in full but not shown: after this the status line stops waiting. */
export const PICTURE_MS = 30_000;

/** Which of the pictures of a concept it is. */
export interface Example {
  readonly concept: string;
  readonly at: number;
  readonly count: number;
}

/** What sends a picture to explain, or one of the pictures that a concept is made of. */
export type Upload = (file: File, example?: Example) => Promise<void>;

export function uploading({ sending, complaint, complain, next, send }: Store, life: AbortSignal): Upload {
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));

  function waitForPicture() {
    const sent = sending.peek();
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (sending.peek() !== sent) return;
      batch(() => {
        sending.value = null;
        complain("The kernel has not shown the picture yet; it may be busy with a cell.");
      });
    }, PICTURE_MS);
  }

  return async (file, example) => {
    const reason = whyNot(file);
    // What was wrong with one example stands while the others are on their way.
    if (reason || !example?.at) complain(reason);
    if (reason) return;
    const parts = Math.ceil(file.size / UPLOAD_PART_BYTES);
    const name = freshName();
    for (let part = 0; part < parts; part++) {
      const progress = { name: file.name || "the picture", sent: part, parts };
      sending.value = progress;
      const bytes = await file.slice(part * UPLOAD_PART_BYTES, (part + 1) * UPLOAD_PART_BYTES).arrayBuffer();
      if (life.aborted) return;
      const kind = example ? "example" : "image";
      const n = next();
      const content = { kind, n, ...example, upload: name, name: file.name, size: file.size, part, parts };
      if (!send(content, [bytes])) {
        sending.value = null;
        return;
      }
      sending.value = { ...progress, sent: part + 1 };
    }
    if (example && (example.at < example.count - 1 || complaint.peek())) sending.value = null;
    else waitForPicture();
  };
}

/** Why a file cannot be sent, in a sentence; "" where it can. The kernel checks again, and what is inside. */
export function whyNot(file: { name: string; size: number; type: string }): string {
  const name = file.name || "this file";
  if (file.type && !file.type.startsWith("image/"))
    return `${name} is not a picture (${file.type}); send a PNG or JPEG.`;
  if (file.size === 0) return `${name} is empty; send a PNG or JPEG.`;
  if (file.size > MAX_UPLOAD_BYTES) {
    const mebibytes = (file.size / 2 ** 20).toFixed(0);
    return `${name} has ${mebibytes} MiB; at most ${MAX_UPLOAD_BYTES / 2 ** 20} MiB can be sent. Shrink it, or set w.image in Python.`;
  }
  return "";
}
