"""A long computation in slices: between two of them whoever else waits for the worker gets a turn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .worker import Cancelled

log = logging.getLogger(__name__)


class Slices:
    """Runs ``computation`` on a thread of its own, which goes on only inside :meth:`go`.

    So the computation may be any function that says now and then that it could wait, and still never runs at the same
    time as the other jobs of the worker that calls ``go``.

    Args:
        computation: called with a function that it calls between two slices, where it holds no lock; that function
            raises Cancelled after :meth:`stop`.
    """

    def __init__(self, computation: Callable[[Callable[[], None]], None]) -> None:
        self._computation = computation
        self._thread: threading.Thread | None = None
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._stopped = False
        self._ended = False
        self._error: Exception | None = None

    def go(self) -> bool:
        """Run the next slice; True: there is none after it.

        Raises:
            Exception: what the computation raised; Cancelled where it was stopped.
        """
        if self._stopped:
            raise Cancelled
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="legrad-widget", daemon=True)
            self._thread.start()
        else:
            self._turn.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error
        return self._ended

    def stop(self) -> None:
        """End it at the end of the present slice; from any thread, at once."""
        self._stopped = True
        self._turn.release()

    def _run(self) -> None:
        try:
            self._computation(self._wait)
        except Exception as error:
            log.debug("a computation in slices ended early", exc_info=error)
            self._error = error  # whoever calls go() has it
        finally:
            self._ended = True
            self._back.release()

    def _wait(self) -> None:
        self._back.release()
        self._turn.acquire()
        if self._stopped:
            raise Cancelled
