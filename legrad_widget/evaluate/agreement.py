"""How far two maps of one image agree, whether or not either is right: by rank, and by where they are highest.

Both measures look at the order of the patches alone, so maps on different scales can be compared; neither says which
map is faithful. The widget's compare view shows the same two numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .segmentation import MetricError


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two maps, in [-1, 1]: Pearson's correlation of the ranks of their patches.

    Patches with the same value share the mean of their ranks (Spearman 1904; Kendall 1945 for ties). Signed maps are
    ranked by value, so that evidence against ranks lowest.

    Args:
        a, b: [h, w] finite, of one shape.

    Returns:
        The correlation; nan where a map is constant and has no order.

    Raises:
        MetricError: shapes differ, or a value is not finite.
    """
    x, y = (_mean_ranks(values) for values in _checked(a, b))
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(np.clip(x @ y / spread, -1.0, 1.0)) if spread > 0 else math.nan


def iou_top(a: ArrayLike, b: ArrayLike, share: float = 0.2) -> float:
    """Intersection over union, in [0, 1], of the highest patches of two maps; nan where one is constant: it has none.

    Of n patches the k = max(1, round(share * n)) highest are taken of each map; among equal values the one that comes
    first in reading order. Two maps that have nothing to do with each other agree by about share / (2 - share), which
    is 0.11 for 0.2. Signed maps are taken by value: what speaks for the target, not what speaks most.

    Args:
        a, b: [h, w] finite, of one shape. share: of the patches, above 0 and up to 1.

    Raises:
        MetricError: shapes differ, a value is not finite, or the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise MetricError(f"share is a number above 0 and up to 1; arrived: {share!r}")
    x, y = _checked(a, b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    count = max(1, math.floor(share * x.size + 0.5))
    top, other = (set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (x, y))
    return len(top & other) / len(top | other)


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts + 1) / 2)[place]
    return ranks


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both maps flat, in reading order."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 2 or x.shape != y.shape or x.size == 0:
        raise MetricError(
            f"two maps [h, w] of one shape are compared; arrived: {x.shape} and {y.shape}. "
            "Maps of another grid: resample them first, e.g. x.heatmap('input')"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise MetricError("a map holds NaN or infinity; compare x.merged(), or leave out what a crop did not show")
    return x.ravel(), y.ravel()
