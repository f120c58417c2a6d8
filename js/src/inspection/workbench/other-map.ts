// A line where the explorer beneath draws by another method than the gallery: the two maps may differ then.

import { signal } from "../../signals";
import { el, watch } from "../../ui/element";
import { listOf, record, text } from "../../wire";
import type { GalleryStore } from "../store";

export function otherMap({ host, card }: GalleryStore, life: AbortSignal): HTMLElement {
  const method = signal("");
  const read = () => {
    method.value = text(host.read("method"));
  };
  host.onChange("method", read);
  read();
  const line = el("p.lg-note", { testid: "other-map" });
  watch(life, () => {
    const { drawn } = card.value;
    const [ours = ""] = text(record(record(host.read("_gallery")).drawn).name).split("/");
    const methods = listOf(record)(host.read("_catalogue"));
    const theirs = methods.find(({ name }) => name === method.value);
    line.hidden = !ours || !theirs || ours === method.value;
    if (line.hidden) return;
    const own = methods.some(({ name, available }) => name === ours && available !== false);
    line.textContent = `The explorer beneath draws ${text(theirs!.title)}: ${drawn} is ${own ? "another method" : "no method of its own"} there.`;
  });
  return line;
}
