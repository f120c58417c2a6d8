"""Paste sprites on a picture and keep the exact label of every pixel; shared by training and by `scenes`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

OPAQUE = 127  # a pixel belongs to a sprite where its alpha is above this


def visible(sprite: Array) -> Array:
    """Crop a sprite `[h, w, 4]` to the box of its visible pixels."""
    opaque = sprite[..., 3] > OPAQUE
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    if len(rows) == 0:
        return sprite
    return np.ascontiguousarray(sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def find_place(
    rng: np.random.Generator,
    labels: Array,
    height: int,
    width: int,
    *,
    overlap: float = 0.12,
    tries: int = 6,
) -> tuple[int, int] | None:
    """Return (top, left) of a box that covers at most a share `overlap` of labelled pixels, or None after `tries`."""
    for _ in range(tries):
        top = int(rng.integers(0, labels.shape[0] - height + 1))
        left = int(rng.integers(0, labels.shape[1] - width + 1))
        if np.count_nonzero(labels[top : top + height, left : left + width]) <= overlap * height * width:
            return top, left
    return None


def paste(image: Array, labels: Array, sprite: Array, top: int, left: int, label: int) -> None:
    """Alpha-composite `sprite` [h, w, 4] onto `image` [H, W, 3] and write `label` into `labels` [H, W], in place."""
    height, width = sprite.shape[:2]
    region = image[top : top + height, left : left + width]
    alpha = sprite[..., 3:].astype(np.float32) * (1 / 255)
    region[:] = region + (sprite[..., :3] - region.astype(np.float32)) * alpha
    labels[top : top + height, left : left + width][sprite[..., 3] > OPAQUE] = label
