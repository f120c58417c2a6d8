// The menu that takes the present view out of the page: a picture, a drawing, the numbers, the lines of Python.

import { decodeExported, type Exported } from "../export-wire";
import { LATE_MS } from "../store/conversation";
import type { LiveStore } from "../store/live";
import { type Sheet, sheetOf } from "../store/sheet";
import { download } from "./download";
import { button, el, onEnd, set, watch } from "./element";
import { measure, toPng, toSvg } from "./sheet";

const NO_MAP = "There is no map to export yet.";

export function exporting(store: LiveStore, life: AbortSignal): { opener: HTMLElement; panel: HTMLElement } {
  const note = el("output.lg-note", { testid: "export-note" });
  const code = el("textarea.lg-text", {
    testid: "export-lines",
    label: "Python",
    rows: 8,
    readonly: true,
    hidden: true,
  });
  const item = (what: string, name: string, hint: string, onclick: () => void) =>
    button(".lg-button", { testid: `export-${what}`, title: hint, onclick }, name);
  const asked = [
    item(
      "npz",
      "Data .npz",
      "Raw maps, heads and scores with a JSON manifest; lw.Explanation.load reads it",
      () => ask("npz"),
    ),
    item("code", "Python", "The lines that make this view again", () => ask("code")),
  ];
  const panel = el(
    "section.lg-popup.lg-stack.lg-export",
    {
      testid: "export-panel",
      label: "Export",
      hidden: true,
      onkeydown: (event: KeyboardEvent) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        toggle(false);
      },
    },
    el(
      "div.lg-row",
      {},
      item("png", "Picture .png", "The map over the picture, with its words and scale", () =>
        draw(toPng, "png"),
      ),
      item("svg", "Drawing .svg", "The same, with text as text", () => draw(toSvg, "svg")),
      ...asked,
    ),
    code,
    note,
  );
  const opener = button(
    ".lg-button",
    { testid: "export", "aria-expanded": false, title: "Take this view with you", onclick: () => toggle() },
    "Export",
  );

  function toggle(open = panel.hidden) {
    panel.hidden = !open;
    set(opener, "aria-expanded", open);
    say(lacking());
    code.hidden = true;
    if (!open) opener.focus();
  }
  const lacking = () => (store.lacks.peek() ? "Data and Python need a live kernel." : "");
  const say = (words: string) => {
    note.textContent = words;
  };

  async function draw(make: (sheet: Sheet) => Promise<Blob>, kind: string) {
    const sheet = sheetOf(store, measure);
    if (!sheet) return say(NO_MAP);
    try {
      save(await make(sheet), `${sheet.name}.${kind}`);
    } catch (error) {
      say(`The ${kind.toUpperCase()} could not be made: ${error instanceof Error ? error.message : error}.`);
    }
  }

  const save = (file: Blob, name: string) => say(download(file, name));

  // -- what only the kernel has -------------------------------------------------------------------------------------

  let waiting: { readonly rid: string; readonly name: string } | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEnd(life, () => clearTimeout(timer));

  function ask(what: string) {
    const sheet = sheetOf(store, measure);
    if (!sheet) return say(NO_MAP);
    const rid = store.post({ kind: "export", what });
    if (!rid) return say("The kernel is not connected: run the cell again.");
    waiting = { rid, name: `${sheet.name}.npz` };
    say("Asking …");
    clearTimeout(timer);
    timer = setTimeout(() => say("Waiting for the kernel (busy?) …"), LATE_MS);
  }

  store.host.onMessage((content, buffers = []) => {
    const given = decodeExported(content, buffers);
    if (!given || given.rid !== waiting?.rid) return;
    clearTimeout(timer);
    take(given, waiting.name);
    waiting = null;
  });

  function take({ data, text, message }: Exported, name: string) {
    if (message) say(message);
    else if (data) save(new Blob([data], { type: "application/octet-stream" }), name);
    else void copy(text);
  }

  async function copy(lines: string) {
    code.value = lines;
    code.hidden = false;
    code.select();
    try {
      await navigator.clipboard.writeText(lines);
      say("Copied.");
    } catch {
      say("Copy it with Ctrl+C: this page may not write to the clipboard.");
    }
  }

  watch(life, () => {
    for (const each of asked) each.disabled = !!store.lacks.value;
    say(lacking());
  });
  return { opener, panel };
}
