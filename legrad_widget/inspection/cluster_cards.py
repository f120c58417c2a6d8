"""Clusters of errors as cards: what they have in common, and whether that is the cause, tested on the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contrasting import overlay_of, usable_contrast
from .counterfactual import random_sets
from .evidence import Evidence, Overlay
from .evidence_features import features, plane
from .flip_set import lead_of
from .kmeans import grouped
from .problem import InspectionError, PictureGone
from .progress_bar import with_bar
from .readable import as_text
from .removal import Removal

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]
REGION = 0.5  # of the mean map's evidence
EXPLAINS = 0.2  # of a group's answers: where fewer change, its region is no cause of it


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """One cluster of errors.

    Attributes:
        number: from 1, the largest first. ``members``: its errors, the nearest to the middle of the cluster first.
        mean_map: [h, w] mean of the members' evidence for the predicted class, each of mass 1.
        region: [h, w] bool, the fewest patches that hold half of ``mean_map``.
        pairs: (true, predicted, count), most frequent first.
        margins: [L] mean over the members of (s_predicted - s_true) over its layer's spread; () without layers.
        flips: share of the members whose answer changes when ``region`` is taken out of them; nan where that was not
            tested.
        random_flips: the same for a random region of equal size.
    """

    number: int
    members: tuple[int, ...]
    mean_map: NDArray[np.float32] = field(repr=False)
    region: NDArray[np.bool_] = field(repr=False)
    pairs: tuple[tuple[str, str, int], ...]
    margins: tuple[float, ...]
    flips: float
    random_flips: float

    @property
    def medoid(self) -> int:
        """The error nearest to the middle of the cluster."""
        return self.members[0]

    @property
    def advice(self) -> str:
        """What to try where the region was tested and explains nothing, nor does a random one; "" otherwise."""
        if not (self.flips < EXPLAINS and self.random_flips < EXPLAINS):  # also where they are nan: not tested
            return ""
        return (
            "no small region explains these: the cause may be spread out, e.g. the background; with masks try "
            f"r.on_other_backgrounds('cluster == {self.number}')"
        )

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Cards, the largest first, and how they were made. ``str()`` is a table of them.

    They are of the map and of the errors that they were made with, and stay so when the overlay changes or more samples
    are scored; :func:`~legrad_widget.inspection.outdated.outdated` says when that is no longer what is drawn.

    Attributes:
        overlay: whose evidence. ``weights``: of map, layers and embedding. ``k``: as it was asked; None: by silhouette.
        silhouette: mean, from -1 to 1, nan for one cluster.
        rows: the errors, as numbers of samples. ``points``: [n, 2] float32, each of them in a plane; see
            :func:`~legrad_widget.inspection.evidence_features.plane`. ``shown``: the share of all differences that each
            of its two axes shows.
        errors: how many errors there were, those without a map among them; 0: not known.
    """

    cards: tuple[Card, ...]
    overlay: Overlay
    weights: tuple[float, float, float]
    silhouette: float
    k: int | None = None
    rows: tuple[int, ...] = ()
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32), repr=False)
    shown: tuple[float, float] = (0.0, 0.0)
    errors: int = 0

    @property
    def tested(self) -> bool:
        """Whether the cards' regions were tested on the model."""
        return not any(np.isnan(card.flips) for card in self.cards)

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[Card]:
        return iter(self.cards)

    def __getitem__(self, index: int) -> Card:
        return self.cards[index]

    def __str__(self) -> str:
        count = sum(len(card) for card in self.cards)
        lines = [f"{len(self)} clusters of {count} errors by the map {self.overlay.label}, weights {self.weights}"]
        for card in self.cards:
            is_, taken, many = card.pairs[0]
            line = f"{card.number:>3}: {len(card)} errors, most {is_} -> {taken} ({many})"
            if not np.isnan(card.flips):
                line += f"; changed without its region {card.flips:.0%}, a random one {card.random_flips:.0%}"
            if card.advice:
                line += f"; {card.advice}"
            lines.append(line)
        return "\n".join(lines)

    _repr_pretty_ = as_text


@with_bar(" errors")
def clusters(
    inspection: Inspection,
    k: int | None = None,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    overlay: str | Overlay | None = None,
    *,
    seed: int = 0,
    test: bool = True,
    progress: Progress | None = None,
) -> Clusters:
    """Group the errors by evidence map, layer profile and embedding; each group is then tested on the model.

    Maps are made once and kept: to group again with other weights or another ``k`` asks the model nothing, unless the
    groups are tested.

    Args:
        k: how many; None: as many as have the largest silhouette, up to 12.
        weights: of evidence map, layers and embedding. overlay: whose evidence; None: the inspection's own.
        seed: of k-means, and of the random regions.
        test: take each cluster's region out of all its members and ask again: see :func:`check_regions`.
        progress: called with (step, total) between errors; raises to cancel.

    Raises:
        InspectionError: fewer than two errors, or an argument cannot be.
    """
    wrong, chosen = inspection.wrong, overlay_of(inspection, overlay)
    if len(wrong) < 2:
        raise InspectionError(f"clusters need at least two errors; there {'is one' if len(wrong) else 'are none'}")
    told = _Told(progress, len(wrong) * (2 if test else 1))
    found = []
    for at in wrong.tolist():
        told.next()
        found.append(usable_contrast(inspection, at, chosen))
    rows, shown = wrong[[one is not None for one in found]], [one for one in found if one is not None]
    if len(rows) < 2:
        raise InspectionError("clusters need at least two errors whose pictures can be read; see problems")
    maps = np.stack([_of_mass_one(one.merged()[0]) for one in shown])
    layers = np.stack([_layer_shares(one) for one in shown])
    measured = features(maps, layers, inspection.records["embedding"][rows].astype(np.float64), weights)
    numbers, silhouette = grouped(measured, k, seed=seed, between=told.again)
    cards = []
    for number in range(int(numbers.max()) + 1):
        inside = np.flatnonzero(numbers == number)
        far = ((measured[inside] - measured[inside].mean(0)) ** 2).sum(1)
        inside = inside[np.argsort(far, kind="stable")]
        cards.append(_card(inspection, number + 1, rows[inside], maps[inside]))
    points, axes = plane(measured)
    made = Clusters(
        tuple(cards), chosen, (float(weights[0]), float(weights[1]), float(weights[2])), silhouette, k,
        tuple(rows.tolist()), points, axes, len(wrong),
    )  # fmt: skip
    if test and inspection.model is not None:
        made = _tested(inspection, made, seed, told)
    _keep(inspection, made)
    return made


