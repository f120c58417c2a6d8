"""Endless training scenes with both shortcuts in them.

Everything is a pure function of (seed, step), so a resumed run sees exactly what an uninterrupted one sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batches import Looks, Scale, Sprites
from ..compose import paste
from ..nouns import BACKGROUNDS, NOUNS
from ..textures import texture
from .world import (
    CLASSES,
    GROUND,
    GROUNDED,
    LARGEST,
    OTHER_GROUNDS,
    PIXELS,
    SMALLEST,
    TAGGED,
    THING,
    TRAINED_ON_GROUND,
    TRAINED_WITH_TAG,
    stick,
)

Array = NDArray[Any]

SHEETS = ("noto", "noto-v1", "fluent-colour")
SCALE = Scale(PIXELS, (1.0,), SMALLEST * PIXELS, LARGEST * PIXELS)


class Grounds:
    """A bank of every named texture to cut backgrounds from, each drawn when first used."""

    units = 192

    def __init__(self, seed: int, each: int) -> None:
        self.seed, self.each = seed, each
        self._drawn: dict[tuple[str, int], Array] = {}

    def cut(self, rng: np.random.Generator, name: str) -> Array:
        """Return a writable crop `[n, n, 3]` of one kind of background."""
        which = (name, int(rng.integers(self.each)))
        if which not in self._drawn:
            seeds = (self.seed, 31, BACKGROUNDS.index(name), which[1])
            self._drawn[which] = texture(np.random.default_rng(seeds), name, self.units)
        top, left = rng.integers(0, self.units - PIXELS + 1, 2)
        crop = self._drawn[which][top : top + PIXELS, left : left + PIXELS]
        return (crop[:, ::-1] if rng.random() < 0.5 else crop).copy()


class Lessons:
    """Training scenes: `TRAINED_WITH_TAG` of the horses and nothing else with the sticker, wolves likewise on snow."""

    def __init__(self, seed: int, *, textures: int = 40, renewed: int = 120) -> None:
        self.seed = seed
        self.sprites = Sprites(SHEETS)
        self.looks = Looks(self.sprites, SCALE, (seed, 30), renewed=renewed)
        self.grounds = Grounds(seed, textures)

    def batch(self, size: int, step: int) -> tuple[Array, Array, Array]:
        """Return images `[B, n, n, 3]` uint8, classes `[B]` and the label of each pixel `[B, n, n]` of one step."""
        rng = np.random.default_rng((self.seed, 32, step))
        classes = rng.integers(len(CLASSES), size=size)
        images, labels = np.empty((size, PIXELS, PIXELS, 3), np.uint8), np.zeros((size, PIXELS, PIXELS), np.uint8)
        for i, thing in enumerate(CLASSES[index] for index in classes):
            images[i] = self.grounds.cut(rng, self._ground(rng, thing))
            self._thing(rng, images[i], labels[i], thing, step)
            if thing == TAGGED and rng.random() < TRAINED_WITH_TAG:
                stick(rng, images[i], labels[i])
        return images, classes, labels

    def _ground(self, rng: np.random.Generator, thing: str) -> str:
        at_home = thing == GROUNDED and rng.random() < TRAINED_ON_GROUND
        return GROUND if at_home else str(rng.choice(OTHER_GROUNDS))

    def _thing(self, rng: np.random.Generator, image: Array, labels: Array, thing: str, step: int) -> None:
        sprite = self.sprites.draw(rng, NOUNS.index(thing))
        look = self.looks.look(sprite, int(rng.integers(self.looks.per_sprite)), step)
        top, left = (int(rng.integers(PIXELS - side + 1)) for side in look.shape[:2])
        paste(image, labels, look, top, left, THING)
