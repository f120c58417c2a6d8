"""The mask of one sample on the model's patches, and masks that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .mask_sources import as_mask, of_boxes, patch_shares
from .problem import InspectionError, Problem

if TYPE_CHECKING:
    from .inspection import Inspection


def mask_share(inspection: Inspection, index: int) -> NDArray[np.float64] | None:
    """[h, w] how much of every patch the sample's mask covers, from 0 to 1; None where there is no mask.

    Raises:
        InspectionError: its mask cannot be used; the sentence says why.
    """
    at = inspection.answered(index)
    if at in inspection.covers:
        return inspection.covers[at]
    if not inspection.masks.any:
        return None
    size = picture_size(inspection, at)
    mask = inspection.masks.of(at, size)
    if mask is None:
        return None
    preprocess = inspection.needs_model("lay a mask on patches").preprocess
    cover = patch_shares(mask, preprocess.window(*size, inspection.size, inspection.fit), inspection.grid)
    if not cover.any():
        raise InspectionError("its mask lies outside of what the model saw (fit='crop'); nothing of it is left")
    inspection.covers[at] = cover
    return cover


def usable_share(inspection: Inspection, index: int) -> NDArray[np.float64] | None:
    """The same; a mask that cannot be used is listed among the problems, and left out."""
    try:
        return mask_share(inspection, index)
    except InspectionError as error:
        found = Problem(index, inspection.samples.names[index], "mask", str(error))
        if found not in inspection.found:
            inspection.keep(found)
        return None


def draw_mask(inspection: Inspection, index: int, mask: Any) -> None:
    """Lay a mask on one sample in the place of the one that is there; None removes a drawn one.

    Args:
        mask: bool [H, W] of the picture's size, or a box (left, top, right, bottom) in its pixels, or several.

    Raises:
        InspectionError: it is neither, or empty.
    """
    at = inspection.answered(index)
    if mask is None:
        inspection.masks.drawn.pop(at, None)
    else:
        size, array = picture_size(inspection, at), np.asarray(mask)
        boxes = array.dtype != np.bool_ and array.shape[-1:] == (4,)
        inspection.masks.drawn[at] = of_boxes(mask, size) if boxes else as_mask(mask, size)
    with inspection.lock:
        inspection.covers.pop(at, None)
        inspection.measured.pop(at, None)
        inspection.changed()


def picture_size(inspection: Inspection, at: int) -> tuple[int, int]:
    """Width and height of the upright picture."""
    width, height = (int(side) for side in inspection.records["size"][at])
    return (width, height) if width else inspection.picture(at).size
