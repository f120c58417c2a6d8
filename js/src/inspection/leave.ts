// The menu that takes samples out of the gallery: their table, and with a kernel the gallery itself as one file.

import { decodeExported } from "../export-wire";
import { download } from "../ui/download";
import { button, el, set, watch } from "../ui/element";
import { freshName, record } from "../wire";
import { csvFile, csvOf } from "./csv";
import css from "./leave.css";
import type { GalleryStore } from "./store";

export function leaving(store: GalleryStore, life: AbortSignal): readonly HTMLElement[] {
  const note = el("p.lg-note", { role: "status", testid: "export-note" });
  const say = (words: string) => {
    note.textContent = words;
  };
  /** Where some are selected these are meant, unless somebody says otherwise. */
  let meansAll = false;
  const which = el("select", {
    testid: "export-of",
    label: "Which samples",
    onchange: () => {
      meansAll = which.value === "all";
    },
  });
  const rows = () => (which.value === "all" ? [...store.order.peek()] : [...store.selected.peek()]);
  watch(life, () => {
    const [shown, chosen] = [store.order.value.length, store.selected.value.size];
    const all = meansAll || !chosen;
    which.replaceChildren(
      el("option", { value: "all", selected: all }, `the ${shown} shown`),
      ...(chosen ? [el("option", { value: "chosen", selected: !all }, `the ${chosen} selected`)] : []),
    );
  });

  const csv = button(
    ".lg-button",
    {
      testid: "export-csv",
      title: "Paths, labels, predictions, margins, cases, tags and notes",
      onclick: () => {
        const taken = rows();
        say(download(csvFile(csvOf(store, taken)), "samples.csv"));
        if (store.card.peek().page) store.send("kept", {}, taken);
      },
    },
    "Table .csv",
  );

  // -- the page, which the kernel makes ---------------------------------------------------------------------------

  let rid = "";
  const bar = el("progress", { max: 1, hidden: true, label: "Making the page" });
  const page = button(
    ".lg-button",
    {
      testid: "export-page",
      title: "The whole table, with pictures, maps and details of these samples; opens without Python",
      onclick: () => {
        if (rid) {
          store.send("page", { rid: "" }, []);
          return;
        }
        const made = freshName();
        if (!store.send("page", { rid: made }, rows())) return;
        rid = made;
        wait(true);
        say("");
      },
    },
    "Page .html",
  );
  function wait(on: boolean) {
    bar.hidden = !on;
    set(bar, "value", null);
    page.textContent = on ? "Stop" : "Page .html";
  }
  store.host.onMessage((content, buffers = []) => {
    const { kind, step, total } = record(content);
    if (kind === "exporting" && Number(total)) bar.value = Number(step) / Number(total);
    const given = decodeExported(content, buffers);
    if (!rid || given?.rid !== rid) return;
    rid = "";
    wait(false);
    const { data, message } = given;
    say(data ? download(new Blob([data], { type: "text/html" }), "inspection.html") : message);
  });
  watch(life, () => {
    page.hidden = store.card.value.page;
    page.disabled = store.progress.value.state === "running";
    csv.disabled = store.order.value.length === 0;
  });

  // -- the menu ---------------------------------------------------------------------------------------------------

  const id = freshName();
  const kept =
    store.card.peek().page &&
    "Tags and notes made here last until this page is closed: the table takes them along, and r.read_tags reads it.";
  const panel = el(
    "section.lg-popup.lg-stack.lg-leave",
    {
      id,
      testid: "export-panel",
      label: "Export",
      hidden: true,
      onkeydown: (event: KeyboardEvent) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        toggle(false);
      },
    },
    el("label.lg-row", {}, "Samples", which),
    el("div.lg-row", {}, csv, page, bar),
    kept && el("p.lg-note", {}, kept),
    note,
  );
  const opener = button(
    ".lg-button",
    {
      testid: "export",
      "aria-expanded": false,
      "aria-controls": id,
      title: "Take samples with you",
      onclick: () => toggle(),
    },
    "Export",
  );
  function toggle(open = panel.hidden) {
    panel.hidden = !open;
    set(opener, "aria-expanded", open);
    if (open) which.focus();
    else opener.focus();
  }
  return [el("style", {}, css), opener, panel];
}
