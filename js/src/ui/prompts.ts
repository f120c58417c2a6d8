// What to explain: the chips (one active), and the box that adds to them.

import { readable } from "../heat/describe";
import { untracked } from "../signals";
import type { Store } from "../store";
import { type Concepts, keyOf, labelOf, opposed, type Side, type Target } from "../wire";
import { button, claim, el, focusedIn, icon, listen, set, watch } from "./element";
import { slot } from "./slots";

export function prompts(store: Store, life: AbortSignal): HTMLElement {
  return el("div.lg-row.lg-prompts", {}, chips(store, life), promptBox(store, life));
}

/** A row of prompts or classes: radio buttons in all but looks, each with a button that removes it. */
function chips(store: Store, life: AbortSignal): HTMLElement {
  const row = el("div.lg-row", { role: "radiogroup", label: "Prompts", hidden: true });
  const targets = store.trait("targets");
  const indexOf = (event: Event) => {
    const chip = (event.target as Element).closest<HTMLElement>("[data-index]");
    return chip ? Number(chip.dataset.index) : -1;
  };
  const focusActive = () => row.querySelector<HTMLElement>("[aria-checked=true]")?.focus();
  /** The active prompt over this one. */
  const contrast = (at: number) =>
    store.kernelless.value ? null : opposed(targets.value[store.active.value], targets.value[at]);

  // Built anew only when the prompts change, so that no answer takes a chip away from under a click.
  watch(life, () => {
    const held = focusedIn(row);
    const draft = store.typed.value?.draft.value;
    const concepts = store.trait("_concepts").value;
    row.hidden = targets.value.length === 0;
    row.replaceChildren(
      ...targets.value.map((target, i) => chip(target, i, draft?.at === i, store.kernelless.value, concepts)),
    );
    untracked(mark);
    if (held) focusActive();
  });
  watch(life, mark);

  function mark() {
    const entries = store.answer.value?.targets ?? [];
    for (const [i, target] of targets.value.entries()) {
      const element = row.children[i];
      const radio = element?.firstElementChild;
      if (!radio) continue;
      const active = i === store.active.value;
      set(radio, "aria-checked", active);
      set(radio, "tabindex", active ? 0 : -1);
      const entry = entries.find((candidate) => keyOf(candidate.target) === keyOf(target));
      const number = entry?.probability ?? entry?.score ?? null;
      radio.lastElementChild!.textContent = entry?.error ? "!" : number === null ? "" : readable(number, 2);
      set(element, "data-absent", entry?.supported === false);
      const over = contrast(i);
      set(radio, "title", over && `Ctrl-click or C: ${labelOf(over)}`);
    }
  }

  listen(row, {
    click(event) {
      const at = indexOf(event);
      if (at < 0) return;
      if ((event.target as Element).closest(".lg-remove")) return store.remove(at);
      const over = (event.ctrlKey || event.metaKey) && contrast(at);
      if (over) store.add(over);
      else store.select(at);
    },
    dblclick: (event) => store.live.peek()?.edit(indexOf(event)),
    keydown(event) {
      const at = indexOf(event);
      const count = targets.peek().length;
      const { key, ctrlKey, metaKey } = event;
      const held = ctrlKey || metaKey;
      const step = /^Arrow[RD]/.test(key) ? 1 : /^Arrow/.test(key) ? count - 1 : 0;
      const next = (at + step) % count;
      if (step && held) {
        claim(event);
        return (row.children[next]!.firstElementChild as HTMLElement).focus();
      }
      const over = /^c$/i.test(key) && !held && contrast(at);
      if (step) store.select(next);
      else if (over) store.add(over);
      else if (key === "Delete" || key === "Backspace") store.remove(at);
      else if (key === "F2") return store.live.peek()?.edit(at);
      else return;
      claim(event);
      focusActive();
    },
  });
  return row;
}

function chip(
  target: Target,
  index: number,
  draft: boolean,
  fixed: boolean,
  concepts: Concepts,
): HTMLElement {
  const label = labelOf(target);
  const part = (side: Side) => named(side, side.kind === "held" ? concepts[side.key] : undefined);
  const name = el(
    "span.lg-name",
    {},
    ...(target.kind === "contrast"
      ? [part(target.a), el("i", {}, " over "), part(target.b)]
      : [part(target)]),
  );
  return el(
    "span.lg-chip",
    { testid: "chip", "data-index": index, "data-draft": draft, title: label },
    button(
      ".lg-plain",
      { role: "radio", label: name.textContent },
      name,
      el("span.lg-small", { "aria-hidden": true }),
    ),
    !fixed && button(".lg-plain.lg-remove", { label: `Remove ${label}` }, icon("remove")),
  );
}

/** A prompt with what it is read through, a class, or a concept with some of its pictures. */
function named(side: Side, pictures: readonly string[] = []): HTMLElement {
  const templates = (side.kind === "text" && side.templates) || [];
  const [before, after] = templates.length === 1 ? templates[0]!.split("{}") : [];
  const dim = (words?: string | false) => words && el("span.lg-small", {}, words);
  return el(
    "bdi",
    { title: templates.join("\n") || null },
    ...pictures.map((src) => el("img.lg-example", { src, alt: "" })),
    dim(before),
    labelOf(side) || "(empty prompt)",
    dim(after || (templates.length > 1 && ` in ${templates.length} templates`)),
  );
}

/** The box that adds to them: free text where the model takes prompts, else its classes. ui/asking.ts makes it work. */
function promptBox(store: Store, life: AbortSignal): HTMLElement {
  const input = el("input.lg-text", {
    type: "text",
    testid: "prompt",
    dir: "auto",
    spellcheck: "false",
    enterkeyhint: "done",
  });
  watch(life, () => {
    const { prompts: free, classes, suggestions: words } = store.trait("_model").value;
    const first = words.slice(0, 2).map((word) => `“${word}”`);
    const hint = free
      ? `Add a prompt${first.length ? `, such as ${first.join(" or ")}` : ""}`
      : `Add one of ${classes.length} classes`;
    input.placeholder = store.kernelless.value ? "New prompts need a running kernel" : `${hint} …`;
    set(input, "label", hint);
    input.title = store.live.value ? "" : "Works once the kernel has answered";
    input.disabled = store.kernelless.value || !store.live.value || (!free && classes.length === 0);
  });
  return el("form.lg-ask", {}, input, slot("ask", "width:109px"));
}
