"""What the model says about the whole image: its classes, and whether the image supports a target at all.

An absent thing still gives a min-max map, so every map has an answer beside it. Sigmoid models (a logit bias: SigLIP,
the built-in model): the probability is the sigmoid of the logit; supported where it reaches a threshold calibrated on
scenes, if the model has one. Softmax CLIPs: a softmax over one prompt is always 1, so a prompt is put beside a stated
set of everyday prompts, and a class beside the other classes. Classifiers: softmax over the classes; supported where
the class is at least as likely as chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

_NOUNS = (
    "cat dog horse bird fish person child car bus bicycle boat airplane tree flower house street mountain beach sky "
    "table chair bed book phone computer cup plate pizza apple cake"
)
EVERYDAY = tuple(f"a photo of a {noun}" for noun in _NOUNS.split())
ABOVE = 0.8  # share of the everyday prompts that a supported prompt must beat


@dataclass(frozen=True, slots=True)
class Support:
    """Probability of a target for the whole image, over what, and whether the image supports it (None: not known)."""

    probability: float | None
    probability_of: str
    supported: bool | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One of the model's classes with its probability for the whole image."""

    index: int
    name: str
    probability: float


UNKNOWN = Support(None, "", None)


def by_sigmoid(logit: float, threshold: float | None) -> Support:
    """A sigmoid model: the probability stands alone."""
    probability = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
    return Support(probability, "sigmoid", None if threshold is None else probability >= threshold)


def by_everyday_prompts(logit: float, everyday: Tensor) -> Support:
    """A softmax CLIP: the prompt's logit beside those [K] of other everyday prompts. Not calibrated: a rank."""
    probability = 1 / (1 + float((everyday.double() - logit).exp().sum()))
    beaten = float((everyday < logit).float().mean())
    return Support(probability, f"softmax with {len(everyday)} everyday prompts", beaten >= ABOVE)


def by_softmax(logits: Tensor, index: int) -> Support:
    """A class among classes: logits [C]; one class alone has no probability."""
    if len(logits) < 2:
        return UNKNOWN
    probability = float(logits.softmax(0)[index])
    return Support(probability, f"softmax over {len(logits)} classes", probability >= 1 / len(logits))


def of_two(margin: float, a: str, b: str) -> Support:
    """One of two things rather than the other: the softmax over both, from the difference of their logits."""
    return Support(by_sigmoid(margin, None).probability, f"{a} or {b}", None)


def top_classes(logits: Tensor, names: tuple[str, ...], k: int, *, sigmoid: bool) -> tuple[Prediction, ...]:
    """The ``k`` most likely classes from logits [C]; () where a single class has nothing to be compared with."""
    if len(logits) < 2 and not sigmoid:
        return ()
    probabilities = logits.sigmoid() if sigmoid else logits.softmax(0)
    top = probabilities.topk(min(k, len(names)))
    return tuple(Prediction(int(i), names[int(i)], float(p)) for p, i in zip(top.values, top.indices, strict=True))
