"""Pictures on their way in from a browser, in parts: bounded, one for each page, abandoned ones dropped."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .message import Part
from .rules import Refused

MAX_CLIENTS = 4
PATIENCE = 60.0
"""Seconds without a new part after which an upload counts as abandoned."""


@dataclass(slots=True)
class _Upload:
    name: str
    size: int
    parts: int
    touched: float
    chunks: dict[int, bytes] = field(default_factory=dict)

    @property
    def received(self) -> int:
        return sum(map(len, self.chunks.values()))


class Uploads:
    """Joins parts in whatever order they come. Holds at most four uploads of at most 32 MB each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[tuple[str, str], _Upload] = OrderedDict()

    def add(self, part: Part) -> bytes | None:
        """Take one part; the whole file once the last part is there.

        Raises:
            Refused: the part contradicts what came before it; its upload is dropped.
        """
        key = (part.client, part.upload)
        self._drop_abandoned(key)
        upload = self._open.setdefault(key, _Upload(part.name, part.size, part.parts, self._clock()))
        self._open.move_to_end(key)
        upload.touched = self._clock()
        upload.chunks[part.part] = part.data
        complete = len(upload.chunks) == upload.parts
        fits = (upload.size, upload.parts) == (part.size, part.parts) and upload.received <= upload.size
        if not fits or (complete and upload.received != upload.size):
            del self._open[key]
            raise Refused("the parts of the picture do not add up to its size: send it again")
        if not complete:
            return None
        del self._open[key]
        return b"".join(upload.chunks[n] for n in range(upload.parts))

    def clear(self) -> None:
        """Forget everything that is not complete."""
        self._open.clear()

    @property
    def held(self) -> int:
        """Bytes held for uploads that are not complete."""
        return sum(upload.received for upload in self._open.values())

    def _drop_abandoned(self, arriving: tuple[str, str]) -> None:
        late = self._clock() - PATIENCE
        for key, upload in list(self._open.items()):
            superseded = key[0] == arriving[0] and key != arriving
            if upload.touched < late or superseded:
                del self._open[key]
        while len(self._open) >= MAX_CLIENTS and arriving not in self._open:
            self._open.popitem(last=False)
