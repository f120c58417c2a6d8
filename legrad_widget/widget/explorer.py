"""The widget: a picture, prompts, and one map per layer of a vision transformer, live in a notebook.

Threads. Messages from the browser arrive on the kernel's main thread or on a subshell's; Python code sets
traits on the main thread; answers are published by the model's worker. Traits change under one lock,
``_settled``, which is also the condition that :meth:`LeGradWidget.wait` sleeps on. The worker never blocks on
that lock while it holds the model's.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import os
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import anywidget
import traitlets
from PIL import Image
from torch import Tensor

from ..explainer import Model
from ..method import find, list_methods
from ..models.preprocess import Fit, picture
from . import rules, wire
from .answer import Answer, Answers, Photo, Question, answer, first_error
from .chips import Chip, Held, read_chips, thing_of
from .message import Ask, Cancel, Hello, Look, Message, Part, Scope, read, read_request
from .rules import Refused, shown
from .traits import Checked, InvalidValue, Targets, read_targets
from .upload import Uploads
from .wire import Status
from .worker import Cancelled, Seat, Ticket, Worker, worker_of

if TYPE_CHECKING:
    from ..explanation import Explanation

log = logging.getLogger(__name__)

PROGRESS_EVERY = 0.1
"""Seconds between two progress reports: hosts limit the number of messages, and nobody reads faster."""
MAX_SENDERS = 256
_MISFITS = (ValueError, TypeError, KeyError, traitlets.TraitError)
"""What a message that does not fit raises, here and in ipywidgets."""

_STATIC = Path(__file__).parent.parent / "static"
_NOT_BUILT = """
export default { render({ el }) {
  el.textContent = "The front end of legrad_widget is not built. In the project's folder run: make demo"
    + " (or: cd js && npm ci && npm run build), then restart the kernel.";
} };
"""

VIEW = ("layers", "opacity", "colormap", "threshold", "smooth")
_PUBLIC = ("targets", "active", "method", "knobs", *VIEW)
_PLUMBING = frozenset(
    {"_request", "_result", "_status", "_image", "_catalogue", "_model", "_esm", "_css", "_anywidget_id"}
)


def _asset(name: str, otherwise: str) -> Path | str:
    """The bundle's text; its path where anywidget is to watch it (ANYWIDGET_HMR=1).

    For a path anywidget connects every widget to the file for good: no widget, nor its model, would ever be freed.
    """
    file = _STATIC / name
    if not file.is_file():
        return otherwise
    return file if os.environ.get("ANYWIDGET_HMR") == "1" else file.read_text(encoding="utf-8") + "\n"


def _read_targets(raw: Any, widget: LeGradWidget) -> Targets:
    try:
        return widget._targets_of(read_chips(raw, widget._scope.class_names))
    except Refused as error:
        raise InvalidValue(str(error)) from error


def _read_active(raw: Any, widget: LeGradWidget) -> Any:
    return min(raw, max(len(widget.targets) - 1, 0)) if isinstance(raw, int) else raw


def _without_frames(error: BaseException) -> BaseException:
    """``error`` and what led to it, without the frames, which would keep the encoding alive."""
    link: BaseException | None = error
    while link is not None and link.__traceback__ is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class LeGradWidget(anywidget.AnyWidget):
    """See what a vision transformer looks at, layer by layer. Usually made by :func:`explore`.

    Set ``targets``, ``active``, ``method``, ``knobs``, ``layers``, ``opacity``, ``colormap``, ``threshold``,
    ``smooth`` and ``image`` from Python, or in the browser. A new picture, target, method or knob is computed
    by a background thread; :meth:`wait` waits for it, :attr:`explanation` is the answer. Several changes under
    ``with w.hold_trait_notifications():`` are one question.

    Args:
        model: From :func:`legrad_widget.load` or :func:`legrad_widget.wrap`.
        image: Anything that ``Model.encode`` takes.
        targets: A prompt, class, vector or Target, or a list of them. A classifier without any is asked for
            the class that it sees.
        method, knobs: A method from the catalogue and its knobs.
        fit, size: How the model sees the picture; see ``Model.encode``.
        suggestions: Prompts that the prompt box offers.
        worker: Runs the computations; default: the one thread of this model.
        view: Initial values of the other traits.

    Raises:
        ValueError, TypeError: an argument cannot be used, in a sentence.
    """

    _esm = _asset("widget.js", _NOT_BUILT)
    _css = _asset("widget.css", "")

    targets = Checked(
        Targets(), lambda w, v: read_targets(v, w.model.target, w._held), help="What the maps are about"
    ).tag(sync=True, to_json=lambda value, widget: value.wire, from_json=_read_targets)
    active = Checked(
        0,
        lambda w, v: rules.whole("active", v, 0, max(len(w.targets) - 1, 0)),
        help="Which target is shown: an index",
    ).tag(sync=True, echo_update=False, from_json=_read_active)
    method = Checked("legrad", lambda w, v: rules.method(v).name, help="A method of the catalogue").tag(sync=True)
    knobs = Checked({}, lambda w, v: rules.knobs(v, find(w.method)), help="Knobs that differ from their defaults").tag(
        sync=True
    )
    layers = Checked(
        None,
        lambda w, v: rules.layers(v, w._scope.depth),
        help="The layers that are merged, 1-based; None: the method's own",
    ).tag(sync=True, echo_update=False)
    opacity = Checked(0.65, lambda w, v: rules.fraction("opacity", v), help="Of the map over the picture").tag(
        sync=True, echo_update=False
    )
    colormap = Checked("inferno", lambda w, v: rules.colormap(v), help=", ".join(rules.COLORMAPS)).tag(
        sync=True, echo_update=False
    )
    threshold = Checked(0.0, lambda w, v: rules.fraction("threshold", v), help="Smaller values are not drawn").tag(
        sync=True, echo_update=False
    )
    smooth = Checked(True, lambda w, v: rules.flag("smooth", v), help="Interpolated, or flat patches").tag(
        sync=True, echo_update=False
    )

    _catalogue: Any = traitlets.List().tag(sync=True)
    _model = traitlets.Dict().tag(sync=True)
    _image = traitlets.Dict().tag(sync=True)
    _result = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict(Status().wire).tag(sync=True)
    _request = traitlets.Dict().tag(sync=True, echo_update=False)

    def __init__(
        self,
        model: Model,
        image: Any = None,
        targets: Any = (),
        *,
        method: str = "legrad",
        knobs: Mapping[str, Any] | None = None,
        fit: Fit = "squash",
        size: int | tuple[int, int] | None = None,
        suggestions: Sequence[str] = (),
        worker: Worker | None = None,
        **view: Any,
    ) -> None:
        if unknown := set(view) - set(VIEW) - {"active"}:
            raise TypeError(f"LeGradWidget has no trait {min(unknown)!r}; it has {', '.join(_PUBLIC)}")
        if fit not in get_args(Fit):
            raise Refused(f"fit is one of {', '.join(get_args(Fit))}; arrived: {shown(fit)}")
        self._settled = threading.Condition(threading.RLock())
        self.model = model
        self._fit, self._size = fit, size
        self._scope = Scope(len(model.vit.blocks), model.class_names)
        self._held, self._uploads, self._answers = Held(), Uploads(), Answers()
        self._newest: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._browser: contextvars.Context | None = None
        self._quiet = True  # while traits are set that belong to one question
        self._photo: Photo | None = None
        self._shown: Photo | None = None
        self._photos, self._rev = itertools.count(1), 0
        self._asked: Question | None = None
        self._open: int | None = None  # the rev of the question under way
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        # What can be refused comes before the comm opens, so that a refusal leaves no widget behind.
        self.targets, self.method, self.knobs = targets, method, knobs or {}
        for name, value in view.items():
            setattr(self, name, value)
        if image is not None:
            self._photo = self._photo_of(image)
        self._catalogue = wire.catalogue(list_methods(), model.vit)
        self._model = wire.model_info(model, suggestions)
        self._seat: Seat = (worker or worker_of(model)).seat()
        super().__init__()
        self._quiet = False
        self.on_msg(self._on_message)
        if self._photo is not None:
            self._ask()

    # ---------------------------------------------------------------- for people

    @property
    def image(self) -> Image.Image | None:
        """The picture, upright RGB. Set it to anything that ``Model.encode`` takes; the targets stay."""
        photo = self._photo
        if photo is not None and photo.picture is None:
            photo = self._shown  # not read yet
        return photo.picture if photo is not None else None

    @image.setter
    def image(self, value: Any) -> None:
        self._take_picture(self._photo_of(value))

    @property
    def explanations(self) -> tuple[Explanation | None, ...]:
        """The answers in the targets' order; None for one that cannot be used, () until they are there."""
        with self._settled:
            known = self._answer
            if known is None or known.question != self._question():
                return ()
            return tuple(outcome.explanation for outcome in known.outcomes)

    @property
    def explanation(self) -> Explanation | None:
        """The answer for the active target; None while it is not there. ``wait()`` first in a script."""
        found = self.explanations
        return found[self.active] if self.active < len(found) else None

    @property
    def status(self) -> Status:
        """What the widget is doing."""
        return Status(**self._status)

    def wait(self, timeout: float | None = 60) -> None:
        """Return when the last question is answered; in a cell or a script, with or without a browser.

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
        """Stop computing; picture, targets and the last result stay as they are."""
        with self._settled:
            self._seat.cancel()
            if self._open is not None:
                self._settle(Status("idle", self._status["rid"], self._open, message="cancelled"))

    def close(self) -> None:
        """End the widget: stop computing, let go of the picture's encoding, close the views."""
        if "_seat" in self.__dict__:
            with self._settled:
                self._seat.close()
                self._open, self._browser = None, None
                self._uploads.clear()
                self._answers.keep(None)
                for photo in {self._photo, self._shown} - {None}:
                    photo.encoding = None  # type: ignore[union-attr]  # None was taken out
                self._settled.notify_all()
        super().close()

    def __repr__(self) -> str:
        seen = self.image
        size = f"{seen.width} x {seen.height}" if seen is not None else None
        targets = ", ".join(shown(target) for target in self.targets[:3]) + (", ..." if len(self.targets) > 3 else "")
        doing = f"{self.method}, {self._status['state']}"
        return f"<LeGradWidget {self.model.name}: picture {size}, targets [{targets}], {doing}>"

    # ---------------------------------------------------------------- asking and answering

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

    def _ask(self, rid: str | None = None) -> None:
        """Put the present question to the worker, or answer it from memory; drop the one under way."""
        with self._settled:
            question = self._question()
            self._asked, self._error = question, None
            self._rev += 1
            self._open = rev = self._rev
            if question is not None and question.photo.stale:
                self._answers.keep(None)
            known = self._answers.get(question) if question is not None else None
            if question is None or known is not None:
                self._seat.cancel()
                self._publish(known, rid, rev)
                return
            self._report(Status("queued", rid, rev, message="waiting for the model"))
            # Published in the context of the browser's last message, an answer leaves the kernel routing the
            # browser's next one past a cell that is running by then.
            context = self._browser.copy() if self._browser is not None else None
            if not self._seat.submit(partial(self._work, question, rid, rev), context):
                self._settle(Status("idle", rid, rev, message="the widget is closed"))

    def _work(self, question: Question, rid: str | None, rev: int, ticket: Ticket) -> None:
        """The job, on the worker's thread: compute, then publish. Every failure ends in ``_status``."""
        try:
            ticket.check()
            if question.photo.encoding is None:
                self._try_report(Status("running", rid, rev, message="reading the picture"))
            given = answer(
                self.model,
                question,
                self._progress(question, rid, rev, ticket),
                fit=self._fit,
                size=self._size,
            )
            self._answers.add(given)
            ticket.check()
            self._publish(given, rid, rev)
        except Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever a model raises, the widget comes to rest)
            self._fail(error, rid, rev)

    def _progress(self, question: Question, rid: str | None, rev: int, ticket: Ticket) -> Callable[[int, int], None]:
        count = len(question.chips)
        sentence = f"computing {question.method.title} for {count} target{'s' if count != 1 else ''}"
        due = time.monotonic() + PROGRESS_EVERY

        def progress(step: int, total: int) -> None:
            nonlocal due
            ticket.check()
            if time.monotonic() >= due:
                due = time.monotonic() + PROGRESS_EVERY
                self._try_report(Status("running", rid, rev, step, total, sentence))

        return progress

    def _publish(self, given: Answer | None, rid: str | None, rev: int) -> None:
        """Show an answer, unless another question has been asked meanwhile. None: there is no picture yet."""
        with self._settled:
            if rev != self._open:
                return
            with self.hold_sync():
                if given is None:
                    self._settle(Status("idle", rid, rev, message="choose a picture first"))
                    return
                if not self.targets and given.question.chips:
                    self._adopt(given.question)
                self._answer = given
                self._result = self._result_of(given, rid, rev)
                self._settle(Status("idle", rid, rev))

    def _adopt(self, question: Question) -> None:
        """Take over the target that was suggested."""
        self._asked, self._quiet = question, True
        try:
            self.targets = question.things
        finally:
            self._quiet = False

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
        )

    def _fail(self, error: BaseException, rid: str | None, rev: int) -> None:
        detail = "".join(traceback.format_exception(error))
        sentence = str(error).strip() or type(error).__name__
        if not isinstance(error, ValueError | TypeError):
            log.error("computing an explanation failed", exc_info=error)
            sentence = f"{type(error).__name__}: {sentence.splitlines()[0]}"
        with self.hold_sync():
            if rev == self._open:
                self._error = _without_frames(error)
                self._settle(Status("error", rid, rev, message=sentence, detail=detail))

    def _settle(self, status: Status) -> None:
        """Come to rest, with the lock held. A picture that was read is shown; one that was not is given up."""
        if self._photo is not self._shown:
            self._show_or_give_up(self._photo)
        self._open = None
        self._report(status)
        self._settled.notify_all()

    def _show_or_give_up(self, photo: Photo | None) -> None:
        if photo is None or photo.encoding is None:
            self._photo = self._shown
            return
        self._image, self._shown = photo.wired, photo
        self._answers.keep(photo)  # and let go of the encodings of other pictures

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

    def _photo_of(self, image: Any) -> Photo:
        """A picture from Python, read here and now, so that a bad one raises where it was set."""
        rev = next(self._photos)
        name = Path(image).name if isinstance(image, str | os.PathLike) else ""
        if isinstance(image, Tensor):
            return Photo(rev, image, name)
        seen = picture(image)
        return Photo(rev, seen, name, seen)

    def _take_picture(self, photo: Photo) -> None:
        with self._settled:
            self._photo = photo
            self._ask()

    @traitlets.observe("targets", "method", "knobs")
    def _question_changed(self, change: dict[str, Any]) -> None:
        if self._quiet:
            return
        if change["name"] == "method":
            self._keep_knobs()
        if self.active >= max(len(self.targets), 1):
            self.active = max(len(self.targets) - 1, 0)
        if self._photo is not None and self._question() != self._asked:
            self._ask()

    def _keep_knobs(self) -> None:
        """A new method keeps the knobs that it has too."""
        known = {knob.name for knob in find(self.method).knobs}
        try:
            self.knobs = {name: value for name, value in self.knobs.items() if name in known}
        except InvalidValue:
            self.knobs = {}

    # ---------------------------------------------------------------- from the browser

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        """Every custom message. Nothing is raised: what does not fit is answered with a sentence."""
        rid = content.get("rid") if isinstance(content, Mapping) else None
        self._browser = contextvars.copy_context()
        try:
            self._handle(read(content, buffers or (), self._scope))
        except _MISFITS as error:
            self._refuse(error, rid)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Hello):
            self.send({"kind": "alive"})
        elif isinstance(message, Part):
            with self._settled:
                data = self._uploads.add(message)
                if data is not None:
                    self._take_picture(Photo(next(self._photos), data, message.name))
        elif self._is_new(message):
            if isinstance(message, Ask):
                self._take_ask(message)
            elif isinstance(message, Look):
                self._take_look(message)
            else:
                self.cancel()

    def _is_new(self, message: Ask | Look | Cancel) -> bool:
        """Whether this page has not sent it before: a question arrives by two ways, and hosts may replay."""
        key = (type(message).__name__, message.client)
        with self._settled:
            if message.n <= self._newest.get(key, -1):
                return False
            self._newest[key] = message.n
            self._newest.move_to_end(key)
            if len(self._newest) > MAX_SENDERS:
                self._newest.popitem(last=False)
            return True

    def _take_ask(self, ask: Ask) -> None:
        with self._settled:
            targets = self._targets_of(ask.targets)
            self._quiet = True
            try:
                with self.hold_sync():  # every page hears of the question, the one that asks included
                    self.targets, self.method, self.knobs = targets, ask.method, ask.knobs
                    self.active = _read_active(ask.active, self)
                    super().set_state(ask.view)
            finally:
                self._quiet = False
            self.send({"kind": "accepted", "rid": ask.rid})
            self._ask(ask.rid)

    def _take_look(self, look: Look) -> None:
        with self._settled:
            super().set_state({**look.view, **({} if look.active is None else {"active": look.active})})

    def _refuse(self, error: Exception, rid: Any = None) -> None:
        log.debug("refused a message from the browser", exc_info=error)
        known = rid if isinstance(rid, str) and len(rid) <= 128 else None
        self.send({"kind": "refused", "rid": known, "message": str(error)})

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Trait writes from the browser. They can be held back while a cell runs, so a question among them
        counts only if it is new, and the public traits that came with it only as part of that question."""
        self._browser = contextvars.copy_context()
        state = {name: value for name, value in sync_data.items() if name not in _PLUMBING}
        try:
            with self._settled:
                request = sync_data.get("_request")
                if request:
                    state = {name: value for name, value in state.items() if name not in _PUBLIC}
                    ask = read_request(request, self._scope)
                    super().set_state({"_request": request})
                    if self._is_new(ask):
                        self._take_ask(ask)
                super().set_state(state)
        except _MISFITS as error:
            self._refuse(error, request.get("rid") if isinstance(request, Mapping) else None)
            self.send_state([name for name in sync_data if name in _PUBLIC])

    def _targets_of(self, chips: tuple[Chip, ...]) -> Targets:
        """Targets from the wire; what the user wrote in Python stays what it was."""
        present = dict(zip(self.targets.chips, self.targets, strict=True))
        things = [present[chip] if chip in present else thing_of(chip, self._held) for chip in chips]
        return Targets(things, chips, self._held)

    # ---------------------------------------------------------------- one lock for all traits

    def __setattr__(self, name: str, value: Any) -> None:
        if "_settled" not in self.__dict__:
            super().__setattr__(name, value)
            return
        with self._settled:
            super().__setattr__(name, value)

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Send several changes as one message. Other threads wait."""
        with self._settled, super().hold_sync():
            yield

    @contextmanager
    def hold_trait_notifications(self) -> Iterator[None]:
        """Make several changes one question. Other threads wait."""
        with self._settled, super().hold_trait_notifications():
            yield
