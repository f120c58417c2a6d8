"""All samples with a mask against it, for the predicted and for the true class, and how many are of which case."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .contrasting import overlay_of, usable_contrast
from .evidence import Overlay
from .outdated import warn_if_outdated
from .overlap import CASES, Alignment, Binarise, alignment, cases
from .problem import InspectionError, InspectionWarning
from .progress_bar import with_bar
from .sample_mask import usable_share

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One sample's evidence against its mask: for the predicted class, and for the true one.

    ``overlay``: whose evidence; None: not known (saved by an earlier version). ``binarise``: by which rule.
    """

    predicted: Alignment
    true: Alignment
    overlay: Overlay | None = None
    binarise: Binarise = "half"


@with_bar(" samples")
def align(
    inspection: Inspection,
    rows: Any = None,
    overlay: str | Overlay | None = None,
    binarise: Binarise = "half",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare the evidence of samples with their masks; the table's columns and the eight cases are filled from it.

    Four of the eight cases are about right answers: ``alignment(rows=r.scored)`` compares these too. Of a right answer
    "the true class" is the runner-up: what spoke for the answer over it, and the reverse.

    A sample keeps the numbers of the map that it was compared with when the overlay changes; ``r.outdated`` says of how
    many that is another map than the one that is drawn.

    Args:
        rows: as :meth:`Inspection.rows` takes them; None: all errors. Samples without a mask are left out.
        overlay: whose evidence; None: the inspection's own.
        binarise: see :func:`legrad_widget.inspection.overlap.alignment`.
        progress: called with (step, total) before each; raises to cancel, and what was measured is kept.

    Cost: the map of each sample, where it is not there yet: one forward and the method's own.

    Returns:
        One row per sample: the numbers of :class:`~legrad_widget.inspection.overlap.Alignment` for the predicted class,
        and with ``_true`` for the true one.

    Warns (InspectionWarning) where masks cannot be used, with how many and the first reason; ``problems`` lists all.

    Raises:
        InspectionError: there are no masks at all, or an argument cannot be.
    """
    import pandas as pd

    wanted = inspection.wrong if rows is None else inspection.rows(rows)
    found = compare(inspection, wanted.tolist(), overlay, binarise, progress)
    if says := unusable(inspection, wanted.tolist()):
        warnings.warn(says, InspectionWarning, stacklevel=3)
    names = [field.name for field in fields(Alignment)]
    table = {
        at: {name: getattr(one.predicted, name) for name in names}
        | {f"{name}_true": getattr(one.true, name) for name in names}
        for at, one in found.items()
    }
    columns = [*names, *(f"{name}_true" for name in names)]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("sample")


def compare(
    inspection: Inspection,
    wanted: Sequence[int],
    overlay: str | Overlay | None = None,
    binarise: Binarise = "half",
    progress: Progress | None = None,
) -> dict[int, Measured]:
    """What :func:`align` finds, by sample; a mask that cannot be used is listed among the problems, and left out.

    Raises:
        InspectionError: there are no masks at all, or an argument cannot be.
    """
    if not inspection.masks.any and not inspection.covers:
        raise InspectionError(
            "there are no masks: lw.inspect(..., masks=[...]) or boxes=[...], or r.draw_mask(i, mask)"
        )
    chosen = overlay_of(inspection, overlay)
    found: dict[int, Measured] = {}
    for step, at in enumerate(wanted):
        if progress is not None:
            progress(step, len(wanted))
        held = inspection.measured.get(at) if inspection.model is None else None
        if held is not None and (held.overlay, held.binarise) == (chosen, binarise):
            found[at] = held  # saved, perhaps without its map
            continue
        cover = usable_share(inspection, at)
        evidence = None if cover is None else usable_contrast(inspection, at, chosen)
        if cover is None or evidence is None:
            continue
        predicted, true = evidence.merged()
        found[at] = Measured(alignment(predicted, cover, binarise), alignment(true, cover, binarise), chosen, binarise)
        with inspection.lock:
            inspection.measured[at] = found[at]
            inspection.changed()
    return found


def unusable(inspection: Inspection, rows: Sequence[int]) -> str:
    """How many of these samples' masks cannot be used, and why the first cannot; "" where all can, or there is none."""
    meant = set(rows)
    bad = sorted((one.index, one.says) for one in inspection.found if one.kind == "mask" and one.index in meant)
    if not bad:
        return ""
    many = f"{len(bad)} masks of {len(rows)} samples" if len(bad) > 1 else "one mask"
    return f"{many} cannot be used (see problems); sample {bad[0][0]}: {bad[0][1]}"


def count_cases(inspection: Inspection) -> pd.DataFrame:
    """How many of the measured samples are of which case: a row per case of the predicted class's evidence, a column
    per case of the true class's. Follows ``thresholds`` at once.

    Warns (InspectionWarning) where samples were compared by another map than the overlay of now; see ``outdated``.

    Raises:
        InspectionError: nothing was compared yet.
    """
    import pandas as pd

    if not inspection.measured:
        raise InspectionError("nothing was compared with masks yet: alignment() does that")
    warn_if_outdated(inspection, "cases")
    columns = case_columns(inspection)
    pairs = pd.crosstab(pd.Series(columns["case_predicted"]), pd.Series(columns["case_true"]))
    rows, across = ([case for case in CASES if case in index] for index in (pairs.index, pairs.columns))
    return pairs.loc[rows, across].rename_axis("evidence for predicted").rename_axis("evidence for true", axis=1)


def case_columns(inspection: Inspection) -> dict[str, Any]:
    """The table's columns from what was measured: numbers for the predicted class, and both cases."""
    count = inspection.total
    if not inspection.measured:
        return {}
    rows = np.array(sorted(inspection.measured))
    records = inspection.records[rows]
    correct = records["predicted"] == records["label"]
    columns: dict[str, Any] = {}
    for side in ("predicted", "true"):
        ours = [getattr(inspection.measured[at], side) for at in rows.tolist()]
        iou, ground, saliency = (np.array([getattr(one, name) for one in ours]) for name in _JUDGED)
        columns[f"case_{side}"] = _spread(cases(iou, ground, saliency, correct, inspection.thresholds), rows, count, "")
    for name in _SHOWN:
        values = [getattr(inspection.measured[at].predicted, name) for at in rows.tolist()]
        columns[name] = _spread(values, rows, count, np.nan)
    columns["outside_mask"] = 1 - columns["mass_above_floor"]
    return columns


_JUDGED = ("iou", "ground_coverage", "saliency_coverage")
_SHOWN = (*_JUDGED, "average_precision", "pointing", "mass_above_floor", "lift", "area")


def _spread(values: list[Any], rows: Any, count: int, empty: Any) -> Any:
    column = np.full(count, empty, object if isinstance(empty, str) else np.float64)
    column[rows] = values
    return column
