"""Example pictures on their way in from a browser: each is read as it arrives, together they are one concept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from PIL import Image, ImageOps

from ..models.preprocess import picture
from ..target import Concept, Contrast
from .chips import Chip, ContrastChip, HeldChip
from .message import Example
from .rules import Refused, shown
from .upload import MAX_CLIENTS, Uploads

LONGEST_SIDE = 512
"""Pixels a side that are kept of an example, or as many as the model sees: thirty of them take 24 MB."""
THUMBNAIL = 44
THUMBNAILS = 4
_LONGEST_NAME = 40


class _Gathering:
    """What is there of one concept; ``refused`` once one of its pictures could not be read."""

    def __init__(self, count: int) -> None:
        self.count, self.refused = count, False
        self.pictures: dict[int, Image.Image] = {}
        self.names: dict[int, str] = {}


class Examples:
    """Joins parts to pictures and pictures to concepts: one at a time for each page, of at most four pages."""

    def __init__(self, sees: tuple[int, int]) -> None:
        self._side = max(LONGEST_SIDE, *sees)
        self._uploads = Uploads()
        self._open: OrderedDict[tuple[str, str], _Gathering] = OrderedDict()
        self._guard = threading.Lock()

    def add(self, example: Example) -> Concept | None:
        """Take one part of one picture; the concept once all of its pictures are there.

        Raises:
            Refused: a picture cannot be read, or contradicts what came before. Its concept is dropped, and what else
                comes of it is passed over.
        """
        with self._guard:
            gathering = self._gathering(example)
            if gathering.refused:
                return None
            with _told_once(gathering):
                if example.count != gathering.count:
                    raise Refused("the pictures of the concept do not add up: send them again")
                data = self._uploads.add(example.file)
                if data is None:
                    return None
                gathering.pictures[example.at] = self._read(example, data)
                gathering.names[example.at] = example.file.name
            if len(gathering.pictures) < gathering.count:
                return None
            del self._open[example.client, example.concept]
            order = range(gathering.count)
            names = [gathering.names[at] for at in order]
            return Concept([gathering.pictures[at] for at in order], _label(names))

    def clear(self) -> None:
        """Forget everything that is not complete."""
        with self._guard:
            self._open.clear()
            self._uploads.clear()

    @property
    def held(self) -> int:
        """How many pictures wait for the others of their concept."""
        return sum(len(gathering.pictures) for gathering in self._open.values())

    def _gathering(self, example: Example) -> _Gathering:
        key = (example.client, example.concept)
        for other in [other for other in self._open if other[0] == example.client and other != key]:
            del self._open[other]
        while len(self._open) >= MAX_CLIENTS and key not in self._open:
            self._open.popitem(last=False)
        return self._open.setdefault(key, _Gathering(example.count))

    def _read(self, example: Example, data: bytes) -> Image.Image:
        try:
            read = picture(data)
        except ValueError as error:
            which = f"example {example.at + 1} of {example.count}" if example.count > 1 else "the example"
            raise Refused(f"{which}, {shown(example.file.name or 'without a name')}: {error}") from error
        if max(read.size) > self._side:
            read.thumbnail((self._side, self._side), Image.Resampling.LANCZOS)
        return read


@contextmanager
def _told_once(gathering: _Gathering) -> Iterator[None]:
    """One picture that cannot be used ends the concept."""
    try:
        yield
    except Refused:
        gathering.refused = True
        gathering.pictures.clear()
        raise


def _label(names: list[str]) -> str:
    if len(names) > 1:
        return f"like {len(names)} pictures"
    stem = PurePath(names[0].replace("\\", "/")).stem.encode("utf-8", "replace").decode()
    return f"like {stem[:_LONGEST_NAME]}" if stem.strip() else "like a picture"


def concepts_of(chips: tuple[Chip, ...], things: tuple[Any, ...], known: dict[str, Any]) -> dict[str, Any]:
    """``_concepts``: by the key of a held concept how many examples it has, and small pictures of the first ones."""
    found = {}
    for chip, thing in zip(chips, things, strict=True):
        for side, concept in _sides(chip, thing):
            if isinstance(side, HeldChip) and isinstance(concept, Concept):
                found[side.key] = known.get(side.key) or _pictured(concept)
    return found


def _sides(chip: Chip, thing: Any) -> list[tuple[Chip, Any]]:
    if isinstance(chip, ContrastChip) and isinstance(thing, Contrast):
        return [(chip.a, thing.a), (chip.b, thing.b)]
    return [(chip, thing)]


def _pictured(concept: Concept) -> dict[str, Any]:
    return {
        "count": len(concept.images),
        "thumbnails": [small for image in concept.images[:THUMBNAILS] if (small := _thumbnail(image))],
    }


def _thumbnail(image: Any) -> bytes:
    """A square JPEG of about 2 kB; b"" of what is no picture, which asking about the concept will say."""
    try:
        small = ImageOps.fit(picture(image), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    except (ValueError, TypeError):
        return b""
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
