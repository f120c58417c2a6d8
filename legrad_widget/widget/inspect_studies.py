"""What the page computes about all errors: which map to trust, groups of errors, and maps against masks.

Each runs on the model's worker in slices, one sample at most: a sample that is opened meanwhile gets its turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rules, wire
from .slices import Slices
from .worker import Cancelled, Job, Ticket

if TYPE_CHECKING:
    from ..inspection import Inspection
    from ..inspection.evidence import Overlay

log = logging.getLogger(__name__)

STUDIES = {"calibrate": "measuring the maps", "clusters": "grouping the errors", "alignment": "comparing with masks"}
"""By their names on the wire, what is being done."""
TELL_EVERY = 0.2
"""Seconds between two words about how far it is."""
FEW_PATCHES = 100
"""On a larger grid ablation is approximated, windows of 2 x 2 first: see ``calibrate(coarse=2)``."""
TOP_PAIRS = 3


class Studies:
    """One at a time. All methods are called with the gallery's lock held.

    Args:
        inspection: what is studied.
        submit: puts a job to the model's worker. tell: publishes how far it is, as ``_study``.
        ended: called, without the lock, when one has ended well.
        lock: gives the gallery's lock.
    """

    def __init__(
        self,
        inspection: Inspection,
        submit: Callable[[Job], None],
        tell: Callable[[dict[str, Any]], None],
        ended: Callable[[], None],
        lock: Callable[[], threading.Condition],
    ) -> None:
        self._inspection, self._submit, self._tell = inspection, submit, tell
        self._ended, self._lock = ended, lock
        self._slices: Slices | None = None
        self._told_at = 0.0

    def begin(self, what: str, samples: int) -> None:
        """Start one.

        Raises:
            Refused: another one runs.
        """
        if self._slices is not None:
            raise rules.Refused("one computation over all errors runs already; stop it first, or wait for it")
        step = [0, 0]

        def computation(wait: Callable[[], None]) -> None:
            def progress(done: int, total: int) -> None:
                step[:] = done, total
                wait()

            _run(self._inspection, what, samples, progress)

        self._slices = slices = Slices(computation)
        self._say(what, "running", step)
        self._submit(partial(self._next, slices, what, step))

    def stop(self) -> None:
        """Stop what runs, if anything does."""
        if self._slices is not None:
            self._slices.stop()

    def _next(self, slices: Slices, what: str, step: list[int], _ticket: Ticket) -> None:
        """One slice, and then the next: a job for each."""
        state, says = "running", ""
        try:
            if slices.go():
                state = "done"
        except Cancelled:
            state = "stopped"
        except Exception as error:
            log.debug("%s failed", STUDIES[what], exc_info=error)
            state, says = "failed", rules.sentence(error)
        with self._lock():
            if state == "running":
                if time.monotonic() - self._told_at > TELL_EVERY:
                    self._say(what, state, step)
                self._submit(partial(self._next, slices, what, step))
                return
            self._slices = None
        if state == "done":
            self._ended()  # the results first: whoever hears that it is done finds them
        with self._lock():
            self._say(what, state, step, says)

    def _say(self, what: str, state: str, step: list[int], says: str = "") -> None:
        self._told_at = time.monotonic()
        self._tell({"what": what, "state": state, "step": step[0], "total": step[1], "message": says})


def _run(inspection: Inspection, what: str, samples: int, progress: Callable[[int, int], None]) -> None:
    if what == "calibrate":
        coarse = 2 if int(np.prod(inspection.grid)) > FEW_PATCHES else None
        inspection.calibrate(samples, coarse=coarse, show=False, progress=progress)
    elif what == "clusters":
        inspection.clusters(progress=progress)
    else:
        inspection.alignment(progress=progress)


# -- what was found, as the page knows it


def studies_of(inspection: Inspection) -> dict[str, Any]:
    """``_studies``: whether there are masks, and what was found so far, by the page or from Python."""
    return {
        "masks": bool(inspection.masks.any or inspection.covers),
        "drawn": described(inspection.overlay)["name"],
        "calibration": _calibration(inspection),
        "clusters": _clusters(inspection),
        "cases": _cases(inspection),
    }


def described(overlay: Overlay) -> dict[str, str]:
    """An overlay as the browser knows it: ``name`` on the wire, and ``title`` for people."""
    from ..inspection.evidence import ATTENTION_GRADIENT
    from ..method import find

    title = "Attention gradient" if overlay.method == ATTENTION_GRADIENT else find(overlay.method).title
    return {"name": f"{overlay.method}/{overlay.weights}", "title": title + _WEIGHED[overlay.weights]}


_WEIGHED = {"paper": "", "equal": ", layers counted equally", "floor": ", floor removed"}
_EXACT = {"name": "", "title": "Exact removal"}


def overlay_named(inspection: Inspection, name: str) -> Overlay:
    """The overlay of a name on the wire.

    Raises:
        ValueError: there is none, or this model cannot have it.
    """
    from ..inspection.evidence import ATTENTION_GRADIENT, Overlay
    from ..method import find

    method, _, weights = name.partition("/")
    overlay = Overlay(method, weights)  # type: ignore[arg-type]
    model = inspection.needs_model("draw other maps")
    if method != ATTENTION_GRADIENT and (why := find(method).refuses(model.vit)):
        raise rules.Refused(why)
    return overlay


def _calibration(inspection: Inspection) -> dict[str, Any] | None:
    found = inspection.calibrated
    if found is None:
        return None
    maps = [*map(described, found.overlays), _EXACT]
    return {
        "by": found.by,
        "samples": len(found.samples),
        "columns": list(found.frame.columns),
        "maps": [
            {**one, "values": wire.numbers(values)}
            for one, (_, values) in zip(maps, found.frame.iterrows(), strict=True)
        ],
    }


def _clusters(inspection: Inspection) -> dict[str, Any] | None:
    found = inspection.clustered
    if found is None:
        return None
    return {
        "silhouette": wire.number(found.silhouette),
        "cards": [
            {
                "number": card.number,
                "size": len(card),
                "medoid": card.medoid,
                "map": wire.pack(card.mean_map),
                "pairs": [{"true": true, "predicted": taken, "count": n} for true, taken, n in card.pairs[:TOP_PAIRS]],
                "flips": wire.number(card.flips),
                "random": wire.number(card.random_flips),
            }
            for card in found.cards
        ],
    }


def _cases(inspection: Inspection) -> dict[str, Any] | None:
    """How many samples that were compared are of which case, by the thresholds of now."""
    from ..inspection.overlap import CASES, MEANINGS

    if not inspection.measured:
        return None
    frame, limits = inspection.frame, inspection.thresholds
    counts = {side: frame[f"case_{side}"].value_counts() for side in ("predicted", "true")}
    return {
        "thresholds": {"iou": limits.iou, "saliency": limits.saliency, "ground": limits.ground},
        "measured": int((frame["case_predicted"] != "").sum()),
        "cases": [
            {"name": case, "says": MEANINGS[case], **{side: int(one.get(case, 0)) for side, one in counts.items()}}
            for case in CASES
        ],
    }
