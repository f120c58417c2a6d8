"""The mask of one sample on the model's patches, and masks that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..models.preprocess import Preprocess
from .contrasting import contrast
from .mask_sources import Mask, as_mask, of_boxes, patch_shares
from .problem import InspectionError, Problem

if TYPE_CHECKING:
    from .inspection import Inspection

How = Literal["replace", "add", "remove"]


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
    drawn = inspection.masks.drawn.get(at)
    size = picture_size(inspection, at)
    mask = inspection.masks.of(at, size)
    if mask is None:
        return None
    cover = patch_shares(mask, Preprocess.window(*size, inspection.size, inspection.fit), _grid(inspection, at))
    if not cover.any():
        raise InspectionError("its mask lies outside of what the model saw (fit='crop'); nothing of it is left")
    with inspection.lock:
        if inspection.masks.drawn.get(at) is drawn:  # it may have been drawn anew meanwhile
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


def draw_mask(inspection: Inspection, index: int, mask: Any, how: How = "replace") -> None:
    """Lay a mask on one sample in the place of the one that is there; None goes back to the given one, or to none.

    Args:
        mask: bool [H, W] of the picture's size, or a box (left, top, right, bottom) in its pixels, or several.
        how: "replace"; "add": it counts beside what is there; "remove": it is taken away from what is there.

    Raises:
        InspectionError: it is neither, or nothing is left.
    """
    if how not in get_args(How):
        raise InspectionError(f"a mask is drawn to 'replace', 'add' or 'remove'; arrived: {how!r}")
    at = inspection.answered(index)
    drawn = None if mask is None else _amended(inspection, at, mask, how)
    with inspection.lock:
        if drawn is None:
            inspection.masks.drawn.pop(at, None)
        else:
            inspection.masks.drawn[at] = drawn
        inspection.covers.pop(at, None)
        inspection.measured.pop(at, None)
        inspection.found[:] = [one for one in inspection.found if (one.index, one.kind) != (at, "mask")]
        inspection.changed()


def _amended(inspection: Inspection, at: int, mask: Any, how: How) -> Mask:
    size, array = picture_size(inspection, at), np.asarray(mask)
    boxes = array.dtype != np.bool_ and array.shape[-1:] == (4,)
    new = of_boxes(mask, size) if boxes else as_mask(mask, size)
    before = None if how == "replace" else inspection.masks.of(at, size)
    if how == "remove":
        left = np.zeros_like(new) if before is None else before & ~new
        if not left.any():
            raise InspectionError("nothing is left of the mask without that; clear it, or draw another")
        return left
    return new if before is None else before | new


def _grid(inspection: Inspection, at: int) -> tuple[int, int]:
    """Patch rows and columns; without a model those of the map that was kept."""
    if inspection.model is not None:
        return inspection.grid
    rows, columns = contrast(inspection, at).difference().shape
    return rows, columns


def picture_size(inspection: Inspection, at: int) -> tuple[int, int]:
    """Width and height of the upright picture."""
    width, height = (int(side) for side in inspection.records["size"][at])
    return (width, height) if width else inspection.picture(at).size
