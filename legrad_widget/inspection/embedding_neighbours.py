"""Nearest neighbours by the angle between embeddings (scikit-learn), and labels that their neighbours contradict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

from .problem import InspectionError
from .readable import as_text

Indices = NDArray[np.int64]
AMONG = 10  # neighbours that a label is compared with


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Samples near one sample, nearest first, with their cosine distances (0: same direction).

    Attributes:
        correct_true: correctly predicted samples of its own label.
        correct_predicted: correctly predicted samples of the class that was predicted (of a correct sample: of the
            runner-up).
        same_errors: other errors with the same label and prediction.
        distances: of each of the three, in that order.
        names: of its own label and of the class that ``correct_predicted`` are of; () where they are not known.
    """

    correct_true: tuple[int, ...]
    correct_predicted: tuple[int, ...]
    same_errors: tuple[int, ...]
    distances: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        true, other = self.names or ("the true class", "the class predicted")
        titles = (f"right, of {true}", f"right, of {other}", "the same mistake")
        groups = (self.correct_true, self.correct_predicted, self.same_errors)
        lines = [
            f"  {title}: {', '.join(f'{at} ({far:.3f})' for at, far in zip(group, away, strict=True)) or 'none'}"
            for title, group, away in zip(titles, groups, self.distances, strict=True)
        ]
        return "\n".join(["Nearest samples (cosine distance)", *lines])

    _repr_pretty_ = as_text


def nearest(embeddings: NDArray[np.floating], at: int, among: Indices, k: int) -> tuple[Indices, NDArray[np.float64]]:
    """The ``k`` of ``among`` nearest to sample ``at`` (itself left out), and their cosine distances."""
    among = among[among != at]
    if not len(among) or k < 1:
        return np.empty(0, np.int64), np.empty(0)
    units = _units(embeddings[among])
    found = NearestNeighbors(n_neighbors=min(k, len(among)), metric="cosine", algorithm="brute").fit(units)
    distances, places = found.kneighbors(_units(embeddings[at : at + 1]))
    return among[places[0]], distances[0]


def disagreement(embeddings: NDArray[np.floating], labels: Indices, k: int = AMONG) -> NDArray[np.float64]:
    """[N] the share of each sample's ``k`` nearest neighbours that have another label: suspects of label noise.

    Compare FiftyOne's mistakenness and cleanlab: those use the model's confidence; here only its embedding.

    Raises:
        InspectionError: k below 1.
    """
    if k < 1:
        raise InspectionError(f"k is how many neighbours are asked, from 1; arrived: {k}")
    k = min(k, len(labels) - 1)
    if k < 1 or not embeddings.shape[1]:
        return np.full(len(labels), np.nan)
    # Of unit vectors the nearest by distance are the nearest by angle, and scikit-learn finds those in little memory.
    found = NearestNeighbors(n_neighbors=k, metric="euclidean", algorithm="brute").fit(_units(embeddings))
    places = found.kneighbors(return_distance=False)  # of the samples themselves: each is left out of its own
    result: NDArray[np.float64] = (labels[places] != labels[:, None]).mean(1)
    return result


def _units(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    values = embeddings.astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, 1), np.float32)
