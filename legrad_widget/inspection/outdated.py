"""What was found about all errors and is of an earlier state: of another map, of fewer errors, of other masks.

Nothing is thrown away when the overlay changes: what was found stays true of the map that it was found with. But it is
no longer about what is drawn, and here that is said, in a sentence each.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from . import backgrounds
from .evidence import Overlay
from .identity import digest
from .problem import InspectionWarning

if TYPE_CHECKING:
    from .inspection import Inspection

Called = Callable[[Overlay], str]


def outdated(inspection: Inspection, called: Called = lambda overlay: overlay.label) -> dict[str, str]:
    """What no longer is about the overlay, the errors and the masks of now: by its name a sentence; {} if all is.

    - "clusters": the cards, their numbers in the column ``cluster``, and what is sorted by them.
    - "cases": the columns that ``alignment()`` fills (``case_predicted``, ``iou``, ``outside_mask``, ...) and
      ``cases()``. Every sample keeps the map that it was compared with, so one table may hold several.
    - "flip_sets": the column ``flip_size``. A flip set is a fact about the model whichever map is drawn; another map
      may find a smaller one.
    - "specificity": the column of that name, like "cases".
    - "backgrounds": the column ``background_changes``, of other answers or other drawn masks.
    - "calibration": it ranks all maps, so it does not depend on the overlay, but on the errors it was drawn from.

    Args:
        called: how an overlay is called in these sentences.
    """
    sentences = {
        "calibration": _calibration(inspection),
        "clusters": _clusters(inspection, called),
        "cases": _cases(inspection, called),
        "flip_sets": _flip_sets(inspection, called),
        "specificity": _specificity(inspection, called),
        "backgrounds": backgrounds.outdated(inspection),
    }
    return {what: says for what, says in sentences.items() if says}


def warn_if_outdated(inspection: Inspection, what: str) -> None:
    """Warn where what is about to be returned is of an earlier state."""
    if says := outdated(inspection).get(what):
        warnings.warn(says, InspectionWarning, stacklevel=3)


def mask_digest(inspection: Inspection, rows: Iterable[int]) -> str:
    """What tells the masks of these samples, as far as they were laid on patches, from others; "" for none at all."""
    covers = [inspection.covers.get(at) for at in rows]
    return digest(*covers).hex() if any(cover is not None for cover in covers) else ""


def _calibration(inspection: Inspection) -> str:
    found = inspection.calibrated
    if found is None:
        return ""
    if found.errors and found.errors != len(inspection.wrong):
        return (
            f"Measured when there were {found.errors} errors; there are {len(inspection.wrong)} now: measure again to "
            "draw from all of them."
        )
    if found.masks and found.masks != mask_digest(inspection, found.samples):
        return "Masks changed since: measure again for the mask precision of now."
    return ""


def _clusters(inspection: Inspection, called: Called) -> str:
    found = inspection.clustered
    if found is None:
        return ""
    if found.overlay != inspection.overlay:
        return (
            f"Made with the map {called(found.overlay)}; the map is {called(inspection.overlay)} now: group again for "
            "it."
        )
    if found.errors and found.errors != len(inspection.wrong):
        return f"Made of {found.errors} errors; there are {len(inspection.wrong)} now: group again for all of them."
    return ""


def _cases(inspection: Inspection, called: Called) -> str:
    kinds = Counter((one.overlay, one.binarise) for one in inspection.measured.values())
    if not kinds or (len(kinds) == 1 and next(iter(kinds))[0] in (inspection.overlay, None)):
        return ""
    parts = [
        f"{count} by {'an unknown map' if overlay is None else f'the map {called(overlay)}'}"
        + (f" ({rule!r})" if len({rule for _, rule in kinds}) > 1 else "")
        for (overlay, rule), count in kinds.most_common()
    ]
    return (
        f"Of {kinds.total()} samples that were compared, {' and '.join(parts)}; the map is "
        f"{called(inspection.overlay)} now: compare again for it."
    )


def _flip_sets(inspection: Inspection, called: Called) -> str:
    kinds = Counter(one.overlay for one in inspection.flip_sets.values() if one.overlay is not None)
    others = {overlay: count for overlay, count in kinds.items() if overlay != inspection.overlay}
    if not others:
        return ""
    parts = [f"{count} along the map {called(overlay)}" for overlay, count in others.items()]
    return (
        f"Of {len(inspection.flip_sets)} flip sets, {' and '.join(parts)} were searched: they hold whichever map is "
        f"drawn, but along {called(inspection.overlay)} there may be smaller ones."
    )


def _specificity(inspection: Inspection, called: Called) -> str:
    kinds = Counter(one.overlay for one in inspection.specificities.values())
    if set(kinds) <= {inspection.overlay}:
        return ""
    parts = [f"{count} are of the map {called(overlay)}" for overlay, count in kinds.most_common()]
    return f"Of {kinds.total()} values, {' and '.join(parts)}; the map is {called(inspection.overlay)} now: ask again."
