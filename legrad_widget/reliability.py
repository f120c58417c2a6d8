"""From which layer on a layer's score says anything: the target's rank there on a set of images, against chance.

A layer's score reads its tokens with the model's final norm and projection, which early layers were never trained for.
Where the right target stands no better than in the middle of a stated set, the score of that layer tells nothing.

How well a layer does is said by its AUC: how likely the target's score is to beat that of another one of the set, the
mean over the images of (of - rank) / (of - 1); 0.5 is chance.

The test, layer by layer: over images with one target each, the sign test (exact, one-sided): how often the target
stands ahead of the middle rank, ties left out, against a fair coin. A layer is reliable where p < 0.01. The layers are
not corrected for each other. Choose images whose targets differ, each target about equally often: a lens that always
prefers the same few would otherwise pass or fail by their luck.

All of this is of the raw lens, which LeGrad differentiates. Of 50 images or more the fitted lens is made, too
(:mod:`legrad_widget.translator`): what it can do is measured on held-out halves, and the translators that are kept are
fitted on all images.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .lens import LayerRanks, layer_features, ranked
from .models.capture import plain_arithmetic
from .models.live import fingerprint
from .translator import fitted, pooled_tokens

if TYPE_CHECKING:
    from .explainer import Model

Progress = Callable[[int, int], None]
LEVEL = 0.01
FEWEST = 7  # of fewer images not even all together reach p < 0.01: 1/2^6 > 0.01
FEWEST_FITTED = 50  # of fewer a half has no five images for each of five components


class CalibrationError(ValueError):
    """Images and targets that nothing can be learned from; the message says why."""


@dataclass(frozen=True, slots=True)
class LayerReliability:
    """What calibration found about a lens; every tuple has one number per layer.

    Attributes:
        median_rank: of the target, 1: ahead of all. ``chance_rank``: the middle rank, (of + 1) / 2.
        ahead: on how many images it stood ahead of the middle; ``counted``: of how many, ties left out.
        p_values: of the one-sided sign test. ``level``: below it a layer counts as reliable.
        of: how many targets were ranked, it included; ``among``: which, in words. ``images``: how many.
        auc: how likely the target is to stand ahead of another one; 0.5: chance.
        fitted: the same of the fitted lens, on images that it was not fitted on; None: too few images to fit one.
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
    auc: tuple[float, ...]
    fitted: LayerReliability | None = None

    @property
    def reliable(self) -> tuple[bool, ...]:
        """Per layer, whether its score is better than chance."""
        return tuple(p < self.level for p in self.p_values)

    @property
    def weights(self) -> tuple[float, ...]:
        """What each layer counts with in ``x.merged(weights="reliability")``: max(0, 2 AUC - 1); at chance 0."""
        return tuple(
            max(0.0, 2 * area - 1) if better else 0.0 for area, better in zip(self.auc, self.reliable, strict=True)
        )

    def why(self, layer: int) -> str:
        """One sentence about a layer (from 1)."""
        index = layer - 1
        found = (
            f"its median rank is {self.median_rank[index]:g} of {self.of}, AUC {self.auc[index]:.2f} "
            f"({self.among}; {self.images} images)"
        )
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
        return cls(**fixed | {"fitted": fixed["fitted"] and cls.from_json(fixed["fitted"])})


