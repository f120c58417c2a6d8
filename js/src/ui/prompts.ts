// What to explain: the chips (one active), and the box that adds to them.

import { readable } from "../heat/describe";
import type { Store } from "../store";
import { keyOf, labelOf, type Target } from "../wire";
import { button, claim, el, focusedIn, icon, set, watch } from "./element";
import { matching, typeahead } from "./typeahead";

export function prompts(store: Store, life: AbortSignal): HTMLElement {
  const box = promptBox(store, life);
  return el("div.lg-prompts", {}, chips(store, box.edit, life), box.element);
}

/** A row of prompts or classes: radio buttons in all but looks, each with a button that removes it. */
function chips(store: Store, edit: (at: number) => void, life: AbortSignal): HTMLElement {
  const row = el("div.lg-chips", { role: "radiogroup", "aria-label": "Prompts", hidden: true });
  const targets = store.trait("targets");
  const indexOf = (event: Event) => {
    const chip = (event.target as Element).closest<HTMLElement>("[data-index]");
    return chip ? Number(chip.dataset.index) : -1;
  };
  const focusActive = () => row.querySelector<HTMLElement>("[aria-checked=true]")?.focus();

  watch(life, () => {
    const held = focusedIn(row);
    const draft = store.draft.value;
    row.hidden = targets.value.length === 0;
    row.replaceChildren(
      ...targets.value.map((target, i) => chip(target, i, draft?.at === i, store.kernelless.value)),
    );
    mark();
    if (held) focusActive();
  });
  watch(life, mark);

  function mark() {
    const active = store.active.value;
    const answered = new Map(store.answer.value?.entries.map((entry) => [keyOf(entry.target), entry]) ?? []);
    for (const [i, target] of targets.value.entries()) {
      const radio = row.children[i]?.querySelector("[role=radio]");
      if (!radio) continue;
      set(radio, "aria-checked", i === active ? "true" : "false");
      set(radio, "tabindex", i === active ? 0 : -1);
      const entry = answered.get(keyOf(target));
      const number = entry?.error ? "!" : entry ? (entry.probability ?? entry.score) : null;
      const shown = typeof number === "number" ? readable(number, 2) : (number ?? "");
      radio.querySelector(".lg-number")!.textContent = shown;
      set(row.children[i]!, "data-absent", entry?.supported === false);
    }
  }

  row.addEventListener("click", (event) => {
    const at = indexOf(event);
    if (at < 0) return;
    if ((event.target as Element).closest(".lg-remove")) store.remove(at);
    else store.select(at);
  });
  row.addEventListener("dblclick", (event) => edit(indexOf(event)));
  row.addEventListener("keydown", (event) => {
    const at = store.active.peek();
    const count = targets.peek().length;
    if (event.key === "ArrowRight" || event.key === "ArrowDown") store.select((at + 1) % count);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") store.select((at + count - 1) % count);
    else if (event.key === "Delete" || event.key === "Backspace") store.remove(at);
    else if (event.key === "F2") return edit(at);
    else return;
    claim(event);
    focusActive();
  });
  return row;
}

function chip(target: Target, index: number, draft: boolean, fixed: boolean): HTMLElement {
  const label = labelOf(target);
  return el(
    "span.lg-chip",
    { testid: "chip", "data-index": index, "data-draft": draft, title: label },
    button(
      "",
      { role: "radio", "aria-label": label },
      el("bdi", {}, label || "(empty prompt)"),
      el("span.lg-number", { "aria-hidden": "true" }),
    ),
    !fixed && button(".lg-remove", { "aria-label": `Remove ${label}` }, icon("remove")),
  );
}

/** The box: free text where the model takes prompts, else its classes. */
function promptBox(store: Store, life: AbortSignal): { element: HTMLElement; edit(at: number): void } {
  const model = store.trait("_model");
  const input = el("input.lg-text", {
    type: "text",
    testid: "prompt",
    dir: "auto",
    spellcheck: "false",
    enterkeyhint: "done",
    oninput: () => {
      if (model.peek().prompts) store.type(input.value);
    },
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !input.value) return;
      event.stopPropagation();
      input.value = "";
      store.dropDraft();
    },
  });
  const suggestions = typeahead(
    input,
    "Suggestions",
    () => {
      const { prompts: free, suggestions: words, classes } = model.peek();
      return free ? (input.value ? [] : words) : classes;
    },
    (words) => (model.peek().prompts ? "" : `No class contains ‘${words}’.`),
    (option) => {
      input.value = "";
      store.add(targetFor(store, option));
    },
  );
  const form = el(
    "form.lg-ask",
    {
      onsubmit: (event: Event) => {
        event.preventDefault();
        const option = suggestions.highlighted();
        suggestions.close();
        if (option !== null) store.add(targetFor(store, option));
        else if (!(model.peek().prompts ? store.commitDraft(input.value) : addClass(store, input.value)))
          return;
        input.value = "";
      },
    },
    suggestions.element,
  );
  watch(life, () => {
    const { prompts: free, classes, suggestions: words } = model.value;
    const first = words.slice(0, 2).map((word) => `“${word}”`);
    const hint = free
      ? `Add a prompt${first.length ? `, such as ${first.join(" or ")}` : ""}`
      : `Add one of ${classes.length} classes`;
    input.placeholder = store.kernelless.value ? "New prompts need a running kernel" : `${hint} …`;
    set(input, "aria-label", hint);
    input.disabled = store.kernelless.value || (!free && classes.length === 0);
  });
  return {
    element: form,
    edit(at) {
      const target = store.trait("targets").peek()[at];
      if (target?.kind !== "text") return;
      store.editChip(at);
      input.value = target.text;
      input.focus();
      input.select();
    },
  };
}

function targetFor(store: Store, name: string): Target {
  const { prompts: free, classes } = store.trait("_model").peek();
  return free ? { kind: "text", text: name } : { kind: "class", index: classes.indexOf(name), name };
}

/** Add the class that the words name in full, or else the first that contains them. */
function addClass(store: Store, words: string): boolean {
  const { classes } = store.trait("_model").peek();
  const near = words.trim() ? matching(classes, words) : [];
  const name = near.find((option) => option.toLowerCase() === words.trim().toLowerCase()) ?? near[0];
  if (name !== undefined) store.add(targetFor(store, name));
  return name !== undefined;
}
