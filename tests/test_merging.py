"""Merging any set of layers and heads: by hand, by loops over plain Python numbers, and by what must always hold."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legrad_widget.explanation import WEIGHTS, Explanation, chosen_heads
from tests.test_explanation import explanation

LAYERS = (2, 3, 5)
RELIABILITY = (0.0, 0.3, 0.9)


def with_heads(heads, **changes) -> Explanation:
    heads = np.asarray(heads, np.float32)
    own = {"heads": heads, "layers": LAYERS[: len(heads)], "reliability": RELIABILITY[: len(heads)]}
    return explanation(heads.mean(1), **(own | changes))


# Two layers of two heads on a grid of 1 x 2: small enough to merge in one's head.
HAND = with_heads([[[[1, 3]], [[5, 1]]], [[[0, 20]], [[40, 40]]]])  # maps: [3, 2], [20, 30]


def test_by_hand():
    np.testing.assert_array_equal(HAND.raw(heads=0), [[0.5, 11.5]])  # (1 + 0) / 2, (3 + 20) / 2
    np.testing.assert_array_equal(HAND.raw(heads=1), [[22.5, 20.5]])
    np.testing.assert_array_equal(HAND.raw(2, heads=0), [[1, 3]])
    np.testing.assert_array_equal(HAND.raw(heads={3: 0}), [[0, 20]])
    np.testing.assert_array_equal(HAND.merged(heads={3: 0}), [[0, 1]])
    # An uneven set: layer 2 counts with its mean over both heads [3, 2], layer 3 with its first head [0, 20].
    np.testing.assert_array_equal(HAND.raw(heads={2: None, 3: 0}), [[1.5, 11]])
    np.testing.assert_array_equal(HAND.raw(heads={3: [0], 2: [1, 0]}), [[1.5, 11]])


def test_equal_weights_by_hand():
    np.testing.assert_allclose(HAND.raw(weights="equal"), [[(1 + 2 / 3) / 2, (2 / 3 + 1) / 2]], rtol=1e-6)
    np.testing.assert_allclose(HAND.raw(heads=0, weights="equal"), [[(1 / 3 + 0) / 2, 1]], rtol=1e-6)
    # The second head of layer 3 is flat and is left out.
    np.testing.assert_allclose(HAND.raw(heads=1, weights="equal"), [[1, 0.2]], rtol=1e-6)
    np.testing.assert_array_equal(HAND.shares(heads=1, weights="equal"), [1, 0])
    np.testing.assert_array_equal(HAND.raw(heads={3: 1}, weights="equal"), [[0, 0]])
    np.testing.assert_array_equal(HAND.shares(heads={3: 1}, weights="equal"), [0, 0])


def test_weights_by_reliability_by_hand():
    x = with_heads(HAND.heads, reliability=(0.25, 0.75))
    np.testing.assert_allclose(x.raw(weights="reliability"), [[(1 + 3 * 2 / 3) / 4, (2 / 3 + 3) / 4]], rtol=1e-6)
    np.testing.assert_allclose(x.shares(weights="reliability"), [0.25, 0.75], rtol=1e-6)
    # A layer at chance is left out, but not where there is no other one, or where the others are flat.
    np.testing.assert_allclose(HAND.raw(weights="reliability"), [[2 / 3, 1]], rtol=1e-6)
    np.testing.assert_array_equal(HAND.shares(weights="reliability"), [0, 1])
    np.testing.assert_allclose(HAND.raw(2, weights="reliability"), [[1, 2 / 3]], rtol=1e-6)
    np.testing.assert_allclose(HAND.raw(heads=1, weights="reliability"), [[1, 0.2]], rtol=1e-6)
    none = with_heads(HAND.heads, reliability=(0.0, 0.0))
    np.testing.assert_array_equal(none.raw(weights="reliability"), none.raw(weights="equal"))
    last = with_heads(HAND.heads, merge="last")
    np.testing.assert_array_equal(last.raw(weights="reliability"), last.raw())


def test_weights_by_reliability_need_a_calibrated_model():
    x = explanation(np.ones((2, 2, 2)))
    for ask in (x.merged, x.raw, x.shares, x.floor, x.overlay):
        with pytest.raises(ValueError, match=r"not known; call model.calibrate_layers\(images, targets\)"):
            ask(weights="reliability")


def test_shares_and_floors_by_hand():
    np.testing.assert_allclose(HAND.shares(), [5 / 55, 50 / 55], rtol=1e-6)
    np.testing.assert_allclose(HAND.shares(3), [0, 1])
    np.testing.assert_allclose(HAND.shares(weights="equal"), [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(HAND.shares(heads={2: 0, 3: 0}), [4 / 24, 20 / 24], rtol=1e-6)
    assert HAND.floor() == pytest.approx((11.5 + 16) / 2 / 16)
    signed = explanation([[[-4.0, 1, 2]]], signed=True)
    assert signed.floor() == pytest.approx(0.5)
    assert explanation(np.full((1, 2, 2), 3.0)).floor() == 1
    assert math.isnan(explanation(np.zeros((1, 2, 2))).floor())
    np.testing.assert_array_equal(explanation(np.zeros((2, 2, 2))).shares(), [0, 0])


def test_cumulative_maps_stand_alone():
    last = with_heads(HAND.heads, merge="last")
    np.testing.assert_array_equal(last.raw(heads=0), [[0, 20]])
    np.testing.assert_array_equal(last.raw(heads={2: 1, 3: 0}), [[0, 20]])
    np.testing.assert_array_equal(last.raw(2, heads=1), [[5, 1]])
    np.testing.assert_array_equal(last.raw(weights="equal"), last.raw())
    np.testing.assert_array_equal(last.shares(), [0, 1])
    one = with_heads(HAND.heads, default="last")
    np.testing.assert_array_equal(one.raw(heads=1), [[40, 40]])
    np.testing.assert_array_equal(one.raw(heads={2: 1}), [[5, 1]])


def test_heat_map_and_overlay_are_of_the_same_cells():
    cells = {3: 0}
    assert HAND.heatmap((4, 4), heads=cells).shape == (4, 4)
    np.testing.assert_array_equal(HAND.heatmap((1, 2), heads=cells), HAND.merged(heads=cells))
    x = with_heads(np.random.default_rng(0).random((2, 2, 3, 3)) * [[[[1]]], [[[5]]]])
    drawn = [x.overlay(heads=heads).tobytes() for heads in (0, {2: 0, 3: 0}, 1, None)]
    assert drawn[0] == drawn[1]
    assert len({*drawn, x.overlay(weights="equal").tobytes()}) == 4


@pytest.mark.parametrize(
    ("chosen", "error", "sentence"),
    [
        (dict(heads=-1), ValueError, "heads go from 0 to 1; arrived: -1"),
        (dict(heads=[1, 2]), ValueError, "heads go from 0 to 1; arrived: 2"),
        (dict(heads=True), TypeError, "heads are whole numbers and go from 0 to 1; arrived: True"),
        (dict(heads="1"), TypeError, "whole numbers"),
        (dict(heads=[]), ValueError, "heads is empty; they go from 0 to 1 .None: all of them"),
        (dict(heads={}), ValueError, "layers is empty"),
        (dict(heads={2: []}), ValueError, "heads is empty"),
        (dict(heads={4: 1}), ValueError, "layers go from 2 to 3; arrived: 4"),
        (dict(heads={2: 9}), ValueError, "heads go from 0 to 1; arrived: 9"),
        (dict(layers=2, heads={2: 1}), ValueError, "names its layers itself"),
        (dict(weights="mean"), ValueError, "weights is one of paper, equal, reliability; arrived"),
    ],
)
def test_refusals_are_sentences(chosen, error, sentence):
    for ask in (HAND.merged, HAND.raw, HAND.shares, HAND.floor, HAND.overlay):
        with pytest.raises(error, match=sentence):
            ask(**chosen)


def test_a_method_without_heads_says_so():
    x = explanation(np.ones((2, 2, 2)), method="rollout")
    for heads in (1, {1: 1}):
        with pytest.raises(ValueError, match="rollout has no maps of single heads; leave out heads"):
            x.merged(heads=heads)


# ---------------------------------------------------------------- against loops over plain numbers

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))


@st.composite
def explained(draw):
    """An explanation of LAYERS with heads, and cells {layer: heads} of it."""
    depth, count, rows, cols = draw(SHAPES)
    signed = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    sizes = 10.0 ** rng.uniform(-7, 3, (depth, count, 1, 1))  # heads differ by orders of magnitude
    heads = sizes * (rng.normal(size=(depth, count, rows, cols)) if signed else rng.random((depth, count, rows, cols)))
    if draw(st.booleans()):
        heads[rng.integers(depth)] = 0.25  # a layer that says nothing
    numbers = st.lists(st.integers(0, count - 1), min_size=1, unique=True)
    cells = draw(st.dictionaries(st.sampled_from(LAYERS[:depth]), numbers, min_size=1))
    return with_heads(heads, signed=signed), cells


def slowly(x: Explanation, cells, weights) -> list[float]:
    """The merged map, flattened, in Python's own floats."""
    layers, trust = [], []
    for layer in sorted(cells):
        maps = [x.heads[x.layers.index(layer)][head].ravel().tolist() for head in cells[layer]]
        merged = [statistics.fmean(values) for values in zip(*maps, strict=True)]
        peak = max(map(abs, merged))
        if weights != "paper":
            if max(merged) - min(merged) <= 1e-6 * peak:
                continue
            merged = [value / peak for value in merged]
        layers.append(merged)
        trust.append(x.reliability[x.layers.index(layer)] if weights == "reliability" else 1)
    if not layers:
        return [0.0] * x.maps[0].size
    counted = trust if sum(trust) else [1] * len(layers)
    return [statistics.fmean(values, counted) for values in zip(*layers, strict=True)]


