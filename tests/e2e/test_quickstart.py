"""The notebook that a stranger opens first, opened and run in JupyterLab."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "01-quickstart.ipynb"


def test_it_runs_and_shows_the_widget_and_five_hidden_answers(
    lab: Lab, open_notebook: Callable[..., Notebook], complaints: list[str]
) -> None:
    shutil.copy(QUICKSTART, lab.root / QUICKSTART.name)
    notebook = open_notebook(QUICKSTART.name)
    notebook.run_all()
    explorer = Explorer(notebook, notebook.dom.get_by_test_id("legrad"))
    expect(explorer.root).to_have_count(1)
    explorer.expect_painted()
    assert explorer.chips
    expect(notebook.dom.locator("summary", has_text="Show the answer")).to_have_count(5)
    assert not complaints
