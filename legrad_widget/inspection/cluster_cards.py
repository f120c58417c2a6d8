"""Clusters of errors as cards: what they have in common, and whether that is the cause, tested on the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contrasting import overlay_of, usable_contrast
from .counterfactual import random_sets
from .evidence import Evidence, Overlay
from .evidence_features import features
from .flip_set import lead_of
from .kmeans import grouped
from .problem import InspectionError
from .removal import Removal

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]
REGION = 0.5  # of the mean map's evidence


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """One cluster of errors.

    Attributes:
        number: from 1, the largest first. ``members``: its errors, the nearest to the middle of the cluster first.
        mean_map: [h, w] mean of the members' evidence for the predicted class, each of mass 1.
        region: [h, w] bool, the fewest patches that hold half of ``mean_map``.
        pairs: (true, predicted, count), most frequent first.
        margins: [L] mean over the members of (s_predicted - s_true) over its layer's spread; () without layers.
        flips: share of the members whose answer changes when ``region`` is taken out of them; nan without a model.
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

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Cards, the largest first; how they were made; ``silhouette``: mean, from -1 to 1, nan for one cluster."""

    cards: tuple[Card, ...]
    overlay: Overlay
    weights: tuple[float, float, float]
    silhouette: float

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[Card]:
        return iter(self.cards)

    def __getitem__(self, index: int) -> Card:
        return self.cards[index]


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

    Args:
        k: how many; None: as many as have the largest silhouette, up to 12.
        weights: of evidence map, layers and embedding. overlay: whose evidence; None: the inspection's own.
        seed: of k-means, and of the random regions.
        test: take each cluster's region out of all its members and ask again (two forwards per error).
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
    wrong, shown = wrong[[one is not None for one in found]], [one for one in found if one is not None]
    if len(wrong) < 2:
        raise InspectionError("clusters need at least two errors whose pictures can be read; see problems")
    maps = np.stack([_of_mass_one(one.merged()[0]) for one in shown])
    layers = np.stack([_layer_shares(one) for one in shown])
    points = features(maps, layers, inspection.records["embedding"][wrong].astype(np.float64), weights)
    numbers, silhouette = grouped(points, k, seed=seed)
    cards = []
    for number in range(int(numbers.max()) + 1):
        inside = np.flatnonzero(numbers == number)
        far = ((points[inside] - points[inside].mean(0)) ** 2).sum(1)
        inside = inside[np.argsort(far, kind="stable")]
        cards.append(_card(inspection, number + 1, wrong[inside], maps[inside], seed, told if test else None))
    made = Clusters(tuple(cards), chosen, weights, silhouette)
    with inspection.lock:
        inspection.clustered = made
        inspection.changed()
    return made


class _Told:
    """Counts steps, and tells."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress, self._total, self._step = progress, total, 0

    def next(self) -> None:
        """One more begins."""
        if self._progress is not None:
            self._progress(self._step, self._total)
        self._step += 1


def _card(
    inspection: Inspection,
    number: int,
    members: NDArray[np.int64],
    maps: NDArray[Any],
    seed: int,
    told: _Told | None,
) -> Card:
    mean_map = maps.mean(0)
    region = smallest_region(mean_map)
    names, records = inspection.class_names, inspection.records[members]
    pairs = Counter((names[record["label"]], names[record["predicted"]]) for record in records)
    flips, random_flips = float("nan"), float("nan")
    if told is not None and inspection.model is not None:
        flips, random_flips = _tested(inspection, members, region, seed, told)
    return Card(
        number, tuple(members.tolist()), mean_map.astype(np.float32), region,
        tuple((true, predicted, count) for (true, predicted), count in pairs.most_common()),
        _margins(inspection, members), flips, random_flips,
    )  # fmt: skip


def smallest_region(map_: NDArray[Any], share: float = REGION) -> NDArray[np.bool_]:
    """[h, w] the fewest patches that hold ``share`` of a map; at least one patch stays out."""
    values = map_.ravel().astype(np.float64)
    order = np.argsort(-values, kind="stable")
    count = int(np.searchsorted(np.cumsum(values[order]), share * values.sum() * (1 - 1e-12))) + 1
    region = np.zeros(values.size, np.bool_)
    region[order[: min(count, values.size - 1)]] = True
    return region.reshape(map_.shape)


def _tested(
    inspection: Inspection, members: NDArray[np.int64], region: NDArray[np.bool_], seed: int, told: _Told
) -> tuple[float, float]:
    """Shares of the members whose answer changes without the region, and without a random one of its size."""
    changed = []
    for at in members.tolist():
        told.next()
        predicted, rival = inspection.pair(at)
        masks = np.stack([region.ravel(), *random_sets(region.ravel(), 1, seed + at)])
        logits = Removal(inspection.encoding(at), inspection.scores).logits(masks)
        changed.append(lead_of(logits, predicted, rival, "other") > 0)
    flips, random_flips = np.mean(changed, axis=0).tolist()
    return flips, random_flips


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
