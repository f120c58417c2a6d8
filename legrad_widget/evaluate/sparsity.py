"""The CDAM paper's measures of maps: how few patches they name, and how alike two methods are over a data set.

Source: Brocki et al. (arXiv:2312.02364) and its code. All maps raw, sign kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .segmentation import MetricError

SHARE = 0.05


def sparsity(maps: Sequence[ArrayLike], share: float = SHARE) -> float:
    """Mean over images of the share of patches with ``|S| < share * max S``; in [0, 1], higher is more compact.

    The maximum is that of the *signed* values, as in the code; an image whose maximum is not above 0 counts as 0.

    Args:
        maps: one [h, w] per image. share: of the maximum.

    Raises:
        MetricError: no maps, or values that are not finite.
    """
    return float(np.mean([_compact(values, share) for values in _finite(maps)]))


def pooled_correlation(a: Sequence[ArrayLike], b: Sequence[ArrayLike]) -> float:
    """Pearson's correlation of two methods over all patches of all images together, as the paper reports it.

    Nothing is normalised per image, so an image with large values weighs more. nan where one side is constant.

    Raises:
        MetricError: the two sides differ in their images, or values are not finite.
    """
    x, y = (np.concatenate([values.ravel() for values in side]) for side in _pairs(a, b))
    return _pearson(x, y)


def mean_correlation(a: Sequence[ArrayLike], b: Sequence[ArrayLike]) -> float:
    """The mean over images of Pearson's correlation within each: another number.

    Images with a constant map are left out; nan where none is left.

    Raises:
        MetricError: as :func:`pooled_correlation`.
    """
    each = [_pearson(x.ravel(), y.ravel()) for x, y in zip(*_pairs(a, b), strict=True)]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _compact(values: NDArray[np.float64], share: float) -> float:
    top = values.max()
    return float((np.abs(values) < share * top).mean()) if top > 0 else 0.0


def _finite(maps: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    arrays = [np.asarray(values, np.float64) for values in maps]
    if not arrays or any(array.size == 0 or not np.isfinite(array).all() for array in arrays):
        raise MetricError("a list of finite maps is needed, one [h, w] per image; one is missing, empty or not finite")
    return arrays


def _pairs(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    first, second = _finite(a), _finite(b)
    if [array.shape for array in first] != [array.shape for array in second]:
        raise MetricError("two methods are compared on the same images: as many maps on either side, of equal shapes")
    return first, second


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1].clip(-1, 1))
