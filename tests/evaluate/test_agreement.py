"""Agreement of two maps: against scipy and a literal count, and what must and must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr

import legrad_widget as lw
from legrad_widget.evaluate import iou_top, rank_correlation
from legrad_widget.evaluate.segmentation import MetricError
from tests import specimens

GRIDS = st.tuples(st.integers(1, 7), st.integers(1, 7))


def pairs(values):
    return GRIDS.flatmap(lambda grid: st.tuples(*[hnp.arrays(np.float64, grid, elements=values)] * 2))


TIED = st.integers(-3, 3).map(float)  # few values: ties in plenty
FREE = st.floats(-1e6, 1e6, width=32)


def literal_iou(a, b, share):
    """Sort (value, place) by hand, take the first, count."""

    def top(grid):
        flat = [float(value) for row in grid for value in row]
        k = max(1, int(share * len(flat) + 0.5))
        return {place for _, place in sorted((-value, place) for place, value in enumerate(flat))[:k]}

    return len(top(a) & top(b)) / len(top(a) | top(b))


@given(pairs(TIED) | pairs(FREE))
def test_rank_correlation_is_scipy_s(pair):
    a, b = pair
    assume(np.ptp(a) > 0 and np.ptp(b) > 0)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)


@given(pairs(TIED) | pairs(FREE), st.sampled_from([0.05, 0.2, 0.5, 1.0]))
def test_iou_is_the_literal_count(pair, share):
    assume(np.ptp(pair[0]) > 0 and np.ptp(pair[1]) > 0)
    assert iou_top(*pair, share) == literal_iou(*pair, share)


@given(pairs(TIED))
def test_both_are_symmetric_and_blind_to_scale(pair):
    a, b = pair
    if np.ptp(a) and np.ptp(b):
        assert iou_top(a, b) == iou_top(b, a) == iou_top(8 * a + 16, b)
        assert rank_correlation(a, b) == rank_correlation(b, a) == rank_correlation(8 * a + 16, b)
        assert rank_correlation(a, a) == pytest.approx(1)
        assert rank_correlation(a, -b) == pytest.approx(-rank_correlation(a, b))
    else:
        assert math.isnan(rank_correlation(a, b))
        assert math.isnan(iou_top(a, b))


def test_closed_forms():
    rising = np.arange(25.0).reshape(5, 5)
    assert rank_correlation(rising, np.exp(rising)) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert rank_correlation([[1, 2, 3, 4]], [[1, 2, 3, 3]]) == pytest.approx(3 / math.sqrt(10))
    assert iou_top(rising, rising) == 1
    assert iou_top(rising, -rising) == 0
    shifted = np.roll(rising.ravel(), 2).reshape(5, 5)  # its five highest: 2 of them elsewhere
    assert iou_top(rising, shifted) == 3 / 7
    assert iou_top(rising, shifted, share=1.0) == 1


def test_the_number_of_patches_is_rounded_and_never_zero():
    first, last = np.zeros((2, 4)), np.zeros((2, 4))
    first[0, :2], last[1, 2:] = 1, 1
    assert iou_top(first, last, 0.2) == 0  # two of eight
    assert iou_top(first, last, 0.01) == 0  # one of eight


def test_equal_values_go_by_reading_order():
    steps, corner = np.zeros((3, 5)), np.zeros((3, 5))
    steps[:2] = 1
    corner[0, :3] = 1
    assert iou_top(steps, corner) == 1


def test_a_signed_map_is_taken_by_value():
    against = np.array([[-9.0, 1.0, 0.0, 0.5, 0.2]])
    assert iou_top(against, [[0.0, 1.0, 0.0, 0.0, 0.0]]) == 1
    assert iou_top(against, [[1.0, 0.0, 0.0, 0.0, 0.0]]) == 0


def test_on_real_maps_ranks_survive_merging_and_scaling():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    one, other = (encoding.explain(1, method) for method in ("legrad", "rollout"))
    for measure in (rank_correlation, iou_top):
        assert measure(one.merged(), other.merged()) == pytest.approx(measure(one.raw(), other.raw()))
        assert measure(one.merged(), one.raw()) == pytest.approx(1)


@pytest.mark.parametrize("measure", [rank_correlation, iou_top])
@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), r"\(2, 3\) and \(3, 2\)"),
        (np.ones(6), np.ones(6), r"\[h, w\]"),
        (np.ones((0, 3)), np.ones((0, 3)), r"\[h, w\]"),
        ([[1.0, math.nan]], [[1.0, 2.0]], "NaN"),
        ([[1.0, 3.0]], [[1.0, math.inf]], "infinity"),
    ],
)
def test_what_cannot_be_compared(measure, a, b, sentence):
    with pytest.raises(MetricError, match=sentence):
        measure(a, b)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_share_that_cannot_be(share):
    with pytest.raises(MetricError, match="above 0 and up to 1"):
        iou_top(np.eye(3), np.eye(3), share)
