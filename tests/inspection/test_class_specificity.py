"""Specificity: 1 - r of two plain maps, by hand; kept, saved and sorted by."""

from __future__ import annotations

import numpy as np
import pytest

from legrad_widget.inspection import InspectionError, InspectionWarning, Overlay, open_inspection
from legrad_widget.target import Class
from tests.inspection import world


@pytest.fixture
def r():
    return world.inspected(12)


def pearson(a, b):
    a, b = (np.asarray(one, np.float64).ravel() for one in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("method", ["legrad", "cdam", "rollout"])
def test_it_is_one_less_the_correlation_of_the_plain_maps(r, method):
    found = r.specificity(overlay=method)
    assert found.index.tolist() == r.errors.sort_values("p_pred", ascending=False, kind="stable").index.tolist()
    for at in r.wrong.tolist():
        predicted, label = r.pair(at)
        assert label == r.records["label"][at]
        maps = [r.encoding(at).explain(Class(one), method).maps for one in (predicted, label)]
        plain = [one[-1] if method == "rollout" else one.mean(0) for one in maps]
        assert found[at] == pytest.approx(1 - pearson(*plain), abs=1e-5)
    if method == "rollout":  # it does not ask which class
        assert np.allclose(found, 0, atol=1e-6)


def test_of_the_attention_gradient_the_two_plain_maps_make_the_contrast(r):
    at = int(r.wrong[0])
    predicted, label = r.pair(at)
    a, b = (r.encoding(at).head_effects(Class(one)).maps.sum((0, 1)) for one in (predicted, label))
    contrast = r.contrast(at).predicted.sum(0)
    assert np.allclose(a - b, contrast, atol=1e-4 * np.abs(contrast).max())
    assert r.specificity([at])[at] == pytest.approx(1 - pearson(a, b), abs=1e-4)


def test_layers_count_as_the_overlay_says(r):
    at = int(r.wrong[0])
    maps = [r.encoding(at).explain(Class(one), "legrad").maps for one in r.pair(at)]
    equal = [np.mean([layer / np.abs(layer).max() for layer in one if np.ptp(layer) > 0], 0) for one in maps]
    assert r.specificity([at], Overlay("legrad", "equal"))[at] == pytest.approx(1 - pearson(*equal), abs=1e-5)


def test_what_was_found_is_kept_and_saved_and_sorted_by(r, tmp_path, monkeypatch):
    found = r.specificity()
    steps = []
    monkeypatch.setattr(r, "encoding", lambda at: pytest.fail("the model was asked"))
    assert r.specificity(progress=lambda *step: steps.append(step)).equals(found)
    assert steps == []
    assert r.sorted("specificity")["specificity"].is_monotonic_decreasing
    assert set(r.sorted("specificity").index) == set(r.wrong)
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved")
    assert again.frame["specificity"].equals(r.frame["specificity"])
    assert again.outdated == {}
    assert again.specificity().equals(found)  # what is kept needs no model
    again.overlay = Overlay("legrad")
    with pytest.raises(InspectionError, match="compare plain maps"):
        again.specificity()
    assert "are of the map attention_gradient; the map is legrad now" in again.outdated["specificity"]
    with pytest.warns(InspectionWarning, match="ask again"):
        again.sorted("specificity")


def test_the_key_says_what_it_needs(r):
    with pytest.raises(InspectionError, match=r"needs specificity\(\) first"):
        r.sorted("specificity")
