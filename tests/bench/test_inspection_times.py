"""Seconds of an inspection of 500 built-in scenes, reported by `make bench`: the table, then all maps of its errors."""

from __future__ import annotations

from functools import cache

import pytest

import legrad_widget as lw
from legrad_widget.inspection import Inspection

pytestmark = pytest.mark.bench
NAMES = ("cat", "dog", "pizza", "car", "duck", "owl")


@cache
def scenes():
    """500 scenes of two things, labelled with the one painted first: hard enough for errors."""
    drawn = [lw.scene([NAMES[i % 6], NAMES[(i + 1) % 6]], seed=i) for i in range(500)]
    return [scene.image for scene in drawn], [scene.objects[0] for scene in drawn]


@cache
def model():
    return lw.load("builtin")


def inspected():
    return Inspection(model(), *scenes(), class_names=NAMES, cache=False)


def test_the_table_of_500_scenes(benchmark):
    inspected()
    r = benchmark.pedantic(lambda: inspected().run(False).frame, rounds=3)
    assert len(r) == 500


@pytest.mark.parametrize("method", ["attention_gradient", "legrad"])
def test_all_maps_of_their_errors(benchmark, method):
    def fresh():
        return (inspected().run(False),), {}

    r = inspected().run(False)
    made = benchmark.pedantic(lambda r: list(r.contrasts(method=method)), setup=fresh, rounds=3)
    assert len(made) == len(r.wrong) > 50
    print(f"\n{len(made)} maps by {method}")
