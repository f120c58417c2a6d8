// A file that the page hands over to be kept.

import { el } from "./element";

/** Have the browser save it; what is to be said of it. */
export function download(file: Blob, name: string): string {
  const href = URL.createObjectURL(file);
  el("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
  return `${name}, ${size(file.size)}.`;
}

const size = (bytes: number) =>
  bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
