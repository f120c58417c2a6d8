"""A long mixed use: nothing lost, nothing stale, nothing left behind. ``SOAK=1000`` (``make soak``) makes it long."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import VIEWPORT
from tests.e2e.explorer import ANSWER_MS, Explorer
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

REQUESTS = int(os.environ.get("SOAK", "70"))
BURST = 5
WORDS = ["dog", "car", "guitar", "apple", "tree", "house", "fish", "boat", "ball", "clock", "bird", "flower"]
METHODS = ["legrad", "rollout", "cdam", "chefercam", "raw_attention", "gradcam", "textspan", "reciprocam"]
HELD = """
import gc, threading
parts = list(w.model.module.modules())
hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in parts)
threads = sum(t.name.startswith("legrad") for t in threading.enumerate())  # the others are Jupyter's
widgets = sum(isinstance(o, lw.LeGradWidget) for o in gc.get_objects())
"""


COUNTED = """
(() => {
    const held = [];  // what code from a blob listens to: the widget's, never JupyterLab's own
    const { addEventListener, removeEventListener } = EventTarget.prototype;
    EventTarget.prototype.addEventListener = function (type, listener, options) {
        if (listener && new Error().stack.includes("blob:")) {
            const one = { type, target: new WeakRef(this), listener: new WeakRef(listener) };
            held.push(one);
            const { signal } = options ?? {};
            if (signal) addEventListener.call(signal, "abort", () => { one.over = true; }, { once: true });
        }
        return addEventListener.call(this, type, listener, options);
    };
    EventTarget.prototype.removeEventListener = function (type, listener, options) {
        for (const one of held)
            if (one.type === type && one.target.deref() === this && one.listener.deref() === listener) one.over = true;
        return removeEventListener.call(this, type, listener, options);
    };
    window.listening = () =>
        held.filter((one) => !one.over && one.target.deref() && one.listener.deref()).length;
})();
"""


class Soak:
    """A person who does not wait: bursts of requests, and after each burst one look at what stands there."""

    def __init__(self, notebook: Notebook, browser: Browser, lab: Lab, seed: int) -> None:
        self.notebook, self.browser, self.lab = notebook, browser, lab
        self.chance = random.Random(seed)
        self.made: Counter[str] = Counter()
        self.explorer = self.begun()

    def begun(self) -> Explorer:
        """A widget in an empty notebook."""
        self.notebook.clear()
        self.notebook.execute("import legrad_widget as lw")
        return Explorer.in_cell(self.notebook, "w = lw.explore()\nw")

    def run(self, scene: str) -> None:
        """One scene by its name, and what stands there when all has come to rest."""
        getattr(self, scene)()
        self.made[scene] += 1
        self.settle()

    def burst(self, explorer: Explorer | None = None) -> None:
        """Several requests, each before the one before it can be answered."""
        explorer = explorer or self.explorer
        for _ in range(BURST):
            kind = self.chance.choice(["prompt", "method", "chip", "remove"])
            if kind == "prompt" or explorer.get("chip").count() < 2:
                explorer.ask(self.chance.choice(WORDS))
            elif kind == "method":
                explorer.choose_method(self.chance.choice(METHODS))
            elif kind == "chip":
                explorer.get("chip").nth(self.chance.randrange(explorer.get("chip").count())).click()
            else:
                explorer.get("chip").last.get_by_role("button").click()
            self.made["requests"] += 1

    def settle(self, explorer: Explorer | None = None) -> None:
        """Wait for rest; then the page shows the answer to what was asked last, and Python has the same."""
        explorer = explorer or self.explorer
        explorer.page.wait_for_function(
            """root => root.dataset.outdated === undefined
                && root.querySelector("[data-testid=status]").dataset.kind === "idle" """,
            arg=explorer.root.element_handle(),
            timeout=ANSWER_MS,
        )
        chips, method = explorer.chips, explorer.root.locator("[data-testid^=method-]:checked").get_attribute("value")
        active = chips[explorer.active]
        self.notebook.expect_value("list(w.targets)", chips)
        self.notebook.expect_value("[w.explanation.label, w.explanation.method]", [active, method])
        assert explorer.get("score").inner_text().startswith(active)

    def alone(self) -> None:
        """One prompt and LeGrad again, so that what the page holds can be compared."""
        while self.explorer.get("chip").count() > 1:
            self.explorer.get("chip").last.get_by_role("button").click()
        self.explorer.choose_method("legrad")
        self.settle()

    # --------------------------------------------------------------- scenes

    def idle(self) -> None:
        self.burst()

    def busy(self) -> None:
        with running(self.notebook, "import time; time.sleep(1)"):
            self.burst()

    def awaiting(self) -> None:
        with running(self.notebook, "import asyncio; await asyncio.sleep(1)"):
            self.burst()

    def cancelled(self) -> None:
        self.explorer.choose_method("lrp")
        self.explorer.page.keyboard.press("Escape")
        self.explorer.choose_method("legrad")
        self.made["requests"] += 2

    def reloaded(self) -> None:
        self.burst()
        self.settle()  # what the browser has not sent is lost with the page, as everywhere
        self.notebook.reload()
        self.explorer = Explorer(self.notebook, self.notebook.dom.get_by_test_id("legrad"))
        self.explorer.expect_painted()

    def second_browser(self) -> None:
        self.notebook.save()
        elsewhere = self.browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        try:
            there = Notebook(elsewhere.new_page(), self.lab, self.notebook.name, load=True)
            other = Explorer(there, there.dom.get_by_test_id("legrad"))
            other.expect_painted()
            self.burst(other)
            self.settle(other)
            expect(self.explorer.get("chip")).to_have_count(len(other.chips))
        finally:
            elsewhere.close()

    def restarted(self) -> None:
        self.notebook.restart_kernel()
        self.explorer = self.begun()


@contextmanager
def running(notebook: Notebook, cell: str) -> Iterator[None]:
    """While a cell runs."""
    notebook.start(cell)
    yield
    notebook.js("await guard(window.runningCell, 'the cell');")


@pytest.fixture
def soak(browser: Browser, lab: Lab) -> Iterator[Soak]:
    """In a page, notebook and kernel of its own: they are loaded anew and restarted, and its listeners are counted."""
    context = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
    context.add_init_script(COUNTED)
    page = context.new_page()
    page.set_default_timeout(30_000)
    notebook = Notebook(page, lab, lab.write_notebook("soak.ipynb"), load=True)
    yield Soak(notebook, browser, lab, seed=REQUESTS)
    notebook.close()
    context.close()


@pytest.mark.timeout(300 + 5 * REQUESTS)
def test_nothing_is_lost_or_stale_and_nothing_stays_behind(soak: Soak, artifacts: Path) -> None:
    soak.settle()
    before = held(soak.notebook)
    rare = itertools.cycle(["reloaded", "second_browser", "restarted"])
    grown: list[int] = []
    started = time.monotonic()
    while soak.made["requests"] < REQUESTS:
        soak.alone()
        counted = listeners(soak.notebook.page)
        for scene in ("idle", "cancelled", "idle"):
            soak.run(scene)
        soak.alone()
        grown.append(listeners(soak.notebook.page) - counted)
        for scene in ("busy", "awaiting", next(rare)):  # these add cells, or load the page
            soak.run(scene)

    after = held(soak.notebook)
    report = {**soak.made, "seconds": round(time.monotonic() - started), "held": after, "listeners": grown}
    (artifacts / "soak.json").write_text(json.dumps(report, indent=2))
    print("\n" + json.dumps(report))
    assert before == after == {"views": 1, "hooks": 0, "threads": 1, "widgets": 1}
    assert max(grown) <= 0, f"listeners pile up in the page: {grown}"


def held(notebook: Notebook) -> dict[str, object]:
    """What could be left behind: views in the page; hooks, threads and widgets in the kernel."""
    hooks, threads, widgets = notebook.value("[hooks, threads, widgets]", HELD)
    views = notebook.page.evaluate("() => document.querySelectorAll('.legrad').length")
    return {"views": views, "hooks": hooks, "threads": threads, "widgets": widgets}


def listeners(page: Page) -> int:
    """The widget's event listeners in the page, after the browser has collected its garbage.

    JupyterLab's own are not counted: now and then it draws one more React root, which listens to 130 kinds of events.
    """
    devtools = page.context.new_cdp_session(page)
    try:
        devtools.send("HeapProfiler.collectGarbage")
    finally:
        devtools.detach()
    count = int(page.evaluate("() => window.listening()"))
    assert count > 50, "the widget stands in the page, so there are some"
    return count
