"""Masks, boxes and drawn shapes: where each sample's comes from, as pixels, and how much of every patch it covers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    Attributes:
        given, boxes: by a sample's number what was passed for it; None where nothing was.
        drawn: what took their place.
        kept: of a saved inspection the given masks, and those that boxes made: a PNG, and whether it is of boxes.
    """

    given: Callable[[int], Any] | None = None
    boxes: Callable[[int], Any] | None = None
    drawn: dict[int, Mask] = field(default_factory=dict)
    kept: dict[int, tuple[bytes, bool]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there may be masks at all."""
        return self.given is not None or self.boxes is not None or bool(self.drawn or self.kept)

    def coarse(self, index: int) -> bool:
        """Whether the sample has boxes only."""
        if index in self.drawn:
            return False
        if index in self.kept:
            return self.kept[index][1]
        return self.boxes is not None and (self.given is None or _asked(self.given, index, "mask") is None)

    def of(self, index: int, size: tuple[int, int]) -> Mask | None:
        """[H, W] bool of a picture of ``size`` (width, height); None where there is none.

        Raises:
            InspectionError: it cannot be read, has another size or is empty.
        """
        if index in self.drawn:
            return self.drawn[index]
        if index in self.kept:
            return of_png(self.kept[index][0])
        value = None if self.given is None else _asked(self.given, index, "mask")
        if value is not None:
            return as_mask(value, size)
        value = None if self.boxes is None else _asked(self.boxes, index, "box")
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
        InspectionError: not one per sample, or for numbers that no sample has. TypeError: none of these.
    """
    return Masks(_lookup(masks, "masks", len(samples)), _lookup(boxes, "boxes", len(samples)))


def _lookup(values: Any, what: str, count: int) -> Callable[[int], Any] | None:
    if values is None:
        return None
    if isinstance(values, Mapping):
        lost = [key for key in values if not isinstance(key, int | np.integer) or not 0 <= key < count]
        if lost:
            raise InspectionError(
                f"{what} as a dict goes by the number of the sample, 0 to {count - 1}; no sample has "
                f"{', '.join(map(repr, lost[:3]))}{' ...' if len(lost) > 3 else ''}"
            )
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


def _asked(source: Callable[[int], Any], index: int, what: str) -> Any:
    """What a source has for a sample.

    Raises:
        InspectionError: it fails, as a function of the user's or a lazy list may for one sample.
    """
    try:
        return source(index)
    except Exception as error:  # one bad item is never fatal, whatever it raises
        raise InspectionError(f"its {what} cannot be had: {type(error).__name__}: {error}") from error


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
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InspectionError("its mask has values that are not a number (nan)")
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


def of_polygons(polygons: Iterable[Any], size: tuple[int, int]) -> Mask:
    """Polygons as bool [H, W]: a pixel counts if its centre lies in one of them.

    Inside is where a polygon winds around a point, however often: a lasso may cross itself. Exact, where Pillow rounds
    the corners to whole pixels and counts the outline too.

    Args:
        polygons: [n, 2] each, at least three corners (x, y) in pixels of the picture. size: its width and height.

    Raises:
        InspectionError: no such corners, or no pixel of the picture in them.
    """
    mask = np.zeros((size[1], size[0]), np.bool_)
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, np.float64)
        except (TypeError, ValueError):
            corners = np.empty(0)
        if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) < 3 or not np.isfinite(corners).all():
            raise InspectionError(f"a polygon is three or more corners (x, y) in pixels; arrived: {polygon!r:.80}")
        mask |= _wound(corners, size)
    if not mask.any():
        raise InspectionError(f"what was drawn holds no pixel of the picture of {size[0]} x {size[1]}; draw it larger")
    return mask


def _wound(corners: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """[H, W] the pixels around whose centre a polygon winds: every edge counts, with its direction, right of it."""
    width, height = size
    turns = np.zeros((height, width + 1), np.int16)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        (top, bottom), turn = ((y0, y1), 1) if y0 < y1 else ((y1, y0), -1)
        rows = np.arange(*np.clip(np.ceil([top - 0.5, bottom - 0.5]), 0, height).astype(int))
        if len(rows):  # centres at the top count, those at the bottom belong to the next edge
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            turns[rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] += turn
    return np.asarray(np.cumsum(turns[:, :-1], 1) != 0)


def to_png(mask: Mask) -> bytes:
    """A mask as a PNG of one bit per pixel; :func:`of_png` reads it."""
    written = io.BytesIO()
    Image.fromarray(mask).save(written, "PNG")
    return written.getvalue()


def of_png(written: bytes) -> Mask:
    """[H, W] the mask that :func:`to_png` wrote."""
    with Image.open(io.BytesIO(written)) as opened:
        return np.array(opened, np.bool_)


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
