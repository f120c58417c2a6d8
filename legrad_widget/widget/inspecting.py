"""The gallery over an inspection: its table streams to the page while the model's worker scores, sample by sample.

Threads. Wishes of the page arrive on the kernel's main thread or on a subshell's. Scoring, maps and flip sets run on
the model's worker, in slices through seats of their own, so that a sample that is opened meanwhile gets its turn after
the present batch. Small pictures are read on a thread of their own. Everything is told under ``_settled``; nobody waits
for that lock while holding the model's.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from . import rules
from .flip_search import FlipSearch, Search
from .inspect_detail import Detail, cases_in, compared, detail_of, flip_set_words
from .inspect_mask import mask_of
from .inspect_message import (
    Draw,
    Flip,
    Leave,
    Limits,
    Mask,
    Note,
    Open,
    Plain,
    Select,
    Steer,
    Study,
    Table,
    Tag,
    Visible,
    Wish,
    is_wish,
    read_wish,
)
from .inspect_pictures import Thumbnails, difference, maps, pictures
from .inspect_studies import Studies, described, overlay_named, studies_of
from .inspect_table import Message, filters, sorts
from .inspect_table import Table as Told
from .listening import Newest
from .live_part import live_part
from .worker import Job, Seat, Ticket, Worker

if TYPE_CHECKING:
    from ..inspection import Inspection

log = logging.getLogger(__name__)

TELL_EVERY = 0.2
"""Seconds between two messages about the table while it fills; more where making it takes long."""
TELL_SHARE = 0.1
"""Of the time at most, that goes into making the table while it fills."""
TOGETHER = 8
"""Pictures in one message, or maps."""
_MISFITS = (ValueError, TypeError, KeyError, LookupError, traitlets.TraitError)


class Gallery(anywidget.AnyWidget):
    """The part of the widget that shows many samples. Whoever mixes it in calls :meth:`_hang`, and closes it."""

    _gallery = traitlets.Dict().tag(sync=True)
    _scoring = traitlets.Dict().tag(sync=True)
    _sample = traitlets.Dict().tag(sync=True)
    _selected: Any = traitlets.List().tag(sync=True)
    _study = traitlets.Dict().tag(sync=True)
    _studies = traitlets.Dict().tag(sync=True)
    opened = traitlets.Int(None, allow_none=True, read_only=True, help="The sample that is shown; None: none").tag(
        sync=True
    )

    inspection: Inspection
    _settled: threading.Condition

    # ---------------------------------------------------------------- beginning and end

    def _prepare_gallery(self, inspection: Inspection, worker: Worker | None) -> None:
        """Everything that must be there before the comm opens."""
        self.inspection = inspection
        self._told = Told(inspection.total)
        self._thumbnails = Thumbnails(inspection)
        self._gallery_newest = Newest()
        self._gallery_browser: contextvars.Context | None = None
        self._stream: Iterator[Any] | None = None
        self._wanted_maps: deque[int] = deque()
        self._tell_due = 0.0
        self._detail: Detail | None = None
        self._reading = False  # whether something about the open sample is still to come
        shelf = Worker(worker._start if worker is not None else None)
        self._shelf, self._desk, self._counter = shelf.seat(), shelf.seat(), shelf.seat()
        self._live = worker is not None
        bench = worker or shelf  # maps that were saved are there without a model
        self._benches = tuple(bench.seat() for _ in range(6))
        self._run_seat, self._map_seat, self._sample_seat, self._flip_seat, self._study_seat = self._benches[:5]
        self._leave_seat = self._benches[5]
        self._all = Studies(
            inspection,
            partial(self._submit_to, self._study_seat),
            partial(self.set_trait, "_study"),
            self.refresh,
            lambda: self._settled,
        )
        self._flips = FlipSearch(
            inspection, partial(self._submit_to, self._flip_seat), self._tell_flip, lambda: self._settled
        )
        self._gallery = self._described()
        self._scoring = {"state": "idle", "step": inspection.done, "total": inspection.total, "message": ""}

    def _close_gallery(self) -> None:
        """Stop everything."""
        self._all.stop()
        self._flips.stop()
        for seat in (*self._benches, self._shelf, self._desk, self._counter):
            seat.close()
        self._stream, self._reading = None, False
        self._wanted_maps.clear()
        self._settled.notify_all()

    def _described(self) -> dict[str, Any]:
        """``_gallery``: what stays as it is while the table fills, but for the overlay."""
        inspection = self.inspection
        return {
            "live": self._live,
            "total": inspection.total,
            "classes": list(inspection.class_names),
            "sorts": sorts(_sort_keys()),
            "filters": filters(),
            "drawn": described(inspection.overlay),
        }

    # ---------------------------------------------------------------- what Python asks

    def run(self) -> None:
        """Score what is not scored yet, in the background; it goes on where it was paused."""
        with self._settled:
            if not self._live:
                raise rules.Refused("scoring needs the model: open_inspection(folder, model=model)")
            if self._stream is None:
                self._stream = iter(self.inspection.stream())
                self._tell_progress("running")
                self._submit_to(self._run_seat, self._score_next)

    def pause(self) -> None:
        """Stop scoring after the present batch; everything scored stays."""
        with self._settled:
            if self._stream is not None:
                self._run_seat.cancel()
                self._stream = None
                self._tell_table()
                self._tell_progress("paused", "paused; nothing is lost")

    def wait_for_scores(self, timeout: float | None = None) -> None:
        """Return when every sample is scored, or the run is paused.

        Raises:
            TimeoutError: not done in ``timeout`` seconds; it goes on. RuntimeError: what made the run fail.
        """
        with self._settled:
            if not self._settled.wait_for(lambda: self._stream is None, timeout):
                raise TimeoutError(f"{self.inspection.done} of {self.inspection.total} scored after {timeout:g} s")
            if self._scoring.get("state") == "failed":
                raise RuntimeError(self._scoring["message"])

    def _until_read(self, timeout: float | None) -> None:
        """Return when all is there about the open sample that comes by itself."""
        with self._settled:
            if not self._settled.wait_for(lambda: not self._reading, timeout):
                raise TimeoutError(f"sample {self.opened} is not read after {timeout:g} s")

    def _until_at_rest(self) -> None:
        """Return when nothing is being scored, whatever became of it; at once on the thread that scores."""
        if not self._run_seat.is_mine:
            with self._settled:
                self._settled.wait_for(lambda: self._stream is None)

    def refresh(self) -> None:
        """Tell the page what has changed in ``frame``, the selection and the overlay."""
        with self._settled:
            self._tell_table()
            self._tell_progress(self._scoring["state"], self._scoring["message"])
            self._selected = [int(row) for row in self.inspection.selected.index]
            if self._stream is not None:
                self._studies = studies_of(self.inspection, self._all.paces)
            if (detail := self._detail) is not None and detail.cases:
                cases = cases_in(self.inspection.frame, detail.row)  # by the thresholds of now
                if cases != detail.cases:
                    self._tell_detail(replace(detail, cases=cases))
            if self._gallery.get("drawn") != (drawn := described(self.inspection.overlay)):
                self._gallery = {**self._gallery, "drawn": drawn}
                self.send({"kind": "stale", "what": "maps"})
                if self.opened is not None:
                    self._submit_to(self._sample_seat, partial(self._add_map, self.opened))

    # ---------------------------------------------------------------- what the page asks

    def _on_message(self, widget: Any, content: Any, buffers: Any) -> None:
        if not is_wish(content):
            self._on_other_message(widget, content, buffers)
            return
        self._gallery_browser = contextvars.copy_context()
        try:
            wish = read_wish(content, buffers or (), self.inspection.total)
            with self._settled:
                if self._gallery_newest.take(wish):
                    self._grant(wish)
        except _MISFITS as error:
            log.debug("refused a wish of the gallery's page", exc_info=error)
            self.send({"kind": "denied", "rid": None, "message": str(error)})

    def _on_other_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """What is not for the gallery: here nobody else listens."""
        kind = content.get("kind") if isinstance(content, Mapping) else content
        if kind == "hello":
            self.send({"kind": "alive"})
        elif kind == "live":
            self.send(*live_part(rules.words("hash", content.get("hash"), 64)))
        else:
            message = f"there is no model behind this gallery, which {rules.shown(kind)} would need"
            self.send({"kind": "denied", "rid": None, "message": message})

    def _grant(self, wish: Wish) -> None:
        """Do it, with the lock held."""
        if isinstance(wish, Table):
            self._send_all(self._told.whole())
        elif isinstance(wish, Visible):
            self._look_at(wish)
        elif isinstance(wish, Select):
            self.inspection.selected = list(wish.rows)
            self._selected = list(wish.rows)
        elif isinstance(wish, Tag):
            (self.inspection.tag if wish.on else self.inspection.untag)(wish.tag, where=list(wish.rows))
            self._tell_table()
        elif isinstance(wish, Steer):
            (self.run if wish.to == "run" else self.pause)()
        elif isinstance(wish, Open | Note | Flip | Mask | Plain):
            self._grant_about_one(wish)
        elif isinstance(wish, Leave):
            self._leave(wish)
        else:
            self._grant_about_all(wish)

    def _leave(self, wish: Leave) -> None:
        """Make the gallery a file, or stop that."""

    # ---------------------------------------------------------------- scoring

    def _score_next(self, ticket: Ticket) -> None:
        """One batch, and then the next: a job for each."""
        stream = self._stream
        if stream is None:
            return
        ticket.check()
        try:
            rows = next(stream, None)
        except Exception as error:
            log.exception("scoring the samples failed")
            with self._settled:
                self._stream = None
                self._tell_table()
                self._tell_progress("failed", rules.sentence(error))
            return
        with self._settled:
            if stream is not self._stream:
                return
            if rows is None:
                self._stream = None
                self._tell_table()
                self._tell_progress("idle")
                return
            if time.monotonic() >= self._tell_due:
                self._tell_table()
                self._tell_progress("running")
            self._submit_to(self._run_seat, self._score_next)

    def _tell_progress(self, state: str, message: str = "") -> None:
        inspection = self.inspection
        error = self._told.numbers.get("error")
        self._scoring = {
            "state": state,
            "step": int(inspection.done),
            "total": int(inspection.total),
            "message": message,
            "errors": 0 if error is None else int(np.count_nonzero(error == 1)),
            "faults": len(inspection.problems),
        }
        self._settled.notify_all()

    def _tell_table(self) -> None:
        """Tell what is new in the table, and what that says about all errors once it is full, with the lock held."""
        began = time.monotonic()
        self._send_all(self._told.take(self.inspection.frame, _sort_keys()))
        if self._stream is None:
            self._studies = studies_of(self.inspection, self._all.paces)
        now = time.monotonic()
        self._tell_due = now + max(TELL_EVERY, (now - began) / TELL_SHARE)

    # ---------------------------------------------------------------- pictures and maps

    def _look_at(self, seen: Visible) -> None:
        """Send what the page can see and lacks; what it asked for before, and has not come, is not wanted any more."""
        if seen.pictures:
            self._submit_to(self._shelf, partial(self._send_pictures, deque(seen.pictures)))
        self._wanted_maps = deque(seen.maps)
        if seen.maps:
            self._submit_to(self._map_seat, partial(self._map_next, self._wanted_maps))

    def _send_pictures(self, rows: deque[int], ticket: Ticket) -> None:
        while rows:
            ticket.check()
            some = [rows.popleft() for _ in range(min(TOGETHER, len(rows)))]
            message = pictures(some, self._thumbnails)
            with self._settled:
                self._send_all([message])

    def _map_next(self, rows: deque[int], ticket: Ticket) -> None:
        """Some maps, and then the next ones: a job for each, so that whoever else has a seat gets a turn."""
        some: dict[int, NDArray[np.float32]] = {}
        due = time.monotonic() + TELL_EVERY
        while rows and len(some) < TOGETHER and time.monotonic() < due:
            ticket.check()
            row = rows.popleft()
            try:
                some[row] = difference(self.inspection, row)
            except (ValueError, TypeError, LookupError, OSError) as error:
                log.debug("sample %d has no map", row, exc_info=error)
        with self._settled:
            if some:
                self._send_all([maps(list(some), list(some.values()))])
            if rows is self._wanted_maps and rows:
                self._submit_to(self._map_seat, partial(self._map_next, rows))

    # ---------------------------------------------------------------- one sample

    def _grant_about_one(self, wish: Open | Note | Flip | Mask | Plain) -> None:
        if isinstance(wish, Open):
            self.show(wish.row)
        elif isinstance(wish, Note):
            self.inspection.note(wish.row, wish.text)
            self._tell_table()
        elif isinstance(wish, Flip):
            self._find_flip_set(wish)
        elif isinstance(wish, Mask):
            self._draw(wish)
        else:
            self._show_plain(wish.on)

    def show(self, row: int | None) -> None:
        """Show a sample under the gallery, as a click on it does; None: the gallery alone.

        Raises:
            ValueError: there is no such sample, or it could not be read.
        """
        with self._settled:
            if row is not None:
                row = rules.whole("a sample", row, 0, self.inspection.total - 1)
                self._explore(row)
            self.set_trait("opened", row)
            self._detail, self._reading = None, row is not None
            self._flips.stop()
            self._settled.notify_all()
            if row is None:
                self._sample = {}
            else:
                self._submit_to(self._desk, partial(self._read_detail, row))

    def _explore(self, row: int) -> None:
        """Put a sample into the explorer, where there is one."""

    def _read_detail(self, row: int, ticket: Ticket) -> None:
        try:
            detail = detail_of(self.inspection, row)
        except Exception as error:  # whatever is wrong with this one, the gallery goes on
            log.debug("sample %d has no detail", row, exc_info=error)
            detail = Detail(row, needs=rules.sentence(error))
        with self._settled:
            ticket.check()
            self._tell_detail(detail)
            self._submit_to(self._sample_seat, partial(self._add_map, row))

    def _add_map(self, row: int, ticket: Ticket) -> None:
        """The map of the open sample, and what it says against its mask: on the model's worker, where there is one."""
        ticket.check()
        found: NDArray[np.float32] | None = None
        try:
            found = difference(self.inspection, row)
        except Exception as error:
            log.debug("sample %d has no map", row, exc_info=error)
        known = compared(Detail(row), self.inspection)
        with self._settled:
            ticket.check()  # its mask may have been drawn anew meanwhile: then that is compared next
            if self._detail is not None and self._detail.row == row:
                mask = {name: getattr(known, name) for name in ("mask", "cases", "against")}
                self._tell_detail(replace(self._detail, map=found, **mask))
                self._reading = False
                self._settled.notify_all()
            self._tell_table()

    def _tell_detail(self, detail: Detail) -> None:
        if detail.row == self.opened:
            self._detail = detail
            self._sample = detail.wire

    def _find_flip_set(self, wish: Flip) -> None:
        if not wish.on:
            self._flips.stop()
            return
        if not self._live:
            raise ValueError("a flip set needs the model: open_inspection(folder, model=model)")
        self._is_open(wish.row)
        self._flips.begin(wish.row)

    def _tell_flip(self, search: Search) -> None:
        if search.found is not None:
            self._tell_table()
        if self._detail is not None and self._detail.row == search.row:
            found = search.found
            words = search.words if found is None else flip_set_words(found, self.inspection.class_names, search.row)
            patches = [] if found is None else found.patches
            self._tell_detail(self._detail.flipping(search.state, words, patches))

    def _is_open(self, row: int) -> None:
        if self._detail is None or row != self.opened:
            raise ValueError(f"sample {row} is not open; open it first")

    # ---------------------------------------------------------------- its mask

    def _draw(self, wish: Mask) -> None:
        """A shape from the page: pixels whose centre it goes around."""
        from ..inspection.mask_sources import of_polygons
        from ..inspection.sample_mask import picture_size

        self._is_open(wish.row)
        if wish.how == "clear":
            self.draw_mask(wish.row, None)
            return
        size = picture_size(self.inspection, wish.row)
        shape = of_polygons([np.asarray(wish.polygon) * size], size)
        self.draw_mask(wish.row, shape, wish.how)

    def draw_mask(self, index: int, mask: Any, how: Literal["replace", "add", "remove"] = "replace") -> None:
        """Lay a mask on one sample in the place of the one that is there; None goes back to the given one, or to none.

        Arguments and errors as :func:`legrad_widget.inspection.sample_mask.draw_mask`. The sample that is open is
        compared with it at once, others when they are opened, or by ``alignment``.
        """
        self.inspection.draw_mask(index, mask, how)
        self.refresh()
        with self._settled:
            if index == self.opened and self._detail is not None:
                self._tell_detail(replace(self._detail, mask=mask_of(self.inspection, index), cases=(), against=None))
                self._reading = True
                self._submit_to(self._sample_seat, partial(self._add_map, index))

    def _show_plain(self, _on: bool) -> None:
        raise ValueError("plain maps need the model: open_inspection(folder, model=model)")

    # ---------------------------------------------------------------- all errors

    def _grant_about_all(self, wish: Study | Draw | Limits) -> None:
        if isinstance(wish, Draw):
            self.inspection.overlay = overlay_named(self.inspection, wish.name)
            self.refresh()
        elif isinstance(wish, Limits):
            self._limit(wish)
        else:
            self._study_all(wish)

    def _study_all(self, wish: Study) -> None:
        if not wish.on:
            self._all.stop()
        elif not self._live:
            raise rules.Refused("this needs the model: open_inspection(folder, model=model)")
        elif self._stream is not None:
            raise rules.Refused("samples are still being scored; wait for it, or pause it first")
        else:
            self._all.begin(wish.what, wish.options)

    def _limit(self, wish: Limits) -> None:
        """Other thresholds of the cases: what follows from them is told on the shelf's thread, the newest alone."""
        from ..inspection import Thresholds

        self.inspection.thresholds = Thresholds(wish.iou, wish.saliency, wish.ground)
        self._submit_to(self._counter, lambda _ticket: self.refresh())

    # ---------------------------------------------------------------- telling

    def _submit_to(self, seat: Seat, job: Job) -> None:
        """Put a job to a worker, in the context of the page's last message: see ``Asking._submit``."""
        seat.submit(job, self._gallery_browser.copy() if self._gallery_browser is not None else None)

    def _send_all(self, messages: Iterable[Message]) -> None:
        for content, buffers in messages:
            self.send(content, buffers)


def _sort_keys() -> Mapping[str, Any]:
    from ..inspection import SORT_KEYS

    return SORT_KEYS
