// The script of a saved page: reads what was saved in it, and draws the widget on it. No kernel, no network.

import { reviveBytes, savedModel } from "./saved";

const read = (name: string): unknown =>
  JSON.parse(document.getElementById(name)!.textContent ?? "", reviveBytes);

const root = document.getElementById("root")!;
try {
  const code = new Blob([read("widget") as string], { type: "text/javascript" });
  const address = URL.createObjectURL(code);
  const { default: widget } = await import(address);
  URL.revokeObjectURL(address);
  widget.render({
    model: savedModel(read("state") as Record<string, unknown>, read("live") as string),
    el: root,
  });
} catch (error) {
  root.textContent = `This saved page could not be drawn: ${error instanceof Error ? error.message : error}. `;
  root.append("It needs a browser of 2024 or newer that may run the page's own script.");
  throw error;
}
