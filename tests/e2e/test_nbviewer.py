"""Notebooks on a server without a kernel: nbconvert's HTML as nbviewer makes it, in Chromium with the network off.

nbviewer runs nbconvert's HTML exporter over the notebook as it lies there, outputs and all, with scripts left in. So
the notebook is executed, its kernel ends, it is converted by the templates that are in use, and opened from disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from tests.e2e.test_page import Opened, of, open_file  # noqa: F401  (a fixture)

CELLS = (
    "import legrad_widget as lw\nw = lw.explore()\nw.wait()\nw.pins = [{'targets': ['cat'], 'layers': 2}]",
    "w.static(height=760)",
    "w.snapshot()",
    "w.explanation",
    "w",
)
NOT_OURS = (
    "$ is not defined",  # the template's own scripts, without what they would fetch
    'module specifier ""',
    "html-manager",  # asked for because of the live widget among the outputs, which needs a kernel anyway
    "ERR_INTERNET_DISCONNECTED",
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """A notebook with the page, the picture, an explanation and the live widget as outputs; its kernel is gone."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path_factory.mktemp("run")))
    return notebook


@pytest.mark.parametrize("template", ["classic", "lab"])
def test_a_converted_notebook_is_live_and_its_pictures_are_there(
    executed: nbformat.NotebookNode,
    template: str,
    tmp_path: Path,
    open_file: Callable[..., Opened],  # noqa: F811  (the fixture)
    artifacts: Path,
) -> None:
    # Addresses of a content network: what they would bring is no part of the outputs.
    exporter = HTMLExporter(
        template_name=template,
        require_js_url="",
        mathjax_url="",
        jquery_url="",
        mermaid_js_url="",
        widget_renderer_url="",
    )
    assert not exporter.sanitize_html
    file = tmp_path / "notebook.html"
    file.write_text(exporter.from_notebook_node(executed)[0], encoding="utf-8")
    shown = open_file(file)
    page = shown.page

    explorer = of(page, page.frame_locator("iframe").get_by_test_id("legrad"))
    explorer.root.scroll_into_view_if_needed()
    expect(explorer.root).to_have_attribute("data-painted", ":all:1")
    explorer.choose_layer(3)
    expect(explorer.root).to_have_attribute("data-painted", ":3:1")
    explorer.get("pin").first.click()
    expect(explorer.root).to_have_attribute("data-painted", ":2:1")
    explorer.get("chip").nth(1).get_by_role("radio").click()
    expect(explorer.get("describe")).to_contain_text(f"'{explorer.chips[1]}'")

    pictures = page.locator("img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") >= 200
    # The live widget cannot be: where it stood its words stand, or nothing, and no error.
    assert "Error" not in page.locator("body").inner_text()
    page.screenshot(path=artifacts / f"nbviewer-{template}.png", full_page=True)
    assert [said for said in shown.troubles if not any(part in said for part in NOT_OURS)] == []
