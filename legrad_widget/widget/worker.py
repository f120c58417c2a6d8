"""One thread computes for every widget on a model; the newest question wins.

The kernel runs message handlers on its main thread or on a subshell's, so a handler must be quick and no
model may run there. A :class:`Worker` is one daemon thread with a place in line (:class:`Seat`) for every
widget that shares a model. A seat holds one job: a new one takes the place of the old and tells it, through
its :class:`Ticket`, to stop.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

LINGER = 30.0
"""Seconds that an idle thread stays: a thread that comes back finds its torch thread pool warm."""

GRACE = 10.0
"""Seconds that Python waits at its exit for the step that is being computed."""


class Cancelled(Exception):
    """Raised inside a job by :meth:`Ticket.check` when nobody wants its answer any more."""


class Ticket:
    """What a running job asks now and then: is the answer still wanted?"""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted = True

    def check(self) -> None:
        """Raise Cancelled unless the answer is still wanted."""
        if not self.wanted:
            raise Cancelled


Job = Callable[[Ticket], None]


@dataclass(frozen=True, slots=True)
class _Task:
    job: Job
    context: contextvars.Context
    ticket: Ticket = field(default_factory=Ticket)


class Seat:
    """One widget's place at a worker. Thread-safe; every method returns at once (with threads)."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: _Task | None = None
        self._running: Ticket | None = None

    def submit(self, job: Job, context: contextvars.Context | None = None) -> bool:
        """Run ``job(ticket)`` as soon as the worker is free, in place of whatever this seat had asked for.

        The job runs inside ``context`` (default: a copy of the caller's), so that what it publishes counts as
        an answer to the message that asked for it. False after :meth:`close`: nothing is run then.
        """
        return self._worker._submit(self, _Task(job, context or contextvars.copy_context()))

    def cancel(self) -> bool:
        """Drop the waiting job and ask the running one to stop; True if there was either."""
        return self._worker._cancel(self)

    def close(self) -> None:
        """Leave: cancel everything, and let the thread end if nobody else is seated."""
        self._worker._leave(self)

    @property
    def is_mine(self) -> bool:
        """True on the thread of this seat's worker, which must never wait for itself."""
        return self._worker._ident == threading.get_ident()


class Worker:
    """A daemon thread that serves seats in order of arrival; it starts with the first job and ends unused.

    Args:
        start: Runs the serving loop: :func:`in_thread`, or :func:`inline` where there are no threads.
        linger: Seconds to wait for another job before the thread ends.
    """

    def __init__(self, start: Callable[[Callable[[], None]], None] | None = None, linger: float = LINGER) -> None:
        self._start = start or (inline if sys.platform == "emscripten" else in_thread)
        self._linger = 0.0 if self._start is inline else linger
        self._changed = threading.Condition()
        self._line: deque[Seat] = deque()
        self._seats: set[Seat] = set()
        self._serving = False
        self._ident: int | None = None
        _living.add(self)

    def seat(self) -> Seat:
        """A new place in line; close it when its widget closes."""
        seat = Seat(self)
        with self._changed:
            self._seats.add(seat)
        return seat

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._serving

    def _submit(self, seat: Seat, task: _Task) -> bool:
        with self._changed:
            if seat not in self._seats:
                return False
            self._withdraw(seat)
            seat._waiting = task
            self._line.append(seat)
            self._changed.notify_all()
            if self._serving:
                return True
            self._serving = True
        self._start(self._serve)
        return True

    def _cancel(self, seat: Seat) -> bool:
        with self._changed:
            return self._withdraw(seat)

    def end(self, seconds: float) -> None:
        """Close every seat, and wait at most so long until nothing is computed any more."""
        with self._changed:
            for seat in tuple(self._seats):
                self._withdraw(seat)
            self._seats.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._serving, max(0.0, seconds))

    def _leave(self, seat: Seat) -> None:
        with self._changed:
            self._withdraw(seat)
            self._seats.discard(seat)
            self._changed.notify_all()

    def _withdraw(self, seat: Seat) -> bool:
        had = seat._waiting is not None or seat._running is not None
        if seat._waiting is not None:
            seat._waiting = None
            self._line.remove(seat)
        if seat._running is not None:
            seat._running.wanted = False
        return had

    def _serve(self) -> None:
        self._ident = threading.get_ident()
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        # A function of its own: between two jobs no local name may keep the last job, its widget and its
        # model alive.
        taken = self._take()
        if taken is None:
            return False
        seat, task = taken
        try:
            task.context.run(task.job, task.ticket)
        except Cancelled:
            pass
        except BaseException:  # one job's failure must not end the thread that serves the others
            log.exception("a widget's job failed outside its own error handling")
        finally:
            with self._changed:
                seat._running = None
        return True

    def _take(self) -> tuple[Seat, _Task] | None:
        with self._changed:
            while not self._line:
                waited = bool(self._seats) and self._changed.wait(self._linger)
                if not waited and not self._line:
                    self._serving, self._ident = False, None
                    self._changed.notify_all()
                    return None
            seat = self._line.popleft()
            task, seat._waiting = seat._waiting, None
            assert task is not None
            seat._running = task.ticket
            return seat, task


def in_thread(serve: Callable[[], None]) -> None:
    """Serve on a daemon thread."""
    threading.Thread(target=serve, name="legrad-widget", daemon=True).start()


def inline(serve: Callable[[], None]) -> None:
    """Serve here and now: ``submit`` returns when the job is done."""
    serve()


_living: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Stop computing before Python ends: a daemon thread that Python ends in the midst of torch aborts the process."""
    deadline = time.monotonic() + GRACE
    for worker in tuple(_living):
        worker.end(deadline - time.monotonic())


_workers: weakref.WeakKeyDictionary[object, Worker] = weakref.WeakKeyDictionary()
_workers_lock = threading.Lock()


def worker_of(model: object) -> Worker:
    """The worker of ``model``: the same one for every widget that shows it. Does not keep the model alive."""
    with _workers_lock:
        if model not in _workers:
            _workers[model] = Worker()
        return _workers[model]
