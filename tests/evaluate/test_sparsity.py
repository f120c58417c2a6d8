"""CDAM's measures, patch by patch."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.evaluate.segmentation import MetricError
from legrad_widget.evaluate.sparsity import mean_correlation, pooled_correlation, sparsity


def maps(seed, count=4):
    return list(np.random.default_rng(seed).standard_normal((count, 3, 4)))


def test_sparsity_counts_against_the_signed_maximum():
    a = np.array([[1.0, 0.049, -0.049], [-0.051, 0.05, -3.0]])  # |-3| is large, but 1 is the maximum
    assert sparsity([a]) == 2 / 6
    assert sparsity([a, -np.ones((2, 3))]) == 1 / 6  # no maximum above 0: no share
    assert sparsity([a], share=0.5) == 4 / 6


def test_scales_change_the_pooled_correlation_but_not_the_rest():
    a, b = maps(0), [x + 0.5 * y for x, y in zip(maps(0), maps(1), strict=True)]
    scaled = [x * factor for x, factor in zip(a, (1, 10, 0.1, 3), strict=True)]
    assert sparsity(scaled) == sparsity(a)
    assert mean_correlation(scaled, b) == pytest.approx(mean_correlation(a, b))
    assert pooled_correlation(scaled, b) != pytest.approx(pooled_correlation(a, b), abs=1e-3)


def test_correlations_are_pearsons():
    a, b = maps(2), maps(3)
    x, y = np.ravel(a) - np.mean(a), np.ravel(b) - np.mean(b)
    assert pooled_correlation(a, b) == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)))
    each = [np.corrcoef(p.ravel(), q.ravel())[0, 1] for p, q in zip(a, b, strict=True)]
    assert mean_correlation(a, b) == pytest.approx(np.mean(each))
    constant = [np.ones((3, 4)), *a[1:]]
    assert mean_correlation(constant, b) == pytest.approx(np.mean(each[1:]))
    assert np.isnan(pooled_correlation([np.ones((3, 4))], b[:1]))
    assert np.isnan(mean_correlation([np.ones((3, 4))], b[:1]))


def test_refusals():
    with pytest.raises(MetricError, match="finite maps"):
        sparsity([])
    with pytest.raises(MetricError, match="finite maps"):
        sparsity([np.array([[np.nan]])])
    with pytest.raises(MetricError, match="same images"):
        pooled_correlation(maps(0), maps(1, 3))
