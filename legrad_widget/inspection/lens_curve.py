"""Where along the layers an answer went wrong, and how far the layers' scores can be trusted with that.

m_l = s_predicted^l - s_true^l, by the layer scores that methods differentiate; an error ends with m_L > 0. Scores of
different layers are never compared by size: only by sign, by rank, and with the spread of their own layer. Axis
letters: N samples, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FlipKind = Literal["", "never right", "lost", "won back and lost", "undecided"]
WEAK = 0.6  # below this area under the ROC curve a layer's margin is not trusted
NOISE = 0.25  # of a layer's spread: a margin within it is no decision
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """What the samples themselves say about the layers' scores.

    Attributes:
        top1: [L] share of the samples whose label is the layer's first class.
        pair_auc: [L] area under the ROC curve for telling two rival classes apart by the difference of their scores;
            see :func:`reliability`. nan where there was nothing to tell apart.
        weak: [L] bool, area below 0.6 (or nan). The last layer is the model itself, and never weak.
        spread: [L] standard deviation of s_true - s_rival over the samples.
        samples, pairs: on how many samples, and on how many pairs of them, this stands.
    """

    top1: Numbers
    pair_auc: Numbers
    weak: NDArray[np.bool_]
    spread: Numbers
    samples: int
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """Where errors [n] went wrong.

    Attributes:
        layer: the first layer from which on the predicted class leads to the end, from 1; where ``at_most`` is set,
            the first layer of which that can be trusted.
        at_most: the change may have come earlier: a layer that would tell is weak.
        kind: "never right": the true class never led. "lost": the true class led, then no more. "won
            back and lost": the lead changed at least twice. "undecided": the margin is within a quarter of its layer's
            spread until the last two layers. "" without layers.
        lost_after: the last layer at which the true class led; 0: never.
    """

    layer: NDArray[np.int64]
    at_most: NDArray[np.bool_]
    kind: tuple[FlipKind, ...]
    lost_after: NDArray[np.int64]


def reliability(
    labels: NDArray[np.integer], rivals: NDArray[np.integer], true: Numbers, rival: Numbers, first: NDArray[np.integer]
) -> Reliability:
    """Per-layer reliability from samples of known label.

    The rival of a sample is the class that its label competes with in the model's answer: the predicted one where it is
    wrong, else the runner-up. For two classes a and b that are each other's rivals, the samples labelled a are told
    from those labelled b by d = s_a^l - s_b^l; the area counts, over all such pairs of samples of all such pairs of
    classes, how often the d of the one labelled a is larger (ties: half). Where no two classes are each other's rivals,
    it is the share of the samples whose label is ahead of its rival (ties: half).

    Args:
        labels, rivals: [N]. true, rival: [N, L] layer scores of the two. first: [N, L] the layer's first class.
    """
    count, layers = true.shape
    if not count:
        nothing = np.full(layers, np.nan)
        return Reliability(nothing, nothing, np.arange(layers) < layers - 1, nothing, 0, 0)
    difference = true.astype(np.float64) - rival
    wins, pairs = np.zeros(layers), 0
    low, high = np.minimum(labels, rivals), np.maximum(labels, rivals)
    toward_low = labels == low
    order = np.lexsort((high, low))
    cuts = np.flatnonzero((np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)) + 1
    for group in np.split(order, cuts):
        a, b = difference[group[toward_low[group]]], -difference[group[~toward_low[group]]]
        if len(a) and len(b):
            wins += _wins(a, b)
            pairs += len(a) * len(b)
    if pairs:
        area = wins / pairs
    else:
        area, pairs = ((difference > 0) + 0.5 * (difference == 0)).mean(0), count
    weak = ~(area >= WEAK)
    weak[-1:] = False
    return Reliability((first == labels[:, None]).mean(0), area, weak, difference.std(0), count, pairs)


def _wins(a: Numbers, b: Numbers) -> Numbers:
    """[L] over all pairs, how often a [n, L] is above b [m, L]; ties count half (Mann and Whitney's U)."""
    return np.array(
        [
            (np.searchsorted(low, x, "left") + np.searchsorted(low, x, "right")).sum() / 2
            for x, low in zip(a.T, np.sort(b, axis=0).T, strict=True)
        ]
    )


def flips(margins: Numbers, spread: Numbers, weak: NDArray[np.bool_]) -> Flips:
    """Where errors went wrong, from their margins m [n, L] (> 0: the predicted class leads)."""
    count, layers = margins.shape
    if not layers:
        none = np.zeros(count, np.int64)
        return Flips(none, np.zeros(count, np.bool_), ("",) * count, none)
    leads = margins > 0
    leads[:, -1] = True  # the model's own answer; a tie went to the predicted class
    behind = ~leads
    first = np.where(
        behind.any(1), layers - np.argmax(behind[:, ::-1], 1), 0
    )  # from 0: the layer after the last behind
    trusted = np.array([int(np.flatnonzero(~weak[at:])[0]) + at for at in range(layers)])
    sure = trusted[first]
    at_most = (sure != first) | ((first > 0) & weak[np.maximum(first - 1, 0)]) if layers > 1 else sure != first
    ahead = margins < 0
    lost_after = np.where(ahead.any(1), layers - np.argmax(ahead[:, ::-1], 1), 0)
    changes = _changes(np.where(leads, 1, -ahead.astype(np.int8)))
    open_until = layers >= 3 and (np.abs(margins[:, :-2]) < NOISE * spread[:-2]).all(1)
    undecided = np.broadcast_to(open_until, count)
    kind = tuple(_kind(bool(u), int(c)) for u, c in zip(undecided, changes, strict=True))
    return Flips(sure + 1, np.asarray(at_most), kind, lost_after)


def _changes(side: NDArray[np.integer]) -> NDArray[np.int64]:
    """[n] how often the lead changes between 1 and -1 along the layers; a tie, 0, leaves it where it was."""
    for layer in range(1, side.shape[1]):
        side[:, layer] = np.where(side[:, layer] == 0, side[:, layer - 1], side[:, layer])
    return ((side[:, 1:] != side[:, :-1]) & (side[:, :-1] != 0)).sum(1)


def _kind(undecided: bool, changes: int) -> FlipKind:
    if undecided:
        return "undecided"
    return ("never right", "lost")[changes] if changes < 2 else "won back and lost"
