// What the kernel hands over to be kept: the answer to a message of the kind "export".

import { decodeBytes, record, text } from "./wire";

export interface Exported {
  readonly rid: string;
  /** The bytes of a file, or else lines of text. */
  readonly data: Uint8Array<ArrayBuffer> | null;
  readonly text: string;
  /** Why it could not be had; "". */
  readonly message: string;
}

/** The answer; null where the message is about something else. */
export function decodeExported(content: unknown, buffers: readonly unknown[]): Exported | null {
  const { kind, rid, text: lines, message } = record(content);
  if (kind !== "exported") return null;
  const data = buffers.length ? decodeBytes(buffers[0], "The file") : null;
  return { rid: text(rid), data, text: text(lines), message: text(message) };
}
