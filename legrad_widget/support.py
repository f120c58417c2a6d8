"""Does the image support the target at all? An absent thing still gives a min-max map, so every map has an answer.

Sigmoid models (a logit bias: SigLIP, the built-in model): the probability is the sigmoid of the logit; supported where
it reaches a threshold calibrated on scenes, if the model has one. Softmax CLIPs: a softmax over one prompt is always 1,
so the prompt is put beside a stated set of everyday prompts, or beside the model's class names for a class.
Classifiers: softmax over the classes; supported where the class is at least as likely as chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
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


UNKNOWN = Support(None, "", None)


def by_sigmoid(logit: float, threshold: float | None) -> Support:
    """A sigmoid model: the probability stands alone."""
    probability = float(torch.sigmoid(torch.tensor(logit, dtype=torch.float64)))
    return Support(probability, "sigmoid", None if threshold is None else probability >= threshold)


def by_everyday_prompts(logit: float, everyday: Tensor) -> Support:
    """A softmax CLIP: the prompt's logit beside the everyday prompts' [K]. Not calibrated: a rank among them."""
    both = torch.cat([torch.tensor([logit]), everyday.cpu()]).softmax(0)
    beaten = float((everyday < logit).float().mean())
    return Support(float(both[0]), f"softmax with {len(everyday)} everyday prompts", beaten >= ABOVE)


def by_softmax(logits: Tensor, index: int, what: str) -> Support:
    """A class among classes: logits [C]."""
    probability = float(logits.softmax(0)[index])
    return Support(probability, f"softmax over {len(logits)} {what}", probability >= 1 / len(logits))
