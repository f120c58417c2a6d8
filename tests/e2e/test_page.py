"""The saved page in Chromium, from disk, with the network off: everything that was computed works, nothing is asked.

Every page is opened in a context of its own whose network is off; what the content policy stops, what the console
complains about and what is requested beside the file itself is collected, and must be nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

import legrad_widget as lw
from legrad_widget.widget import LeGradWidget
from tests.e2e.explorer import Explorer
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "01-quickstart.ipynb"
COMPARED = ["legrad", "cdam", "rollout"]
WATCH = """
window.stopped = [];
addEventListener('securitypolicyviolation', event =>
    window.stopped.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`), true);
window.alerts = [];
window.alert = words => window.alerts.push(words);
"""


@dataclass
class Opened:
    """A page from disk, and everything that went wrong with it."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    @property
    def explorer(self) -> Explorer:
        """The widget in it."""
        return of(self.page, self.page.get_by_test_id("legrad"))

    def expect_untroubled(self) -> None:
        """Nothing was stopped by the policy, logged as an error, or asked of a network."""
        stopped = self.page.evaluate("[...window.stopped, ...window.alerts]")
        assert [*self.troubles, *stopped] == []


def of(page: Page, root: Locator) -> Explorer:
    """The widget at ``root``, without a notebook around it."""
    return Explorer(cast(Notebook, SimpleNamespace(page=page)), root)


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file as a person does who has got it by mail: no server, no network."""
    contexts: list[BrowserContext] = []

    def open_one(file: Path, **options: Any) -> Opened:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 1100}, "offline": True, "reduced_motion": "reduce"} | options
        )
        contexts.append(context)
        context.add_init_script(WATCH)
        opened = Opened(context.new_page())
        asked = (file.as_uri(), "blob:", "data:", "about:srcdoc")
        opened.page.on("pageerror", lambda error: opened.troubles.append(f"uncaught: {error}"))
        opened.page.on("console", lambda said: opened.troubles.append(said.text) if said.type == "error" else None)
        opened.page.on(
            "request", lambda it: None if it.url.startswith(asked) else opened.troubles.append(f"asked: {it.url}")
        )
        opened.page.goto(file.as_uri())
        return opened

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def widget() -> Iterator[LeGradWidget]:
    """The built-in scene, three prompts under LeGrad and the first of them under two other methods."""
    shown = lw.explore(compare="methods", compared=COMPARED)
    shown.wait()
    shown.compare = "off"
    yield shown
    shown.close()


@pytest.fixture(scope="module")
def file(widget: LeGradWidget, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return widget.save_html(tmp_path_factory.mktemp("page") / "legrad.html")


@pytest.fixture
def opened(file: Path, open_file: Callable[..., Opened]) -> Iterator[Opened]:
    """The page with its map drawn; at the end nothing has gone wrong in it."""
    shown = open_file(file)
    shown.explorer.expect_painted()
    yield shown
    shown.expect_untroubled()


def value_at(explorer: Explorer, row: int, column: int, rows: int, columns: int) -> float:
    """The raw value that the read-out names for a patch, both from 0."""
    box = explorer.get("heat").bounding_box()
    assert box
    explorer.page.mouse.move(
        box["x"] + box["width"] * (column + 0.5) / columns, box["y"] + box["height"] * (row + 0.5) / rows
    )
    expect(explorer.get("readout")).to_contain_text(f"row {row + 1}, column {column + 1}")
    return float(explorer.get("readout").locator("b").first.inner_text())


def expect_other_pixels(explorer: Explorer, before: str) -> None:
    """Wait until another map is drawn, or the same in other colours."""
    explorer.page.wait_for_function(
        "([root, before]) => root.querySelector('[data-testid=heat]').toDataURL() !== before",
        arg=[explorer.root.element_handle(), before],
    )


def test_it_shows_what_python_computed(opened: Opened, widget: LeGradWidget) -> None:
    explorer = opened.explorer
    assert explorer.chips == [str(target) for target in widget.targets]
    explorer.expect_status("offline", "A saved page")
    x = widget.explanations[0]
    assert x is not None
    rows, columns = x.maps.shape[1:]
    for row, column in ((0, 0), (3, 2), (rows - 1, columns - 1)):
        assert value_at(explorer, row, column, rows, columns) == pytest.approx(float(x.raw()[row, column]), rel=0.01)
    explorer.choose_layer(4)
    expect(explorer.root.locator("[data-layer='4']")).to_have_attribute("aria-selected", "true")
    assert value_at(explorer, 3, 2, rows, columns) == pytest.approx(float(x.raw(4)[3, 2]), rel=0.01)


def test_prompts_and_methods_that_were_computed_are_switched_without_a_kernel(
    opened: Opened, widget: LeGradWidget
) -> None:
    explorer = opened.explorer
    first = explorer.pixels()
    explorer.get("chip").nth(1).get_by_role("radio").click()
    expect(explorer.get("describe")).to_contain_text(f"'{explorer.chips[1]}'")
    expect_other_pixels(explorer, first)
    assert explorer.active == 1
    explorer.get("chip").first.get_by_role("radio").click()
    explorer.expect_repainted(lambda: explorer.choose_method("rollout"))
    expect(explorer.root).not_to_have_attribute("data-outdated", "true")
    x = next(x for question, x in widget._memory.known if question.method.name == "rollout")
    rows, columns = x.maps.shape[1:]
    assert value_at(explorer, 3, 2, rows, columns) == pytest.approx(float(x.raw()[3, 2]), rel=0.01)
    explorer.get("chip").nth(1).get_by_role("radio").click()
    expect(explorer.get("score")).to_contain_text("Not in this saved page: Attention rollout was not asked about it.")
    explorer.get("chip").first.get_by_role("radio").click()
    explorer.expect_repainted(lambda: explorer.choose_method("legrad"))
    explorer.page.mouse.move(0, 0)
    assert explorer.pixels() == first


def test_heads_are_merged_without_a_kernel(opened: Opened, widget: LeGradWidget) -> None:
    explorer = opened.explorer
    explorer.get("heads").click()
    explorer.root.locator("[data-head='4.1']").click()
    explorer.root.locator("[data-head='6.3']").click(modifiers=["Shift"])
    opened.page.mouse.move(2, 2)
    assert explorer.painted_layers == "4.1,6.3"
    x = widget.explanations[0]
    assert x is not None
    rows, columns = x.maps.shape[1:]
    wanted = float(x.raw(heads={4: [1], 6: [3]})[3, 2])
    assert value_at(explorer, 3, 2, rows, columns) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("weights", ["equal", "reliability"])
def test_layers_are_weighed_without_a_kernel(opened: Opened, widget: LeGradWidget, weights: Any) -> None:
    explorer = opened.explorer
    x = widget.explanations[0]
    assert x is not None
    before = explorer.pixels()
    explorer.get(f"weights-{weights}").check()
    expect_other_pixels(explorer, before)
    raw = x.raw(weights=weights)
    assert value_at(explorer, 1, 1, *raw.shape) == pytest.approx(float(raw[1, 1]), rel=0.01)
    expect(explorer.get("readout")).to_contain_text("of peak")
    expect(explorer.get("colorbar")).to_contain_text("of peak")


def test_what_needs_a_kernel_is_off_and_says_so(opened: Opened) -> None:
    explorer = opened.explorer
    for name in ("prompt", "upload", "method-tam"):
        expect(explorer.get(name)).to_be_disabled()
    expect(explorer.get("prompt")).to_have_attribute("placeholder", "New prompts need a running kernel")
    label = explorer.get("method-tam").locator("xpath=..")
    assert label.get_attribute("title") == "Not in this saved page: it needs a running kernel"
    expect(explorer.get("chip").locator("button[aria-label^=Remove]")).to_have_count(0)
    for name in ("opacity", "threshold", "colormap", "smooth", "method-cdam"):
        expect(explorer.get(name)).to_be_enabled()


def test_colours_keys_and_playing_work(opened: Opened) -> None:
    explorer = opened.explorer
    before = explorer.pixels()
    explorer.expect_repainted(lambda: explorer.root.locator("[data-layer='2']").click())
    explorer.get("colormap").select_option("viridis")
    expect_other_pixels(explorer, before)
    explorer.get("picture").focus()
    explorer.page.keyboard.press("ArrowRight")
    expect(explorer.get("readout")).to_contain_text("row")
    explorer.page.keyboard.press("?")
    expect(explorer.root).to_contain_text("back to the notebook")


def test_methods_are_compared_and_agree_with_python(opened: Opened, widget: LeGradWidget) -> None:
    from legrad_widget.evaluate.agreement import rank_correlation

    explorer = opened.explorer
    explorer.get("compare-methods").check()
    panes = explorer.get("pane")
    expect(panes).to_have_count(len(COMPARED))
    for pane in panes.all():
        expect(pane).to_have_attribute("data-state", "drawn")
    assert len(set(explorer.pane_pixels())) == len(COMPARED)
    known = [(question, x) for question, x in widget._memory.known if x.label == widget.targets[0]]
    maps = {question.method.name: x.merged() for question, x in known}
    rows = explorer.get("agreement").locator("tbody tr")
    shown = rows.first.locator("td").all_inner_texts()
    wanted = [rank_correlation(maps["legrad"], maps[name]) for name in COMPARED[1:]]
    assert [float(text) for text in shown[1:]] == pytest.approx(wanted, abs=0.0051)
    explorer.get("compare-prompts").check()
    expect(panes).to_have_count(len(explorer.chips))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_looks_designed(
    file: Path, open_file: Callable[..., Opened], artifacts: Path, scheme: str, width: int
) -> None:
    shown = open_file(file, color_scheme=scheme, viewport={"width": width, "height": 1100})
    shown.explorer.expect_painted()
    shown.page.screenshot(path=artifacts / f"page-{scheme}-{width}.png", full_page=True)
    ground = shown.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    dark = np.mean([int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(", ")]) < 128
    assert dark == (scheme == "dark")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.expect_untroubled()


def test_nothing_serious_for_people_who_cannot_see_or_point(opened: Opened) -> None:
    assert opened.page.title()
    assert not audit(opened.explorer)


def test_without_scripts_there_is_a_sentence_and_the_picture(file: Path, open_file: Callable[..., Opened]) -> None:
    shown = open_file(file, java_script_enabled=False)
    expect(shown.page.locator("noscript p")).to_contain_text("interactive where scripts may run")
    assert shown.page.locator("noscript img").bounding_box()["width"] > 100  # type: ignore[index]


def test_hostile_prompts_are_words(tmp_path: Path, open_file: Callable[..., Opened]) -> None:
    words = ["</script><script>alert(1)</script>", "<!-- <script> cat", "<img src=x onerror=alert(2)> \u2028 cat"]
    widget = lw.explore(None, words)
    widget.wait()
    shown = open_file(widget.save_html(tmp_path / "hostile.html"))
    widget.close()
    shown.explorer.expect_painted()
    assert shown.explorer.chips == words
    assert shown.page.title() == f"{words[0]}, by LeGrad"
    shown.expect_untroubled()


def test_a_static_output_survives_nbconvert(
    tmp_path: Path, lab: Lab, open_file: Callable[..., Opened], artifacts: Path
) -> None:
    """A notebook is executed, its kernel is gone, it is converted, and the widget in it works from disk."""
    cells = ["import legrad_widget as lw\nw = lw.explore()", "w.static(height=700)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    (output,) = notebook.cells[1].outputs
    assert "<iframe" in output.data["text/html"]
    exporter = HTMLExporter(require_js_url="", mathjax_url="", jquery_url="", widget_renderer_url="")
    file = tmp_path / "notebook.html"
    file.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
    shown = open_file(file)
    frame = shown.page.frame_locator("iframe")
    explorer = of(shown.page, frame.get_by_test_id("legrad"))
    explorer.root.scroll_into_view_if_needed()
    expect(explorer.root).to_have_attribute("data-painted", ":all:1")
    explorer.choose_layer(2)
    expect(explorer.root).to_have_attribute("data-painted", ":2:1")
    shown.page.screenshot(path=artifacts / "page-nbconvert.png", full_page=True)


def test_a_static_output_lives_on_without_its_kernel(notebook: Notebook, artifacts: Path) -> None:
    """In JupyterLab: the kernel is restarted and the page loaded anew, and the layers are still scrubbed."""
    notebook.run("w = lw.explore()\nw.static(height=900)")
    notebook.restart_kernel()
    notebook.reload()
    frame = notebook.dom.frame_locator("iframe")
    explorer = of(notebook.page, frame.get_by_test_id("legrad"))
    expect(explorer.root).to_have_attribute("data-painted", ":all:1")
    explorer.choose_layer(3)
    expect(explorer.root).to_have_attribute("data-painted", ":3:1")
    notebook.page.screenshot(path=artifacts / "page-static-in-lab.png")
    notebook.execute("import legrad_widget as lw; lw.load('builtin')")  # the next test finds a warm kernel


def test_the_page_of_the_quickstart(
    lab: Lab, open_notebook: Callable[..., Notebook], open_file: Callable[..., Opened], tmp_path: Path
) -> None:
    shutil.copy(QUICKSTART, lab.root / QUICKSTART.name)
    notebook = open_notebook(QUICKSTART.name)
    notebook.run_all()
    file = tmp_path / "quickstart.html"
    notebook.run(f"w.save_html({str(file)!r})")
    scores = notebook.value("[float(s) for s in x.maps.sum((1, 2))]")
    shown = open_file(file)
    explorer = shown.explorer
    explorer.expect_painted()
    assert explorer.chips == notebook.value("[str(t) for t in w.targets]")
    assert explorer.root.locator("[data-layer]").count() == len(scores)
    for layer in (1, len(scores)):
        explorer.expect_repainted(lambda layer=layer: explorer.choose_layer(layer))  # type: ignore[misc]
    explorer.get("compare-prompts").check()
    expect(explorer.get("pane").first).to_have_attribute("data-state", "drawn")
    shown.expect_untroubled()
