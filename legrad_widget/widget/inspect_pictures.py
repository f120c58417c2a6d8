"""Small pictures and maps for the samples that a page sees: what is asked for last comes first."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .inspect_table import Message, name_of, pack_rows
from .question import Photo
from .wire import numbers

if TYPE_CHECKING:
    from ..explainer import Encoding, Model
    from ..inspection import Inspection
    from ..intervention import Change
    from ..models.preprocess import Fit

MAX_THUMBNAILS = 16 * 2**20
"""Bytes of thumbnails that are kept."""
LONGEST = 384
"""Pixels of the longer side of the picture beside an open sample's curves."""


class Thumbnails:
    """A sample's small picture by its row, the least recently used ones let go of beyond ``limit`` bytes."""

    def __init__(self, inspection: Inspection, limit: int = MAX_THUMBNAILS) -> None:
        self._inspection, self._limit, self._bytes = inspection, limit, 0
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def __getitem__(self, row: int) -> bytes:
        """Its JPEG or PNG; b"" for one that cannot be read."""
        if row in self._known:
            self._known.move_to_end(row)
            return self._known[row]
        try:
            made = bytes(self._inspection.thumbnail(row))
        except (OSError, ValueError, TypeError, LookupError):  # the table says why: it stands among the problems
            made = b""
        self._known[row] = made
        self._bytes += len(made)
        while self._bytes > self._limit and len(self._known) > 1:
            self._bytes -= len(self._known.popitem(last=False)[1])
        return made


def pictures(rows: Sequence[int], thumbnails: Thumbnails) -> Message:
    """``pictures``: the thumbnails of some samples."""
    return {"kind": "pictures"}, [pack_rows(rows), *(thumbnails[row] for row in rows)]


def maps(rows: Sequence[int], grids: Sequence[NDArray[np.float32]]) -> Message:
    """``maps``: of each sample one map [h, w], above 0 where it speaks for the predicted class, below for the true."""
    together = np.ascontiguousarray(np.stack(grids), dtype="<f4")
    return {"kind": "maps", "grid": list(together.shape[1:])}, [pack_rows(rows), together.tobytes()]


def difference(inspection: Inspection, row: int) -> NDArray[np.float32]:
    """Evidence for the predicted class minus evidence for the true one, by the inspection's overlay, [h, w]."""
    return np.asarray(inspection.contrast(row).difference(), dtype=np.float32)


def encoded(image: Image.Image) -> dict[str, Any]:
    """A picture on the wire, as JPEG, its longer side at most 384 pixels."""
    small = image.convert("RGB")
    small.thumbnail((LONGEST, LONGEST))
    written = io.BytesIO()
    small.save(written, "JPEG", quality=88)
    return {"mime": "image/jpeg", "data": written.getvalue()}


class Sample(Photo):
    """A sample of an inspection as the explorer's picture: read when it is encoded, on the worker's thread."""

    __slots__ = ("inspection", "row")

    def __init__(self, rev: int, inspection: Inspection, row: int, name: str) -> None:
        Photo.__init__(self, rev, None, name)
        self.inspection, self.row = inspection, row

    @property
    def origin(self) -> str:
        """As :attr:`Photo.origin`."""
        return f"sample {self.row} of those that you inspected"

    def encoded(self, model: Model, fit: Fit, size: Any) -> Encoding:
        """As :meth:`Photo.encoded`."""
        if self.source is None:
            self.source = self.inspection.source(self.row)
        return Photo.encoded(self, model, fit, size)

    def without(
        self, encoding: Encoding, patches: Any, how: Any, *, donor: int | None = None, **options: Any
    ) -> Change:
        """As :meth:`Photo.without`, and with patches of another sample."""
        from ..inspection.counterfactual import changed

        return changed(self.inspection, self.row, encoding, patches, how, donor, **options)

    def donor(self, change: Change) -> dict[str, Any] | None:
        """As :meth:`Photo.donor`: its number, how it is called, and its class."""
        if (row := change.donor) is None:
            return None
        inspection = self.inspection
        label = inspection.class_names[inspection.records["label"][row]]
        return {"row": row, "name": name_of(str(inspection.samples.names[row]), row), "label": label}

    def curve(self, encoding: Encoding, change: Change) -> dict[str, Any] | None:
        """As :meth:`Photo.curve`; None too where the logits were given."""
        from ..inspection.counterfactual import changed_curve

        if not self.inspection.layers:
            return None
        before, after = self.inspection.curve(self.row), changed_curve(self.inspection, self.row, encoding, change)
        return {
            "names": list(after.names),
            "before": [numbers(before.true.tolist()), numbers(before.predicted.tolist())],
            "after": [numbers(after.true.tolist()), numbers(after.predicted.tolist())],
        }
