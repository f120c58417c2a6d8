"""Maps against masks: pixel accuracy, intersection over union, average precision and the pointing game.

Definitions (a map E of one image, a mask M of what should be found, both [H, W]; P = [E >= threshold]):

- pixel accuracy: mean over images of the share of pixels with P = M. All images of one call have one size, so this
  is also the share over the data set.
- IoU of the object: |P and M| / |P or M|; of the background the same with both complemented. An empty union (nothing
  to find and nothing claimed) counts as 1.
- mIoU per image: mean over images of the mean of the two. mIoU over the data set: intersections and unions are summed
  over the images first (Chefer et al. 2021, and LeGrad, arXiv:2404.03214, Table 1).
- average precision: per image, all pixels ranked by E, relevant where M; ties share their threshold
  (`sklearn.metrics.average_precision_score`); mean over images.
- pointing game (Zhang et al. 2018): the share of images whose highest pixel lies in the mask. When several pixels are
  highest, the share of them that lie in the mask counts, so a constant map scores the area of the mask.

The mAP of Chefer et al. and LeGrad ranks both channels (1 - E, E) together and therefore starts near the class prior;
the average precision here is of the object alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]


class MetricError(ValueError):
    """Maps and masks that cannot be compared."""


@dataclass(frozen=True, slots=True)
class Localisation:
    """How well N maps find their masks; every number lies in [0, 1], and higher is better.

    Attributes:
        miou: mean over images of the mean of object IoU and background IoU.
        foreground_iou: mean over images of object IoU.
        miou_dataset: mean of object IoU and background IoU, each from sums over all images.
        foreground_iou_dataset: object IoU from sums over all images.
        pixel_accuracy: share of pixels on the right side of the threshold.
        average_precision: mean over images of the average precision of the pixels.
        pointing: share of images whose highest pixel lies on the object.
        images: N.
    """

    miou: float
    foreground_iou: float
    miou_dataset: float
    foreground_iou_dataset: float
    pixel_accuracy: float
    average_precision: float
    pointing: float
    images: int

    def rounded(self, digits: int = 3) -> dict[str, float | int]:
        """Return the fields as a dict, rounded."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: round(value, digits) if isinstance(value, float) else value for name, value in held.items()}


def min_max(maps: ArrayLike) -> NDArray[np.float64]:
    """Return maps `[N, H, W]` scaled to [0, 1] each; a constant map becomes 0 everywhere (nothing is claimed)."""
    maps = np.asarray(maps, np.float64)
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span > 0)


def localisation(maps: ArrayLike, masks: ArrayLike, *, threshold: float = 0.5) -> Localisation:
    """Compare maps with masks.

    Args:
        maps: `[N, H, W]` finite, on the scale of `threshold` (`min_max` brings any maps to [0, 1]).
        masks: `[N, H, W]` bool, True where the object is; every mask holds at least one True pixel.
        threshold: a pixel is claimed where its map is at or above this.

    Raises:
        MetricError: shapes differ, nothing to compare, a value is not finite, masks are not bool, or a mask is empty.
    """
    values, truth = _checked(maps, masks)
    claimed = values >= threshold
    object_parts = _overlap(claimed, truth)
    ground_parts = _overlap(~claimed, ~truth)
    object_iou, ground_iou = _ratio(*object_parts), _ratio(*ground_parts)
    object_total, ground_total = (
        float(_ratio(parts[0].sum(), parts[1].sum())) for parts in (object_parts, ground_parts)
    )
    flat_values, flat_truth = values.reshape(len(values), -1), truth.reshape(len(truth), -1)
    precision = [
        average_precision_score(relevant, value) for relevant, value in zip(flat_truth, flat_values, strict=True)
    ]
    highest = flat_values == flat_values.max(1, keepdims=True)
    return Localisation(
        miou=float(((object_iou + ground_iou) / 2).mean()),
        foreground_iou=float(object_iou.mean()),
        miou_dataset=(object_total + ground_total) / 2,
        foreground_iou_dataset=object_total,
        pixel_accuracy=float((claimed == truth).mean()),
        average_precision=float(np.mean(precision)),
        pointing=float(((highest & flat_truth).sum(1) / highest.sum(1)).mean()),
        images=len(values),
    )


def _checked(maps: ArrayLike, masks: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(maps, np.float64), np.asarray(masks)
    if values.ndim != 3 or values.shape != truth.shape or values.size == 0:
        raise MetricError(
            "maps and masks are both [N, H, W], of the same shape and not empty; "
            f"arrived: {values.shape} and {truth.shape}"
        )
    if truth.dtype != np.bool_:
        raise MetricError(f"masks are bool (True where the object is); arrived: {truth.dtype}. Use masks > 0")
    if not np.isfinite(values).all():
        raise MetricError("a map holds NaN or infinity; leave out the pixels that a crop did not show")
    empty = np.flatnonzero(~truth.any(axis=(1, 2)))
    if len(empty):
        raise MetricError(f"mask {int(empty[0])} is empty: there is nothing to find in that image; leave it out")
    return values, truth


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sizes of intersection and union per image, each [N]."""
    return (a & b).sum(axis=(1, 2)), (a | b).sum(axis=(1, 2))


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return part / whole, and 1 where both are empty."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)