@settings(max_examples=150, deadline=None)
@given(explained(), st.sampled_from(WEIGHTS))
def test_any_set_of_cells_is_the_mean_over_layers_of_the_mean_over_heads(drawn, weights):
    x, cells = drawn
    expected = np.array(slowly(x, cells, weights))
    found = x.raw(heads=cells, weights=weights)
    # All heads of a layer are its map, which the method rounded to float32 once.
    np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=3e-7 * max(np.abs(x.heads).max(), 1))
    shares = x.shares(heads=cells, weights=weights)
    assert shares.sum() == pytest.approx(1) or not found.any()
    assert {x.layers[at] for at in np.flatnonzero(shares)} <= set(cells)


@settings(max_examples=60, deadline=None)
@given(explained(), st.sampled_from(WEIGHTS))
def test_all_heads_are_none_and_the_order_does_not_matter(drawn, weights):
    x, cells = drawn
    count = x.heads.shape[1]
    every = list(range(count))
    for same in (every, every[::-1], slice(None), slice(0, count - 1), dict.fromkeys(x.layers), range(count)):
        np.testing.assert_array_equal(x.raw(heads=same, weights=weights), x.raw(weights=weights))
    turned = {layer: heads[::-1] + heads for layer, heads in reversed(cells.items())}
    np.testing.assert_array_equal(x.raw(heads=turned, weights=weights), x.raw(heads=cells, weights=weights))


