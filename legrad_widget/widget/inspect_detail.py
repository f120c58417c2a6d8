"""What is known about the sample that is open, beside its row of the table: curves, neighbours, cases, flip set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import wire
from .inspect_mask import against_mask, mask_of
from .inspect_pictures import encoded

if TYPE_CHECKING:
    import pandas as pd

    from ..inspection import Inspection
    from ..inspection.curves import Curve
    from ..inspection.flip_set import FlipSet

NEIGHBOURS = (
    ("correct_true", "Nearest that are right, of the true class", "Nearest that are right, of its class"),
    (
        "correct_predicted",
        "Nearest that are right, of the class it took it for",
        "Nearest that are right, of the runner-up",
    ),
    ("same_errors", "Nearest with the same mistake", ""),
)
"""Fields of ``Neighbours``, and how they are called where the sample is wrong, and where it is right."""
SIDES = {False: ("the class it took it for", "the true class"), True: ("what it is", "the runner-up")}
"""Whose evidence the two maps are: of wrong samples, and of right ones."""
NEEDS = "Other maps, brushing and flip sets need the model: lw.open_inspection(folder, model=model)."


@dataclass(frozen=True, slots=True)
class Detail:
    """One sample; what is not known is None or empty."""

    row: int
    layers: tuple[int, ...] = ()
    true: Sequence[float] | None = None
    predicted: Sequence[float] | None = None
    trust: Sequence[float] | None = None
    weak: Sequence[bool] | None = None
    flip: str = ""
    neighbours: tuple[tuple[str, tuple[int, ...]], ...] = ()
    cases: tuple[tuple[str, str, str], ...] = ()
    mask: dict[str, Any] | None = None
    against: dict[str, Any] | None = None
    picture: dict[str, Any] | None = None
    map: NDArray[np.float32] | None = None
    needs: str = ""
    flip_set: dict[str, Any] | None = None

    @property
    def wire(self) -> dict[str, Any]:
        """``_sample``, as the browser knows it."""
        return {
            "row": self.row,
            "layers": list(self.layers),
            "true": None if self.true is None else wire.numbers(self.true),
            "predicted": None if self.predicted is None else wire.numbers(self.predicted),
            "trust": None if self.trust is None else wire.numbers(self.trust),
            "weak": None if self.weak is None else [bool(flag) for flag in self.weak],
            "flip": self.flip,
            "neighbours": [{"title": title, "rows": list(rows)} for title, rows in self.neighbours],
            "cases": [{"about": about, "name": name, "says": says} for about, name, says in self.cases],
            "mask": self.mask,
            "against": self.against,
            "picture": self.picture,
            "map": None if self.map is None else wire.pack(self.map),
            "needs": self.needs,
            "flip_set": self.flip_set,
        }

    def flipping(self, state: str, words: str, patches: Iterable[Sequence[int]] = ()) -> Detail:
        """The same with how far the search for its smallest flip set is."""
        found = [[int(row), int(col)] for row, col in patches]
        return replace(self, flip_set={"state": state, "words": words, "patches": found})


def detail_of(inspection: Inspection, row: int, lacking: str | None = None) -> Detail:
    """What is known about a sample without asking the model; ``lacking`` says what is not there: None: what a model
    would add, where there is none."""
    detail = Detail(row, mask=mask_of(inspection, row), against=against_mask(inspection, row))
    if inspection.status(row) == "scored":
        detail = replace(detail, neighbours=_neighbours(inspection, row))
    if inspection.status(row) == "scored" and inspection.layers:
        curve, trust = inspection.curve(row), inspection.reliability
        detail = replace(
            detail,
            layers=tuple(int(layer) for layer in curve.layers),
            true=np.asarray(curve.true).tolist(),
            predicted=np.asarray(curve.predicted).tolist(),
            trust=np.asarray(trust.pair_auc).tolist(),
            weak=np.asarray(trust.weak).tolist(),
            flip=_flip_words(curve, len(inspection.layers)),
        )
    picture, needs = _picture(inspection, row)
    if lacking is None:
        lacking = NEEDS if inspection.model is None else ""
    return replace(detail, picture=picture, needs=f"{needs} {lacking}".strip())


def _neighbours(inspection: Inspection, row: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Samples like it; none where there are no embeddings."""
    try:
        near = inspection.neighbours(row)
    except ValueError:
        return ()
    predicted, _ = inspection.pair(row)
    right = predicted == inspection.records["label"][row]
    return tuple(
        (of_right if right else of_wrong, tuple(int(other) for other in getattr(near, name)))
        for name, of_wrong, of_right in NEIGHBOURS
    )


