"""The specificity tool: the number is Python's, the control's map comes with it, and it is read once."""

from __future__ import annotations

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.method import list_methods
from legrad_widget.widget.wire import unpack
from tests.widget.test_tools import Bench, lw_widget


@pytest.fixture
def bench(page) -> Bench:
    return Bench(page)


@pytest.fixture
def encoding(widget):
    return widget._answer.question.photo.encoding


def by_hand(ours: np.ndarray, control: np.ndarray) -> float:
    """1 - Pearson's r, from its definition, in float64."""
    a, b = (values.astype(np.float64).ravel() for values in (ours, control))
    a, b = a - a.mean(), b - b.mean()
    return 1 - float((a * b).sum()) / float((a * a).sum() * (b * b).sum()) ** 0.5


@pytest.mark.parametrize("control", ["", "blicket", "a dog"])
def test_the_number_is_pythons_and_the_controls_map_comes_with_it(bench, widget, encoding, control):
    entry = bench.get("specificity", control=control)
    assert (entry["state"], entry["label"], entry["args"]) == ("done", "a cat", {"control": control})
    assert entry["value"] == pytest.approx(encoding.specificity("a cat", control=control), abs=1e-6)
    expected = encoding.explain(lw.Text(control, control=True))
    np.testing.assert_allclose(unpack(entry["maps"]), expected.maps, atol=1e-6 * expected.maps.max())
    assert (entry["layers"], entry["signed"]) == ([1, 2, 3], False)
    assert entry["control"] == (control or "(empty prompt)")
    assert entry["value"] == pytest.approx(by_hand(widget.explanation.raw(), unpack(entry["maps"]).mean(0)), abs=1e-5)


@pytest.mark.parametrize("method", [method.name for method in list_methods() if not method.slow])
def test_of_the_method_and_the_knobs_that_are_shown(bench, widget, encoding, method):
    if reason := dict(widget._scope.refusals).get(method):
        pytest.skip(reason)
    widget.targets, widget.method = ["a cat"], method
    widget.wait()
    entry = bench.get("specificity")
    expected = encoding.specificity("a cat", method)
    if np.isnan(expected):
        assert (entry["value"], entry["note"]) == (None, "One of the two maps is flat, so there is nothing to compare.")
    else:
        assert entry["value"] == pytest.approx(expected, abs=1e-5)
    if method in ("rollout", "raw_attention"):  # they never hear of the prompt
        assert entry["value"] == pytest.approx(0, abs=1e-12)


def test_with_knobs(bench, widget, encoding):
    widget.knobs = {"relu": False}
    widget.wait()
    entry = bench.get("specificity")
    assert entry["value"] == pytest.approx(encoding.specificity("a cat", relu=False), abs=1e-6)
    assert entry["signed"]


def test_a_control_is_computed_once_for_all_targets_and_never_encodes(bench, page, calls):
    bench.get("specificity", control="blicket")
    assert calls == [("explain", 1)]
    bench.get("specificity", control="blicket", target=1)
    bench.get("specificity", control=" ", target=1)
    bench.get("specificity", control="", target=0)
    assert calls == [("explain", 1), ("explain", 1)]
    assert page.labels == ["a cat", "a dog"]


def test_a_control_is_no_target(bench, widget, page):
    bench.get("specificity")
    page.ask("a cat", {"kind": "held", "key": "control ", "label": "(empty prompt)"})
    assert page.last["kind"] == "refused"
    assert widget.targets == ("a cat", "a dog")


def test_a_classifier_says_that_it_takes_no_prompt(classifier, photo):
    with lw_widget(classifier, photo, [2]) as widget:
        entry = Bench(widget.comm).get("specificity")
    assert entry["state"] == "failed"
    assert "ask for a class" in entry["message"]


@pytest.mark.parametrize("control", [None, 3, ["a"], "x" * 1001, "\udc00"])
def test_a_control_that_is_no_prompt_is_refused(bench, control):
    bench.use("specificity", control=control)
    assert "control" in bench.refusal
