"""The widget as a person meets it: what can be seen, pressed and typed in one of its views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.notebook import Notebook

ANSWER_MS = 60_000  # generous: the first map of a kernel also loads the model
SETTLE_MS = 15_000

# Counts frames and notes, at the first key that is pressed, when the next painting reports itself.
STOPWATCH = """
(root) => {
    let frames = 0;
    const tick = () => { frames += 1; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
    window.stopwatch = { done: null };
    window.startWatch = (accepts) => {
        const before = root.dataset.painted;
        window.stopwatch = { done: null };
        let pressed = null;
        addEventListener('keydown', () => { pressed ??= { at: performance.now(), frame: frames }; },
            { capture: true, once: true });
        const observer = new MutationObserver(() => {
            const now = root.dataset.painted;
            if (!pressed || now === before || !accepts(before, now)) return;
            observer.disconnect();
            const waited = frames - pressed.frame;
            // The next frame begins when the browser has put this one on the screen.
            requestAnimationFrame(() => {
                window.stopwatch = { done: { frames: waited, ms: performance.now() - pressed.at } };
            });
        });
        observer.observe(root, { attributes: true, attributeFilter: ['data-painted'] });
    };
}
"""


def revision(painted: str) -> int:
    """The number of the answer that is painted; 0 before the first."""
    return int(painted.rpartition(":")[2] or 0)


class Explorer:
    """One view of a `LeGradWidget`. `root` is its outermost element."""

    def __init__(self, notebook: Notebook, root: Locator) -> None:
        self.notebook = notebook
        self.page: Page = notebook.page
        self.root = root

    @classmethod
    def in_cell(cls, notebook: Notebook, source: str) -> Explorer:
        """Run a cell that ends with the widget, and wait for its first map."""
        explorer = cls(notebook, notebook.run(source).get_by_test_id("legrad"))
        explorer.expect_painted()
        return explorer

    def get(self, name: str) -> Locator:
        """A control by its test id."""
        return self.root.get_by_test_id(name)

    # --------------------------------------------------------------- what it shows

    @property
    def painted(self) -> str:
        """What is on the canvas: `request:layers:revision`; "" before the first map."""
        return self.root.get_attribute("data-painted") or ""

    @property
    def painted_layers(self) -> str:
        """The layers of the map on the canvas: "all", "3", "2,3,4"."""
        return self.painted.split(":")[1]

    def expect_painted(self) -> None:
        """Wait for the first map, or for any map after a reload."""
        self.root.wait_for(timeout=ANSWER_MS)
        self.page.wait_for_function("root => root.dataset.painted", arg=self.root.element_handle(), timeout=ANSWER_MS)

    def expect_repainted(self, act: Callable[[], object], timeout: float = SETTLE_MS) -> str:
        """Do something and wait until another map is on the canvas; gives back what is painted then."""
        before = self.painted
        act()
        expect(self.root).not_to_have_attribute("data-painted", before, timeout=timeout)
        return self.painted

    def expect_answered(self, act: Callable[[], object], timeout: float = ANSWER_MS) -> None:
        """Do something that asks the kernel, and wait until the map of a later answer is on the canvas."""
        before = revision(self.painted)
        act()
        self.page.wait_for_function(
            """([root, before]) => Number((root.dataset.painted ?? "").split(":").at(-1)) > before
                && root.dataset.outdated === undefined""",
            arg=[self.root.element_handle(), before],
            timeout=timeout,
        )

    def expect_status(self, kind: str, text: str = "", timeout: float = SETTLE_MS) -> None:
        """Wait until the status line is of that kind ("idle", "busy", "waiting", "error", "offline")."""
        expect(self.get("status")).to_have_attribute("data-kind", kind, timeout=timeout)
        if text:
            expect(self.get("status")).to_contain_text(text, timeout=timeout)

    @property
    def sentence(self) -> str:
        """What the status line says, in full."""
        return self.get("status").locator("span:not([aria-hidden])").first.inner_text()

    def pixels(self) -> str:
        """The map as it is drawn, as a data URL: for comparing."""
        return str(self.get("heat").evaluate("canvas => canvas.toDataURL()"))

    @property
    def chips(self) -> list[str]:
        """The prompts."""
        return [str(title) for title in self.get("chip").evaluate_all("chips => chips.map(chip => chip.title)")]

    @property
    def active(self) -> int:
        """Index of the active prompt."""
        checked = self.root.locator("[role=radio][aria-checked=true]")
        return int(checked.locator("xpath=..").get_attribute("data-index") or -1)

    @property
    def chosen_layers(self) -> list[int]:
        """The layers that are marked as chosen in the strip."""
        layers = self.root.locator("[data-layer][aria-selected=true]")
        return [int(number) for number in layers.evaluate_all("them => them.map(it => it.dataset.layer)")]

    # --------------------------------------------------------------- what one can do

    def ask(self, prompt: str) -> None:
        """Type a prompt and press Enter, without waiting for the map."""
        self.get("prompt").fill(prompt)
        self.get("prompt").press("Enter")

    def choose_layer(self, layer: int) -> None:
        """Click one thumbnail."""
        self.root.locator(f"[data-layer='{layer}']").click()

    def choose_method(self, name: str) -> None:
        """Click one method of the toggle."""
        self.get(f"method-{name}").check()

    def compare(self, what: str) -> None:
        """Put "methods" or "prompts" side by side, or "off", and wait until every pane is finished."""
        self.get(f"compare-{what}").check()
        if what != "off":
            self.expect_compared()

    def expect_compared(self, timeout: float = ANSWER_MS) -> None:
        """Wait until there are panes and each has its map, or the sentence that stands for it."""
        unfinished = self.root.locator("[data-testid=pane]:is([data-state=pending], [data-state=missing])")
        expect(self.get("pane").first).to_be_visible(timeout=timeout)
        expect(unfinished).to_have_count(0, timeout=timeout)
        expect(self.get("status")).to_have_attribute("data-kind", "idle", timeout=timeout)

    @property
    def panes(self) -> list[str]:
        """The titles of what stands side by side."""
        return self.get("pane").locator("button").all_inner_texts()

    def pane_pixels(self) -> list[str]:
        """Every pane's canvas as a data URL, once the next frame is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        canvases = self.get("pane").locator("canvas")
        return [str(url) for url in canvases.evaluate_all("all => all.map(canvas => canvas.toDataURL())")]

    def upload(self, name: str, mime: str, data: bytes) -> None:
        """Choose a file in the picture button's dialog."""
        self.get("upload").set_input_files({"name": name, "mimeType": mime, "buffer": data})

    def drop(self, name: str, mime: str, data: bytes) -> None:
        """Drop a file on the picture."""
        transfer = self.page.evaluate_handle(
            """([name, type, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
                return transfer;
            }""",
            [name, mime, list(data)],
        )
        for event in ("dragenter", "dragover", "drop"):
            self.get("picture").dispatch_event(event, {"dataTransfer": transfer})

    # --------------------------------------------------------------- timing

    def stopwatch(self) -> Stopwatch:
        """Times from a key to the painting it causes, measured inside the page."""
        return Stopwatch(self)


class Stopwatch:
    """Measures key press to painted map, in frames and milliseconds."""

    def __init__(self, explorer: Explorer) -> None:
        self._page = explorer.page
        self._page.evaluate(STOPWATCH, explorer.root.element_handle())

    def press(self, key: str, *, new_answer: bool, timeout: float = ANSWER_MS) -> dict[str, Any]:
        """Press a key on whatever has the focus; {"frames": ..., "ms": ...} until a map was painted.

        With `new_answer` only a painting of a later answer counts, without it any repaint does.
        """
        revision = "text => Number(text.split(':').at(-1))"
        accepts = f"(a, b) => ({revision})(b) > ({revision})(a)" if new_answer else "() => true"
        self._page.evaluate(f"window.startWatch({accepts})")
        self._page.keyboard.press(key)
        done = self._page.wait_for_function("() => window.stopwatch.done", timeout=timeout)
        return dict(done.json_value())