def compared(detail: Detail, inspection: Inspection) -> Detail:
    """The same with what its map says against its mask, if it has both; else with why they cannot be compared."""
    row, mask = detail.row, mask_of(inspection, detail.row)
    cases: tuple[tuple[str, str, str], ...] = ()
    if mask is None or mask["picture"] is None:
        inspection.measured.pop(row, None)
    else:
        try:
            inspection.contrast(row)
            inspection.mask_share(row)
            cases = measured_cases(inspection, row)
        except (ValueError, LookupError, OSError) as error:
            mask["says"] += f" It is not compared: {error}."
    return replace(detail, mask=mask, cases=cases, against=against_mask(inspection, row))


def measured_cases(inspection: Inspection, row: int) -> tuple[tuple[str, str, str], ...]:
    """Which of the eight cases a sample is, by its mask: about whose evidence, the case, and what it means; () without
    a mask."""
    from ..inspection.sample_mask import usable_share

    if usable_share(inspection, row) is None:
        return ()
    inspection.alignment([row])
    return cases_in(inspection.frame, row)


def cases_in(frame: pd.DataFrame, row: int) -> tuple[tuple[str, str, str], ...]:
    """The same as the table has it: () where the sample was not compared with its mask."""
    from ..inspection.overlap import MEANINGS

    right = bool(frame["correct"].iloc[[row]].fillna(False).item())
    sides = zip(SIDES[right], ("case_predicted", "case_true"), strict=True)
    found = ((about, str(frame[column].iloc[row])) for about, column in sides if column in frame)
    return tuple((about, name, MEANINGS[name]) for about, name in found if name)


def _flip_words(curve: Curve, depth: int) -> str:
    """When the true class lost, as far as the lens can tell; "" where it did not."""
    true = curve.names[0]
    at = f"layer {curve.flip_layer} of {depth}{' or before' if curve.at_most else ''}"
    says = {
        "never right": f"Never right: {true} led at no layer.",
        "lost": f"{true} led, and lost at {at}.",
        "won back and lost": f"{true} was won back and lost again, for good at {at}.",
        "undecided": f"Undecided until the last layers: decided at {at}.",
    }.get(curve.flip_kind, "")
    if says and curve.at_most and any(curve.weak):
        says += f" At {_runs(curve.layers, curve.weak)} the lens is hardly better than chance: that part is a guess."
    return says


def _runs(layers: Sequence[int], marked: Iterable[bool]) -> str:
    """The layers that are marked, as people say it: "layers 1 to 4, 6 and 8"."""
    runs: list[list[int]] = []
    for layer, is_marked in zip(layers, marked, strict=True):
        if not is_marked:
            continue
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    said = [words for run in runs for words in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    if len(said) == 1:
        return f"layer{'s' if ' ' in said[0] else ''} {said[0]}"
    return f"layers {', '.join(said[:-1])} and {said[-1]}"


def flip_set_words(found: FlipSet, names: Sequence[str], row: int) -> str:
    """What the flip set of a sample says, in a sentence; and what to try where it is none, or most of the picture."""
    spread = (
        " No small region explains it: the cause may be spread out, e.g. the background; with masks try "
        f"r.on_other_backgrounds({row})."
    )
    if not found.found:
        return f"No set of patches was found that changes {names[found.before]}.{spread}"
    many = f"{found.size} patch{'es' if found.size != 1 else ''}"
    if found.random_flips != found.random_flips:
        random = ""
    else:
        random = f"; as many random ones do that in {100 * found.random_flips:.0f} %"
    lead = f"Without {many} ({100 * found.share:.0f} % of the picture) it says {names[found.after]}"
    return f"{lead} instead of {names[found.before]}{random}.{spread if found.share > 0.5 else ''}"


def _picture(inspection: Inspection, row: int) -> tuple[dict[str, Any] | None, str]:
    """Its picture, or the small copy that is kept, and a sentence where it is not the picture itself."""
    try:
        return encoded(inspection.picture(row)), ""
    except (OSError, ValueError, TypeError, LookupError):
        small = bytes(inspection.small[row])
    if not small:
        return None, "The picture is not where it was, and no copy of it was kept."
    return {
        "mime": "image/jpeg",
        "data": small,
    }, "The picture is not where it was: this is a small copy of it."
