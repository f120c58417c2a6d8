"""What the widget says when something fails, and that it works again afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

BREAK = """
import torch
with torch.no_grad():
    weight = next(p for p in w.model.module.visual.parameters() if p.ndim == 2)
    kept = weight.clone()
    weight.fill_(float("nan"))
from PIL import Image
w.image = Image.linear_gradient("L")
"""
MEND = """
with torch.no_grad():
    weight.copy_(kept)
"""


def test_a_broken_model_says_so_and_a_mended_one_works(explorer: Explorer, notebook: Notebook) -> None:
    notebook.execute(BREAK)
    try:
        explorer.expect_status("error", "NaN")
        explorer.get("status").locator("summary").click()
        expect(explorer.get("status").locator("pre")).to_contain_text("Traceback")
        expect(explorer.get("heat")).to_be_visible()
    finally:
        notebook.execute(MEND)
    explorer.expect_answered(lambda: explorer.choose_method("rollout"))
    explorer.expect_status("idle")


def test_a_restarted_kernel_is_noticed(open_notebook: Callable[[], Notebook]) -> None:
    notebook = open_notebook()
    explorer = Explorer.in_cell(notebook, "import legrad_widget as lw\nw = lw.explore()\nw")
    notebook.restart_kernel()
    explorer.choose_layer(2)
    expect(explorer.root.locator("[data-layer='2']")).to_have_attribute("aria-selected", "true")
    pixels = explorer.pixels()
    explorer.ask("a dog")
    expect(explorer.get("status")).to_contain_text(re.compile("kernel", re.IGNORECASE), timeout=15_000)
    kind = explorer.get("status").get_attribute("data-kind")
    assert kind in ("offline", "waiting", "error"), kind
    assert explorer.pixels() == pixels, "the last map stays"

    again = Explorer.in_cell(notebook, "import legrad_widget as lw\nw = lw.explore()\nw")
    again.expect_answered(lambda: again.choose_method("rollout"))


def test_closing_the_widget_in_python_leaves_no_error(
    explorer: Explorer, notebook: Notebook, complaints: list[str]
) -> None:
    notebook.execute("w.close()")
    expect(explorer.root).to_have_count(0)
    assert not complaints


def test_running_the_cell_again_gives_a_fresh_widget(explorer: Explorer, notebook: Notebook) -> None:
    explorer.expect_answered(lambda: explorer.ask("a dog"))
    again = Explorer.in_cell(notebook, "w = lw.explore()\nw")
    assert "a dog" not in again.chips or again.chips != explorer.chips
    again.expect_answered(lambda: again.choose_method("rollout"))
    explorer.expect_answered(lambda: explorer.choose_method("raw_attention"))
