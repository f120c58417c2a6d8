"""The random control takes as many patches as the set that it stands beside, each at most once, without favourites."""

from __future__ import annotations

import numpy as np

from legrad_widget.inspection.counterfactual import random_sets


def test_as_many_patches_each_time_and_all_of_them_in_turn():
    removed = np.arange(20) < 7
    sets = random_sets(removed, 2000, seed=3)
    assert sets.shape == (2000, 20)
    assert (sets.sum(1) == 7).all()
    assert np.abs(sets.mean(0) - 7 / 20).max() < 0.05  # 4.7 standard errors
    assert np.array_equal(sets, random_sets(removed, 2000, seed=3))
    assert not np.array_equal(sets, random_sets(removed, 2000, seed=4))
