"""The front end's second file: handed over once for a page, also while a cell runs, and refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

COUNTED = """
from legrad_widget.widget import listening
calls, handed = [], listening.live_part
listening.live_part = lambda wanted: (calls.append(wanted), handed(wanted))[1]
"""
ANOTHER_VERSION = "listening.live_part = lambda wanted: handed('0' * 16)"
FORGET = "delete window.legradWidget"
"""The page as it was before any widget was in it."""


@pytest.fixture
def counted(notebook: Notebook) -> Iterator[Notebook]:
    """The notebook, whose kernel notes in `calls` every page that asks for the file; the page has none."""
    notebook.execute(COUNTED)
    notebook.page.evaluate(FORGET)
    yield notebook
    notebook.execute("listening.live_part = handed")


def test_two_widgets_of_a_page_bring_it_once_and_again_after_a_reload(counted: Notebook) -> None:
    Explorer.in_cell(counted, "w = lw.explore()\nw")
    Explorer.in_cell(counted, "v = lw.explore(targets='a cat')\nv")
    widgets = counted.page.get_by_test_id("legrad")
    for times in (1, 2):
        expect(widgets).to_have_count(2)
        for widget in widgets.all():
            expect(widget.get_by_test_id("prompt")).to_be_enabled()
            widget.get_by_test_id("trust").locator("summary").click()
            expect(widget.get_by_test_id("run-curves")).to_be_visible()
        counted.expect_value("len(calls)", times)
        if times == 1:
            counted.reload()


def test_it_comes_or_is_said_to_wait_while_a_cell_runs_and_does_what_was_pressed(counted: Notebook) -> None:
    counted.execute(ANOTHER_VERSION)
    explorer = Explorer.in_cell(counted, "w = lw.explore()\nw")
    expect(explorer.get("prompt")).to_be_disabled()
    counted.execute("listening.live_part = handed")
    with counted.busy():
        explorer.get("heads").click()
        waits = explorer.get("readout").filter(has_text="Waiting for the kernel (busy?)")
        expect(explorer.get("matrix").or_(waits).first).to_be_visible()
        counted.expect_busy()
    expect(explorer.get("matrix")).to_be_visible()
    expect(explorer.get("prompt")).to_be_enabled()


def test_a_page_of_another_version_says_what_to_do_and_shows_the_map(counted: Notebook) -> None:
    counted.execute(ANOTHER_VERSION)
    explorer = Explorer.in_cell(counted, "w = lw.explore()\nw")
    explorer.choose_layer(3)
    explorer.get("trust").locator("summary").click()
    expect(explorer.get("trust-lacks")).to_contain_text("another version of legrad-widget")
    expect(explorer.get("trust-lacks")).to_contain_text("restart the kernel")
    expect(explorer.get("prompt")).to_be_disabled()
    assert explorer.painted_layers == "3"
