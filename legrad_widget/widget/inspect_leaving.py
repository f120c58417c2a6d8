"""The saved page that a browser asks for: made on the model's worker in slices, one sample at most."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from . import rules
from .inspect_message import Rows
from .slices import Slices
from .worker import Cancelled, Job, Ticket

log = logging.getLogger(__name__)

TELL_EVERY = 0.2
"""Seconds between two words about how far it is."""

Progress = Callable[[int, int], None]


class Leaving:
    """One at a time. ``begin`` and ``stop`` are called with the gallery's lock held.

    Args:
        make: the page with pictures, maps and details of some samples.
        submit: puts a job to the model's worker. send: sends a message and its buffers to the page.
        lock: gives the gallery's lock.
    """

    def __init__(
        self,
        make: Callable[[Rows, Progress], str],
        submit: Callable[[Job], None],
        send: Callable[[dict[str, Any], list[bytes]], None],
        lock: Callable[[], threading.Condition],
    ) -> None:
        self._make, self._submit, self._send, self._lock = make, submit, send, lock
        self._slices: Slices | None = None
        self._told_at = 0.0

    def begin(self, rid: str, rows: Rows) -> None:
        """Start one."""
        if self._slices is not None:
            self._answer(rid, message="A page is being made already; wait for it, or stop it first.")
            return
        step, made = [0, 0], [b""]

        def computation(wait: Callable[[], None]) -> None:
            def progress(done: int, total: int) -> None:
                step[:] = done, total
                wait()

            made[0] = self._make(rows, progress).encode("ascii")

        self._slices = slices = Slices(computation)
        self._submit(partial(self._next, slices, rid, step, made))

    def stop(self) -> None:
        """Stop what runs, if anything does."""
        if self._slices is not None:
            self._slices.stop()

    def _next(self, slices: Slices, rid: str, step: list[int], made: list[bytes], _ticket: Ticket) -> None:
        """One slice, and then the next: a job for each."""
        message = ""
        try:
            if not slices.go():
                with self._lock():
                    self._tell(rid, step)
                    self._submit(partial(self._next, slices, rid, step, made))
                return
        except Cancelled:
            message = "Stopped."
        except Exception as error:
            log.debug("the page could not be made", exc_info=error)
            message = rules.sentence(error)
        with self._lock():
            self._slices = None
            self._answer(rid, *made if not message else (), message=message)

    def _tell(self, rid: str, step: list[int]) -> None:
        if time.monotonic() - self._told_at > TELL_EVERY:
            self._told_at = time.monotonic()
            self._send({"kind": "exporting", "rid": rid, "step": step[0], "total": step[1]}, [])

    def _answer(self, rid: str, *page: bytes, message: str) -> None:
        self._send({"kind": "exported", "rid": rid, "message": message}, list(page))
