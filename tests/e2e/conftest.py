"""Fixtures of the browser tests: one server, one Chromium, one page and one warm kernel for the whole run.

Loading JupyterLab costs seconds and so does importing torch, so the tests share them: each gets a new widget
in a cell of its own (`explorer`), in a notebook cleared before it. A test that breaks its kernel opens its
own notebook with `open_notebook`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import chromium
from tests.e2e.explorer import Explorer
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

VIEWPORT = {"width": 1280, "height": 1000}
HERE = Path(__file__).parent
NOT_OURS = "Canceled future for create_subshell_request"  # JupyterLab's own request, when its page is loaded anew


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a browser test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def artifacts(pytestconfig: pytest.Config) -> Path:
    """The git-ignored folder for screenshots and measurements."""
    folder = pytestconfig.rootpath / "test-artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server in temporary folders."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless. Its absence is a failure that says what to do, never a skip."""
    path = chromium.find()
    if path is None:
        pytest.fail(chromium.HELP)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """The page with JupyterLab in it."""
    context = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{lab.url}/lab?reset")
    page.wait_for_function("() => window.jupyterapp?.restored")
    page.evaluate("() => window.jupyterapp.restored.then(() => 0)")
    yield page
    context.close()


@pytest.fixture
def complaints(lab_page: Page) -> Iterator[list[str]]:
    """Errors of the page during the test: uncaught exceptions and console errors."""
    seen: list[str] = []

    def on_error(error: object) -> None:
        if NOT_OURS not in str(error):
            seen.append(f"uncaught: {error}")

    def on_console(message: object) -> None:
        if message.type == "error":  # type: ignore[attr-defined]
            seen.append(f"console: {message.text}")  # type: ignore[attr-defined]

    lab_page.on("pageerror", on_error)
    lab_page.on("console", on_console)
    yield seen
    lab_page.remove_listener("pageerror", on_error)
    lab_page.remove_listener("console", on_console)


@pytest.fixture
def page(lab_page: Page, complaints: list[str]) -> Page:
    """The page, at its usual size and in the light theme."""
    lab_page.set_viewport_size(VIEWPORT)
    return lab_page


@pytest.fixture(scope="session")
def desk(lab_page: Page, lab: Lab) -> Iterator[Notebook]:
    """The shared notebook: its kernel has imported the library once."""
    notebook = Notebook(lab_page, lab, lab.write_notebook("desk.ipynb"))
    notebook.execute("import legrad_widget as lw; lw.load('builtin')")
    yield notebook
    notebook.close()


@pytest.fixture
def notebook(desk: Notebook, page: Page) -> Notebook:
    """The shared notebook in front, without cells and without the widgets of earlier tests.

    A page that is loaded anew asks the kernel for every widget at once, and gives up after some seconds.
    """
    desk.bring_to_front()
    desk.clear()
    desk.execute("import ipywidgets; ipywidgets.Widget.close_all()")
    return desk


@pytest.fixture
def explorer(notebook: Notebook) -> Explorer:
    """A new widget on the built-in model and scene, with its first map drawn."""
    return Explorer.in_cell(notebook, "w = lw.explore()\nw")


@pytest.fixture
def open_notebook(page: Page, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Opens a file of the server's folder, or a new notebook, with a kernel of its own; closed after the test."""
    opened: list[Notebook] = []

    def open_one(name: str | None = None) -> Notebook:
        stem = re.sub(r"\W+", "-", request.node.name)
        name = name or lab.write_notebook(f"{stem}-{len(opened)}.ipynb")
        opened.append(Notebook(page, lab, name))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On failure, save what the page showed, before the fixtures close it."""
    report = yield
    funcargs = getattr(item, "funcargs", {})
    page = funcargs.get("page")
    if call.when == "call" and report.failed and page is not None:
        folder = item.config.rootpath / "test-artifacts"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{item.name}.png")
        (folder / f"{item.name}.log").write_text("\n".join(funcargs.get("complaints", [])))
    return report
