"""How evidence lies to a mask: three numbers after a threshold, their companions without one, and eight names.

With S the patches that the evidence is said to be on and c the share of every patch that the object covers, areas in
patches: |S and G| = sum of c over S, |G| = sum of c. That is exact, pixel by pixel, for patches drawn as squares.

Shared Interest (Boggust et al., CHI 2022, arXiv:2107.09234) compares a binarised map with the truth by IoU, ground
truth coverage and saliency coverage, and names eight patterns of these and of correctness. The numeric test of each
pattern is ours; the paper leaves it to the reader's eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

from .problem import InspectionError
from .weighting import without_floor

Binarise = Literal["half", "mean+sd", "otsu"] | float
Case = Literal[
    "human-aligned", "sufficient subset", "sufficient context", "context-dependent",
    "confuser", "insufficient subset", "distractor", "context confusion", "",
]  # fmt: skip
CASES: tuple[Case, ...] = (
    "human-aligned", "sufficient subset", "sufficient context", "context-dependent",
    "confuser", "insufficient subset", "distractor", "context confusion",
)  # fmt: skip
MEANINGS: dict[str, str] = {
    "human-aligned": "right, by the object itself",
    "sufficient subset": "right, by a part of the object",
    "sufficient context": "right, by the object and what is around it",
    "context-dependent": "right, by something beside the object",
    "confuser": "wrong: it looks at the object and calls it something else",
    "insufficient subset": "wrong: it looks at too little of the object",
    "distractor": "wrong: the object, and something beside it that wins",
    "context confusion": "wrong: decided by something beside the object",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a number counts as high, each from 0 to 1: IoU, saliency coverage and ground truth coverage."""

    iou: float = 0.5
    saliency: float = 0.5
    ground: float = 0.5

    def __post_init__(self) -> None:
        for name in ("iou", "saliency", "ground"):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
                raise InspectionError(f"the threshold {name} is a number from 0 to 1; arrived: {value!r}")
            object.__setattr__(self, name, float(value))


@dataclass(frozen=True, slots=True)
class Alignment:
    """Evidence against a mask. nan where the evidence is flat or zero.

    Attributes:
        iou, ground_coverage, saliency_coverage: |S and G| over |S or G|, over |G| and over |S|, after a threshold.
        average_precision: of the patches ranked by the evidence, relevant by the share that the mask covers
            (scikit-learn's, with these shares as weights): no threshold. Of a random order about ``area``.
        iou_top: IoU of the |G| highest patches (rounded, at least one).
        pointing: how much of the highest patch is covered (of several highest: their mean).
        mass: share of the evidence on the mask; ``mass_above_floor``: the same after the median is taken away.
        lift: mass_above_floor / area; 1 is chance.
        area: share of the seen picture that the mask covers.
    """

    iou: float
    ground_coverage: float
    saliency_coverage: float
    average_precision: float
    iou_top: float
    pointing: float
    mass: float
    mass_above_floor: float
    lift: float
    area: float


def alignment(evidence: NDArray[Any], cover: NDArray[np.float64], binarise: Binarise = "half") -> Alignment:
    """Compare evidence [h, w] (not negative) with the share [h, w] of every patch that the object covers.

    Args:
        binarise: which patches S the evidence is on. "half": the fewest that hold half of what stands out of its
            median. "mean+sd": above mean + 1 standard deviation (as Shared Interest's example). "otsu": Otsu's
            threshold. A number q: above the q-quantile. None of them looks at the size of the object: with |S| = |G|
            the two coverages would be equal by construction.

    Raises:
        InspectionError: another rule.
    """
    values, c = np.asarray(evidence, np.float64).ravel(), cover.ravel()
    area = float(c.mean())
    if not np.ptp(values) > 0:
        _chosen(values, binarise)  # says what is wrong with the rule
        nothing = float("nan")
        return Alignment(
            nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, area
        )  # one for every number but the area
    chosen = _chosen(values, binarise)
    both, size, ground = float(c[chosen].sum()), float(chosen.sum()), float(c.sum())
    top = np.argsort(-values, kind="stable")[: max(1, round(ground))]
    shared = float(c[top].sum())
    above = without_floor(values)
    mass = float(values @ c / values.sum()) if values.sum() > 0 else float("nan")
    held = float(above @ c / above.sum()) if above.sum() > 0 else float("nan")
    return Alignment(
        both / (size + ground - both), both / ground, both / size, average_precision(values, c),
        shared / (len(top) + ground - shared), float(c[values == values.max()].mean()), mass, held, held / area, area,
    )  # fmt: skip


def average_precision(values: NDArray[np.float64], cover: NDArray[np.float64]) -> float:
    """Of patches ranked by ``values``, each relevant by the share ``cover`` of it; ties share their place."""
    relevant = np.repeat([1, 0], len(values))
    return float(
        average_precision_score(relevant, np.tile(values, 2), sample_weight=np.concatenate([cover, 1 - cover]))
    )


def _chosen(values: NDArray[np.float64], binarise: Binarise) -> NDArray[np.bool_]:
    """[n] the patches S; at least one where the values differ."""
    if binarise == "half":
        above = without_floor(values)
        order = np.argsort(-above, kind="stable")
        count = int(np.searchsorted(np.cumsum(above[order]), above.sum() / 2 * (1 - 1e-12))) + 1
        return np.isin(np.arange(len(values)), order[:count])
    if binarise == "mean+sd":
        return values > min(values.mean() + values.std(), np.nextafter(values.max(), -np.inf))
    if binarise == "otsu":
        return values > _otsu(values)
    if isinstance(binarise, int | float) and not isinstance(binarise, bool) and 0 <= binarise < 1:
        return values > min(np.quantile(values, binarise), np.nextafter(values.max(), -np.inf))
    raise InspectionError(
        f"binarise is 'half', 'mean+sd', 'otsu', or a quantile from 0 to below 1; arrived: {binarise!r}"
    )


def _otsu(values: NDArray[np.float64]) -> float:
    """The threshold that parts the values into two groups with the largest variance between them (Otsu 1979)."""
    ordered = np.sort(values)
    counts = np.arange(1, len(ordered))
    low = np.cumsum(ordered)[:-1] / counts
    high = (ordered.sum() - np.cumsum(ordered)[:-1]) / (len(ordered) - counts)
    between = counts * (len(ordered) - counts) * (high - low) ** 2
    between[ordered[1:] == ordered[:-1]] = -1  # equal values stay together
    return float(ordered[int(between.argmax())])


def cases(
    iou: NDArray[Any], ground: NDArray[Any], saliency: NDArray[Any], correct: NDArray[np.bool_], limits: Thresholds
) -> list[Case]:
    """The name of each pattern, "" where a number is nan.

    On the object: IoU is high, or both coverages are. Inside it: saliency coverage is high, ground coverage is not.
    Around it: the other way round. Elsewhere: neither.
    """
    inside, around = saliency >= limits.saliency, ground >= limits.ground
    on = (iou >= limits.iou) | (inside & around)
    column = np.where(on, 0, np.where(inside, 1, np.where(around, 2, 3)))
    place = column + np.where(correct, 0, 4)
    known = ~np.isnan(iou)
    return [CASES[at] if told else "" for at, told in zip(place.tolist(), known.tolist(), strict=True)]
