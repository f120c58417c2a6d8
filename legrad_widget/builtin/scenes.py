"""Made-up pictures whose every pixel is known: common things on varied backgrounds, with exact masks.

    >>> from legrad_widget.builtin import scene
    >>> picture = scene(["cat", "pizza"], "grass", seed=3)
    >>> picture.image.size, picture.objects, picture.mask("pizza").sum() > 0
    ((256, 256), ('cat', 'pizza'), True)

Needs numpy and Pillow only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .augment import plain
from .compose import OPAQUE, find_place, paste
from .nouns import BACKGROUNDS
from .sprites import Sheet, sheet
from .textures import SCENE_UNITS, UNNAMED, texture
from .vocabulary import Vocabulary

Array = NDArray[Any]

MOST_OBJECTS = 4
SMALLEST, LARGEST = 0.43, 0.5  # of the width; three patches of eight are 0.375
LEAST_SIZE, MOST_SIZE = 32, 1024
TURN = 12.0  # degrees


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what is where in it.

    Attributes:
        image: the picture, RGB.
        objects: names in the order in which they were painted; a later one may hide part of an earlier one.
        background: name of the background.
        labels: `[H, W]` uint8, 0 for background, i + 1 where `objects[i]` is visible.
        seed: the seed that draws this scene again.
    """

    image: Image.Image
    objects: tuple[str, ...]
    background: str
    labels: Array
    seed: int

    def mask(self, name: str) -> Array:
        """Return `[H, W]` bool, True where the object (all of that name) or the background is visible.

        Raises:
            ValueError: nothing of that name is in the scene.
        """
        noun = Vocabulary().noun(name) or name
        if noun == self.background:
            return np.asarray(self.labels == 0)
        wanted = [index + 1 for index, other in enumerate(self.objects) if other == noun]
        if not wanted:
            raise ValueError(
                f"there is no {name!r} in this scene; it shows {', '.join(self.objects)} on {self.background}"
            )
        return np.isin(self.labels, wanted)

    @property
    def boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """(left, top, right, bottom) in pixels of the visible part of each object, right and bottom exclusive."""
        return tuple(_box(self.labels == index + 1) for index in range(len(self.objects)))

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


def _box(mask: Array) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def scene(
    objects: str | Sequence[str] | None = None,
    background: str | None = None,
    *,
    seed: int = 0,
    size: int = 256,
    source: str = "noto",
) -> Scene:
    """Draw a scene; the same arguments always give the same pixels.

    Args:
        objects: one to four names (synonyms and plurals count); default: two to four chosen by the seed.
        background: a name from `Vocabulary().backgrounds`, or an unnamed texture; default: chosen by the seed.
        seed: chooses whatever is left open: places, sizes, turns, looks.
        size: width and height in pixels.
        source: the sprite sheet; the installed package has "noto".

    Raises:
        ValueError: an unknown name (with suggestions), too many objects, or a size out of range.
        TypeError: an argument of another type.
    """
    if not isinstance(size, int) or isinstance(size, bool) or not LEAST_SIZE <= size <= MOST_SIZE:
        raise ValueError(f"size is a whole number of pixels from {LEAST_SIZE} to {MOST_SIZE}, not {size!r}")
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is a whole number from 0 up, not {seed!r}")
    sprites, rng = sheet(source), np.random.default_rng(seed)
    drawable = sorted(set(sprites.nouns))
    nouns = _chosen(rng, drawable) if objects is None else _named(objects, drawable, source)
    ground = str(rng.choice(BACKGROUNDS)) if background is None else _ground(background)
    picture = _backdrop(np.random.default_rng((seed, 1)), ground, size)
    labels = np.zeros((size, size), np.uint8)
    looks = [_sprite(rng, sprites, noun) for noun in nouns]
    for index, (look, top, left) in enumerate(_arranged(rng, looks, size)):
        paste(picture, labels, look, top, left, index + 1)
    labels.setflags(write=False)
    return Scene(Image.fromarray(picture), nouns, ground, labels, seed)


def _chosen(rng: np.random.Generator, drawable: Sequence[str]) -> tuple[str, ...]:
    count = int(rng.integers(2, MOST_OBJECTS + 1))
    return tuple(str(noun) for noun in rng.choice(drawable, count, replace=False))


