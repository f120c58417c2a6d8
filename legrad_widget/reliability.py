"""From which layer on a layer's score says anything: the target's rank there on a set of images, against chance.

A layer's score reads its tokens with the model's final norm and projection, which early layers were never trained for.
Where the right target stands no better than in the middle of a stated set, the score of that layer tells nothing.

The test, layer by layer: over images with one target each, the sign test (exact, one-sided): how often the target
stands ahead of the middle rank, ties left out, against a fair coin. A layer is reliable where p < 0.01. The layers are
not corrected for each other. Choose images whose targets differ, each target about equally often: a lens that always
prefers the same few would otherwise pass or fail by their luck.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .lens import LayerRanks, layer_ranks

if TYPE_CHECKING:
    from .explainer import Model

Progress = Callable[[int, int], None]
LEVEL = 0.01
FEWEST = 7  # of fewer images not even all together reach p < 0.01: 1/2^6 > 0.01


class CalibrationError(ValueError):
    """Images and targets that nothing can be learned from; the message says why."""


@dataclass(frozen=True, slots=True)
class LayerReliability:
    """What calibration found; every tuple has one number per layer.

    Attributes:
        median_rank: of the target, 1: ahead of all. ``chance_rank``: the middle rank, (of + 1) / 2.
        ahead: on how many images it stood ahead of the middle; ``counted``: of how many, ties left out.
        p_values: of the one-sided sign test. ``level``: below it a layer counts as reliable.
        of: how many targets were ranked, it included; ``among``: which, in words. ``images``: how many.
    """

    median_rank: tuple[float, ...]
    chance_rank: float
    ahead: tuple[int, ...]
    counted: tuple[int, ...]
    p_values: tuple[float, ...]
    level: float
    of: int
    among: str
    images: int

    @property
    def reliable(self) -> tuple[bool, ...]:
        """Per layer, whether its score is better than chance."""
        return tuple(p < self.level for p in self.p_values)

    def why(self, layer: int) -> str:
        """One sentence about a layer (from 1)."""
        index = layer - 1
        found = f"its median rank is {self.median_rank[index]:g} of {self.of} ({self.among}; {self.images} images)"
        if self.reliable[index]:
            return f"layer {layer} finds the target better than chance: {found}"
        return f"layer {layer} does no better than chance, so its score says nothing: {found}"

    def save(self, path: str | os.PathLike[str], **beside: Any) -> None:
        """Write JSON, with ``beside`` next to the figures (what they belong to)."""
        Path(path).write_text(json.dumps(beside | asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LayerReliability:
        """Read what :meth:`save` wrote."""
        return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> LayerReliability:
        """From the JSON's content; what was saved beside the figures is left out.

        Raises:
            CalibrationError: a figure is missing.
        """
        try:
            figures: dict[str, Any] = {name: held[name] for name in cls.__dataclass_fields__}
        except KeyError as error:
            raise CalibrationError(f"this is no layer calibration: {error.args[0]!r} is missing") from None
        fixed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in figures.items()}
        return cls(**fixed)


def calibrate_layers(
    model: Model,
    images: Sequence[Any],
    targets: Sequence[Any],
    *,
    among: Sequence[Any] | None = None,
    progress: Progress | None = None,
) -> LayerReliability:
    """Learn which layers' scores beat chance, from images with one target each; the model remembers it.

    Args:
        model: whose layers. Afterwards ``model.layer_reliability`` holds the result.
        images: what ``encode`` reads, at least seven.
        targets: one for each image: what it shows.
        among: what every target is ranked with; None: as in :func:`legrad_widget.lens.layer_ranks`.
        progress: called with (step, total) between images; raises to cancel, and the model keeps what it had.

    Cost: one forward per image.

    Raises:
        CalibrationError: too few images, not one target each, or targets that are ranked with sets of different sizes.
        TargetError, ImageError: as ``explain`` and ``encode``.
    """
    if not isinstance(images, list | tuple) or not isinstance(targets, list | tuple):
        raise CalibrationError("images and targets are lists: model.calibrate_layers([image, ...], [target, ...])")
    if len(images) != len(targets):
        raise CalibrationError(f"one target for each image; arrived: {len(images)} images and {len(targets)} targets")
    if len(images) < FEWEST:
        raise CalibrationError(
            f"at least {FEWEST} images are needed to tell anything from chance at {LEVEL:.0%}; arrived: {len(images)}"
        )
    found: list[LayerRanks] = []
    for step, (image, target) in enumerate(zip(images, targets, strict=True)):
        if progress is not None:
            progress(step, len(images))
        found.append(layer_ranks(model.encode(image), target, among=among))
    result = summary(found)
    object.__setattr__(model, "layer_reliability", result)  # the record is frozen for everyone else
    return result


def summary(found: Sequence[LayerRanks]) -> LayerReliability:
    """The sign test of every layer over the images' ranks.

    Raises:
        CalibrationError: they were ranked with sets of different sizes.
    """
    sizes = {one.of for one in found}
    if len(sizes) > 1:
        raise CalibrationError(
            f"the targets were ranked with sets of {', '.join(map(str, sorted(sizes)))} targets; use one set for all: "
            "among=[...], with every target in it, or in none"
        )
    ranks = np.stack([one.ranks for one in found])  # [M, L]
    middle = found[0].chance
    ahead, behind = (ranks < middle).sum(0), (ranks > middle).sum(0)
    counted = ahead + behind
    return LayerReliability(
        tuple(np.median(ranks, 0).tolist()), middle, tuple(ahead.tolist()), tuple(counted.tolist()),
        tuple(sign_test(int(a), int(n)) for a, n in zip(ahead, counted, strict=True)), LEVEL, found[0].of,
        found[0].among, len(found),
    )  # fmt: skip


def sign_test(ahead: int, count: int) -> float:
    """P(at least ``ahead`` heads in ``count`` throws of a fair coin), exact."""
    return sum(math.comb(count, heads) for heads in range(ahead, count + 1)) / 2**count
