"""What the page computes about all errors: which map to trust, groups of errors, and maps against masks.

Each runs on the model's worker in slices, one sample at most: a sample that is opened meanwhile gets its turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rules, wire
from .slices import Slices
from .worker import Cancelled, Job, Ticket

if TYPE_CHECKING:
    from ..inspection import Inspection
    from ..inspection.cluster_cards import Clusters
    from ..inspection.evidence import Overlay

log = logging.getLogger(__name__)

STUDIES = {
    "calibrate": {
        "title": "Which map to trust?",
        "says": "Every patch of some errors is taken away alone and the answer asked again: a map is worth as much as "
        "its order of the patches agrees with that. The best one is then drawn; the last row is removal itself, the "
        "most a map could reach.",
        "start": "Measure the maps",
    },
    "specificity": {"title": "", "says": "", "start": "Do the maps know the class?"},
    "clusters": {
        "title": "Groups of errors",
        "says": "Errors whose maps, layers and embeddings are alike. Each card shows the mean map of its errors over "
        "the most typical one. Testing takes the region of that map out of all of them: where the answer changes far "
        "more often than with a random region, the region is a cause.",
        "start": "Group the errors",
    },
    "regions": {"title": "", "says": "", "start": "Test the regions"},
    "flips": {
        "title": "Fragile answers",
        "says": "The fewest patches, along the map that is drawn, without which the answer changes. Few, and far more "
        "telling than as many random ones: the answer hangs on a detail, and the open sample shows which. What was "
        "found is kept: stop whenever you like, and go on later.",
        "start": "Find the flip sets",
    },
    "backgrounds": {
        "title": "Other backgrounds",
        "says": "Each object, cut out by its mask, on the backgrounds of samples that were taken for another class; as "
        "control, on those of the same class. Answers that change far more often than the control does rest on what is "
        "around the object. Pasted pictures are not like photographs: read each number beside its control. What was "
        "found is kept: stop whenever you like, and go on later.",
        "start": "Try other backgrounds",
    },
    "alignment": {
        "title": "Maps against masks",
        "says": "Where the evidence is, against the mask of the object. Evidence for what it was taken for beside the "
        "object, and for what it is on the object: that is how a shortcut looks. The sliders decide what counts as "
        'high; a click on a number shows its samples. Of right answers "what it is" is the runner-up.',
        "start": "Compare with masks",
    },
}
"""By their names on the wire: what they are called, how what they find is to be read, and what starts them."""
HEADINGS = {
    "rank_correlation": ("rank correlation", "Of the map and of exact removal over all patches; 1 is the same order"),
    "captured": ("damage found", "What the map's 3 highest patches take away, of what the 3 most damaging ones do"),
    "top_patch": ("top patch", "Share of the samples whose highest patch is the most damaging one"),
    "flip_size": ("flip set", "Median number of patches, in the map's order, that change the answer; fewer are better"),
    "mask_precision": (
        "mask precision", "Average precision of the evidence for the true class against the masks",
    ),
}  # fmt: skip
"""What the page shows of a calibration: headings, and what they mean."""
TELL_EVERY = 0.2
"""Seconds between two words about how far it is."""
FEW_PATCHES = 100
"""On a larger grid ablation is approximated, windows of 2 x 2 first: see ``calibrate(coarse=2)``."""
TOP_PAIRS = 3
MAX_SAMPLES = 512
BACKGROUNDS = 4
"""Other backgrounds for each object, and as many for the control."""
TOP_ROWS = 100
"""Samples in the table of these."""
FLIP_FORWARDS = 60
"""About as many forwards as a flip set takes on average: 58 on the built-in shortcuts, where half of them take 17."""


@dataclass(frozen=True, slots=True)
class Options:
    """What somebody chose in a panel; each study takes its own of these.

    Attributes:
        samples, by: of "calibrate": how many errors, and the column that ranks the maps.
        k, weights: of "clusters": how many groups (None: by silhouette), and what map, layers and embedding count.
        right: of "alignment": whether right answers are compared too.
        selected: of "backgrounds": whether the selected samples are meant, not all errors.
    """

    samples: int = 32
    by: str = "rank_correlation"
    k: int | None = None
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    right: bool = False
    selected: bool = False


def read_options(content: Mapping[str, Any]) -> Options:
    """The options in a message of the page; what is not in it is as usual.

    Raises:
        Refused: one of them cannot be.
    """
    from ..inspection.calibration import MEASURES
    from ..inspection.kmeans import MOST

    usual = Options()
    given = {field.name: content.get(field.name, getattr(usual, field.name)) for field in fields(Options)}
    weights = given["weights"]
    if not isinstance(weights, list | tuple) or len(weights) != 3:
        raise rules.Refused(f"weights are three numbers: of map, layers, embedding; arrived: {rules.shown(weights)}")
    of_map, of_layers, of_embedding = (rules.fraction("a weight", weight) for weight in weights)
    return Options(
        rules.whole("samples", given["samples"], 1, MAX_SAMPLES),
        rules.choice("by", given["by"], tuple(MEASURES)),
        None if given["k"] is None else rules.whole("k", given["k"], 2, MOST),
        (of_map, of_layers, of_embedding),
        rules.flag("right", given["right"]),
        rules.flag("selected", given["selected"]),
    )


class Studies:
    """One at a time. All methods are called with the gallery's lock held.

    Args:
        inspection: what is studied.
        submit: puts a job to the model's worker. tell: publishes how far it is, as ``_study``.
        ended: called, without the lock, when one has ended: of what was stopped there may be a part.
        lock: gives the gallery's lock.
    """

    def __init__(
        self,
        inspection: Inspection,
        submit: Callable[[Job], None],
        tell: Callable[[dict[str, Any]], None],
        ended: Callable[[], None],
        lock: Callable[[], threading.Condition],
    ) -> None:
        self._inspection, self._submit, self._tell = inspection, submit, tell
        self._ended, self._lock = ended, lock
        self._slices: Slices | None = None
        self._told_at = 0.0
        self._began_at = 0.0
        self.paces: dict[str, float] = {}

    def begin(self, what: str, options: Options) -> None:
        """Start one.

        Raises:
            Refused: another one runs.
        """
        if self._slices is not None:
            raise rules.Refused("one computation over all errors runs already; stop it first, or wait for it")
        step, said = [0, 0], [""]

        def computation(wait: Callable[[], None]) -> None:
            def progress(done: int, total: int) -> None:
                step[:] = done, total
                wait()

            said[:] = [_run(self._inspection, what, options, progress)]

        self._slices = slices = Slices(computation)
        self._began_at = time.monotonic()
        self._say(what, "running", step)
        self._submit(partial(self._next, slices, what, step, said))

    def stop(self) -> None:
        """Stop what runs, if anything does."""
        if self._slices is not None:
            self._slices.stop()

    def _next(self, slices: Slices, what: str, step: list[int], said: list[str], _ticket: Ticket) -> None:
        """One slice, and then the next: a job for each. ``said`` holds what there is to say once it is done."""
        state, says = "running", ""
        try:
            if slices.go():
                state, says = "done", said[0]
        except Cancelled:
            state = "stopped"
        except Exception as error:
            log.debug("the study %r failed", what, exc_info=error)
            state, says = "failed", rules.sentence(error)
        with self._lock():
            if state == "running":
                if time.monotonic() - self._told_at > TELL_EVERY:
                    self._say(what, state, step)
                self._submit(partial(self._next, slices, what, step, said))
                return
            self._slices = None
            if state == "done" and step[1]:
                self.paces[what] = (time.monotonic() - self._began_at) / step[1]
        self._ended()  # the results first: whoever hears that it is done finds them
        with self._lock():
            self._say(what, state, step, says)

    def _say(self, what: str, state: str, step: list[int], says: str = "") -> None:
        self._told_at = time.monotonic()
        self._tell({"what": what, "state": state, "step": step[0], "total": step[1], "message": says})


def _run(inspection: Inspection, what: str, options: Options, progress: Callable[[int, int], None]) -> str:
    """Compute it; a sentence about what could not be used, or "".

    Raises:
        Refused: nothing could.
    """
    if what == "calibrate":
        inspection.calibrate(options.samples, by=options.by, coarse=_coarse(inspection), show=False, progress=progress)
    elif what == "clusters":
        inspection.clusters(options.k, options.weights, test=False, progress=progress)
    elif what == "regions":
        inspection.check_regions(progress=progress)
    elif what == "specificity":
        inspection.specificity(progress=progress)
    elif what == "flips":
        inspection.find_flip_sets(progress=progress)
    elif what == "backgrounds":
        inspection.on_other_backgrounds(_meant(inspection, options), BACKGROUNDS, progress=progress)
    else:
        return _compare(inspection, (inspection.scored if options.right else inspection.wrong).tolist(), progress)
    return ""


def _meant(inspection: Inspection, options: Options) -> list[int] | None:
    """The selected samples that the model has answered; None: all errors."""
    if not options.selected:
        return None
    rows = [at for at in inspection.selected.index.tolist() if inspection.status(at) == "scored"]
    if not rows:
        raise rules.Refused("no sample is selected that the model has answered; select some in the gallery")
    return rows


def _compare(inspection: Inspection, rows: list[int], progress: Callable[[int, int], None]) -> str:
    """Maps against masks; what :func:`~legrad_widget.inspection.aligning.align` warns of is said on the page."""
    from ..inspection.aligning import compare, unusable

    found = compare(inspection, rows, progress=progress)
    says = unusable(inspection, rows)
    if rows and not found:
        raise rules.Refused(f"nothing was compared: {says or 'not one of these samples has a mask and a map'}")
    return says[:1].upper() + says[1:] + "." * bool(says)


def _coarse(inspection: Inspection) -> int | None:
    return 2 if int(np.prod(inspection.grid)) > FEW_PATCHES else None


# -- what was found, as the page knows it


def studies_of(inspection: Inspection, paces: Mapping[str, float] | None = None) -> dict[str, Any]:
    """``_studies``: whether there are masks, and what was found so far, by the page or from Python.

    ``stale`` of each is a sentence where it is of another map, of fewer errors or of other masks than those of now.
    ``paces``: seconds per sample of the studies that ran, for an idea of what another run takes.
    """
    old = _outdated(inspection)
    return {
        "about": STUDIES,
        "masks": bool(inspection.masks.any or inspection.covers),
        "drawn": described(inspection.overlay)["name"],
        "errors": len(inspection.wrong),
        "right": len(inspection.scored) - len(inspection.wrong),
        "costs": _costs(inspection, paces or {}),
        "calibration": _aged(_calibration(inspection), old.get("calibration")),
        "clusters": _aged(_clusters(inspection), old.get("clusters")),
        "cases": _aged(_cases(inspection), old.get("cases")),
        "flips": _aged(_flips(inspection), old.get("flip_sets")),
        "specificity": _aged(_specificity(inspection), old.get("specificity")),
        "backgrounds": _aged(_backgrounds(inspection), old.get("backgrounds")),
    }


def _outdated(inspection: Inspection) -> dict[str, str]:
    from ..inspection.outdated import outdated

    return outdated(inspection, lambda overlay: described(overlay)["title"])


def _aged(found: dict[str, Any] | None, says: str | None) -> dict[str, Any] | None:
    return None if found is None else {**found, "stale": says or ""}


def _costs(inspection: Inspection, paces: Mapping[str, float]) -> dict[str, Any] | None:
    """Forwards per sample of what takes many, and seconds per sample where that was measured; None without a model."""
    if inspection.model is None:
        return None
    from ..inspection.calibration import forwards_each

    coarse = _coarse(inspection)
    return {
        "calibrate": forwards_each(inspection, coarse),
        "flips": FLIP_FORWARDS,
        "backgrounds": 1 + 2 * BACKGROUNDS,
        "coarse": coarse is not None,
        "paces": {what: float(seconds) for what, seconds in paces.items()},
    }


def described(overlay: Overlay) -> dict[str, str]:
    """An overlay as the browser knows it: ``name`` on the wire, and ``title`` for people."""
    from ..inspection.evidence import ATTENTION_GRADIENT
    from ..method import find

    title = "Attention gradient" if overlay.method == ATTENTION_GRADIENT else find(overlay.method).title
    return {"name": f"{overlay.method}/{overlay.weights}", "title": title + _WEIGHED[overlay.weights]}


_WEIGHED = {"paper": "", "equal": ", layers counted equally", "floor": ", floor removed"}
_EXACT = {"name": "", "title": "Exact removal"}


def overlay_named(inspection: Inspection, name: str) -> Overlay:
    """The overlay of a name on the wire.

    Raises:
        ValueError: there is none, or this model cannot have it.
    """
    from ..inspection.evidence import ATTENTION_GRADIENT, Overlay
    from ..method import find

    method, _, weights = name.partition("/")
    overlay = Overlay(method, weights)  # type: ignore[arg-type]
    model = inspection.needs_model("draw other maps")
    if method != ATTENTION_GRADIENT and (why := find(method).refuses(model.vit)):
        raise rules.Refused(why)
    return overlay


def _calibration(inspection: Inspection) -> dict[str, Any] | None:
    from ..inspection.calibration import MEASURES

    found = inspection.calibrated
    if found is None:
        return None
    maps = [*map(described, found.overlays), _EXACT]
    return {
        "by": found.by,
        "samples": len(found.samples),
        "coarse": found.coarse is not None,
        "columns": list(found.frame.columns),
        "headings": [
            {"name": name, "title": title, "says": says, "more": MEASURES[name]}
            for name, (title, says) in HEADINGS.items()
            if found.frame[name].notna().any()
        ],
        "maps": [
            {**one, "values": wire.numbers(values)}
            for one, (_, values) in zip(maps, found.frame.iterrows(), strict=True)
        ],
    }


def _clusters(inspection: Inspection) -> dict[str, Any] | None:
    found = inspection.clustered
    if found is None:
        return None
    numbers = {at: card.number for card in found for at in card.members}
    return {
        "says": _grouped(found),
        "k": found.k,
        "weights": list(found.weights),
        "tested": found.tested,
        "rows": list(found.rows),
        "groups": [numbers[at] for at in found.rows],
        "points": wire.pack(found.points),
        "shown": list(found.shown),
        "cards": [
            {
                "number": card.number,
                "size": len(card),
                "medoid": card.medoid,
                "map": wire.pack(card.mean_map),
                "pairs": [{"true": true, "predicted": taken, "count": n} for true, taken, n in card.pairs[:TOP_PAIRS]],
                "tested": _tested(card.flips, card.random_flips),
                "advice": card.advice,
                "margins": wire.numbers(card.margins),
                "lost": _lost(card.margins),
            }
            for card in found.cards
        ],
    }


def _grouped(found: Clusters) -> str:
    """How many groups, by what, and how well they part."""
    count = len(found)
    how = f"{count} group{'s' * (count != 1)} by the map {described(found.overlay)['title']}"
    how += ", as many as fit best" * (found.k is None)
    apart = "" if found.silhouette != found.silhouette else (
        f"; silhouette {found.silhouette:.2f} (1: well apart, 0: touching)"
    )  # fmt: skip
    return f"{how}{apart}."


def _tested(flips: float, random: float) -> str:
    """Whether the region of a group is a cause."""
    if flips != flips:
        return "not tested on the model"
    return f"changed without its region: {_percent(flips)}, without a random one {_percent(random)}"


def _percent(share: float) -> str:
    """A share as the gallery writes it: what is not all is not 100 %, and what is not nothing is not 0 %."""
    whole = round(100 * share)
    return "> 99 %" if whole == 100 and share < 1 else "< 1 %" if whole == 0 and share > 0 else f"{whole} %"


def _lost(margins: Sequence[float]) -> str:
    """From which layer on the wrong class leads in a group, on average; "" where that is not known."""
    if len(margins) < 2:
        return ""
    behind = [layer for layer, margin in enumerate(margins, 1) if not margin > 0]
    since = behind[-1] + 1 if behind else 1
    if since > len(margins):
        return "on average the wrong class does not lead at the last layer"
    return f"on average the wrong class leads from layer {since} of {len(margins)}"


def _flips(inspection: Inspection) -> dict[str, Any] | None:
    """The flip sets of the errors along the map of now, summed up; None where there is no flip set at all."""
    from ..inspection.fragility import fragility

    if not inspection.flip_sets:
        return None
    found = fragility(inspection)
    have = "has" if found.found == 1 else "have"
    says = f"{found.asked} of {len(inspection.wrong)} errors searched: {found.found} {have} a flip set"
    if found.found:
        says += f", half of them of at most {found.median:g} patch{'es' * (found.median != 1)}"
    if found.random == found.random:
        says += f". As many random patches change the answer in {_percent(found.random)}"
    return {"asked": found.asked, "found": found.found, "says": f"{says}."}


def _specificity(inspection: Inspection) -> dict[str, Any] | None:
    """How much plain maps of the errors by the map of now depend on the class, in words; None where nobody asked."""
    if not inspection.specificities:
        return None
    wrong = set(inspection.wrong.tolist())
    ours = [at for at, one in inspection.specificities.items() if one.overlay == inspection.overlay and at in wrong]
    values = [value for at in ours if not np.isnan(value := inspection.specificities[at].value)]
    says = ""
    if values:
        says = (
            f"The plain maps of what an error was taken for and of what it is differ by {np.median(values):.2f}, in "
            f"the median of {len(values)} error{'s' * (len(values) != 1)}. 0: the same map whichever class is asked, "
            "so only the contrast tells them apart; 1: maps that have nothing in common; 2: opposite ones."
        )
    return {"asked": len(ours), "says": says}


def _backgrounds(inspection: Inspection) -> dict[str, Any] | None:
    """What became of objects on other backgrounds: the sentence, and the samples whose answer changes most beyond its
    control, as text; None where nobody asked."""
    found = inspection.transplanted
    if found is None:
        return None
    beyond = (found.table["changed"] - found.table["control_changed"]).sort_values(ascending=False, kind="stable")
    top = found.table.loc[beyond.index[:TOP_ROWS]]
    reasons = Counter(found.left_out.values()).most_common(1)
    lacks = f"Of those left out {reasons[0][1]}: {reasons[0][0]}." if reasons else ""
    more = f"The {len(top)} of these {len(found)} that change most:" if len(found) > len(top) else ""
    return {
        "says": [*str(found).split("\n"), *filter(None, (lacks, more))],
        "left": list(found.left_out),
        "heads": ["sample", "is", "taken for", "changes", "control changes", "becomes right", "most become"],
        "rows": [
            {
                "row": at,
                "cells": [
                    one["label"], one["predicted"], _share(one["changed"]), _share(one["control_changed"]),
                    _share(one["true"]), one["becomes"],
                ],
            }
            for at, one in top.to_dict("index").items()
        ],
    }  # fmt: skip


def _share(share: float) -> str:
    return "–" if share != share else _percent(share)


def _cases(inspection: Inspection) -> dict[str, Any] | None:
    """How many samples that were compared are of which case, by the thresholds of now; wrong and right ones apart."""
    from ..inspection.overlap import CASES, MEANINGS

    if not inspection.measured:
        return None
    frame, limits = inspection.frame, inspection.thresholds
    counts = {side: frame[f"case_{side}"].value_counts() for side in ("predicted", "true")}
    compared = frame.loc[frame["case_predicted"] != "", "correct"]
    right = int(compared.sum())
    return {
        "thresholds": {"iou": limits.iou, "saliency": limits.saliency, "ground": limits.ground},
        "measured": len(compared),
        "right": right,
        "says": f"{len(compared) - right} errors{f' and {right} right answers' * bool(right)} with a mask",
        "cases": [
            {"name": case, "says": MEANINGS[case], **{side: int(one.get(case, 0)) for side, one in counts.items()}}
            for case in CASES
        ],
    }
