"""Whether a map knows which class is asked about: plain maps of the predicted and of the true class, held together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..explainer import Encoding
from ..explanation import is_flat
from ..method import find
from ..target import Class, TargetError
from .contrasting import overlay_of, surest_first
from .evidence import ATTENTION_GRADIENT, Overlay
from .problem import PictureGone, Problem
from .progress_bar import with_bar
from .weighting import merged

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Specific:
    """1 - r of one sample; nan where a map is flat. ``overlay``: of which map."""

    value: float
    overlay: Overlay


@with_bar(" samples")
def specificity(
    inspection: Inspection,
    rows: Any = None,
    overlay: str | Overlay | None = None,
    progress: Progress | None = None,
) -> pd.Series[float]:
    """How much the plain maps of the predicted and of the true class differ. Fills the column ``specificity``.

    1 - r, r Pearson's correlation over the patches of the two merged maps, as :meth:`Encoding.specificity` has it with
    the other class as control. 0: the method shows the same picture whichever of the two classes is asked, so that
    these plain maps say nothing about the mistake; 1: they have nothing in common; up to 2: one is the negative of the
    other. Of a right answer the runner-up stands in the place of the true class.

    What it is not: a low value need not be a fault, since both classes may be seen in the same object; and it says
    nothing against the contrast, which is what differs between the two. Values of different methods are not on one
    scale: a signed map can be negated, one of positive parts cannot.

    Args:
        rows: as :meth:`Inspection.rows` takes them; None: all errors, the surest first.
        overlay: whose plain maps; None: the inspection's own. What was found before with the same one is taken as is.
        progress: called with (step, total) of what is still to be found; raises to cancel, what was found is kept.

    Cost: per sample one forward to encode it, and the method for two targets.

    Raises:
        InspectionError: some are not known yet, and there is no model; or an argument cannot be.
    """
    import pandas as pd

    chosen = overlay_of(inspection, overlay)
    wanted = surest_first(inspection) if rows is None else [inspection.answered(at) for at in inspection.rows(rows)]
    missing = [at for at in wanted if _known(inspection, at, chosen) is None]
    if missing:
        inspection.needs_model("compare plain maps")
    for step, at in enumerate(missing):
        if progress is not None:
            progress(step, len(missing))
        try:
            value = between(inspection.encoding(at), *inspection.pair(at), chosen)
        except (PictureGone, TargetError) as error:
            told = Problem(at, inspection.samples.names[at], "map", str(error))
            if told not in inspection.found:
                inspection.keep(told)
            continue
        with inspection.lock:
            inspection.specificities[at] = Specific(value, chosen)
            inspection.changed()
    found = {at: one.value for at in wanted if (one := _known(inspection, at, chosen)) is not None}
    return pd.Series(found, dtype=np.float64, name="specificity").rename_axis("sample")


def between(encoding: Encoding, first: int, second: int, overlay: Overlay) -> float:
    """1 - r of the merged plain maps of two classes; nan where one is flat."""
    a, b = (one.astype(np.float64).ravel() for one in _plain(encoding, first, second, overlay))
    return float("nan") if is_flat(a) or is_flat(b) else 1 - float(np.corrcoef(a, b)[0, 1])


def _plain(encoding: Encoding, first: int, second: int, overlay: Overlay) -> list[NDArray[np.float32]]:
    """Both [h, w], raw, by the overlay's method and its weighting of layers."""
    targets = [Class(first), Class(second)]
    if overlay.method == ATTENTION_GRADIENT:
        maps = [encoding.head_effects(target).maps.sum(1) for target in targets]
        return [merged(one, range(1, len(one) + 1), overlay.weights) for one in maps]
    together = [[target] for target in targets] if find(overlay.method).together else [targets]
    found = (x for part in together for x in encoding.explain(part, overlay.method))
    return [merged(x.maps, x.layers, overlay.weights, merge=x.merge, default=x.default) for x in found]


def _known(inspection: Inspection, at: int, overlay: Overlay) -> Specific | None:
    found = inspection.specificities.get(at)
    return found if found is not None and found.overlay == overlay else None
