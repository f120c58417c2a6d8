"""The score curves of one sample over the layers, with the reliability of the layers behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .lens_curve import FlipKind, Flips, Reliability, flips, reliability
from .problem import InspectionError

if TYPE_CHECKING:
    from .inspection import Inspection


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How a sample's two classes stand at every layer.

    Attributes:
        layers: 1 ... L.
        true: [L] the label's score.
        predicted: [L] that of the predicted class (of a correct sample: of the runner-up).
        rank: [L] the label's rank among all classes. ``first``: per layer the name of the first class.
        names: what the two are called.
        flip_layer, at_most, flip_kind, lost_after: of an error, see
            :class:`~legrad_widget.inspection.lens_curve.Flips`; 0 and "" of a correct sample.
        weak: [L] where the lens is not to be trusted.
    """

    layers: tuple[int, ...]
    true: NDArray[np.float32] = field(repr=False)
    predicted: NDArray[np.float32] = field(repr=False)
    rank: NDArray[np.int32]
    first: tuple[str, ...]
    names: tuple[str, str]
    flip_layer: int
    at_most: bool
    flip_kind: FlipKind
    lost_after: int
    weak: NDArray[np.bool_] = field(repr=False)

    @property
    def flip(self) -> str:
        """The flip layer as it should be read: "3", "<= 3", or "" of a correct sample."""
        return "" if not self.flip_layer else f"<= {self.flip_layer}" if self.at_most else str(self.flip_layer)


def curve(inspection: Inspection, index: int) -> Curve:
    """The curves of one sample.

    Raises:
        InspectionError: it was skipped, or its logits were given and no layer was seen.
    """
    at = inspection.answered(index)
    if not inspection.layers:
        raise InspectionError("the logits were given, so no layer was seen; inspect without logits= for the curves")
    record, names = inspection.records[at], inspection.class_names
    found = flips_of(inspection, np.array([at]))
    wrong = record["predicted"] != record["label"]
    return Curve(
        inspection.layers, record["lens_true"].copy(), record["lens_rival"].copy(), record["lens_rank"].copy(),
        tuple(names[i] for i in record["lens_top"]), (names[record["label"]], names[record["rival"]]),
        int(found.layer[0]) if wrong else 0, bool(found.at_most[0]) if wrong else False,
        found.kind[0] if wrong else "", int(found.lost_after[0]) if wrong else 0, reliability_of(inspection).weak,
    )  # fmt: skip


def reliability_of(inspection: Inspection) -> Reliability:
    """How far the layers' scores can be trusted, by the samples scored so far."""
    scored = inspection.records[inspection.scored]
    return inspection.once(
        "reliability",
        lambda: reliability(
            scored["label"], scored["rival"], scored["lens_true"], scored["lens_rival"], scored["lens_top"]
        ),
    )


def flips_of(inspection: Inspection, wrong: NDArray[np.int64]) -> Flips:
    """Where these errors went wrong."""
    known, records = reliability_of(inspection), inspection.records[wrong]
    return flips(records["lens_rival"].astype(np.float64) - records["lens_true"], known.spread, known.weak)
