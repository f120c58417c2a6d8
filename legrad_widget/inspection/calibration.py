"""Which evidence earns trust on these samples: every cheap map against exact token ablation, and against masks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..evaluate.agreement import rank_correlation
from ..method import find
from ..target import TargetError
from .ablation import ablation
from .contrasting import contrast
from .evidence import ATTENTION_GRADIENT, Overlay
from .flip_set import lead_of, smallest_prefix
from .outdated import mask_digest
from .overlap import alignment
from .problem import InspectionError, PictureGone
from .progress_bar import with_bar
from .removal import OtherAnswer, Removal
from .sample_mask import usable_share

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection

Progress = Callable[[int, int], None]
CHEAP: tuple[Overlay, ...] = (
    Overlay(ATTENTION_GRADIENT), Overlay("legrad"), Overlay("legrad", "equal"), Overlay("legrad", "floor"),
    Overlay("cdam"), Overlay("attentioncam"), Overlay("gradcam"), Overlay("rollout"),
)  # fmt: skip
TOP = 3  # patches that "captured" looks at
MEASURES: dict[str, bool] = {"captured": True, "rank_correlation": True, "top_patch": True, "top3": True,
                             "flip_size": False, "not_flipped": False, "mask_precision": True}  # fmt: skip
"""What can decide, and whether more is better."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What each overlay is worth here.

    Attributes:
        frame: a row per overlay, best first, with the means over the samples of

            - ``captured``: what the map's 3 highest patches take away, by exact ablation, over what the 3 most
              damaging patches take away; 1 is perfect, 0 is no better than patches that do nothing.
            - ``rank_correlation``: Spearman's, of map and ablation over all patches.
            - ``top_patch``: share of the samples whose highest patch is the most damaging one. ``top3``: whose 3
              highest patches hold it.
            - ``flip_size``: median number of patches, in the map's order, that change the answer (not flipped: all).
              ``not_flipped``: share of the samples that no part of the order flips.
            - ``mask_precision``: average precision of the evidence for the true class against the masks, where given.

            The last row is ablation itself: what a map could reach.
        overlays: the maps, best first. ``by``: which column ranks them. ``samples``: which samples were asked.
        coarse: None: every patch was taken away alone. A number: windows of this side first, and patches alone in
            the strongest quarter of them (see ``tam``): "exact ablation" is then an approximation of itself.
        errors: how many errors there were to draw from. ``masks``: the digest of the masks of the samples; both tell
            :func:`~legrad_widget.inspection.outdated.outdated` whether it still stands; 0 and "": not known.
    """

    frame: pd.DataFrame = field(repr=False)
    overlays: tuple[Overlay, ...]
    by: str
    samples: tuple[int, ...]
    coarse: int | None = None
    errors: int = 0
    masks: str = ""

    @property
    def best(self) -> Overlay:
        """The winner among the maps; ablation itself does not take part."""
        return self.overlays[0]

    def __str__(self) -> str:
        shown = self.frame.to_string(float_format=lambda value: f"{value:.3f}")
        against = "exact token ablation"
        if self.coarse is not None:
            against = f"token ablation (approximated: {self.coarse} x {self.coarse} patches at a time first)"
        return f"{len(self.samples)} samples against {against}; ranked by {self.by}\n{shown}"


@dataclass(frozen=True, slots=True)
class _Judged:
    """One overlay on one sample."""

    captured: float
    rank_correlation: float
    top_patch: float
    top3: float
    flip_size: float
    not_flipped: float
    mask_precision: float


@with_bar(" samples")
def calibrate(
    inspection: Inspection,
    n: int = 64,
    overlays: str | Overlay | Iterable[str | Overlay] | None = None,
    *,
    by: str = "rank_correlation",
    flips: bool = True,
    coarse: int | None = None,
    seed: int = 0,
    show: bool = True,
    progress: Progress | None = None,
) -> Calibration:
    """Measure how well each cheap map agrees with exact token ablation, and make the best one the default overlay.

    Ablation takes every patch away alone, exactly, and asks for the contrast of predicted and true class again: TAM of
    the contrast. It is the measure, not a candidate; it costs a forward per patch.

    Args:
        n: errors that are asked, drawn at random; if there are fewer, then the least certain right answers too.
        overlays: candidates; None: those of the catalogue that cost about as little as LeGrad, LeGrad's layers weighted
            in three ways. Those that are not defined for this model are left out.
        by: which column ranks them. seed: of the draw. show: write the table to the screen.
        flips: whether flip sizes are measured, about 25 forwards per candidate. coarse: an approximation of ablation,
            windows of this side first (see ``tam``): half of the forwards for 2.
        progress: called with (sample, samples) before every batch of forwards, while nothing is locked: it may wait
            there, or raise to cancel; the overlay stays as it was then.

    Cost: per sample a forward per patch, with ``flips`` about 25 more per candidate, and the maps.

    Raises:
        InspectionError: nothing to measure, or an argument cannot be.
    """
    model = inspection.needs_model("measure maps")
    _check(inspection, n, by, flips)
    candidates = _candidates(inspection, overlays)
    drawn = _drawn(inspection, int(n), seed)
    judged: dict[str, list[_Judged]] = {label: [] for label in (*(overlay.label for overlay in candidates), _EXACT)}
    asked, why = [], ""
    for step, at in enumerate(drawn):
        if progress is not None:
            progress(step, len(drawn))
        try:
            between = partial(progress or _silent, step, len(drawn))
            for label, one in list(_of_sample(inspection, at, candidates, flips, coarse, between)):
                judged[label].append(one)
            asked.append(at)
        except (TargetError, PictureGone, OtherAnswer) as error:  # two equal classes have no contrast
            why = str(error)
    if not asked:
        raise InspectionError(f"not one of {len(drawn)} samples could be measured on {model.name}: {why}")
    made = replace(
        _ranked(judged, candidates, by, tuple(asked)),
        coarse=coarse, errors=len(inspection.wrong), masks=mask_digest(inspection, asked),
    )  # fmt: skip
    inspection.calibrated, inspection.overlay = made, made.best
    if show:
        sys.stdout.write(f"{made}\n")
    return made


def _check(inspection: Inspection, n: Any, by: Any, flips: bool) -> None:
    if by not in MEASURES:
        raise InspectionError(f"maps are ranked by {', '.join(map(repr, MEASURES))}; arrived: {by!r}")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InspectionError(f"n is how many samples are asked, from 1; arrived: {n!r}")
    if by in ("flip_size", "not_flipped") and not flips:
        raise InspectionError(f"by={by!r} ranks by flip sets, which flips=False leaves out")
    if by == "mask_precision" and not inspection.masks.any and not inspection.covers:
        raise InspectionError("by='mask_precision' ranks by masks, and there are none: lw.inspect(..., masks=[...])")


_EXACT = "(exact ablation)"
_FLIP_FORWARDS = 25  # about, of one order


def _silent(_step: int, _total: int) -> None:
    """Nobody listens."""


def _candidates(inspection: Inspection, overlays: str | Overlay | Iterable[str | Overlay] | None) -> list[Overlay]:
    """Those that are defined for this model."""
    vit = inspection.needs_model("measure maps").vit
    if isinstance(overlays, str | Overlay):
        overlays = [overlays]
    given = CHEAP if overlays is None else [one if isinstance(one, Overlay) else Overlay(one) for one in overlays]
    possible = [one for one in given if one.method == ATTENTION_GRADIENT or find(one.method).refuses(vit) is None]
    if not possible:
        raise InspectionError(f"none of these overlays is defined for {vit.name}: {', '.join(o.label for o in given)}")
    return list(dict.fromkeys(possible))


def forwards_each(inspection: Inspection, coarse: int | None = None) -> int:
    """About how many forwards :func:`calibrate` takes for one sample, with flip sizes and the usual candidates."""
    patches, maps = int(np.prod(inspection.grid)), len(_candidates(inspection, None))
    ablation = patches if coarse is None else patches // coarse**2 + patches // 4
    return ablation + _FLIP_FORWARDS * (maps + 1)


def _drawn(inspection: Inspection, n: int, seed: int) -> list[int]:
    wrong, scored = inspection.wrong, inspection.scored
    if not len(scored):
        raise InspectionError("nothing is scored yet, so there is nothing to measure: run() first")
    rng = np.random.default_rng(seed)
    if len(wrong) >= n:
        return sorted(rng.choice(wrong, n, replace=False).tolist())
    right = np.setdiff1d(scored, wrong)
    closest = right[np.argsort(inspection.records["margin"][right], kind="stable")]
    return [*wrong.tolist(), *closest[: n - len(wrong)].tolist()]


def _of_sample(
    inspection: Inspection,
    at: int,
    overlays: Sequence[Overlay],
    flips: bool,
    coarse: int | None,
    between: Callable[[], None],
) -> Iterable[tuple[str, _Judged]]:
    """Every overlay on one sample, and ablation itself."""
    predicted, rival = inspection.pair(at)
    removal = Removal(inspection.encoding(at), inspection.scores, lambda _done, _total: between())
    removal.check_answer(inspection, at)
    cover = usable_share(inspection, at)
    exact = ablation(inspection, at, coarse, between)

    def flip(ranked: NDArray[Any]) -> int | None:
        if not flips:
            return None
        order = np.argsort(-ranked.ravel(), kind="stable")
        return smallest_prefix(order, lambda gone: lead_of(removal.logits(gone), predicted, rival, "other"))

    yield _EXACT, _judge(exact, exact, flip(exact), _precision(np.maximum(-exact, 0), cover))
    for overlay in overlays:
        between()
        evidence = contrast(inspection, at, overlay)
        ranked = evidence.difference()
        yield overlay.label, _judge(ranked, exact, flip(ranked), _precision(evidence.merged()[1], cover))


def _precision(true: NDArray[Any], cover: NDArray[np.float64] | None) -> float:
    return float("nan") if cover is None else alignment(true, cover).average_precision


def _judge(map_: NDArray[Any], exact: NDArray[np.float64], flip: int | None, precision: float) -> _Judged:
    drops, order = exact.ravel(), np.argsort(-map_.ravel(), kind="stable")[:TOP]
    possible = float(np.sort(drops)[::-1][:TOP].sum())
    flat = np.ptp(map_) == 0  # a flat map has no order: it says nothing
    captured = 0.0 if flat or possible <= 0 else float(drops[order].sum()) / possible
    worst = int(drops.argmax())
    agreement = 0.0 if flat or np.ptp(exact) == 0 else rank_correlation(map_, exact)
    return _Judged(
        captured, agreement, float(not flat and order[0] == worst), float(not flat and worst in order),
        float("nan") if flip is None else float(flip or drops.size),
        float("nan") if flip is None else float(flip == 0), precision,
    )  # fmt: skip


def _ranked(
    judged: dict[str, list[_Judged]], candidates: list[Overlay], by: str, samples: tuple[int, ...]
) -> Calibration:
    import pandas as pd

    names = list(MEASURES)
    rows = {
        label: [_summary(name, np.array([getattr(one, name) for one in found])) for name in names]
        for label, found in judged.items()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    more = MEASURES[by]
    key = frame[by].fillna(-np.inf if more else np.inf)
    others = [o.label for o in candidates]
    order = sorted(others, key=lambda label: (-key[label] if more else key[label], -frame["captured"][label]))
    overlays = {overlay.label: overlay for overlay in candidates}
    return Calibration(frame.loc[[*order, _EXACT]], tuple(overlays[label] for label in order), by, samples)


def _summary(name: str, values: NDArray[np.float64]) -> float:
    """The mean over samples; of sizes the median; nan where nothing was measured."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan")
    return float(np.median(known) if name == "flip_size" else known.mean())
