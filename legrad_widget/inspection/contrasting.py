"""Phase 2: evidence maps of samples, computed when they are looked at and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..target import TargetError
from .evidence import Evidence, Overlay, evidence
from .identity import digest, digest_of_picture
from .problem import InspectionError, PictureGone, Problem
from .reopening import raw
from .streaming import specification
from .weighting import Weights

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]
_BYTES = 64 << 20


class Held:
    """Maps in memory by (sample, method), as bytes: the latest that fit; saved ones stay."""

    def __init__(self, limit: int = _BYTES):
        self.saved: dict[tuple[int, str], bytes] = {}
        self._limit, self._size = limit, 0
        self._latest: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, str]) -> bytes | None:
        """What is held, or None."""
        with self._lock:
            if key in self._latest:
                self._latest.move_to_end(key)
                return self._latest[key]
        return self.saved.get(key)

    def put(self, key: tuple[int, str], value: bytes) -> None:
        """Hold a map; the oldest make room."""
        with self._lock:
            self._size += len(value) - len(self._latest.pop(key, b""))
            self._latest[key] = value
            while self._size > self._limit and len(self._latest) > 1:
                self._size -= len(self._latest.popitem(last=False)[1])

    def everything(self) -> dict[tuple[int, str], bytes]:
        """All that is held now."""
        with self._lock:
            return {**self.saved, **self._latest}

    def forget(self) -> None:
        """Let go of everything that was not saved."""
        with self._lock:
            self._latest.clear()
            self._size = 0


def contrast(
    inspection: Inspection, index: int, method: str | Overlay | None = None, weights: Weights | None = None
) -> Evidence:
    """What spoke for the predicted class over the true one on one sample, and the reverse, per layer.

    Of a sample that is right, the runner-up stands in the place of the true class.

    Args:
        index: the sample.
        method: "attention_gradient", a name of the catalogue, or an Overlay; None: the inspection's own.
        weights: how layers count when the evidence is merged; None: as the overlay says.

    Cost: the first time one forward (to encode the picture) and the method's own; then nothing.

    Raises:
        InspectionError: the sample was skipped, its picture is gone, or a map that was not saved is asked for without a
            model. MethodError: not defined for this model. TargetError: the two classes are the same to the model.
    """
    return _contrast(inspection, inspection.answered(index), overlay_of(inspection, method, weights))


def _contrast(inspection: Inspection, at: int, overlay: Overlay) -> Evidence:
    place = (at, overlay.method)
    held = inspection.maps.get(place)
    if held is None:
        held = _fetched(inspection, at, overlay)
        inspection.maps.put(place, held)
    predicted, rival = inspection.pair(at)
    names = inspection.class_names
    return replace(Evidence.from_bytes(held, overlay), names=(names[predicted], names[rival]))


def contrasts(
    inspection: Inspection,
    rows: Any = None,
    method: str | Overlay | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Evidence]]:
    """The evidence of many samples, one by one in the order given: stop where you like, what is made is kept.

    Args:
        rows: a number of a sample, or several in the order in which they are wanted; None: all errors, the surest
            first.
        method: as in :func:`contrast`. progress: called with (step, total) before each; raises to cancel.

    A sample whose picture is gone, or whose two classes are the same to the model, is left out and listed.
    """
    if isinstance(rows, int | np.integer):
        rows = [rows]
    wanted = surest_first(inspection) if rows is None else [inspection.answered(row) for row in rows]
    for step, at in enumerate(wanted):
        if progress is not None:
            progress(step, len(wanted))
        found = usable_contrast(inspection, at, overlay_of(inspection, method))
        if found is not None:
            yield at, found


def usable_contrast(inspection: Inspection, at: int, overlay: Overlay) -> Evidence | None:
    """The evidence of one of many samples; None where its picture is gone, or its classes are the same to the model.

    That is listed among the problems, once.
    """
    try:
        return _contrast(inspection, at, overlay)
    except (PictureGone, TargetError) as error:
        found = Problem(at, inspection.samples.names[at], "map", str(error))
        if found not in inspection.found:
            inspection.keep(found)
        return None


def on_disk(inspection: Inspection, overlay: Overlay) -> dict[tuple[int, str], bytes]:
    """The maps of the errors by one method that the cache has, by (sample, method)."""
    if inspection.model is None:
        return {}
    keys = {
        key_of(inspection, at, overlay): (at, overlay.method)
        for at in inspection.wrong.tolist()
        if inspection.digests[at].any()
    }
    return {keys[key]: held for key, held in inspection.cache.get("map", keys).items()}


def overlay_of(inspection: Inspection, method: str | Overlay | None = None, weights: Weights | None = None) -> Overlay:
    """What is meant by a method and weights."""
    if isinstance(method, Overlay):
        return method if weights is None else Overlay(method.method, weights)
    if method is None:
        chosen = inspection.overlay
        return chosen if weights is None else Overlay(chosen.method, weights)
    return Overlay(method, weights or "paper")


def surest_first(inspection: Inspection) -> list[int]:
    """The errors, the surest first."""
    wrong = inspection.wrong
    order = np.argsort(-inspection.records["p_pred"][wrong], kind="stable")
    return [int(at) for at in wrong[order]]


def _fetched(inspection: Inspection, at: int, overlay: Overlay) -> bytes:
    """From the cache, or computed and put there."""
    if inspection.model is None:
        raise InspectionError(
            f"the map of sample {at} by {overlay.method!r} was not saved, and there is no model to make it: "
            "lw.open_inspection(folder, model=model)"
        )
    predicted, rival = inspection.pair(at)
    key = key_of(inspection, at, overlay)
    held = inspection.cache.get("map", [key]).get(key)
    if held is None:
        held = evidence(inspection.encoding(at), predicted, rival, overlay).to_bytes()
        inspection.cache.put("map", {key: held})
    return held


def key_of(inspection: Inspection, at: int, overlay: Overlay) -> bytes:
    """What tells the map of a sample from all others; the weights of its layers are no part of it."""
    known = inspection.digests[at]
    picture = known.tobytes() if known.any() else _digest(inspection, at)
    return digest(specification(inspection), picture, overlay.method, *inspection.pair(at))


def _digest(inspection: Inspection, at: int) -> bytes:
    image = raw(inspection, at)
    try:
        return digest_of_picture(image)
    except OSError as error:
        raise PictureGone(f"sample {at} cannot be read: {error}") from error
