// Typing: what is in the prompt box becomes a prompt, with its map seen before Enter, or one of the model's classes.

import type { LiveStore } from "../store/live";
import { readThrough } from "../wire";
import { listen } from "./element";
import { matching, typeahead } from "./typeahead";

/** Make the box of ui/prompts.ts work; returns what edits a prompt in it. */
export function asking(root: HTMLElement, store: LiveStore): (at: number) => void {
  const model = store.trait("_model");
  const input = root.querySelector<HTMLInputElement>("[data-testid=prompt]")!;
  const form = input.form!;
  listen(input, {
    input() {
      if (model.peek().prompts) store.drafts.type(input.value);
    },
    keydown(event) {
      if (event.key !== "Escape" || !input.value) return;
      event.stopPropagation();
      input.value = "";
      store.drafts.drop();
    },
  });
  const add = (name: string) => {
    const { prompts: free, classes } = model.peek();
    store.add(
      free
        ? readThrough({ kind: "text", text: name }, store.trait("templates").peek())
        : { kind: "class", index: classes.indexOf(name), name },
    );
    input.value = "";
  };
  const suggestions = typeahead(
    input,
    () => {
      const { prompts: free, suggestions: words, classes } = model.peek();
      return free ? (input.value ? [] : words) : classes;
    },
    (words) => (model.peek().prompts ? "" : `No class contains ‘${words}’.`),
    add,
  );
  form.append(suggestions.list);
  listen(form, {
    submit(event) {
      event.preventDefault();
      const { prompts: free, classes } = model.peek();
      const words = input.value.trim();
      const name = suggestions.highlighted() ?? (!free && words ? matching(classes, words)[0] : undefined);
      suggestions.close();
      if (name !== undefined) add(name);
      else if (free && store.drafts.commit(words) && store.phase.peek().kind !== "offline") input.value = "";
    },
  });
  return (at) => {
    const target = store.trait("targets").peek()[at];
    if (target?.kind !== "text" || input.disabled) return;
    store.drafts.edit(at);
    input.value = target.text;
    input.focus();
    input.select();
  };
}
