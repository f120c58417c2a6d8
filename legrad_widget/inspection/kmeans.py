"""How many kinds of error there are: k-means, with k by silhouette (scikit-learn).

SpRAy (arXiv:1902.10178) finds its clusters by spectral clustering; differs: k-means.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from sklearn.metrics import silhouette_score  # type: ignore[import-untyped]

from .evidence_features import Numbers
from .problem import InspectionError

MOST = 12  # clusters


def grouped(
    points: Numbers, k: int | None = None, *, seed: int = 0, between: Callable[[], None] | None = None
) -> tuple[NDArray[np.int64], float]:
    """Cluster numbers [n] from 0, the largest cluster first, and the mean silhouette (nan for one cluster).

    Args:
        points: [n, F]. k: how many clusters; None: that of 2 ... min(12, n - 1) with the largest mean silhouette
            (Rousseeuw 1987). seed: of k-means. between: called before each number that is tried; raises to cancel.

    Raises:
        InspectionError: more clusters than distinct points, or fewer than one.
    """
    distinct = len(np.unique(points.round(9), axis=0))
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= distinct):
        raise InspectionError(f"k is a whole number from 1 to {distinct}, the errors that differ; arrived: {k!r}")
    if k == 1 or distinct < 3:
        return np.zeros(len(points), np.int64), float("nan")
    tried = range(2, min(MOST, distinct - 1) + 1) if k is None else [int(k)]
    found, scores = [], []
    for count in tried:
        if between is not None:
            between()
        one = KMeans(count, n_init=10, random_state=seed).fit_predict(points)
        found.append(one)
        scores.append(silhouette_score(points, one) if len(set(one)) < len(points) else float("nan"))
    best = int(np.argmax(np.nan_to_num(scores, nan=-1)))
    order = np.argsort(-np.bincount(found[best]), kind="stable")
    return np.argsort(order)[found[best]].astype(np.int64), float(scores[best])
