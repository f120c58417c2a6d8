"""Masks and boxes of objects: where each sample's comes from, and how much of every patch it covers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .problem import InspectionError
from .samples import Samples

Mask = NDArray[np.bool_]
Window = tuple[float, float, float, float]


@dataclass(slots=True)
class Masks:
    """Masks by sample: drawn ones first, then the given ones.

    ``coarse``: whether a sample's mask is made of boxes.
    """

    given: Callable[[int], Any] | None = None
    boxes: Callable[[int], Any] | None = None
    drawn: dict[int, Mask] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there may be masks at all."""
        return self.given is not None or self.boxes is not None or bool(self.drawn)

    def coarse(self, index: int) -> bool:
        """Whether the sample has boxes only."""
        return index not in self.drawn and (self.given is None or self.given(index) is None)

    def of(self, index: int, size: tuple[int, int]) -> Mask | None:
        """[H, W] bool of a picture of ``size`` (width, height); None where there is none.

        Raises:
            InspectionError: it cannot be read, has another size or is empty.
        """
        if index in self.drawn:
            return self.drawn[index]
        value = None if self.given is None else self.given(index)
        if value is not None:
            return as_mask(value, size)
        value = None if self.boxes is None else self.boxes(index)
        return None if value is None else of_boxes(value, size)


def masks_of(masks: Any, boxes: Any, samples: Samples) -> Masks:
    """The masks that a user passes.

    Args:
        masks: None, or for each sample a mask (bool [H, W] of the picture's size, a picture or a path to one whose
            pixels are not 0 on the object) or None: a list, a mapping from sample numbers, an array [N, H, W], or a
            function of the sample's number.
        boxes: the same with boxes (left, top, right, bottom) in pixels of the picture, one or several; taken where
            there is no mask.

    Raises:
        InspectionError: not one per sample. TypeError: none of these.
    """
    return Masks(_lookup(masks, "masks", len(samples)), _lookup(boxes, "boxes", len(samples)))


def _lookup(values: Any, what: str, count: int) -> Callable[[int], Any] | None:
    if values is None:
        return None
    if isinstance(values, Mapping):
        return lambda index: values.get(index)
    if callable(values):
        return values
    if isinstance(values, str | bytes) or not (isinstance(values, Sequence) or hasattr(values, "__getitem__")):
        raise TypeError(
            f"{what} is a list with one per picture (or None), a dict by sample number, or a function of it; this is "
            f"{type(values).__name__}"
        )
    values = values.tolist() if hasattr(values, "iloc") else values
    if len(values) != count:
        raise InspectionError(
            f"{what} has one for each of the {count} pictures (None where there is none); arrived: {len(values)}. "
            f"For a few use a dict: {what}={{3: ...}}"
        )
    return lambda index: values[index]


def as_mask(value: Any, size: tuple[int, int]) -> Mask:
    """A mask as bool [H, W] of a picture of ``size`` (width, height).

    Raises:
        InspectionError: unreadable, of another size, or empty.
    """
    if isinstance(value, str | os.PathLike):
        try:
            with Image.open(Path(value).expanduser()) as opened:
                value = np.asarray(opened)
        except (OSError, ValueError) as error:
            raise InspectionError(f"its mask cannot be read: {error}") from error
    array: NDArray[Any] = np.asarray(value.cpu() if hasattr(value, "cpu") else value)
    if array.ndim == 3:
        array = np.any(array[..., :3], -1, keepdims=True)[..., 0] if array.shape[-1] in (1, 3, 4) else array
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise InspectionError(f"a mask is [height, width], True on the object; its mask is {list(array.shape)}")
    if array.shape != (size[1], size[0]):
        raise InspectionError(
            f"its mask has {array.shape[1]} x {array.shape[0]} pixels and its picture {size[0]} x {size[1]}; "
            "masks are of the picture's own size"
        )
    if not array.any():
        raise InspectionError("its mask is empty; pass None where there is nothing to find")
    return array != 0


def of_boxes(value: Any, size: tuple[int, int]) -> Mask:
    """Boxes as bool [H, W]: a pixel counts if its centre lies in one of them.

    Raises:
        InspectionError: not four numbers each, or no pixel of the picture in them.
    """
    try:
        boxes = np.atleast_2d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        boxes = np.empty((0, 0))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise InspectionError(f"a box is (left, top, right, bottom) in pixels; arrived: {value!r:.80}")
    x, y = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    mask = np.zeros((size[1], size[0]), np.bool_)
    for left, top, right, bottom in boxes:
        mask |= ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    if not mask.any():
        raise InspectionError(f"its box {value!r:.80} holds no pixel of the picture of {size[0]} x {size[1]}")
    return mask


def patch_shares(mask: Mask, window: Window, grid: tuple[int, int]) -> NDArray[np.float64]:
    """[h, w] how much of every patch the mask covers, from 0 to 1, exactly by area.

    Args:
        mask: [H, W] of the picture. window: (left, top, right, bottom) of what the model saw, in its pixels; what lies
            outside of the picture is not covered. grid: patch rows and columns.
    """
    left, top, right, bottom = window
    rows, columns = _overlaps(mask.shape[0], top, bottom, grid[0]), _overlaps(mask.shape[1], left, right, grid[1])
    return np.asarray(rows @ mask.astype(np.float64) @ columns.T)


def _overlaps(pixels: int, start: float, stop: float, patches: int) -> NDArray[np.float64]:
    """[patches, pixels] the share of each patch's length that lies in each pixel."""
    edges = np.linspace(start, stop, patches + 1)
    low, high = np.arange(pixels), np.arange(pixels) + 1
    shared = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    return np.clip(shared, 0, None) / ((stop - start) / patches)
