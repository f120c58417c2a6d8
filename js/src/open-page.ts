// What the script of every saved page does: read what was saved in it, and draw the widget on it. No network.

import type { AnyModel } from "@anywidget/types";
import { reviveBytes, type State } from "./page-model";

const read = (name: string): unknown =>
  JSON.parse(document.getElementById(name)!.textContent ?? "", reviveBytes);

/** `modelOf` makes the model of what was saved and of the second file. */
export async function openPage(modelOf: (state: State, live: string) => AnyModel): Promise<void> {
  const root = document.getElementById("root")!;
  try {
    const code = new Blob([read("widget") as string], { type: "text/javascript" });
    const address = URL.createObjectURL(code);
    const { default: widget } = await import(address);
    URL.revokeObjectURL(address);
    widget.render({ model: modelOf(read("state") as State, read("live") as string), el: root });
  } catch (error) {
    root.textContent = `This saved page could not be drawn: ${error instanceof Error ? error.message : error}. `;
    root.append("It needs a browser of 2024 or newer that may run the page's own script.");
    throw error;
  }
}
