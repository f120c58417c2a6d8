"""The search for the open sample's smallest flip set: a slice for every batch of forwards, with a word between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from . import rules
from .slices import Slices
from .worker import Cancelled, Job, Ticket

if TYPE_CHECKING:
    from ..inspection import Inspection
    from ..inspection.flip_set import FlipSet

log = logging.getLogger(__name__)

TELL_EVERY = 0.2
"""Seconds between two words about how far it is."""


@dataclass(slots=True, eq=False)
class Search:
    """One search. ``state``: running, done, failed or stopped; ``forwards``: how often the model was asked so far."""

    row: int
    state: str = "running"
    forwards: int = 0
    found: FlipSet | None = None
    fault: str = ""
    told_at: float = field(default=0.0, repr=False)

    @property
    def words(self) -> str:
        """How far it is, or why there is no answer; of what was found :func:`.inspect_detail.flip_set_words` tells."""
        if self.state == "running":
            far = f" {self.forwards} forwards so far." if self.forwards else ""
            return f"Removing patches until the prediction changes …{far}"
        return self.fault or f"Stopped after {self.forwards} forwards; nothing was found yet."


class FlipSearch:
    """One search at a time: a new one ends the one before. Methods are called with the gallery's lock held.

    Args:
        inspection: whose samples they are.
        submit: puts a job to the model's worker.
        tell: called with the search, the lock held, when there is something new about it.
        lock: gives the gallery's lock.
    """

    def __init__(
        self,
        inspection: Inspection,
        submit: Callable[[Job], None],
        tell: Callable[[Search], None],
        lock: Callable[[], threading.Condition],
    ) -> None:
        self._inspection, self._submit, self._tell, self._lock = inspection, submit, tell, lock
        self._slices: Slices | None = None

    def begin(self, row: int) -> None:
        """Look for a sample's flip set."""
        self.stop()
        search = Search(row)

        def computation(wait: Callable[[], None]) -> None:
            def progress(forwards: int, _total: int) -> None:
                search.forwards = forwards
                wait()

            search.found = self._inspection.flip_set(row, progress=progress)

        self._slices = slices = Slices(computation)
        self._tell(search)
        self._submit(partial(self._next, slices, search))

    def stop(self) -> None:
        """End the search, if there is one, after the present batch of forwards."""
        if self._slices is not None:
            self._slices.stop()

    def _next(self, slices: Slices, search: Search, _ticket: Ticket) -> None:
        """One slice, and then the next: a job for each."""
        try:
            if slices.go():
                search.state = "done"
        except Cancelled:
            search.state = "stopped"
        except Exception as error:
            log.debug("no flip set of sample %d", search.row, exc_info=error)
            search.state, search.fault = "failed", rules.sentence(error)
        with self._lock():
            if slices is not self._slices:
                return
            if search.state != "running":
                self._slices = None
                self._tell(search)
                return
            if time.monotonic() - search.told_at > TELL_EVERY:
                search.told_at = time.monotonic()
                self._tell(search)
            self._submit(partial(self._next, slices, search))
