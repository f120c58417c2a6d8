"""Flip layers and the reliability of layers, by counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from legrad_widget.inspection.lens_curve import flips, reliability
from tests.inspection import world

STRONG = np.zeros(5, bool)


def kinds(rows, weak=STRONG, spread=None):
    margins = np.array(rows, float)
    return flips(margins, np.ones(margins.shape[1]) if spread is None else spread, np.asarray(weak))


@pytest.mark.parametrize(
    ("margins", "layer", "kind", "lost_after"),
    [
        ([1, 2, 1, 2, 3], 1, "never right", 0),
        ([-1, -2, 1, 2, 3], 3, "lost", 2),
        ([-1, -2, -1, -2, 3], 5, "lost", 4),
        ([1, -2, 1, 2, 3], 3, "won back and lost", 2),
        ([-1, 2, -1, 2, 3], 4, "won back and lost", 3),
        ([0.1, -0.1, 0.2, 2, 3], 3, "undecided", 2),
        ([-1, -1, 0, 0, 0], 5, "lost", 2),
        ([0, 0, 1, 1, 1], 3, "never right", 0),
        ([1, 0, 1, 1, 1], 3, "never right", 0),
        ([-1, 0, -1, 1, 1], 4, "lost", 3),
        ([0, -1, 1, 0, 2], 5, "lost", 2),
    ],
)
def test_where_it_went_wrong(margins, layer, kind, lost_after):
    found = kinds([margins])
    assert (found.layer[0], found.kind[0], found.lost_after[0]) == (layer, kind, lost_after)
    assert not found.at_most[0]


def test_a_weak_layer_makes_it_at_most():
    weak = np.array([True, True, False, False, False])
    found = kinds([[1] * 5, [-1, 1, 1, 1, 1], [-1, -1, 1, 1, 1], [-1, -1, -1, 1, 1]], weak)
    assert found.layer.tolist() == [3, 3, 3, 4]
    assert found.at_most.tolist() == [True, True, True, False]


def test_margins_are_compared_with_the_spread_of_their_own_layer():
    row = [[0.1, -0.1, 0.2, 2, 3]]
    assert kinds(row, spread=np.full(5, 0.01)).kind == ("won back and lost",)
    assert kinds(row, spread=np.full(5, 10.0)).kind == ("undecided",)


def test_no_layers_no_kind():
    found = flips(np.zeros((3, 0)), np.zeros(0), np.zeros(0, bool))
    assert found.kind == ("", "", "")


def literal_area(labels, rivals, true, rival):
    wins = pairs = 0.0
    for i, j in itertools.product(range(len(labels)), repeat=2):
        a, b = labels[i], rivals[i]
        if a < b and labels[j] == b and rivals[j] == a:
            x, y = true[i] - rival[i], rival[j] - true[j]  # s_a - s_b on both
            wins += 1.0 if x > y else 0.5 if x == y else 0.0
            pairs += 1
    return wins / pairs, pairs


def test_the_area_counts_pairs_of_samples_of_rival_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    rivals = (labels + rng.integers(1, 4, 60)) % 4
    true, rival = rng.integers(0, 5, (2, 60, 3)).astype(float)  # small integers: there are ties
    first = rng.integers(0, 4, (60, 3))
    found = reliability(labels, rivals, true, rival, first)
    for layer in range(3):
        area, pairs = literal_area(labels, rivals, true[:, layer], rival[:, layer])
        assert found.pair_auc[layer] == pytest.approx(area, abs=1e-12)
        assert found.pairs == pairs
        assert found.top1[layer] == sum(first[:, layer] == labels) / 60
        assert found.spread[layer] == pytest.approx(np.std(true[:, layer] - rival[:, layer]))
    assert found.weak.tolist() == [bool(area < 0.6) for area in found.pair_auc[:2]] + [False]


def test_without_mutual_rivals_the_label_is_compared_with_its_rival():
    true, rival = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 3.0]])
    found = reliability(np.array([0, 0]), np.array([1, 2]), true, rival, np.zeros((2, 2), int))
    assert found.pair_auc.tolist() == [0.75, 0.5]


def test_the_table_tells_of_errors_only():
    r = world.inspected()
    assert len(r.wrong) > 2
    rows = r.frame
    assert rows.loc[r.wrong, "flip_kind"].ne("").all()
    assert rows.drop(r.wrong)["flip"].eq("").all()
    for index in r.wrong:
        curve = r.curve(int(index))
        assert rows.loc[index, "flip"] == curve.flip
        leads = curve.predicted > curve.true
        assert leads[-1]
        if curve.flip_layer > 1 and not curve.at_most:
            assert leads[curve.flip_layer - 1 :].all()
            assert not leads[curve.flip_layer - 2]
