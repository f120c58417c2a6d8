"""Tools on the worker, through a seat of their own: one at a time, the latest wins, a new question stops it.

A tool runs in steps, each a job of its own, so that questions and other widgets take turns with it. What it finds goes
into ``_tools``, newest first of every tool; how far it is stands under ``busy``. The worker never blocks on
``_settled`` while it holds the model's lock.
"""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from . import asking, rules
from .asking import Asking
from .message import Use
from .question import Photo
from .rules import Refused
from .tool_rules import Ground
from .tools import Data, Found, Subject, args_of, find_tool
from .wire import label_of
from .worker import Cancelled, Seat, Ticket

log = logging.getLogger(__name__)

BYTES_A_SECOND = 2 * 2**20
"""Progress is told more rarely where a trait is big, since all of it travels every time."""


class Run:
    """A tool under way."""

    def __init__(self, use: Use, args: Data, label: str, grows: bool) -> None:
        self.use, self.args, self.label, self.grows = use, args, label, grows
        self.steps: Iterator[Found] = iter(())
        self.ticket = Ticket()
        self.data: Data | None = None
        self.step = self.total = 0
        self.due = 0.0

    def entry(self, state: str, data: Data, message: str = "") -> Data:
        """As the browser knows it."""
        use = self.use
        about = {"rid": use.rid, "rev": use.rev, "target": use.target, "label": self.label, "args": self.args}
        return about | {"state": state, "step": self.step, "total": self.total, "message": message} | data

    def busy(self, message: str) -> Data:
        """How far it is."""
        use = self.use
        return {"tool": use.tool, "rid": use.rid, "step": self.step, "total": self.total, "message": message}


class Running(Asking):
    """The tools of a widget."""

    _tool_seat: Seat
    _run: Run | None = None

    def _use(self, use: Use) -> None:
        """Start a tool, or stop the one that runs; with the lock held.

        Raises:
            Refused: no such tool, args that do not fit, or it is about an answer that is not shown.
        """
        if use.tool == "stop":
            self._stop_tool()
            return
        tool = find_tool(use.tool)
        given = self._answer
        if given is None or use.rev != self._result.get("rev") or self._open not in (None, use.rev):
            raise Refused(f"{use.tool} was asked about an answer that is not shown any more; ask it again")
        if use.target >= len(given.question.chips):
            raise Refused(f"there is no target {use.target}; the answer has {len(given.question.chips)}, from 0")
        args = args_of(use.tool, use.args, Ground.of(self.model, given.grid, self._scope))
        run = Run(use, args, label_of(given.question.chips[use.target]), tool.grows)
        run.steps = tool.run(Subject(given, use.target, self._memory, partial(self._tool_progress, run)), args)
        with self.hold_sync():
            self._stop_tool()
            self._run = run
            self._show_tools({"busy": run.busy("waiting for the model")})
        self._submit_step(run)

    def _stop_tool(self) -> None:
        """Stop the tool that runs, with the lock held; what it found so far stays, and without any what was there."""
        if (run := self._run) is not None:
            self._tool_seat.cancel()
            self._end_tool(run, "stopped", "stopped")

    # ---------------------------------------------------------------- what else ends a tool

    def cancel(self) -> None:
        """Stop computing, tools too; picture, targets, the last result and the methods compared stay as they are."""
        with self._settled:
            self._stop_tool()
            super().cancel()

    def _ask(self, rid: str | None = None) -> None:
        with self._settled:
            self._stop_tool()
            super()._ask(rid)

    def _show_or_give_up(self, photo: Photo | None) -> None:
        before = self._shown
        super()._show_or_give_up(photo)
        if self._shown is not before:
            self._stop_tool()
            self._tools = {}

    # ---------------------------------------------------------------- on the worker's thread

    def _submit_step(self, run: Run) -> None:
        """Put the tool's next step to the worker, with the lock held."""
        context: contextvars.Context | None = self._browser.copy() if self._browser is not None else None
        if not self._tool_seat.submit(partial(self._tool_step, run), context):
            self._end_tool(run, "stopped", "the widget is closed")

    def _tool_step(self, run: Run, ticket: Ticket) -> None:
        """One step. Whatever a tool raises, it comes to rest."""
        run.ticket = ticket
        try:
            ticket.check()
            found = next(run.steps, None)
            ticket.check()
            self._take_found(run, found)
        except Cancelled:
            with self._settled:
                self._end_tool(run, "stopped", "stopped")
            raise
        except BaseException as error:
            if not isinstance(error, ValueError | TypeError):
                log.error("the tool %s failed", run.use.tool, exc_info=error)
            with self._settled:
                self._end_tool(run, "failed", rules.sentence(error))

    def _take_found(self, run: Run, found: Found | None) -> None:
        """Keep what is new, show it in due time, and go on; None: that was all."""
        with self._settled:
            if run is not self._run:
                return
            if found is not None:
                self._keep_found(run, *found)
            if found is None or not run.grows:
                run.step = run.total
                self._end_tool(run, "done")
            else:
                self._submit_step(run)

    def _keep_found(self, run: Run, name: str, data: Data) -> None:
        if name != run.use.tool:  # found on the way, and whole
            self._show_tools({name: run.entry("done", data) | {"args": {}, "step": 0, "total": 0}})
            return
        first, run.data = run.data is None, data
        if run.grows and (first or self._is_due(run)):
            self._show_tools({name: run.entry("running", data), "busy": run.busy("")})

    def _tool_progress(self, run: Run, step: int, total: int) -> None:
        """Tell how far a tool is, if nobody holds the lock: the worker may hold the model's. Cancelled: raises."""
        run.ticket.check()
        run.step, run.total = step, total
        if self._is_due(run) and self._settled.acquire(blocking=False):
            try:
                if run is self._run:
                    self._show_tools({"busy": run.busy("")})
            finally:
                self._settled.release()

    def _is_due(self, run: Run) -> bool:
        now = time.monotonic()
        if now < run.due:
            return False
        run.due = now + max(asking.PROGRESS_EVERY, _nbytes(self._tools) / BYTES_A_SECOND)
        return True

    def _end_tool(self, run: Run, state: str, message: str = "") -> None:
        """Come to rest, with the lock held. A tool that was stopped before it found anything leaves what was there."""
        if run is not self._run:
            return
        self._run = None
        run.steps = iter(())  # its frame holds this run, and the encoding
        nothing = state == "stopped" and run.data is None
        ended = {} if nothing else {run.use.tool: run.entry(state, run.data or {}, message)}
        self._show_tools(ended | {"busy": None})

    def _show_tools(self, new: Data) -> None:
        self._tools = {**self._tools, **new}


def _nbytes(value: Any) -> int:
    """Bytes of the arrays in a trait."""
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    return len(value) if isinstance(value, bytes) else 0
