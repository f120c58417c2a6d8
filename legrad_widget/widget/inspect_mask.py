"""The mask of the open sample, as the page shows it: its outline, and the numbers of the map against it, in words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .inspect_pictures import LONGEST

if TYPE_CHECKING:
    from ..inspection import Inspection

DASH = 6
"""Pixels of a dash, and of the gap after it: the outline of boxes, which are coarse."""
_BLACK, _YELLOW, _OPACITY = (0, 0, 0), (255, 213, 74), bytes([0, 190, 255])
SAYS = {
    "drawn": "Outline: the mask you drew.",
    "given": "Outline: the given mask.",
    "boxes": "Dashed outline: the given boxes, coarse.",
}
NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("iou", "map and object share", "IoU: what the strongest patches and the mask share, of what either covers"),
    ("ground_coverage", "object under the map", "Ground truth coverage (Shared Interest)"),
    ("saliency_coverage", "map on the object", "Saliency coverage (Shared Interest)"),
    ("average_precision", "order of the patches", "Average precision of the map against the mask: no threshold"),
    ("iou_top", "shared by as many patches", "IoU of as many of the highest patches as the mask is large"),
    ("mass_above_floor", "evidence on the object", "Mass in the mask, the median of the map taken away"),
    ("lift", "times chance", "Lift: that share over the share of the picture that the mask covers"),
)
"""What is told of the map against the mask: the number, in plain words, and what it is called."""


def mask_of(inspection: Inspection, row: int) -> dict[str, Any] | None:
    """A sample's mask on the wire: its outline, whether it was drawn, and a sentence; None without one."""
    from ..inspection.sample_mask import picture_size

    if not inspection.masks.any or inspection.status(row) != "scored":
        return None
    try:
        mask = inspection.masks.of(row, picture_size(inspection, row))
    except ValueError as error:  # it is listed among the problems too
        return {"picture": None, "drawn": False, "says": f"No mask: {error}."}
    if mask is None:
        return None
    drawn, coarse = row in inspection.masks.drawn, inspection.masks.coarse(row)
    says = SAYS["drawn" if drawn else "boxes" if coarse else "given"]
    return {"picture": outline(mask, coarse), "drawn": drawn, "says": says}


def outline(mask: NDArray[np.bool_], coarse: bool = False) -> dict[str, Any]:
    """A transparent PNG for the picture's place, its longer side 384 pixels: a light line inside the mask's edge, dark
    on both sides of it, so that it stands on any picture; in dashes where the mask is coarse."""
    height, width = mask.shape
    scale = LONGEST / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, how)) >= 128
    inside = np.pad(small, 4)  # what touches the picture's border has an edge there
    inner, middle, outer = ~_grown(~inside, 3), ~_grown(~inside, 2), _grown(inside, 1)
    line, dark = inside & ~middle, (outer & ~inside) | (middle & ~inner)
    if coarse:
        dashed = np.add.outer(*(np.arange(side) for side in line.shape)) // DASH % 2 == 0
        line, dark = line & dashed, dark & dashed
    drawn = Image.fromarray((dark + 2 * line).astype(np.uint8)[4:-4, 4:-4])
    drawn.putpalette([0, 0, 0, *_BLACK, *_YELLOW])
    written = io.BytesIO()
    drawn.save(written, "PNG", transparency=_OPACITY)
    return {"mime": "image/png", "data": written.getvalue()}


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """With everything that is at most so many pixels away, in rows and columns."""
    for _ in range(by):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        mask = wide.copy()
        mask[:, 1:] |= wide[:, :-1]
        mask[:, :-1] |= wide[:, 1:]
    return mask


def against_mask(inspection: Inspection, row: int) -> dict[str, Any] | None:
    """The numbers of a sample that was compared with its mask, for people; None where it was not."""
    found = inspection.measured.get(row)
    if found is None:
        return None
    predicted, rival = (inspection.class_names[at] for at in inspection.pair(row))
    sides = (found.predicted, found.true)
    return {
        "sides": [predicted, rival],
        "says": f"The object covers {100 * found.predicted.area:.0f} % of what the model saw.",
        "rows": [
            {"title": title, "says": says, "values": [_told(name, getattr(one, name)) for one in sides]}
            for name, title, says in NUMBERS
        ],
    }


def _told(name: str, value: float) -> str:
    if value != value:
        return "–"
    return f"{value:.1f}\N{NO-BREAK SPACE}×" if name == "lift" else f"{value:.2f}"