def calibrate_layers(
    model: Model,
    images: Sequence[Any],
    targets: Sequence[Any],
    *,
    among: Sequence[Any] | None = None,
    groups: Sequence[Hashable] | None = None,
    progress: Progress | None = None,
) -> LayerReliability:
    """Learn which layers' scores beat chance, and fit the lens; the model remembers both.

    Args:
        model: whose layers. Afterwards ``model.layer_reliability`` holds the result, and ``model.translators`` the
            fitted lens.
        images: what ``encode`` reads: at least seven, for the fitted lens at least fifty. With five times the model's
            width in each half nothing is left out of the fit.
        targets: one for each image: what it shows.
        among: what every target is ranked with; None: as in :func:`legrad_widget.lens.layer_ranks`.
        groups: one name for each image. Images of one group, such as frames of a film, stay in the same half, so that
            the fitted lens is never measured on what it knows. None: every image is a group of its own.
        progress: called with (step, total) between images; raises to cancel, and the model keeps what it had.

    Cost: one forward per image. Groups go to the two halves in turn; each half is ranked by what the other one taught.

    Raises:
        CalibrationError: too few images or groups, not one target each, or targets that are ranked with sets of
        different sizes. TargetError, ImageError: as ``explain`` and ``encode``.
    """
    half = _halves(images, targets, groups)
    fits = len(images) >= FEWEST_FITTED and len(model.vit.blocks) > 1
    total, tick = len(images) * (2 if fits else 1), progress or _silent
    raw: list[LayerRanks] = []
    pooled, final = [], []
    for step, (image, target) in enumerate(zip(images, targets, strict=True)):
        tick(step, total)
        encoding = model.encode(image)
        with model.lock, plain_arithmetic(model.vit.device):
            features = layer_features(encoding)
            raw.append(ranked(model, target, features, among=among))
            if fits:
                pooled.append(pooled_tokens(model.vit, encoding.tokens))
                final.append(features[-1])
    result, translators = summary(raw), None
    if fits:
        x, y = torch.stack(pooled), torch.stack(final)
        held_out = []
        for step, (target, features) in enumerate(zip(targets, _held_out(x, y, half), strict=True)):
            tick(len(images) + step, total)
            held_out.append(ranked(model, target, features, among=among))
        result, translators = replace(result, fitted=summary(held_out)), fitted(x, y, fingerprint(model.module))
    object.__setattr__(model, "layer_reliability", result)  # the record is frozen for everyone else
    object.__setattr__(model, "translators", translators)
    return result


def _halves(images: Any, targets: Any, groups: Any) -> Tensor:
    """Which half each image belongs to: [n] bool."""
    if not isinstance(images, list | tuple) or not isinstance(targets, list | tuple):
        raise CalibrationError("images and targets are lists: model.calibrate_layers([image, ...], [target, ...])")
    if len(images) != len(targets):
        raise CalibrationError(f"one target for each image; arrived: {len(images)} images and {len(targets)} targets")
    if len(images) < FEWEST:
        raise CalibrationError(
            f"at least {FEWEST} images are needed to tell anything from chance at {LEVEL:.0%}; arrived: {len(images)}"
        )
    names = list(range(len(images))) if groups is None else list(groups)
    if len(names) != len(images):
        raise CalibrationError(f"one group for each image; arrived: {len(images)} images and {len(names)} groups")
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    first = torch.tensor([order[name] % 2 == 0 for name in names])
    fewest = min(int(first.sum()), int((~first).sum()))
    if len(images) >= FEWEST_FITTED and fewest < FEWEST_FITTED // 2:
        raise CalibrationError(
            f"the {len(order)} groups make halves of {len(images) - fewest} and {fewest} images, and a half needs "
            f"{FEWEST_FITTED // 2}; make the groups smaller, or leave them out"
        )
    return first


def _held_out(pooled: Tensor, final: Tensor, half: Tensor) -> Tensor:
    """Features [n, L, E] of the fitted lens, of every image by translators that the other half taught."""
    said = final[:, None].repeat(1, pooled.shape[1] + 1, 1)
    for taught in (half, ~half):
        translators = fitted(pooled[taught], final[taught])
        for place in (~taught).nonzero()[:, 0].tolist():
            said[place] = translators(pooled[place], final[place])
    return said


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
        found[0].among, len(found), tuple(((found[0].of - ranks) / (found[0].of - 1)).mean(0).tolist()),
    )  # fmt: skip


def sign_test(ahead: int, count: int) -> float:
    """P(at least ``ahead`` heads in ``count`` throws of a fair coin), exact."""
    return sum(math.comb(count, heads) for heads in range(ahead, count + 1)) / 2**count


def _silent(_step: int, _total: int) -> None:
    """Nobody watches."""
