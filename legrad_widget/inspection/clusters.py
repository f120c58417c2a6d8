"""Groups of errors by what their evidence looks like: features, k-means with k by silhouette (scikit-learn).

After SpRAy (Lapuschkin et al., Nature Communications 2019, arXiv:1902.10178), which clusters relevance maps of one
class by spectral clustering. Differs: contrast maps of errors, the share of each layer and the embedding beside them,
k-means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from sklearn.metrics import silhouette_score  # type: ignore[import-untyped]

from .problem import InspectionError

Numbers = NDArray[np.float64]
SIDE = 7  # rows and columns that a map is pooled to
COMPONENTS = 16
MOST = 12  # clusters


def features(
    maps: Numbers, layer_shares: Numbers, embeddings: Numbers, weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Numbers:
    """One row per error: its map, its layers and its embedding, each block of length about 1 times its weight.

    Args:
        maps: [n, h, w], pooled to at most 7 x 7 by area and made unit vectors. layer_shares: [n, L], each layer's share
            of the magnitude, made unit vectors. embeddings: [n, E]: unit vectors, their first 16 principal components.
        weights: of the three; 0 leaves one out.

    Raises:
        InspectionError: weights that cannot be.
    """
    if len(weights) != 3 or not all(np.isfinite(w) and w >= 0 for w in weights) or not any(weights):
        raise InspectionError(f"weights are three numbers from 0 for map, layers and embedding; arrived: {weights!r}")
    directions = _units(embeddings)
    count = min(COMPONENTS, len(maps) - 1, embeddings.shape[1])
    components = PCA(count, svd_solver="full").fit_transform(directions) if count > 0 else np.zeros((len(maps), 0))
    blocks = (_units(pooled(maps).reshape(len(maps), -1)), _units(layer_shares), components)
    return np.concatenate([weight * block for weight, block in zip(weights, blocks, strict=True) if weight], 1)


def pooled(maps: Numbers, side: int = SIDE) -> Numbers:
    """Maps [n, h, w] averaged by area over at most ``side`` x ``side`` equal parts."""
    rows, columns = (_parts(size, min(side, size)) for size in maps.shape[1:])
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T)


def _parts(size: int, count: int) -> Numbers:
    edges = np.linspace(0, size, count + 1)
    cells = np.arange(size)
    shared = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(shared, 0, None) / (size / count)


def grouped(points: Numbers, k: int | None = None, *, seed: int = 0) -> tuple[NDArray[np.int64], float]:
    """Cluster numbers [n] from 0, the largest cluster first, and the mean silhouette (nan for one cluster).

    Args:
        points: [n, F]. k: how many clusters; None: that of 2 ... min(12, n - 1) with the largest mean silhouette
            (Rousseeuw 1987). seed: of k-means.

    Raises:
        InspectionError: more clusters than distinct points, or fewer than one.
    """
    distinct = len(np.unique(points.round(9), axis=0))
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= distinct):
        raise InspectionError(f"k is a whole number from 1 to {distinct}, the errors that differ; arrived: {k!r}")
    if k == 1 or distinct < 3:
        return np.zeros(len(points), np.int64), float("nan")
    tried = range(2, min(MOST, distinct - 1) + 1) if k is None else [int(k)]
    found = [KMeans(count, n_init=10, random_state=seed).fit_predict(points) for count in tried]
    scores = [silhouette_score(points, one) if len(set(one)) < len(points) else float("nan") for one in found]
    best = int(np.argmax(np.nan_to_num(scores, nan=-1)))
    order = np.argsort(-np.bincount(found[best]), kind="stable")
    return np.argsort(order)[found[best]].astype(np.int64), float(scores[best])


def _units(rows: Numbers) -> Numbers:
    values = rows.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, 1))
