// The little DOM that the controls need. Data reaches the page as text nodes and attributes only.

export { onEnd, watch } from "../store/watch";

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined | ((event: never) => void);
type Props = Readonly<Record<string, Value>>;

/** Create an element, "tag.class.class": functions are listeners ("onclick"); see `set` for the rest. */
export function el<K extends keyof HTMLElementTagNameMap>(
  selector: K | `${K}.${string}`,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag as K);
  element.classList.add(...classes);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A button that submits nothing; `classes` as in a selector. */
export const button = (classes: "" | `.${string}`, props: Props, ...children: Child[]) =>
  el(`button${classes}` as "button", { type: "button", ...props }, ...children);

const LONG_NAMES: Readonly<Record<string, string>> = { testid: "data-testid", label: "aria-label" };

/** Set one attribute: true is an empty one, false and null remove it; "aria-" attributes say "true" and "false". */
export function set(element: Element, name: string, value: string | number | boolean | null | undefined) {
  const attribute = LONG_NAMES[name] ?? name;
  const flag = typeof value === "boolean" && !attribute.startsWith("aria-");
  if (value === null || value === undefined || (flag && !value)) element.removeAttribute(attribute);
  else element.setAttribute(attribute, flag ? "" : String(value));
}

type Listeners = { readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };

/** Listen for events by their names, until the view ends where `life` is given. */
export function listen(target: EventTarget, listeners: Listeners, life?: AbortSignal): void {
  for (const [type, run] of Object.entries(listeners)) {
    target.addEventListener(type, run as EventListener, life ? { signal: life } : {});
  }
}

/** Fill a bar or tint a cell: 0 to 1. */
export const fill = (element: HTMLElement, part: number) =>
  element.style.setProperty("--lg-part", String(part));

const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  remove: "M4 4l8 8M12 4l-8 8",
  image: "M2 3.5h12v9H2zM2 11l3.5-3.5L9 11l2-2 3 3M10.5 6.2h.01",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 100 3.6 1.8 1.8 0 000-3.6z",
} as const;

export const icon = (name: keyof typeof ICONS) => drawIcon(name, ICONS[name]);

/** A 16 px line icon, drawn in the text's colour and hidden from assistive technology. */
export function drawIcon(name: string, shape: string): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  set(svg, "viewBox", "0 0 16 16");
  set(svg, "class", "lg-icon");
  set(svg, "data-icon", name);
  set(svg, "aria-hidden", true);
  const path = document.createElementNS(space, "path");
  set(path, "d", shape);
  svg.append(path);
  return svg;
}

/** This key or drop is ours: neither the browser's default nor a listener further out gets it. */
export function claim(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

/** The focused element, also inside a shadow root. */
export function focusedIn(element: Element): HTMLElement | null {
  const { activeElement } = element.getRootNode() as Document | ShadowRoot;
  return activeElement instanceof HTMLElement && element.contains(activeElement) ? activeElement : null;
}
