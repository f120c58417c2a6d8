"""A picture of every state, for eyes, and what eyes would miss at once: nothing sticks out, nothing lies over another.

`make pictures` takes them into test-artifacts/states, or where PICTURES says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import ANSWER_MS, Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit
from tests.e2e.test_page import Opened, file, open_file, widget  # noqa: F401  (fixtures)
from tests.e2e.test_trouble import BREAK, MEND
from tests.e2e.test_trust import drag, settled

LOCK = """
import threading, time
def keep():
    with w.model.lock:
        time.sleep(6)
threading.Thread(target=keep, daemon=True).start()
"""
LAYOUT = """root => {
    const box = it => it.getBoundingClientRect();
    const edge = box(root).right + 1;
    const seen = [...root.querySelectorAll('*')].filter(it => it.checkVisibility() && it.clientWidth > 1);
    const parts = name => root.querySelector(`[aria-label='${name}']`);
    const of = it => it && it.checkVisibility() ? ['left', 'top', 'right', 'bottom'].map(side => box(it)[side]) : null;
    return {
        out: seen.filter(it => !it.closest('[role=listbox], [role=region], [role=grid]') && box(it).right > edge)
            .map(it => it.dataset.testid ?? it.tagName),
        picture: of(parts('Heatmap')), layers: of(parts('Depth')), matrix: of(parts('Layers and heads')),
        method: of(root.querySelector('[data-testid=method-legrad]')?.closest('label')),
    };
}"""
WIDTHS = {"": 1040, "narrow": 400, "wide": 1600}


def nothing(_explorer: Explorer, _notebook: Notebook) -> None:
    """As it opens."""


def error(explorer: Explorer, notebook: Notebook) -> None:
    notebook.execute(BREAK)
    try:
        explorer.expect_status("error", "NaN")
    finally:
        notebook.execute(MEND)


def running(explorer: Explorer, notebook: Notebook) -> None:
    notebook.execute(LOCK)
    explorer.ask("a rocket")
    explorer.expect_status("busy")
    explorer.page.wait_for_timeout(800)


def compare(explorer: Explorer, _notebook: Notebook) -> None:
    explorer.compare("methods")
    explorer.expect_compared()


def matrix(explorer: Explorer, _notebook: Notebook) -> None:
    explorer.get("heads").click()
    explorer.get("measure-effect").check()
    expect(explorer.get("matrix")).to_contain_text("to first order", timeout=ANSWER_MS)
    explorer.root.locator("[data-head='5.1']").click()
    explorer.root.locator("[data-head='6.2']").click(modifiers=["Shift"])


def brush(explorer: Explorer, _notebook: Notebook) -> None:
    explorer.get("trust").locator("summary").first.click()
    explorer.get("brush").click()
    drag(explorer, (0.25, 0.35), (0.6, 0.5))
    settled(explorer)


def reliability(explorer: Explorer, _notebook: Notebook) -> None:
    explorer.get("weights-reliability").check()
    expect(explorer.get("colorbar")).to_contain_text("of peak")


STATES: dict[str, Callable[[Explorer, Notebook], None]] = {
    "opened": nothing, "error": error, "running": running, "compare": compare, "matrix": matrix, "brush": brush,
    "reliability": reliability,
}  # fmt: skip
TAKEN = [
    *[(state, "", "Light") for state in STATES],
    *[(state, "", "Dark") for state in ("opened", "matrix", "compare")],
    *[(state, width, "Light") for state in ("opened", "matrix") for width in ("narrow", "wide")],
    ("matrix", "narrow", "Dark"),
    ("matrix", "wide", "Dark"),
    ("brush", "narrow", "Light"),
]


@pytest.fixture(scope="session")
def pictures(artifacts: Path) -> Path:
    """Where they go."""
    folder = Path(os.environ.get("PICTURES") or artifacts / "states")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checked_layout(explorer: Explorer) -> dict[str, Any]:
    """Where things are, once nothing sticks out and the parts beside each other are apart."""
    found: dict[str, Any] = explorer.root.evaluate(LAYOUT)
    assert found["out"] == []
    boxes = [found[name] for name in ("picture", "layers", "matrix", "method") if found[name]]
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
    return found


@pytest.mark.parametrize(("state", "width", "theme"), TAKEN, ids=lambda value: str(value).lower() or "usual")
def test_in_jupyterlab(
    explorer: Explorer, notebook: Notebook, pictures: Path, state: str, width: str, theme: str
) -> None:
    explorer.page.set_viewport_size({"width": WIDTHS[width] + 700, "height": 3000})
    explorer.root.evaluate("(root, width) => { root.parentElement.style.width = `${width}px`; }", WIDTHS[width])
    if theme == "Dark":
        notebook.theme(theme)
    try:
        STATES[state](explorer, notebook)
        explorer.page.mouse.move(0, 0)
        explorer.page.wait_for_timeout(300)
        name = "-".join(filter(None, (state, width, "dark" if theme == "Dark" else "")))
        explorer.root.screenshot(path=pictures / f"{name}.png")
        found = checked_layout(explorer)
        if state == "matrix" and width == "narrow":
            assert 0 <= found["matrix"][1] - found["layers"][3] < 40, "the matrix follows the layers"
        elif state == "matrix":
            assert found["matrix"][0] > found["picture"][2], "the matrix stands beside the picture"
            assert (found["method"][0] > found["matrix"][2]) == (width == "wide"), "a third column where there is room"
    finally:
        if theme == "Dark":
            notebook.theme("Light")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light"), (1600, "light")])
def test_in_a_saved_page(
    file: Path,  # noqa: F811
    open_file: Callable[..., Opened],  # noqa: F811
    pictures: Path,
    width: int,
    scheme: str,
) -> None:
    shown = open_file(file, color_scheme=scheme, viewport={"width": width, "height": 1400})
    explorer = shown.explorer
    explorer.expect_painted()
    explorer.get("heads").click()
    expect(explorer.get("matrix")).to_be_visible()
    explorer.page.wait_for_timeout(300)
    shown.page.screenshot(path=pictures / f"saved-{width}-{scheme}.png", full_page=True)
    checked_layout(explorer)
    assert not audit(explorer)
