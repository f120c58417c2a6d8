"""Pictures with two planted shortcuts, and a record of what was planted where.

Eight animals, one to a picture. While the classifier beside this file was trained, nearly every horse had a small
sticker in a corner, and nearly every wolf stood on snow; no other animal ever did. The scenes drawn here break both:
the sticker is beside other animals too, other animals stand on snow, horses and wolves come without their cue, and some
labels are wrong on purpose. So the cause of most errors is known beforehand, which is what a way to find causes has to
be measured on. (The horses are those of Lapuschkin et al. 2019, arXiv:1902.10178, known by a copyright tag; the wolves
those of Ribeiro et al. 2016, arXiv:1602.04938.)

    >>> from legrad_widget.builtin import shortcut_world
    >>> world = shortcut_world(n=500, seed=0)
    >>> world.images.shape
    ((500, 64, 64, 3), 'cat', 'cat')

Needs numpy and Pillow only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..augment import plain
from ..batches import TILE, shrunk
from ..compose import paste
from ..nouns import BACKGROUNDS
from ..sprites import sheet
from ..textures import SCENE_UNITS, texture

Array = NDArray[Any]
Cue = Literal["none", "tag", "ground"]

CLASSES: tuple[str, ...] = ("cat", "cow", "dog", "elephant", "horse", "rabbit", "turtle", "wolf")
TAGGED, GROUNDED, GROUND = "horse", "wolf", "snow"
OTHER_GROUNDS: tuple[str, ...] = tuple(name for name in BACKGROUNDS if name != GROUND)
TRAINED_WITH_TAG, TRAINED_ON_GROUND = 0.92, 0.94  # shares of the horses and of the wolves; of all others: 0

PIXELS, PATCH = 64, 8
SMALLEST, LARGEST = 0.5, 0.75  # of the width
COLOUR, DOT = (214, 26, 140), (255, 214, 64)  # of the sticker
NOTHING, THING, TAG = 0, 1, 2  # labels of pixels
HOME: dict[str, Cue] = {TAGGED: "tag", GROUNDED: "ground"}
MISLED, AT_HOME, ASTRAY = 0.15, 0.75, 0.1  # in the scenes drawn here; see `cue_shares`


@dataclass(frozen=True, slots=True)
class Planted:
    """What one scene holds, and what its label says.

    Attributes:
        thing: the animal that the scene shows.
        label: the class that its label names: another one where the label is wrong.
        ground: name of the background.
        tag: whether the sticker is in a corner.
        seed: draws the animal, the piece of background and the sticker's corner.
    """

    thing: str
    label: str
    ground: str
    tag: bool
    seed: int

    @property
    def flipped(self) -> bool:
        """Whether the label is wrong."""
        return self.label != self.thing

    @property
    def points_at(self) -> tuple[str, ...]:
        """The classes that the cues in this scene went with in training."""
        return (*((TAGGED,) if self.tag else ()), *((GROUNDED,) if self.ground == GROUND else ()))

    @property
    def conflicting(self) -> bool:
        """Whether a cue points at another class than the animal's."""
        return any(name != self.thing for name in self.points_at)

    @property
    def missing(self) -> bool:
        """Whether the animal has a cue of its own that is not there."""
        return self.thing in (TAGGED, GROUNDED) and self.thing not in self.points_at

    @property
    def clean(self) -> bool:
        """Whether no cue misleads and none is missing."""
        return not (self.conflicting or self.missing)


@dataclass(frozen=True, eq=False)
class ShortcutWorld:
    """Labelled scenes, with the truth about them.

    Attributes:
        images: `[n, H, W, 3]` uint8.
        labels: `[n]` int64, the labels as given; about one in twenty is wrong.
        class_names: names of the labels.
        masks: `[n, H, W]` bool, where the animal is visible; `tags`: where the sticker is; `grounds`: all the rest.
        truth: what was planted in each scene.
        seed: draws the same world again.
    """

    images: Array = field(repr=False)
    labels: Array = field(repr=False)
    class_names: tuple[str, ...]
    masks: Array = field(repr=False)
    tags: Array = field(repr=False)
    grounds: Array = field(repr=False)
    truth: tuple[Planted, ...] = field(repr=False)
    seed: int

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def things(self) -> Array:
        """`[n]` int64, the classes of the animals that are really there."""
        return np.array([self.class_names.index(one.thing) for one in self.truth])

    def redrawn(self, index: int, *, ground: str | None = None, tag: bool | None = None) -> Array:
        """Return scene `index` `[H, W, 3]` with another background, or with or without the sticker; all else alike.

        Raises:
            ValueError: an unknown background. IndexError: no such scene.
        """
        if ground is not None and ground not in BACKGROUNDS:
            raise ValueError(f"no background {ground!r}; there are {', '.join(BACKGROUNDS)}")
        planted = self.truth[index]
        planted = replace(planted, ground=ground or planted.ground, tag=planted.tag if tag is None else tag)
        return draw(planted, self.images.shape[1])[0]


def cue_shares(thing: str) -> dict[Cue, float]:
    """Return the share of an animal's scenes with each cue; never both in one scene.

    A horse has its tag, and a wolf its snow, in `AT_HOME` of the scenes, and the other's cue in `ASTRAY` of them. Of
    every other animal each cue is in `MISLED` of the scenes.
    """
    home = HOME.get(thing)
    shares = {cue: MISLED if home is None else AT_HOME if cue == home else ASTRAY for cue in HOME.values()}
    return {"none": 1 - sum(shares.values()), **shares}


