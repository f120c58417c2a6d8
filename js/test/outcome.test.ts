// @vitest-environment happy-dom
// What a brush makes of the answer, in a line under the picture that is painted on.

import { describe, expect, it } from "vitest";
import { mount } from "../src/ui/root";
import { FakeHost } from "./fake-host";
import { pageLife } from "./page-life";
import { answered } from "./samples";
import { createLiveStore } from "./with-live";

const life = pageLife();
const HOSTILE = "<img src=x>";
const moved = (label: string, before: number, after: number, of = "softmax") => ({
  label,
  before,
  after,
  of,
  low: null,
  high: null,
});

function painted(found: object, how = "drop") {
  const host = new FakeHost(answered());
  mount(document.body, createLiveStore(host, life.signal), life.signal);
  const get = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`)!;
  const press = (key: string) =>
    get("picture").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const says = () => (get("outcome").hidden ? "" : get("outcome").textContent!);
  const before = says();
  press("b");
  const hint = says();
  press("ArrowRight");
  press(" ");
  const entry = {
    rev: 1,
    target: 0,
    label: "cat",
    args: { patches: [[0, 1]], how },
    state: "done",
    step: 1,
    total: 1,
    message: "",
    targets: [],
    classes: [],
    ...found,
  };
  host.set("_tools", { brush: { ...entry, rid: host.of("tool").at(-1)!.rid }, busy: null });
  return { get, press, says, before, hint };
}

describe("the line under the picture", () => {
  it("comes with the brush, and names both answers where they differ", () => {
    const { before, hint, says, get, press } = painted({
      classes: [moved("horse", 0.999, 0.01), moved(HOSTILE, 0.0001, 0.99)],
    });
    expect(before).toBe("");
    expect(hint).toContain("Drag over the picture");
    expect(says()).toBe(`Without 1 patch: ${HOSTILE} 0.99 (was horse > 0.99)`);
    expect(get("picture").nextElementSibling).toBe(get("outcome"));
    expect(get("outcome").querySelector("img")).toBeNull();
    press("z");
    expect(says()).toBe(hint);
    press("b");
    expect(says()).toBe("");
  });
  it("has the prompt in view beside the answer, where it is another", () => {
    const targets = [moved("cat", 0.28, 0.19), moved("a dog", 0.1, 0.2)];
    const classes = [moved("rocket", 0.87, 0.88)];
    expect(painted({ targets, classes }).says()).toBe(
      "Without 1 patch: rocket 0.88 (was 0.87) · cat 0.19 (was 0.28)",
    );
    document.body.replaceChildren();
    expect(painted({ targets, classes: [moved("cat", 0.28, 0.19)] }).says()).toBe(
      "Without 1 patch: cat 0.19 (was 0.28)",
    );
  });
  it("says how the patches were changed, and one name where the answer stays", () => {
    expect(painted({ classes: [moved("horse", 0.9, 0.8)] }, "blur").says()).toBe(
      "1 patch brushed, with them blurred: horse 0.80 (was 0.90)",
    );
  });
  it("follows the first target of a model that has no classes", () => {
    const targets = [moved("a cat", 0, 0, ""), moved("a dog", 12.5, -3, "logit")];
    expect(painted({ targets }).says()).toBe("Without 1 patch: a dog -3 (was 12.5)");
  });
  it("says why nothing came, and nothing of a picture before", () => {
    expect(painted({ state: "failed", message: "no memory" }).says()).toBe("no memory");
    document.body.replaceChildren();
    expect(painted({ rev: 7, classes: [moved("horse", 0.9, 0.8)] }).says()).toContain("Drag over");
  });
});
