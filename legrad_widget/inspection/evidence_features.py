"""What an error's evidence looks like, as numbers: map, layers and embedding in one row, each with its weight.

After SpRAy (Lapuschkin et al., Nature Communications 2019, arXiv:1902.10178), which clusters relevance maps of one
class. Differs: contrast maps of errors, and beside them the share of each layer and the embedding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA  # type: ignore[import-untyped]

from .problem import InspectionError

Numbers = NDArray[np.float64]
SIDE = 7  # rows and columns that a map is pooled to
COMPONENTS = 16


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


def plane(rows: Numbers) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Rows of features [n, F] as points [n, 2], and the share of all differences that each of the two axes shows.

    The first two principal components of the features as they are (their weights count), so that distances among the
    points are at most those among the rows: what is apart here is apart, what is together here need not be.
    """
    count = min(2, rows.shape[1], len(rows) - 1)
    points, shares = np.zeros((len(rows), 2), np.float32), np.zeros(2)
    if count > 0 and np.ptp(rows, 0).any():
        fitted = PCA(count, svd_solver="full").fit(rows)
        points[:, :count], shares[:count] = fitted.transform(rows), fitted.explained_variance_ratio_
    return points, (float(shares[0]), float(shares[1]))


def pooled(maps: Numbers, side: int = SIDE) -> Numbers:
    """Maps [n, h, w] averaged by area over at most ``side`` x ``side`` equal parts."""
    rows, columns = (_parts(size, min(side, size)) for size in maps.shape[1:])
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T)


def _parts(size: int, count: int) -> Numbers:
    edges = np.linspace(0, size, count + 1)
    cells = np.arange(size)
    shared = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(shared, 0, None) / (size / count)


def _units(rows: Numbers) -> Numbers:
    values = rows.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, 1))
