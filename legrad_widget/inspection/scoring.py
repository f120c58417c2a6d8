"""Phase 1, the pure part: what the model says of pictures, as records of one fixed layout.

A record depends on the model, its classes, the picture and its label alone, so records can be computed anywhere, in any
order, and kept. Axis letters: B pictures, L layers, C classes, E feature width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..models.capture import plain_arithmetic
from .classes import ClassScores
from .layer_features import layer_features

Records = NDArray[np.void]
TOP = 5


def record_type(layers: int, features: int, classes: int) -> np.dtype[Any]:
    """The layout of a record.

    ``label``, ``predicted``: classes; ``rival``: the predicted class of an error, else the runner-up. ``p_true``,
    ``p_pred``: softmax over the classes (also of a CLIP that was trained with a sigmoid: the question is which one
    of them). ``loss``: -log p_true, nats; ``margin``: p_true - the largest other probability, below 0 where the answer
    is wrong; ``entropy``: nats; ``rank``: of the label, 1 where the answer is right. ``top``, ``p_top``: the likeliest
    classes. Per layer, by the score that methods differentiate: ``lens_true``, ``lens_rival`` the two classes' scores,
    ``lens_rank`` the label's rank, ``lens_top`` the layer's first class. ``embedding``: the features.
    ``size``: width and height of the upright picture, where it was seen (0: not).
    """
    top = min(TOP, classes)
    return np.dtype(
        [
            ("label", "i4"), ("predicted", "i4"), ("rival", "i4"),
            ("p_true", "f4"), ("p_pred", "f4"), ("loss", "f4"), ("margin", "f4"), ("entropy", "f4"),
            ("rank", "i4"), ("top", "i4", (top,)), ("p_top", "f4", (top,)),
            ("lens_true", "f4", (layers,)), ("lens_rival", "f4", (layers,)),
            ("lens_rank", "i4", (layers,)), ("lens_top", "i4", (layers,)),
            ("embedding", "f2", (features,)), ("size", "i4", (2,)),
        ]
    )  # fmt: skip


def score_images(scores: ClassScores, images: Tensor, labels: NDArray[np.int64]) -> tuple[Records, NDArray[np.bool_]]:
    """Records [B] of preprocessed pictures [B, 3, Hin, Win] with their labels [B]; and which of them are finite.

    Cost: one native forward per picture, in one batch.
    """
    with scores.model.lock, plain_arithmetic(scores.model.vit.device):
        features = layer_features(scores.model.vit, images)
        by_layer, logits = scores(features)
    return records_of(
        logits[:, -1].cpu().double().numpy(),
        labels,
        by_layer.cpu().double().numpy(),
        features[:, -1].float().cpu().numpy(),
    )


def records_of(
    logits: NDArray[Any], labels: NDArray[np.int64], by_layer: NDArray[Any] | None, embeddings: NDArray[Any] | None
) -> tuple[Records, NDArray[np.bool_]]:
    """Records [B] from logits [B, C], labels [B], layer scores [B, L, C] and embeddings [B, E]; which are finite.

    Without layer scores or embeddings those fields have no numbers in them. Of an embedding too large or too small for
    float16 the direction is kept: neighbours are told by it alone.
    """
    count, classes = logits.shape
    by_layer = np.empty((count, 0, classes)) if by_layer is None else by_layer
    embeddings = np.empty((count, 0)) if embeddings is None else embeddings
    finite = np.isfinite(logits).all(1) & np.isfinite(by_layer).all((1, 2)) & np.isfinite(embeddings).all(1)
    logits, by_layer = np.where(finite[:, None], logits, 0), np.where(finite[:, None, None], by_layer, 0)
    records = np.zeros(count, record_type(by_layer.shape[1], embeddings.shape[1], classes))
    at = np.arange(count)
    chances, log_chances = _softmax(logits.astype(np.float64))
    order = np.argsort(-logits, axis=1, kind="stable")
    predicted = order[:, 0]
    rival = np.where(predicted == labels, order[:, 1], predicted)
    strongest_other = np.where(predicted == labels, chances[at, order[:, 1]], chances[at, predicted])
    records["label"], records["predicted"], records["rival"] = labels, predicted, rival
    records["p_true"], records["p_pred"] = chances[at, labels], chances[at, predicted]
    records["loss"], records["margin"] = 0 - log_chances[at, labels], chances[at, labels] - strongest_other
    records["entropy"] = 0 - (chances * log_chances).sum(1)  # not -: certainty is 0, and not -0
    records["rank"] = 1 + np.argmax(order == labels[:, None], 1)
    records["top"] = order[:, : records["top"].shape[1]]
    records["p_top"] = np.take_along_axis(chances, records["top"].astype(np.int64), 1)
    records["lens_true"], records["lens_rival"] = by_layer[at, :, labels], by_layer[at, :, rival]
    records["lens_rank"] = 1 + (by_layer > by_layer[at, :, labels][..., None]).sum(2)
    records["lens_top"] = by_layer.argmax(2)
    records["embedding"] = _half(np.where(finite[:, None], embeddings, 0))
    return records, finite


def _softmax(logits: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities and their logarithms."""
    shifted = logits - logits.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return np.exp(logs), logs


def _half(embeddings: NDArray[Any]) -> NDArray[Any]:
    largest = np.abs(embeddings).max(1, initial=0, keepdims=True)
    fits = ((largest > 1e-3) & (largest < 6e4)) | (largest == 0)  # below, float16 has few digits or none
    return embeddings / np.where(fits, 1, largest)
