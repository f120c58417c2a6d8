// A list of suggestions under a text box (the ARIA combobox pattern with a listbox popup).

import { freshName } from "../wire";
import { el, listen, set } from "./element";

const SHOWN = 40;

export interface Typeahead {
  /** To be placed beside the input; opens below what both are in. */
  readonly list: HTMLElement;
  /** The highlighted suggestion; null where none is. */
  highlighted(): string | null;
  close(): void;
}

/** Options that contain the words: the one they name, those that start with them, the others. */
export function matching(options: readonly string[], words: string): string[] {
  const wanted = words.trim().toLowerCase();
  const found = options.filter((option) => option.toLowerCase().includes(wanted));
  const rank = (option: string) => {
    const words = option.toLowerCase();
    return words === wanted ? 0 : words.startsWith(wanted) ? 1 : 2;
  };
  return wanted ? found.sort((a, b) => rank(a) - rank(b)) : found;
}

export function typeahead(
  input: HTMLInputElement,
  options: () => readonly string[],
  /** What to say where no option contains the words; "" says nothing. */
  none: (words: string) => string,
  pick: (option: string) => void,
): Typeahead {
  const id = freshName();
  const list = el("ul.lg-popup", { role: "listbox", id, hidden: true, label: "Suggestions" });
  let found: string[] = [];
  let at = -1;
  set(input, "role", "combobox");
  set(input, "autocomplete", "off");
  set(input, "aria-autocomplete", "list");
  set(input, "aria-controls", id);
  close();

  function close() {
    list.hidden = true;
    at = -1;
    set(input, "aria-expanded", false);
    set(input, "aria-activedescendant", null);
  }

  function open() {
    found = matching(options(), input.value);
    at = -1;
    const shown = found.slice(0, SHOWN);
    list.replaceChildren(
      ...shown.map((option, i) => el("li", { role: "option", id: `${id}-${i}`, "data-at": i }, option)),
    );
    const rest =
      found.length > SHOWN
        ? `and ${found.length - SHOWN} more: type on`
        : shown.length
          ? ""
          : none(input.value);
    if (rest) list.append(el("li.lg-small", { role: "presentation" }, rest));
    list.hidden = !list.childElementCount;
    set(input, "aria-expanded", !list.hidden);
  }

  function highlight(next: number) {
    const count = Math.min(found.length, SHOWN);
    if (list.hidden) open();
    if (count === 0) return;
    list.children[at]?.removeAttribute("aria-selected");
    at = (next + count) % count;
    const option = list.children[at]!;
    set(option, "aria-selected", true);
    set(input, "aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  listen(input, {
    input: open,
    click: open,
    blur: close,
    keydown(event) {
      if (event.key === "ArrowDown") highlight(at + 1);
      else if (event.key === "ArrowUp") highlight(at < 0 ? -1 : at - 1);
      else if (event.key === "Escape" && !list.hidden) {
        close();
        event.stopPropagation();
      } else return;
      event.preventDefault();
    },
  });
  listen(list, {
    // The input keeps the focus while an option is pressed: no blur, no closing before the click.
    pointerdown: (event) => event.preventDefault(),
    click(event) {
      const option = (event.target as Element).closest<HTMLElement>("[data-at]");
      if (!option) return;
      close();
      pick(found[Number(option.dataset.at)]!);
    },
  });

  return {
    list,
    highlighted: () => (list.hidden || at < 0 ? null : found[at]!),
    close,
  };
}
