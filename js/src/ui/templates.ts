// What prompts are read through: a button by the prompt box, and the editor that it opens.

import type { LiveStore } from "../store/live";
import { button, el, focusedIn, set, watch } from "./element";

const AVERAGED = [
  "a photo of a {}",
  "a close-up of a {}",
  "a photo of a small {}",
  "a photo of a large {}",
  "a blurry photo of a {}",
  "a drawing of a {}",
  "a picture with a {} in it",
];
const PRESETS: readonly (readonly [string, readonly string[]])[] = [
  ["As typed", []],
  ["“a photo of a {}”", ["a photo of a {}"]],
  [`Mean of ${AVERAGED.length}`, AVERAGED],
];
/** As in Python. */
export const MAX_TEMPLATES = 100;

/** The lines of the editor, and what is wrong with them; "". */
export function readLines(words: string): { templates: string[]; fault: string } {
  const templates = words
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  const bad = templates.find((line) => line.split("{}").length !== 2);
  const fault = bad
    ? `‘${bad.slice(0, 60)}’ needs {} once: that is where the prompt goes.`
    : templates.length > MAX_TEMPLATES
      ? `${templates.length} templates are too many: ${MAX_TEMPLATES} are the most.`
      : "";
  return { templates, fault };
}

export function templates(store: LiveStore, life: AbortSignal): { opener: HTMLElement; panel: HTMLElement } {
  const now = store.trait("templates");
  const editor = el("textarea.lg-text", {
    testid: "template-editor",
    label: "Templates, one a line",
    rows: 7,
    spellcheck: "false",
    placeholder: "a photo of a {}",
    onkeydown(event: KeyboardEvent) {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) apply();
      if (event.key === "Escape") toggle(false);
      else return;
      event.stopPropagation();
    },
  });
  const fault = el("p.lg-note.lg-bad", { role: "alert" });
  const say = (what: string) => {
    fault.textContent = what;
    fault.hidden = !what;
  };
  const presets = PRESETS.map(([name, lines], i) =>
    button(".lg-button", { testid: `template-preset-${i}`, onclick: () => use(lines) }, name),
  );
  const panel = el(
    "section.lg-popup.lg-stack.lg-templates",
    { label: "Templates", hidden: true },
    el("h3.lg-legend", {}, "Every prompt is read"),
    el("div.lg-row", { role: "group", label: "Presets" }, ...presets),
    editor,
    el(
      "p.lg-note",
      {},
      "One sentence a line; {} is where the prompt goes. The vectors of several are averaged. Only the text is read again, not the picture.",
    ),
    fault,
    el(
      "div.lg-row",
      {},
      button(".lg-button", { testid: "template-apply", onclick: () => apply() }, "Apply"),
      button(".lg-button", { onclick: () => toggle(false) }, "Close"),
    ),
  );
  const opener = button(".lg-button", {
    testid: "templates",
    label: "Templates",
    "aria-expanded": false,
    onclick: () => toggle(),
  });

  function toggle(open = panel.hidden) {
    panel.hidden = !open;
    set(opener, "aria-expanded", open);
    if (open) show();
    else opener.focus();
  }
  function show() {
    editor.value = now.peek().join("\n");
    say("");
  }
  function use(lines: readonly string[]) {
    store.drafts.readThrough(lines);
    show();
  }
  function apply() {
    const read = readLines(editor.value);
    say(read.fault);
    if (!read.fault) use(read.templates);
  }

  watch(life, () => {
    const lines = now.value;
    const how =
      lines.length > 1 ? `in ${lines.length} templates` : lines[0] ? `as “${lines[0]}”` : "as typed";
    opener.hidden = !store.trait("_model").value.prompts || store.kernelless.value;
    opener.textContent = `{ } ${lines.length || ""}`;
    opener.title = `Prompts are read ${how}: change the templates`;
    set(opener, "data-on", lines.length > 0);
    PRESETS.forEach(([, preset], i) => {
      set(presets[i]!, "aria-pressed", preset.join("\n") === lines.join("\n"));
    });
    if (!focusedIn(panel)) show();
  });
  return { opener, panel };
}
