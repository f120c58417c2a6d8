"""Where no small region explains an answer, the page says so, and what to try instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from legrad_widget.inspection.flip_set import FlipSet
from legrad_widget.widget.inspect_detail import flip_set_words
from legrad_widget.widget.inspect_studies import _clusters
from tests.inspection import world

TRY = "the cause may be spread out, e.g. the background; with masks try r.on_other_backgrounds("


@pytest.mark.parametrize(("size", "prefix", "spread"), [(0, 0, True), (1, 1, False), (8, 9, False), (9, 9, True)])
def test_a_flip_set_that_is_none_or_most_of_the_picture(size: int, prefix: int, spread: bool) -> None:
    removed = np.arange(16).reshape(4, 4) < size
    found = FlipSet(removed, 0, 1 if size else 0, "other", prefix, 0.25, 8, 40)
    words = flip_set_words(found, ["cow", "wolf"], 17)
    assert (f"{TRY}17)." in words) == spread
    assert ("No set of patches was found" in words) == (size == 0)


def test_a_group_that_neither_its_region_nor_a_random_one_changes() -> None:
    r = world.inspected(12)
    found = r.clusters(2, test=False)
    shares = [(0.0, 0.19), (0.5, 0.0)]
    cards = tuple(replace(card, flips=a, random_flips=b) for card, (a, b) in zip(found, shares, strict=True))
    r.clustered = replace(found, cards=cards)
    told = _clusters(r)
    assert told is not None
    assert f"{TRY}'cluster == 1')" in told["cards"][0]["advice"]
    assert told["cards"][1]["advice"] == ""