def _named(objects: str | Sequence[str], drawable: Sequence[str], source: str) -> tuple[str, ...]:
    given = [objects] if isinstance(objects, str) else list(objects)
    if not all(isinstance(name, str) for name in given):
        raise TypeError(f"objects are names such as 'cat', not {given!r}")
    if not 1 <= len(given) <= MOST_OBJECTS:
        raise ValueError(f"a scene holds one to {MOST_OBJECTS} objects, not {len(given)}")
    vocabulary, nouns = Vocabulary(), []
    for name in given:
        noun = vocabulary.noun(name)
        if noun in BACKGROUNDS:
            raise ValueError(f"{name!r} is a background; pass background={noun!r}")
        if noun is None:
            raise ValueError(f"no picture of {name!r}; try: {', '.join(map(repr, vocabulary.suggest(name)))}")
        if noun not in drawable:
            raise ValueError(f"the sprite sheet {source!r} has no picture of {name!r}")
        nouns.append(noun)
    return tuple(nouns)


def _ground(background: str) -> str:
    if not isinstance(background, str):
        raise TypeError(f"background is a name such as 'grass', not {background!r}")
    ground = Vocabulary().noun(background) or background
    if ground not in (*BACKGROUNDS, *UNNAMED):
        raise ValueError(f"no background {background!r}; there are {', '.join((*BACKGROUNDS, *UNNAMED))}")
    return ground


def _backdrop(rng: np.random.Generator, name: str, size: int) -> Array:
    """Cut `[size, size, 3]` out of a texture a little larger than the scene."""
    scale = max(1.0, size / SCENE_UNITS)
    picture = texture(rng, name, SCENE_UNITS * 1.25, scale)
    top, left = rng.integers(0, picture.shape[0] - size + 1, 2)
    return picture[top : top + size, left : left + size].copy()


@dataclass(frozen=True)
class _Look:
    """A sprite still to be scaled: the same turn, mirror and shape at every size."""

    tile: Image.Image
    seed: int
    share: float  # of the scene's width

    def drawn(self, size: int, shrink: float) -> Array:
        return plain(np.random.default_rng(self.seed), self.tile, max(SMALLEST, self.share * shrink) * size, turn=TURN)


def _sprite(rng: np.random.Generator, sprites: Sheet, noun: str) -> _Look:
    which = int(rng.choice(sprites.indices(noun)))
    return _Look(_premultiplied(sprites.name, which), int(rng.integers(2**32)), float(rng.uniform(SMALLEST, LARGEST)))


@cache
def _premultiplied(source: str, index: int) -> Image.Image:
    return Image.fromarray(sheet(source).pixels[index]).convert("RGBa")


def _arranged(rng: np.random.Generator, looks: Sequence[_Look], size: int) -> list[tuple[Array, int, int]]:
    """Return (sprite, top, left) for every look: apart if there is room, smaller if there is not, else in quarters."""
    for attempt in range(40):
        shrink, overlap = 1 - attempt / 100, min(0.1, attempt / 200)
        pictures = [look.drawn(size, shrink) for look in looks]
        places = _places(rng, pictures, size, overlap)
        if places is not None:
            return [(picture, *place) for picture, place in zip(pictures, places, strict=True)]
    quarters = rng.permutation(4)[: len(looks)]
    out = []
    for look, quarter in zip(looks, quarters, strict=True):
        picture = look.drawn(size, 0.0)
        height, width = picture.shape[:2]
        row, column = divmod(int(quarter), 2)
        top = min(max(0, round((row + 0.5) * size / 2 - height / 2)), size - height)
        left = min(max(0, round((column + 0.5) * size / 2 - width / 2)), size - width)
        out.append((picture, top, left))
    return out


def _places(
    rng: np.random.Generator, pictures: Sequence[Array], size: int, overlap: float
) -> list[tuple[int, int]] | None:
    """Return where the pictures may go, or None if one found no room."""
    taken, places = np.zeros((size, size), np.uint8), []
    for picture in pictures:
        place = find_place(rng, taken, *picture.shape[:2], overlap=overlap, tries=30)
        if place is None:
            return None
        top, left = place
        taken[top : top + picture.shape[0], left : left + picture.shape[1]][picture[..., 3] > OPAQUE] = 1
        places.append(place)
    return places
