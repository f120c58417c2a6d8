"""The three weightings are measured with the league's own code, and the shipped figures are of the shipped weights."""

from __future__ import annotations

import json

import numpy as np

import legrad_widget as lw
from legrad_widget.builtin.held_out import crowded_scenes
from legrad_widget.evaluate import league, weightings
from legrad_widget.evaluate.builtin_card import PIXELS, PROMPT, queries, sheets_of
from legrad_widget.evaluate.segmentation import localisation, min_max


def test_each_weighting_is_measured_by_itself():
    model = lw.load("builtin")
    asked = queries(crowded_scenes(sheets_of("validation"), PIXELS, 2, seed=7))
    found = weightings.localise(model, asked, "legrad")
    as_before = league.localise(model, asked, "legrad")
    assert {name: as_before[name] for name in found["paper"]} == found["paper"]
    heat = []
    for image, nouns in zip(asked.images, asked.nouns, strict=True):
        for x in model.encode(image).explain([PROMPT.format(noun) for noun in nouns]):
            scaled = x.maps / np.abs(x.maps).max((1, 2), keepdims=True)
            weighed = np.tensordot(model.layer_reliability.weights, scaled, 1)
            alone = x.__class__(**{**vars_of(x), "maps": weighed[None].astype(np.float32), "layers": (1,)})
            heat.append(alone.heatmap("image"))
    by_hand = localisation(min_max(np.stack(heat)), asked.masks).rounded(4)
    assert found["reliability"] == by_hand


def vars_of(x):
    """The fields of an explanation of one map."""
    return {name: getattr(x, name) for name in x.__dataclass_fields__} | {
        "heads": None, "prefix": None, "reliability": None, "scores": x.scores[:1]
    }  # fmt: skip


def test_only_methods_that_average_layers_are_measured():
    model = lw.load("builtin")
    asked = queries(crowded_scenes(sheets_of("validation"), PIXELS, 1, seed=7))
    measured = [method.name for method in lw.list_methods() if weightings.averages(model, asked, method)]
    assert measured == list(json.loads(weightings.RECORD.read_text())["methods"])


def test_the_shipped_figures():
    held = json.loads(weightings.RECORD.read_text())
    assert held["weights"] == league.weights_mark()
    recorded = json.loads(league.RECORD.read_text())["methods"]["legrad"]
    assert held["methods"]["legrad"]["paper"]["miou"] == recorded["miou"]
    assert weightings.table(held).count("\n| ") == 2 + 3 * len(held["methods"])