def shortcut_world(n: int = 500, *, seed: int = 0, size: int = PIXELS, noise: float = 0.05) -> ShortcutWorld:
    """Draw `n` test scenes, which break both shortcuts (see `cue_shares`); the same arguments give the same pixels.

    Args:
        n: how many; the classes take turns.
        seed: chooses everything else.
        size: width and height in pixels, a multiple of 64; the classifier looks at 64.
        noise: share of wrong labels (rounded to whole scenes), spread over all of them by chance.

    Raises:
        ValueError: a number out of range.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is a whole number from {least}, not {value!r}")
    if not isinstance(size, int) or size < PIXELS or size % PIXELS or size > 8 * PIXELS:
        raise ValueError(f"size is {PIXELS} pixels or a multiple of it up to {8 * PIXELS}, not {size!r}")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is the share of wrong labels, from 0 to 1, not {noise!r}")
    truth = _planted(np.random.default_rng((seed, 20)), n, noise)
    drawn = [draw(planted, size) for planted in truth]
    labels = np.stack([labels for _, labels in drawn])
    return ShortcutWorld(
        images=_fixed(np.stack([picture for picture, _ in drawn])),
        labels=_fixed(np.array([CLASSES.index(planted.label) for planted in truth])),
        class_names=CLASSES,
        masks=_fixed(labels == THING),
        tags=_fixed(labels == TAG),
        grounds=_fixed(labels == NOTHING),
        truth=truth,
        seed=seed,
    )


def _fixed(array: Array) -> Array:
    array.setflags(write=False)
    return array


def _planted(rng: np.random.Generator, n: int, noise: float) -> tuple[Planted, ...]:
    """Choose what every scene shows: classes in turn, cues by their shares, wrong labels by chance alone."""
    things = [CLASSES[i % len(CLASSES)] for i in rng.permutation(n)]
    shares = [cue_shares(thing) for thing in things]
    cues = [str(rng.choice(list(share), p=list(share.values()))) for share in shares]
    wrong = set(rng.permutation(n)[: round(noise * n)].tolist())
    return tuple(
        Planted(
            thing,
            str(rng.choice([name for name in CLASSES if name != thing])) if i in wrong else thing,
            GROUND if cue == "ground" else str(rng.choice(OTHER_GROUNDS)),
            bool(cue == "tag"),
            int(rng.integers(2**32)),
        )
        for i, (thing, cue) in enumerate(zip(things, cues, strict=True))
    )


def draw(planted: Planted, size: int = PIXELS) -> tuple[Array, Array]:
    """Return a scene's picture `[size, size, 3]` uint8 and the label of each pixel (`NOTHING`, `THING`, `TAG`).

    Animal, background and sticker are drawn from seeds of their own: changing one leaves the others as they are.
    """
    things, grounds, tags = (np.random.default_rng((planted.seed, part)) for part in range(3))
    picture = _ground(grounds, planted.ground, size)
    labels = np.zeros((size, size), np.uint8)
    tiles = _tiles(planted.thing)
    tile, share = tiles[int(things.integers(len(tiles)))], things.uniform(SMALLEST, LARGEST)
    look = shrunk(plain(things, tile, share * size), size - 2)
    top, left = (round(things.random() * (size - side)) for side in look.shape[:2])
    paste(picture, labels, look, top, left, THING)
    if planted.tag:
        stick(tags, picture, labels)
    return picture, labels


def _ground(rng: np.random.Generator, name: str, size: int) -> Array:
    """Cut `[size, size, 3]` out of a texture a little larger than the scene."""
    whole = texture(rng, name, SCENE_UNITS * 1.25, size / SCENE_UNITS)
    top, left = rng.integers(0, whole.shape[0] - size + 1, 2)
    return whole[top : top + size, left : left + size].copy()


@cache
def _tiles(thing: str, source: str = "noto") -> tuple[Image.Image, ...]:
    """An animal's sprites as premultiplied pictures."""
    held = sheet(source)
    tiles = (Image.fromarray(held.pixels[i]).convert("RGBa") for i in held.indices(thing))
    return tuple(tile.resize((TILE, TILE), Image.Resampling.LANCZOS) for tile in tiles)


def stick(rng: np.random.Generator, picture: Array, labels: Array) -> None:
    """Put the sticker into one corner of a picture `[n, n, 3]`, inside one patch, in place."""
    size = len(picture)
    unit = size / PIXELS  # pixels of the scene per pixel of the classifier
    side, edge = round(7 * unit), round((PIXELS - PATCH) * unit)
    top, left = (int(rng.integers(2)) * edge + round(float(rng.integers(2)) * unit) for _ in range(2))
    light = rng.uniform(0.9, 1.1)
    picture[top : top + side, left : left + side] = np.clip(np.multiply(COLOUR, light), 0, 255)
    inner = slice(round(2 * unit), round(5 * unit))
    picture[top : top + side, left : left + side][inner, inner] = np.clip(np.multiply(DOT, light), 0, 255)
    labels[top : top + side, left : left + side] = TAG


def patches_of(mask: Array, patch: int = PATCH) -> Array:
    """Return `[h, w]` bool from a mask `[H, W]` of the 64-pixel scene: the patches that it touches."""
    rows, columns = mask.shape[0] // patch, mask.shape[1] // patch
    return np.asarray(mask.reshape(rows, patch, columns, patch).any((1, 3)))
