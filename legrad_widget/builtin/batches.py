"""Endless training scenes with exact labels.

Everything is a pure function of (seed, rank, step), so a resumed run sees exactly what an uninterrupted one sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .augment import augmented
from .compose import find_place, paste
from .nouns import BACKGROUNDS, NOUNS
from .sprites import sheet, sheet_names
from .textures import NAMED, UNNAMED, texture

Array = NDArray[Any]

TILE = 64
SUBJECTS: tuple[str, ...] = (*NOUNS, *BACKGROUNDS)


@dataclass(frozen=True)
class Scale:
    """How scenes look at one image size: width in pixels, weights of 1, 2, ... objects, object sizes in pixels."""

    pixels: int
    counts: tuple[float, ...]
    smallest: float
    largest: float


SCALES: dict[int, Scale] = {
    32: Scale(32, (1.0,), 18, 35),
    48: Scale(48, (0.6, 0.4), 18, 40),
    64: Scale(64, (0.25, 0.35, 0.25, 0.15), 18, 46),
}


@dataclass(frozen=True)
class Batch:
    """One batch of scenes."""

    images: Array  # [B, n, n, 3] uint8
    labels: Array  # [B, n, n] uint8: 0 = background, 1 + index into NOUNS
    present: tuple[tuple[int, ...], ...]  # per scene, indices into NOUNS that are visible
    backgrounds: Array  # [B] index into BACKGROUNDS, or -1


class Sprites:
    """Tiles of some sheets as premultiplied pictures, grouped by noun."""

    def __init__(self, sheets: Sequence[str]) -> None:
        self.tiles: list[Image.Image] = []
        self.monochrome: list[bool] = []
        self.of_noun: list[list[int]] = [[] for _ in NOUNS]
        for name in sheets:
            source = sheet(name)
            for pixels, noun in zip(source.pixels, source.nouns, strict=True):
                self.of_noun[NOUNS.index(noun)].append(len(self.tiles))
                tile = Image.fromarray(pixels).convert("RGBa")
                self.tiles.append(tile if tile.width == TILE else tile.resize((TILE, TILE), Image.Resampling.LANCZOS))
                self.monochrome.append(source.monochrome)

    @cached_property
    def _odds(self) -> list[Array]:
        weights = [np.cumsum([0.5 if self.monochrome[i] else 1.0 for i in group]) for group in self.of_noun]
        return [weight / weight[-1] if len(weight) else weight for weight in weights]

    def draw(self, rng: np.random.Generator, noun: int) -> int:
        """Return a random sprite of a noun; a line drawing has half the chance of the others."""
        return self.of_noun[noun][int(np.searchsorted(self._odds[noun], rng.random()))]


class Looks:
    """A changing bank of augmented sprites.

    Slot (sprite, k) of step t holds look number `(t * renewed + slot) // slots` drawn from its own seed, so the bank of
    any step can be drawn again without its history. Slots are drawn when first used.
    """

    def __init__(
        self, sprites: Sprites, scale: Scale, seed: Sequence[int], *, per_sprite: int = 6, renewed: int = 24
    ) -> None:
        self.sprites, self.scale, self.seed = sprites, scale, tuple(seed)
        self.per_sprite, self.renewed = per_sprite, renewed
        self._drawn: dict[int, tuple[int, Array]] = {}

    def look(self, sprite: int, k: int, step: int) -> Array:
        """Return look `k` of a sprite at a step, `[h, w, 4]` uint8."""
        slot = sprite * self.per_sprite + k
        generation = (step * self.renewed + slot) // (len(self.sprites.tiles) * self.per_sprite)
        held = self._drawn.get(slot)
        if held is None or held[0] != generation:
            rng = np.random.default_rng((*self.seed, slot, generation))
            size = np.exp(rng.uniform(np.log(self.scale.smallest), np.log(self.scale.largest)))
            picture = augmented(rng, self.sprites.tiles[sprite], size, monochrome=self.sprites.monochrome[sprite])
            held = self._drawn[slot] = (generation, shrunk(picture, self.scale.pixels - 2))
        return held[1]


def shrunk(sprite: Array, limit: int) -> Array:
    """Return a sprite that is at most `limit` pixels wide and high."""
    largest = max(sprite.shape[:2])
    if largest <= limit:
        return sprite
    height, width = (max(4, int(side * limit / largest)) for side in sprite.shape[:2])
    small = Image.fromarray(sprite).convert("RGBa").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small.convert("RGBA"))


class Backdrops:
    """A fixed bank of textures to cut backgrounds from, each drawn when first used."""

    units = 192

    def __init__(self, seed: Sequence[int], each: int = 30) -> None:
        self.seed = tuple(seed)
        self.kinds = [name for name in (*NAMED, *UNNAMED) for _ in range(each)]
        self._drawn: dict[int, Array] = {}

    def cut(self, rng: np.random.Generator, pixels: int) -> tuple[Array, int]:
        """Return a writable crop `[pixels, pixels, 3]` and the index of its name in BACKGROUNDS (-1: unnamed)."""
        which = int(rng.integers(0, len(self.kinds)))
        kind = self.kinds[which]
        if which not in self._drawn:
            self._drawn[which] = texture(np.random.default_rng((*self.seed, which)), kind, self.units)
        top, left = rng.integers(0, self.units - pixels + 1, 2)
        crop = self._drawn[which][top : top + pixels, left : left + pixels]
        name = BACKGROUNDS.index(kind) if kind in BACKGROUNDS else -1
        return (crop[:, ::-1] if rng.random() < 0.5 else crop).copy(), name


def seen(labels: Array, nouns: Sequence[int], pixels: int = 24) -> tuple[int, ...]:
    """Return the nouns of a scene with at least `pixels` visible pixels."""
    counts = np.bincount(labels.ravel(), minlength=len(NOUNS) + 1)
    return tuple(noun for noun in dict.fromkeys(nouns) if counts[noun + 1] >= pixels)


class Scenes:
    """Training scenes of one scale for one worker."""

    def __init__(
        self,
        scale: Scale,
        *,
        seed: int = 0,
        rank: int = 0,
        sheets: Sequence[str] | None = None,
        each: int = 30,
    ) -> None:
        self.scale, self.seed, self.rank = scale, seed, rank
        self.sprites = Sprites(sheets if sheets is not None else sheet_names("train"))
        self.looks = Looks(self.sprites, scale, (seed, rank, 1, scale.pixels))
        self.backdrops = Backdrops((seed, rank, 2), each)

    def batch(self, size: int, step: int) -> Batch:
        """Return the batch of one step."""
        rng = np.random.default_rng((self.seed, self.rank, 3, self.scale.pixels, step))
        n = self.scale.pixels
        images, labels = np.empty((size, n, n, 3), np.uint8), np.zeros((size, n, n), np.uint8)
        backgrounds, present = np.empty(size, np.int64), []
        counts = rng.choice(len(self.scale.counts), size, p=self.scale.counts) + 1
        for i in range(size):
            images[i], backgrounds[i] = self.backdrops.cut(rng, n)
            present.append(self._objects(rng, images[i], labels[i], counts[i], step))
        return Batch(images, labels, tuple(present), backgrounds)

    def _objects(self, rng: np.random.Generator, image: Array, labels: Array, count: int, step: int) -> tuple[int, ...]:
        nouns = []
        for noun in rng.integers(0, len(NOUNS), count):
            look = self.looks.look(self.sprites.draw(rng, int(noun)), int(rng.integers(0, self.looks.per_sprite)), step)
            place = find_place(rng, labels, *look.shape[:2])
            if place is not None:
                paste(image, labels, look, *place, int(noun) + 1)
                nouns.append(int(noun))
        return seen(labels, nouns)


def pixels_in(images: Array, rng: np.random.Generator | None = None) -> Array:
    """Return images as the model wants them, `[B, 3, n, n]` float32, with random light and noise if `rng` is given."""
    x = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    if rng is not None:
        size = (len(x), 1, 1, 1)
        x = (x - 0.5) * rng.uniform(0.75, 1.25, size).astype(np.float32) + 0.5
        x += rng.uniform(-0.08, 0.08, (len(x), 3, 1, 1)).astype(np.float32)
        noisy = rng.random(len(x)) < 0.3
        noise = rng.uniform(0, 0.06, (int(noisy.sum()), 1, 1, 1)).astype(np.float32)
        x[noisy] += noise * rng.standard_normal((len(noise), *x.shape[1:]), dtype=np.float32)
        np.clip(x, 0, 1, out=x)
    return (x - 0.5) / 0.25


def patch_coverage(batch: Batch, patch: int, pseudo: int = 12) -> Array:
    """Return `[B, patches, subjects + pseudo]` float32: the share of each patch that a subject covers."""
    size, n, _ = batch.labels.shape
    grid = n // patch
    labels = batch.labels.astype(np.int64)
    ground = np.where(batch.backgrounds >= 0, len(NOUNS) + 1 + batch.backgrounds, 0)
    labels = np.where(labels == 0, ground[:, None, None], labels)
    cells = labels.reshape(size, grid, patch, grid, patch).swapaxes(2, 3).reshape(size * grid * grid, patch * patch)
    width = len(SUBJECTS) + 1 + pseudo
    flat = np.bincount((cells + np.arange(len(cells))[:, None] * width).ravel(), minlength=len(cells) * width)
    return (flat.reshape(size, grid * grid, width)[..., 1:] / patch**2).astype(np.float32)
