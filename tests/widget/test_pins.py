"""Pinned views: set from Python or by a page, refused in a sentence, shown again, and kept in a saved page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import traitlets

import legrad_widget as lw
from legrad_widget.widget.pins import DEFAULTS, MAX_PINS

CAT = {"kind": "text", "text": "a cat"}
WHOLE = {**DEFAULTS, "targets": [CAT]}


def test_a_widget_has_no_pins_at_first(widget, page):
    assert widget.pins == ()
    assert list(page.opened["pins"]) == []


def test_python_may_leave_out_what_is_as_usual(widget, page):
    widget.pins = [{"targets": ["a cat"]}, {"targets": ["a dog", CAT], "active": 1, "layers": 2, "heads": {3: [1, 0]}}]
    first, second = widget.pins
    assert first == WHOLE
    assert second["targets"] == [{"kind": "text", "text": "a dog"}, CAT]
    assert (second["active"], second["layers"], second["heads"]) == (1, [2], [[3, 0], [3, 1]])
    assert list(page.state["pins"]) == [first, second]
    assert json.loads(json.dumps(widget.pins)) == [first, second]
    widget.pins = json.loads(json.dumps(widget.pins))
    assert widget.pins == (first, second)


def test_a_page_sets_them_with_its_look_or_as_a_trait(widget, page):
    page.message({"kind": "view", "v": 1, "client": "p", "n": 1, "view": {"pins": [WHOLE], "opacity": 0.25}})
    assert (widget.pins, widget.opacity) == ((WHOLE,), 0.25)
    page.write(pins=[])
    assert widget.pins == ()
    full = [{**WHOLE, "targets": [{"kind": "text", "text": f"thing {i}"} for i in range(32)]}] * MAX_PINS
    page.message({"kind": "view", "v": 1, "client": "p", "n": 2, "view": {"pins": full}})
    assert len(widget.pins) == MAX_PINS
    assert not [message for message in page.messages if message["kind"] == "refused"]


@pytest.mark.parametrize(
    ("pins", "sentence"),
    [
        ("cat", "pins is a list of views, each a dict with targets, active"),
        ([WHOLE] * (MAX_PINS + 1), "13 pins are too many: at most 12"),
        ([WHOLE, "cat"], r"pin 2: a view is a dict with targets, .*arrived: 'cat'"),
        ([{"targets": []}], "pin 1: a view without targets shows no map"),
        ([{}], "pin 1: a view without targets shows no map"),
        ([{**WHOLE, "opacity": 1}], "pin 1: a view has no 'opacity'; it has targets"),
        ([{**WHOLE, "layers": [9]}], "pin 1: layers go from 1 to 3; arrived: 9"),
        ([{**WHOLE, "heads": [[1, 99]]}], "pin 1: heads go from 0 to 3; arrived: 99"),
        ([{**WHOLE, "active": 1}], "pin 1: active is a whole number from 0 to 0; arrived: 1"),
        ([{**WHOLE, "method": "magic"}], "pin 1: .*magic"),
        ([{**WHOLE, "method": ["legrad"]}], "pin 1: .*method"),
        ([{**WHOLE, "knobs": {"relu": "maybe"}}], "pin 1: .*relu"),
        ([{**WHOLE, "weights": "heavy"}], "pin 1: weights is one of paper, equal"),
        ([{**WHOLE, "targets": [{"kind": "text", "text": " "}]}], "pin 1: the prompt is blank"),
        ([{**WHOLE, "targets": [{"kind": "file", "text": "/etc/passwd"}]}], "pin 1: a target has the kind"),
    ],
)
def test_bad_pins_are_refused_in_a_sentence(widget, page, pins, sentence):
    widget.pins = [WHOLE]
    page.message({"kind": "view", "v": 1, "client": "p", "n": 1, "view": {"pins": pins, "opacity": 0.1}})
    assert page.last["kind"] == "refused"
    assert re.search(sentence, page.last["message"])
    page.write(pins=pins)
    assert page.last["kind"] == "refused"
    assert re.search(sentence, page.last["message"])
    assert list(page.state["pins"]) == [WHOLE]  # the page hears what is true
    with pytest.raises(traitlets.TraitError, match=sentence):
        widget.pins = pins
    assert (widget.pins, widget.opacity) == ((WHOLE,), 0.65)


def test_a_pinned_view_is_shown_again(widget):
    widget.layers, widget.weights, widget.active = [2, 3], "equal", 1
    widget.wait()
    before = widget.explanation.merged(layers=[2, 3], weights="equal")
    pin = widget.pin()
    assert widget.pins == (pin,)
    widget.targets, widget.method, widget.layers, widget.weights = "a fox", "rollout", None, "paper"
    widget.wait()
    widget.recall(pin)
    widget.wait()
    assert list(widget.targets) == ["a cat", "a dog"]
    assert (widget.active, widget.method, widget.layers, widget.weights) == (1, "legrad", [2, 3], "equal")
    np.testing.assert_array_equal(widget.explanation.merged(layers=[2, 3], weights="equal"), before)


def test_it_comes_back_with_knobs_and_heads_as_one_question(widget, page, calls):
    widget.knobs, widget.heads = {"relu": False}, {2: [1], 3: [0, 2]}
    widget.wait()
    pin = widget.pin()
    widget.recall({"targets": ["a fox"]})
    widget.wait()
    assert (widget.knobs, widget.heads, widget.active) == ({}, None, 0)
    asked = len(page.updates("_result"))
    calls.clear()
    widget.recall(pin)
    widget.wait()
    assert (widget.knobs, widget.heads) == ({"relu": False}, {2: [1], 3: [0, 2]})
    assert len(page.updates("_result")) == asked + 1
    assert calls == []  # the memory answers


def test_what_python_alone_holds_comes_back_while_it_is_held(widget):
    direction = np.random.default_rng(0).normal(size=widget.model.vit.features).astype(np.float32)
    widget.targets = ["a cat", lw.Direction(direction, "mine")]
    widget.wait()
    pin = widget.pin()
    assert pin["targets"][1]["kind"] == "held"
    widget.targets = "a fox"
    widget.recall(pin)
    widget.wait()
    assert widget.explanations[1].label == "mine"
    gone = {**pin, "targets": [{"kind": "held", "key": "v99", "label": "mine"}]}
    widget.pins = [gone]  # a pin of another kernel is kept as words
    with pytest.raises(ValueError, match="no target is held under 'v99' any more; set it again from Python"):
        widget.recall(gone)
    assert widget.explanations[1].label == "mine"


def test_a_classifier_is_pinned_by_its_classes(classifier, photo):
    widget = lw.explore(photo, ["pizza", 3], model=classifier, pins=[{"targets": ["taxi"]}])
    assert widget.pins[0]["targets"] == [{"kind": "class", "index": 3, "name": "taxi"}]
    assert widget.pin()["targets"][0] == {"kind": "class", "index": 2, "name": "pizza"}


def test_they_are_in_a_saved_page(widget):
    widget.pins = [{"targets": ["a cat"], "layers": [2]}]
    state = re.search(r'<script type="application/json" id="state">(.*?)</script>', widget.to_html())
    assert json.loads(state[1])["pins"] == [{**WHOLE, "layers": [2]}]
