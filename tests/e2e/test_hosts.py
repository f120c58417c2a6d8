"""The other hosts that are promised: Notebook 7 and marimo draw the widget, scrub it and answer a new prompt."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.explorer import ANSWER_MS
from tests.e2e.lab import Lab, Server

MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    import legrad_widget as lw

    return lw, mo


@app.cell
def _(lw, mo):
    explorer = lw.explore()
    view = mo.ui.anywidget(explorer)
    view
    return (view,)


@app.cell
def _(mo, view):
    mo.md(f"asked: {len(view.value['targets'])}")
    return


if __name__ == "__main__":
    app.run()
"""


def marimo(port: int, root: Path) -> list[str]:
    """marimo's read-only view of app.py, on loopback."""
    served = ["run", "app.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "marimo", "-q", *served]


@pytest.fixture
def errors() -> list[str]:
    """What the page complained about, or asked of another machine."""
    return []


@pytest.fixture
def quiet_page(browser: Browser, errors: list[str]) -> Iterator[Page]:
    """A page of its own that must have nothing to complain about in the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: errors.append(asked.url) if elsewhere(asked.url) else None)
    yield page
    context.close()
    assert not errors


def elsewhere(url: str) -> bool:
    """Whether a request leaves this machine."""
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname != "127.0.0.1"


def use(root: Locator) -> None:
    """Look at one layer, then ask for something new."""
    root.wait_for(timeout=ANSWER_MS)
    expect(root).to_have_attribute("data-painted", re.compile(":all:"), timeout=ANSWER_MS)
    before = root.get_by_test_id("heat").evaluate("canvas => canvas.toDataURL()")
    root.locator("[data-layer='2']").click()
    expect(root).to_have_attribute("data-painted", re.compile(":2:"))
    assert root.get_by_test_id("heat").evaluate("canvas => canvas.toDataURL()") != before
    root.get_by_test_id("prompt").fill("guitar")
    root.get_by_test_id("prompt").press("Enter")
    expect(root.get_by_test_id("chip")).to_have_count(4)
    expect(root.get_by_test_id("status")).to_have_attribute("data-kind", "idle", timeout=ANSWER_MS)
    expect(root.get_by_test_id("chip").last).to_contain_text("0.")


def test_notebook_7(quiet_page: Page, errors: list[str], tmp_path: Path, artifacts: Path) -> None:
    server = Lab(tmp_path, "notebook")
    try:
        name = server.write_notebook("one.ipynb", "import legrad_widget as lw\nw = lw.explore()\nw")
        quiet_page.goto(f"{server.url}/notebooks/{name}")
        quiet_page.wait_for_function("() => window.jupyterapp?.restored")
        quiet_page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        quiet_page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext?.isReady")
        errors.clear()  # Notebook 7.6 itself complains once while it starts, also without a widget
        quiet_page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        use(quiet_page.get_by_test_id("legrad"))
        quiet_page.screenshot(path=artifacts / "notebook-7.png")
    finally:
        server.close()


def test_marimo(quiet_page: Page, tmp_path: Path, artifacts: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "app.py").write_text(MARIMO)
    server = Server(tmp_path, marimo, "health")
    try:
        quiet_page.goto(server.url)
        use(quiet_page.get_by_test_id("legrad"))
        expect(quiet_page.get_by_text("asked: 4")).to_be_visible()
        quiet_page.screenshot(path=artifacts / "marimo.png")
    finally:
        server.close()