@with_bar(" errors")
def check_regions(inspection: Inspection, *, seed: int = 0, progress: Progress | None = None) -> Clusters:
    """Test the clusters that were made last: is the region of each a cause of its errors?

    Each cluster's region is taken out of all its members, and beside it a random region of its size; ``flips`` and
    ``random_flips`` of the cards are the shares of the members whose answer changes.

    Args:
        seed: of the random regions. progress: called with (step, total) between errors; raises to cancel.

    Left out are members whose picture is gone, and those that the model itself takes for something else than the
    logits that were given.

    Cost: per error three forwards without its patch embedding, and one where it has to be encoded again.

    Raises:
        InspectionError: there are no clusters yet, or there is no model.
    """
    inspection.needs_model("test the regions of clusters")
    made = inspection.clustered
    if made is None:
        raise InspectionError("there are no clusters to test yet: clusters() makes them")
    tested = _tested(inspection, made, seed, _Told(progress, sum(len(card) for card in made)))
    _keep(inspection, tested)
    return tested


def _keep(inspection: Inspection, made: Clusters) -> None:
    with inspection.lock:
        inspection.clustered = made
        inspection.changed()


class _Told:
    """Counts steps, and tells."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress, self._total, self._step = progress, total, 0

    def next(self) -> None:
        """One more begins."""
        if self._progress is not None:
            self._progress(self._step, self._total)
        self._step += 1

    def again(self) -> None:
        """The same step goes on: whoever listens may wait there, or cancel."""
        if self._progress is not None:
            self._progress(max(self._step - 1, 0), self._total)


def _card(inspection: Inspection, number: int, members: NDArray[np.int64], maps: NDArray[Any]) -> Card:
    mean_map = maps.mean(0)
    names, records = inspection.class_names, inspection.records[members]
    pairs = Counter((names[record["label"]], names[record["predicted"]]) for record in records)
    return Card(
        number, tuple(members.tolist()), mean_map.astype(np.float32), smallest_region(mean_map),
        tuple((true, predicted, count) for (true, predicted), count in pairs.most_common()),
        _margins(inspection, members), float("nan"), float("nan"),
    )  # fmt: skip


def smallest_region(map_: NDArray[Any], share: float = REGION) -> NDArray[np.bool_]:
    """[h, w] the fewest patches that hold ``share`` of a map; at least one patch stays out."""
    values = map_.ravel().astype(np.float64)
    order = np.argsort(-values, kind="stable")
    count = int(np.searchsorted(np.cumsum(values[order]), share * values.sum() * (1 - 1e-12))) + 1
    region = np.zeros(values.size, np.bool_)
    region[order[: min(count, values.size - 1)]] = True
    return region.reshape(map_.shape)


def _tested(inspection: Inspection, made: Clusters, seed: int, told: _Told) -> Clusters:
    """The same, and of each card the shares of its members that change without its region, and without a random one."""
    cards = []
    for card in made:
        changed = []
        for at in card.members:
            told.next()
            predicted, rival = inspection.pair(at)
            region = card.region.ravel()
            masks = np.stack([np.zeros_like(region), region, *random_sets(region, 1, seed + at)])
            try:
                logits = Removal(inspection.encoding(at), inspection.scores).logits(masks)
            except PictureGone:  # its map was kept, its picture was not
                continue
            whole, *without = lead_of(logits, predicted, rival, "other") > 0
            if not whole:  # logits that were given may be of another model, which says something else to begin with
                changed.append(without)
        flips, random_flips = np.mean(changed, axis=0).tolist() if changed else (float("nan"), float("nan"))
        cards.append(replace(card, flips=flips, random_flips=random_flips))
    return replace(made, cards=tuple(cards))


def _margins(inspection: Inspection, members: NDArray[np.int64]) -> tuple[float, ...]:
    if not inspection.layers:
        return ()
    records, spread = inspection.records[members], inspection.reliability.spread
    margins = (records["lens_rival"].astype(np.float64) - records["lens_true"]).mean(0)
    return tuple((margins / np.where(spread > 0, spread, 1)).tolist())


def _of_mass_one(map_: NDArray[Any]) -> NDArray[np.float64]:
    values = map_.astype(np.float64)
    return values / (values.sum() or 1)


def _layer_shares(evidence: Evidence) -> NDArray[np.float64]:
    """[L] each layer's share of the magnitude of the evidence for the predicted class."""
    mass = np.abs(evidence.predicted.astype(np.float64)).sum((1, 2))
    return mass / (mass.sum() or 1)


def cluster_column(inspection: Inspection, found: Sequence[Card]) -> Any:
    """The table's column: cluster numbers from 1; empty for samples that are in none."""
    import pandas as pd

    column = pd.array(np.zeros(inspection.total, np.int64), "Int64")
    column[:] = pd.NA
    for card in found:
        column[np.array(card.members)] = card.number
    return column
