"""The league runs every method of the catalogue, goes on where it stopped, and its table can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.builtin.held_out import crowded_scenes
from legrad_widget.evaluate import league
from legrad_widget.evaluate.builtin_card import PIXELS, PROMPT, queries, sheets_of
from legrad_widget.evaluate.segmentation import localisation, min_max


@pytest.fixture(scope="module")
def asked():
    return queries(crowded_scenes(sheets_of("validation"), PIXELS, 3, seed=7))


@pytest.fixture(scope="module")
def model():
    return lw.load("builtin")


@pytest.mark.slow
def test_every_method_that_is_defined_is_measured(model, asked):
    found = dict(league.league(model, asked, {}))
    assert list(found) == [method.name for method in lw.list_methods()]
    for method in lw.list_methods():
        assert ("reason" in found[method.name]) == (method.refuses(model.vit) is not None)
    for figures in found.values():
        if "reason" not in figures:
            assert all(0 <= figures[column] <= 1 for column in league.COLUMNS)


def test_it_goes_on_where_it_stopped(model, asked):
    done = {method.name: {} for method in lw.list_methods() if method.name != "raw_attention"}
    assert [name for name, _ in league.league(model, asked, done)] == ["raw_attention"]


def test_an_unsigned_method_is_measured_as_the_card_does(model, asked):
    found = league.localise(model, asked, "legrad")
    heat = [
        x.heatmap("image")
        for image, nouns in zip(asked.images, asked.nouns, strict=True)
        for x in model.encode(image).explain([PROMPT.format(noun) for noun in nouns])
    ]
    by_hand = localisation(min_max(np.stack(heat)), asked.masks).rounded(4)
    assert {name: found[name] for name in by_hand} == by_hand
    assert not found["signed"]


def test_only_evidence_for_the_prompt_of_a_signed_map_is_compared_with_the_mask(model, asked, monkeypatch):
    plain = model.__class__.encode

    def flipped(self, image):
        return _Flipped(plain(self, image))

    monkeypatch.setattr(model.__class__, "encode", flipped)
    against = league.localise(model, asked, "legrad")
    assert against["signed"]
    assert against["foreground_iou"] == 0  # a map that is negative everywhere claims nothing
    assert against["pointing"] < 0.5  # the ranking still reads it


class _Flipped:
    """An encoding whose maps speak against everything that LeGrad's speak for."""

    def __init__(self, encoding):
        self.encoding = encoding

    def explain(self, prompts, method):
        return [_Negative(x) for x in self.encoding.explain(prompts, method)]


class _Negative:
    def __init__(self, explanation):
        self.heat = -explanation.heatmap("image")
        self.signed, self.seconds = True, explanation.seconds

    def heatmap(self, size):
        assert size == "image"
        return self.heat


def test_the_table_is_put_between_the_marks_and_nothing_else_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{league.BEGIN}\nold\n{league.END}\nafter\n", encoding="utf-8")
    row = dict.fromkeys(league.COLUMNS, 0.25)
    figures = {
        "scenes": 2, "prompts": 5, "weights": "abc", "date": "2026-01-02",
        "methods": {
            "random": {"title": "Random patches"} | row,
            "a": {"title": "A", "signed": True, "seconds": 0.5} | row,
            "b": {"title": "B", "signed": False, "seconds": 0.5} | row | {"miou": 0.75},
            "c": {"title": "C", "reason": "C is not defined here"},
        },
    }  # fmt: skip
    league.put(league.table(figures), page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{league.BEGIN}\n")
    assert text.endswith(f"{league.END}\nafter\n")
    assert "old" not in text
    assert text.index("| B |") < text.index("| A ± |") < text.index("| Random patches |")
    assert "C is not defined here" in text
    league.put(league.table(figures), page)
    assert page.read_text(encoding="utf-8") == text


def test_the_readme_shows_the_recorded_league_of_the_shipped_weights_with_every_method():
    figures = json.loads(league.RECORD.read_text(encoding="utf-8"))
    assert figures["weights"] == league.weights_mark()
    assert figures["source"] == "test"
    assert figures["scenes"] >= 300
    assert {method.name for method in lw.list_methods()} <= set(figures["methods"])
    page = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"{league.BEGIN}\n{league.table(figures)}{league.END}" in page
