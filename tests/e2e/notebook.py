"""A notebook that is open in JupyterLab, driven through `window.jupyterapp` instead of toolbar buttons."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page

from tests.e2e.lab import Lab

# `page.evaluate` has no timeout of its own: a promise that never settles would hang the run for good.
PRELUDE = """
const app = window.jupyterapp;
const guard = (promise, what, ms = 60000) => Promise.race([promise,
    new Promise((_, no) => setTimeout(() => no(new Error('timed out: ' + what)), ms))]);
const panel = () => app.shell.currentWidget;
const kernel = () => panel().sessionContext.session.kernel;
"""

READY = """
await guard(app.restored, 'application');
await guard(panel().context.ready, 'document');
await guard(panel().sessionContext.ready, 'session');
await guard(kernel().info, 'kernel');
"""

APPEND = """
const shared = panel().content.model.sharedModel;
shared.insertCell(shared.cells.length, {cell_type: 'code', source: arg, metadata: {trusted: true}});
panel().content.activeCellIndex = shared.cells.length - 1;
"""


START = (
    APPEND
    + """
const cell = window.runningCell = app.commands.execute('notebook:run-cell');
const ended = () => { cell.ended = true; };
cell.then(ended, ended);
"""
)

BUSY = "import time; print('it runs', flush=True); time.sleep(60)"
"""A cell that says when it has begun, and then holds the kernel until it is interrupted."""


def as_lists(value: Any) -> Any:
    """Tuples as lists: what matters in a comparison is what lies in them."""
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value


class Notebook:
    """One notebook and its kernel. `dom` is its panel in the page."""

    def __init__(self, page: Page, lab: Lab, name: str, *, load: bool = False) -> None:
        """Open a file of the server's folder in the page; with `load` in a page that does not show JupyterLab yet."""
        self.page = page
        self.name = name
        self._lab = lab
        if load:
            self._load("second")
        else:
            self.js(
                "await guard(app.commands.execute('docmanager:open', {path: arg, factory: 'Notebook'}), 'open')", name
            )
            self.js(READY)

    @property
    def dom(self) -> Locator:
        """The notebook's panel."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def js(self, body: str, arg: object = None) -> Any:
        """Run the body of an async function in the page; it has the prelude's names and `arg`."""
        return self.page.evaluate(f"async (arg) => {{ {PRELUDE} {body} }}", arg)

    # -------------------------------------------------------------- cells

    def clear(self) -> None:
        """Remove every cell (the kernel and its variables stay)."""
        self.js("const m = panel().content.model.sharedModel; m.deleteCellRange(0, m.cells.length);")

    def run(self, source: str) -> Locator:
        """Append a cell, run it to its end, and give back its output area; its error fails the test."""
        self.start(source)
        number = self.js("await guard(window.runningCell, 'the cell', 120000); return panel().content.widgets.length")
        output = self.dom.locator(".jp-CodeCell").nth(number - 1).locator(".jp-OutputArea")
        errors = output.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
        assert not errors, "\n".join(errors)
        return output

    def run_all(self) -> None:
        """Run the notebook from top to bottom; an error of any cell fails the test."""
        self.js("await guard(app.commands.execute('notebook:run-all-cells'), 'run all', 240000)")
        errors = self.dom.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
        assert not errors, "\n".join(errors)

    def start(self, source: str) -> None:
        """Append a cell and start it without waiting."""
        self.js(START, source)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While a cell runs, from its first line on.

        The kernel's status says too little: a comm message that a subshell answers makes it "idle" meanwhile.
        """
        self.start(BUSY)
        self.dom.locator(".jp-CodeCell").last.get_by_text("it runs", exact=True).wait_for()
        try:
            yield
        finally:
            self.interrupt()

    def expect_busy(self) -> None:
        """The cell that was started last has not ended."""
        assert not self.page.evaluate("window.runningCell.ended"), "the cell ended too early to prove anything"

    def interrupt(self) -> None:
        """Interrupt the running cell and wait until it has ended."""
        self.js(
            """
            if (!window.runningCell.ended) await guard(kernel().interrupt(), 'interrupt');
            await guard(window.runningCell, 'the cell');
            """
        )

    # ------------------------------------------------------------- kernel

    def value(self, expression: str, code: str = "") -> Any:
        """Run code in the kernel, then give back the expression (a Python literal).

        The value rides on the shell's own reply, so no other message has to arrive.
        """
        reply = self.js(
            """
            const future = kernel().requestExecute({code: arg.code, user_expressions: {v: arg.expression},
                store_history: false, stop_on_error: false});
            return (await guard(new Promise(ok => { future.onReply = ok; }), 'kernel reply')).content;
            """,
            {"code": code, "expression": expression},
        )
        assert reply["status"] == "ok", reply
        answer = reply["user_expressions"]["v"]
        assert answer["status"] == "ok", answer
        return as_lists(ast.literal_eval(answer["data"]["text/plain"]))

    def expect_value(self, expression: str, wanted: object, seconds: float = 15) -> None:
        """Poll until the kernel has that value: what the page shows may not have arrived there yet."""
        deadline = time.monotonic() + seconds
        while (got := self.value(expression)) != wanted:
            assert time.monotonic() < deadline, f"{expression} is {got!r}, wanted {wanted!r}"
            time.sleep(0.05)

    def execute(self, code: str) -> None:
        """Run code in the kernel, without a cell."""
        self.value("0", code)

    def restart_kernel(self) -> None:
        """Restart the kernel; its variables are gone."""
        self.js("await guard(panel().sessionContext.session.kernel.restart(), 'restart')")

    # --------------------------------------------------------------- page

    def save(self) -> None:
        """Save the notebook to disk."""
        self.js("await guard(panel().context.save(), 'save')")

    def reload(self) -> None:
        """Save, then load the whole page anew with this notebook in front; the kernel lives on."""
        self.save()
        self._load("default")

    def _load(self, workspace: str) -> None:
        self.page.goto(f"{self._lab.url}/lab/workspaces/{workspace}/tree/{self.name}?reset")
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        self.js(READY)

    def theme(self, name: str) -> None:
        """Switch JupyterLab to "Light" or "Dark"; the style sheet and the end of the splash screen come later."""
        self.js(
            "await guard(app.commands.execute('apputils:change-theme', {theme: arg}), 'theme')",
            f"JupyterLab {name}",
        )
        self.page.wait_for_function(
            """light => document.body.dataset.jpThemeLight === light
                && getComputedStyle(document.body).getPropertyValue('--jp-layout-color1').trim() !== ''
                && !document.getElementById('jupyterlab-splash')""",
            arg="true" if name == "Light" else "false",
        )

    def bring_to_front(self) -> None:
        """Make this notebook the current one."""
        self.js("await guard(app.commands.execute('docmanager:open', {path: arg}), 'open')", self.name)

    def close(self) -> None:
        """Shut the kernel down and close the tab."""
        self.bring_to_front()
        self.js("const p = panel(); await guard(p.sessionContext.shutdown(), 'shutdown'); p.dispose();")
