"""Scenes to measure on: sprites of chosen sheets with their own colours, at fixed seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .augment import plain
from .batches import Backdrops, Batch, Sprites, seen, shrunk
from .compose import find_place, paste

Array = NDArray[Any]
MOST_OBJECTS = 4
Sizes = tuple[float, float]  # smallest and largest object, as a share of the scene's width


def single_scenes(sheets: Sequence[str], pixels: int, count: int, *, seed: int, sizes: Sizes = (0.36, 0.6)) -> Batch:
    """Return scenes of one object; the nouns take turns, and then the sprites of each noun."""
    rng = np.random.default_rng((seed, 4))
    sprites, nouns = Sprites(sheets), []
    drawn = [noun for noun, group in enumerate(sprites.of_noun) if group]
    for i in range(count):
        noun = drawn[i % len(drawn)]
        group = sprites.of_noun[noun]
        nouns.append([(noun, group[i // len(drawn) % len(group)])])
    return _painted(rng, sprites, nouns, pixels, seed, sizes)


def crowded_scenes(sheets: Sequence[str], pixels: int, count: int, *, seed: int, sizes: Sizes = (0.36, 0.48)) -> Batch:
    """Return scenes of two to four different objects; one that finds no room is left out."""
    rng = np.random.default_rng((seed, 4))
    sprites, nouns = Sprites(sheets), []
    drawn = [noun for noun, group in enumerate(sprites.of_noun) if group]
    for _ in range(count):
        chosen = rng.choice(drawn, int(rng.integers(2, MOST_OBJECTS + 1)), replace=False).tolist()
        nouns.append([(noun, int(rng.choice(sprites.of_noun[noun]))) for noun in chosen])
    return _painted(rng, sprites, nouns, pixels, seed, sizes)


def _painted(
    rng: np.random.Generator,
    sprites: Sprites,
    wanted: Sequence[Sequence[tuple[int, int]]],
    pixels: int,
    seed: int,
    sizes: Sizes,
) -> Batch:
    """Paint one scene for each list of (noun, sprite)."""
    backdrops, count = Backdrops((seed, 5), each=8), len(wanted)
    images: Array = np.empty((count, pixels, pixels, 3), np.uint8)
    labels: Array = np.zeros((count, pixels, pixels), np.uint8)
    backgrounds: Array = np.empty(count, np.int64)
    for i, objects in enumerate(wanted):
        images[i], backgrounds[i] = backdrops.cut(rng, pixels)
        for noun, sprite in objects:
            size = float(np.exp(rng.uniform(*np.log(sizes)))) * pixels
            look = shrunk(plain(rng, sprites.tiles[sprite], size), pixels - 2)
            place = find_place(rng, labels[i], *look.shape[:2], tries=20)
            if place is not None:
                paste(images[i], labels[i], look, *place, noun + 1)
    present = tuple(seen(labels[i], [noun for noun, _ in objects]) for i, objects in enumerate(wanted))
    return Batch(images, labels, present, backgrounds)
