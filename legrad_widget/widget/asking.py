"""Questions go to the model's worker, answers come back into the traits; the newest question wins.

The question that stands follows from the traits. It is answered in steps, each a job of its own, so that widgets on
one model take turns: first the method in charge for all targets, then every method that is compared with it. The
worker never blocks on ``_settled`` while it holds the model's lock.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import traitlets

from ..explainer import Model
from ..method import find
from ..models.preprocess import Fit
from . import rules, wire
from .answer import Answer, answer, first_error, recalled
from .chips import Held, read_through
from .comparison import Comparison, beside, outcome_of
from .memory import Memory
from .question import Photo, Question
from .state import QUESTION, SharedState
from .traits import InvalidValue
from .wire import Status
from .worker import Cancelled, Job, Seat, Ticket

log = logging.getLogger(__name__)

PROGRESS_EVERY = 0.1
"""Seconds between two progress reports: hosts limit the number of messages, and nobody reads faster."""


def _without_frames(error: BaseException) -> BaseException:
    """``error`` and what led to it, without the frames, which would keep the encoding alive."""
    link: BaseException | None = error
    while link is not None and link.__traceback__ is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class Asking(SharedState):
    """The traits, and what is computed for them."""

    _seat: Seat

    def _prepare(self, model: Model, fit: Fit, size: int | tuple[int, int] | None) -> None:
        """Everything that traits need before the first one is set."""
        self._settled = threading.Condition(threading.RLock())
        self.model, self._fit, self._size = model, fit, size
        self._scope, self._held, self._memory = rules.Scope.of(model), Held(), Memory()
        self._quiet = True  # while traits are set that belong to one question
        self._browser: contextvars.Context | None = None
        self._photo: Photo | None = None
        self._shown: Photo | None = None
        self._photos, self._rev = itertools.count(1), 0
        self._asked: tuple[Question | None, tuple[Question, ...]] = (None, ())
        self._open: int | None = None  # the rev of the question under way
        self._answer: Answer | None = None
        self._compared: Comparison | None = None
        self._error: BaseException | None = None

    def wait(self, timeout: float | None = 60) -> None:
        """Return when the last question is answered; in a cell or a script, with or without a browser.

        A method that fails while others are compared is a sentence in its pane and in ``status.message``, no error.

        Raises:
            TimeoutError: not done in ``timeout`` seconds; the computation goes on.
            Exception: what made the last question fail; a ValueError where one of its targets cannot be used.
            RuntimeError: called by an observer on the thread that computes, which would wait for itself.
        """
        if self._seat.is_mine:
            raise RuntimeError("wait() was called by an observer on the computing thread, which would wait for itself")
        with self._settled:
            if not self._settled.wait_for(lambda: self._open is None, timeout):
                now = self.status
                raise TimeoutError(
                    f"still {now.state} after {timeout:g} s ({now.message or 'no step done yet'}); "
                    "wait(timeout=...) waits longer, cancel() stops it"
                )
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._answer is not None and (sentence := first_error(self._answer)):
                raise ValueError(sentence)

    def cancel(self) -> None:
        """Stop computing; picture, targets, the last result and the methods compared so far stay as they are."""
        with self._settled:
            self._seat.cancel()
            if self._open is not None:
                self._settle(Status("idle", self._status["rid"], self._open, message="cancelled"))

    # ---------------------------------------------------------------- what is asked

    def _question(self) -> Question | None:
        if self._photo is None:
            return None
        return Question(
            self._photo,
            self.targets.chips,
            tuple(self.targets),
            find(self.method),
            tuple(self.knobs.items()),
            suggest=not self.model.takes_text and self._answer is None,
        )

    def _beside(self, question: Question | None) -> tuple[Question, ...]:
        """What is asked of the other methods; () unless methods are compared."""
        return beside(question, self.active, self._compared_methods) if question is not None else ()

    @traitlets.observe(*QUESTION)
    def _question_changed(self, change: dict[str, Any]) -> None:
        if self._quiet:
            return
        if change["name"] == "method":
            self._keep_knobs()
        if change["name"] == "templates":
            self._reword()
        if self.active >= max(len(self.targets), 1):
            self.active = max(len(self.targets) - 1, 0)
        question = self._question()
        if question is not None and (question, self._beside(question)) != self._asked:
            self._ask()

    def _keep_knobs(self) -> None:
        """A new method keeps the knobs that it has too."""
        known = {knob.name for knob in find(self.method).knobs}
        try:
            self.knobs = {name: value for name, value in self.knobs.items() if name in known}
        except InvalidValue:
            self.knobs = {}

    def _reword(self) -> None:
        """Every prompt is read through the templates from now on."""
        self._quiet = True
        try:
            self.targets = [read_through(target, self.templates) for target in self.targets]
        finally:
            self._quiet = False

    def _take_picture(self, photo: Photo) -> None:
        with self._settled:
            self._photo = photo
            self._ask()

    def _ask(self, rid: str | None = None) -> None:
        """Drop the question under way; answer the present one from memory, or put it to the worker."""
        with self._settled:
            question = self._question()
            self._asked, self._error = (question, self._beside(question)), None
            self._rev += 1
            self._open = rev = self._rev
            self._seat.cancel()
            if question is None:
                self._settle(Status("idle", rid, rev, message="choose a picture first"))
                return
            if question.photo.stale:
                self._memory.keep(None)
            elif (known := recalled(question, self._memory)) is not None:
                self._publish(known, rid, rev)
                return
            self._report(Status("queued", rid, rev, message="waiting for the model"))
            self._submit(partial(self._answer_it, question, rid, rev), rid, rev)

    def _submit(self, job: Job, rid: str | None, rev: int) -> None:
        """Put the next step of the question under way to the worker, with the lock held."""
        # Published in the context of the browser's last message, an answer leaves the kernel routing the browser's
        # next one past a cell that is running by then.
        context = self._browser.copy() if self._browser is not None else None
        if not self._seat.submit(job, context):
            self._settle(Status("idle", rid, rev, message="the widget is closed"))

    # ---------------------------------------------------------------- on the worker's thread

    def _answer_it(self, question: Question, rid: str | None, rev: int, ticket: Ticket) -> None:
        """The first step: every target under the method in charge. Every failure ends in ``_status``."""
        count = len(question.chips)
        message = f"computing {question.method.title} for {count} target{'s' if count != 1 else ''}"
        try:
            ticket.check()
            if question.photo.encoding is None:
                self._try_report(Status("running", rid, rev, message="reading the picture"))
            progress = self._progress(message, rid, rev, ticket)
            given = answer(self.model, question, progress, self._memory, fit=self._fit, size=self._size)
            ticket.check()
            self._publish(given, rid, rev)
        except Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever a model raises, the widget comes to rest)
            self._fail(error, rid, rev)

    def _compare_next(self, comparison: Comparison, rid: str | None, rev: int, ticket: Ticket) -> None:
        """One more step: the next method that is compared."""
        question = comparison.upcoming
        try:
            ticket.check()
            if question is not None:
                progress = self._progress(comparison.progress, rid, rev, ticket)
                comparison = comparison.finished(question, outcome_of(question, progress, self._memory))
            ticket.check()
            self._publish_comparison(comparison, rid, rev)
        except Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (as above)
            self._fail(error, rid, rev)

    def _progress(self, message: str, rid: str | None, rev: int, ticket: Ticket) -> Callable[[int, int], None]:
        due = time.monotonic() + PROGRESS_EVERY

        def progress(step: int, total: int) -> None:
            nonlocal due
            ticket.check()
            if time.monotonic() >= due:
                due = time.monotonic() + PROGRESS_EVERY
                self._try_report(Status("running", rid, rev, step, total, message))

        return progress

    # ---------------------------------------------------------------- what becomes known

    def _publish(self, given: Answer, rid: str | None, rev: int) -> None:
        """Show an answer, unless another question has been asked meanwhile; then go on to what is compared."""
        with self._settled:
            if rev != self._open:
                return
            with self.hold_sync():
                if not self.targets and given.question.chips:
                    self._adopt(given.question)
                self._answer = given
                self._model = self._model | wire.reliability(self.model.layer_reliability)  # it may be calibrated now
                self._show_or_give_up(self._photo)
                self._result = self._result_of(given, rid, rev)
                questions = self._beside(given.question)
                self._compared = Comparison(questions, given.grid).recalling(self._memory) if questions else None
                self._show_comparison(rid, rev)
            self._go_on(rid, rev)

    def _publish_comparison(self, comparison: Comparison, rid: str | None, rev: int) -> None:
        """Show one more method, unless another question has been asked meanwhile; then go on to the next."""
        with self._settled:
            if rev != self._open:
                return
            self._compared = comparison
            with self.hold_sync():
                self._show_comparison(rid, rev)
            self._go_on(rid, rev)

    def _show_comparison(self, rid: str | None, rev: int) -> None:
        """Show how far the comparison is, in one message with the status that goes with it."""
        comparison = self._compared
        self._comparison = comparison.wired(rid, rev) if comparison is not None else {}
        if comparison is not None and comparison.pending:
            self._report(Status("running", rid, rev, message=comparison.progress))
        else:
            self._settle(Status("idle", rid, rev, message=comparison.first_error if comparison is not None else ""))

    def _go_on(self, rid: str | None, rev: int) -> None:
        """Put the next method to the worker, if the question is not at rest."""
        if self._open == rev and self._compared is not None:
            self._submit(partial(self._compare_next, self._compared, rid, rev), rid, rev)

    def _adopt(self, question: Question) -> None:
        """Take over the target that was suggested."""
        self._quiet = True
        try:
            self.targets = question.things
        finally:
            self._quiet = False
        self._asked = (question, self._beside(question))

    def _result_of(self, given: Answer, rid: str | None, rev: int) -> dict[str, Any]:
        question = given.question
        if not given.outcomes and not question.photo.predictions:
            return {}
        return wire.result(
            question.chips,
            given.outcomes,
            method=question.method,
            knobs=dict(question.knobs),
            depth=self._scope.depth,
            grid=given.grid,
            rid=rid,
            rev=rev,
            image_rev=question.photo.rev,
            predictions=question.photo.predictions,
            predictions_of=question.photo.predictions_of,
            first=self.active,
        )

    def _fail(self, error: BaseException, rid: str | None, rev: int) -> None:
        detail = "".join(traceback.format_exception(error))
        if not isinstance(error, ValueError | TypeError):
            log.error("computing an explanation failed", exc_info=error)
        with self._settled, self.hold_sync():
            if rev == self._open:
                self._error = _without_frames(error)
                self._settle(Status("error", rid, rev, message=rules.sentence(error), detail=detail))

    def _settle(self, status: Status) -> None:
        """Come to rest, with the lock held. A picture that was read is shown; one that was not is given up."""
        self._show_or_give_up(self._photo)
        if self._comparison.get("pending"):
            self._comparison = {**self._comparison, "pending": []}
        self._open = None
        self._report(status)
        self._settled.notify_all()

    def _show_or_give_up(self, photo: Photo | None) -> None:
        if photo is self._shown:
            return
        if photo is None or photo.encoding is None:
            self._photo = self._shown
            return
        self._image, self._shown = photo.wired, photo
        self._memory.keep(photo)  # and let go of the encodings of other pictures

    def _report(self, status: Status) -> None:
        self._status = status.wire

    def _try_report(self, status: Status) -> None:
        """Report if nobody holds the lock: the worker may hold the model's, and progress can be missed."""
        if self._settled.acquire(blocking=False):
            try:
                if status.rev == self._open:
                    self._report(status)
            finally:
                self._settled.release()