@settings(max_examples=60, deadline=None)
@given(explained(), st.floats(1e-3, 1e3))
def test_equal_weights_do_not_see_the_size_of_a_layer(drawn, factor):
    x, cells = drawn
    scaled = x.heads * np.float32(2.0 ** round(math.log2(factor)))  # exact in binary
    grown = with_heads(np.concatenate([scaled[:1], x.heads[1:]]), signed=x.signed)
    np.testing.assert_allclose(
        grown.raw(heads=cells, weights="equal"), x.raw(heads=cells, weights="equal"), rtol=1e-5, atol=1e-6
    )
    if not any(x.degenerate):
        assert x.shares(weights="equal").min() > 0


@settings(max_examples=60, deadline=None)
@given(explained(), st.sampled_from(WEIGHTS))
def test_a_floor_is_a_share_of_the_peak_and_has_no_unit(drawn, weights):
    x, cells = drawn
    floor = x.floor(heads=cells, weights=weights)
    size = np.abs(x.raw(heads=cells, weights=weights)).ravel().tolist()
    if not any(size):
        assert math.isnan(floor)
        return
    assert floor == pytest.approx(statistics.median(size) / max(size))
    assert 0 <= floor <= 1
    doubled = with_heads(2 * x.heads, signed=x.signed)
    assert doubled.floor(heads=cells, weights=weights) == pytest.approx(floor)


def test_the_choice_of_heads_is_ascending_and_unique():
    assert chosen_heads(None, (1, 2), 4) is None
    assert chosen_heads([3, 1, 3], (1, 2), 4) == {1: (1, 3), 2: (1, 3)}
    assert chosen_heads({2: slice(2, None), 1: None}, (1, 2), 4) == {1: (0, 1, 2, 3), 2: (2, 3)}
    assert list(chosen_heads({2: 1, 1: 1}, (1, 2), 4) or ()) == [1, 2]


def test_a_real_answer_is_the_mean_of_its_heads():
    import legrad_widget as lw
    from legrad_widget.builtin import showcase

    scene = showcase()
    x = lw.load("builtin").encode(scene).explain(next(iter(scene.objects)))
    assert x.heads is not None
    np.testing.assert_allclose(x.heads.mean((0, 1)), x.raw(), rtol=1e-5, atol=1e-6 * x.raw().max())
    np.testing.assert_allclose(x.raw(heads={3: [1]}), x.heads[2, 1])
    assert x.shares().sum() == pytest.approx(1)
    assert 0 < x.floor() < 1
