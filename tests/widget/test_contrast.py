"""Contrasts and templates as chips: from Python and from a page, on the wire like any other target."""

from __future__ import annotations

import numpy as np
import pytest

import legrad_widget as lw
from tests import specimens

CAT, DOG = ({"kind": "text", "text": text} for text in ("a cat", "a dog"))
OVER = {"kind": "contrast", "a": CAT, "b": DOG}
CLASSES = {"kind": "contrast", "a": {"kind": "class", "index": 1}, "b": {"kind": "class", "index": 6}}


def test_a_contrast_set_from_python_is_a_chip_and_stays_what_was_written(widget, page, model, photo):
    asked = lw.Contrast("a cat", "a dog")
    widget.targets = [asked, "a fox"]
    widget.wait()
    assert widget.targets[0] is asked
    assert page.state["targets"][0] == OVER | {"label": "a cat over a dog"}
    assert page.labels == ["a cat over a dog", "a fox"]
    expected = model.encode(photo).explain(asked)
    np.testing.assert_allclose(widget.explanation.maps, expected.maps, atol=1e-6 * expected.maps.max())
    entry = page.result["targets"][0]
    assert (entry["score"], entry["probability"]) == pytest.approx((expected.score, expected.probability))
    assert entry["probability_of"] == "a cat or a dog"
    assert (entry["supported"], entry["error"]) == (None, "")


def test_a_page_asks_for_a_contrast_and_what_it_reads_back_it_may_send_again(widget, page, calls):
    page.ask("a cat", "a dog", OVER, active=2)
    widget.wait()
    assert page.labels == ["a cat", "a dog", "a cat over a dog"]
    assert widget.targets[2] == lw.Contrast("a cat", "a dog")
    assert widget.explanation.label == "a cat over a dog"
    known = len(calls)
    page.ask(*page.state["targets"][1:], active=0)  # a chip was removed: the others' answers are known
    widget.wait()
    assert page.labels == ["a dog", "a cat over a dog"]
    assert calls[known:] == []


def test_a_signed_contrast_is_signed_on_the_wire(widget, page):
    page.ask(OVER, {**OVER, "a": DOG, "b": CAT}, knobs={"relu": False})
    widget.wait()
    assert page.result["signed"]
    maps = np.frombuffer(page.result["maps"]["data"], np.float32).reshape(page.result["maps"]["shape"])
    np.testing.assert_allclose(maps[0], -maps[1], atol=1e-6 * np.abs(maps).max())


def test_of_classes(classifier, photo):
    widget = lw.explore(photo, [3], model=classifier)
    page = widget.comm
    page.ask(CLASSES)
    widget.wait()
    assert page.labels == ["beagle over fox"]
    assert widget.targets == (lw.Contrast(1, 6),)
    assert page.state["_result"]["targets"][0]["score_name"] == "logit"


def test_a_side_that_lives_in_python_is_held(widget, page):
    vector = specimens.directions(specimens.EMBED, 1)[0]
    widget.targets = [lw.Contrast(vector, "a cat"), lw.Contrast("a cat", lw.Text("", control=True))]
    widget.wait()
    first, second = page.state["targets"]
    assert (first["a"]["kind"], first["b"]) == ("held", CAT)
    assert (second["b"]["kind"], second["label"]) == ("held", "a cat over (empty prompt)")
    scores = [entry["score"] for entry in page.result["targets"]]
    page.ask(second, {**first, "a": first["b"], "b": first["a"]})
    widget.wait()
    assert [entry["score"] for entry in page.result["targets"]] == pytest.approx([scores[1], -scores[0]])


def test_sides_that_cannot_be_compared_say_so_in_their_own_place(classifier, photo):
    widget = lw.explore(photo, [3], model=classifier)
    widget.targets = [lw.Contrast(3, specimens.directions(specimens.WIDTH, 1)[0]), 2]
    with pytest.raises(ValueError, match=r"target 0 \('taxi over direction'\): 'taxi' is scored by its logit"):
        widget.wait()
    broken, fine = widget.comm.result["targets"]
    assert "two of a kind" in broken["error"]
    assert fine["error"] == ""


DEEP = CAT
for _ in range(6):
    DEEP = {"kind": "contrast", "a": DEEP, "b": DOG}
HOSTILE = {
    "no sides": ({"kind": "contrast"}, "'text', 'class' or 'held' in a contrast; arrived: None"),
    "one side": ({"kind": "contrast", "a": CAT}, "arrived: None"),
    "sides that are words": ({"kind": "contrast", "a": "cat", "b": "dog"}, "in a contrast; arrived: None"),
    "a contrast inside": ({"kind": "contrast", "a": OVER, "b": CAT}, "in a contrast; arrived: 'contrast'"),
    "many inside": (DEEP, "nested deeper than 8 levels"),
    "itself": ({"kind": "contrast", "a": CAT, "b": dict(CAT)}, "nothing sets 'a cat' apart from itself"),
    "itself, at length": (
        {"kind": "contrast", "a": {"kind": "text", "text": "x" * 900}, "b": {"kind": "text", "text": "x" * 900}},
        "apart from itself",
    ),
    "a blank side": ({**OVER, "b": {"kind": "text", "text": " "}}, "blank"),
    "a class on a CLIP": ({**OVER, "b": {"kind": "class", "index": 0}}, "no classes"),
    "a key that is not known": ({**OVER, "b": {"kind": "held", "key": "v99"}}, "held under 'v99'"),
    "half a character": ({**OVER, "a": {"kind": "text", "text": "\udc00"}}, "surrogate"),
    "templates that are a word": ({**CAT, "templates": "a {}"}, "templates is a list of sentences"),
    "templates that are numbers": ({**CAT, "templates": [1]}, "templates is a list of sentences"),
    "templates that are nothing": ({**CAT, "templates": None}, "templates is a list of sentences"),
    "a template without a place": ({**CAT, "templates": ["a photo"]}, "one {} where the text goes"),
    "too many templates": ({**CAT, "templates": ["{}"] * 101}, "101 templates are too many"),
    "a template that is too long": ({**CAT, "templates": ["{}" + "x" * 998]}, "1003 characters; at most 1000"),
    "half a character in a template": ({**CAT, "templates": ["{} \udc00"]}, "surrogate"),
    "a bad template in a side": ({**OVER, "a": {**CAT, "templates": ["{}{}"]}}, "one {} where the text goes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_contrast_or_template_is_refused_and_changes_nothing(widget, page, name):
    target, sentence = HOSTILE[name]
    before = {trait: value for trait, value in page.state.items() if trait != "_request"}
    page.ask(target)
    assert page.last["kind"] == "refused"
    assert sentence in page.last["message"]
    assert len(page.last["message"]) < 400
    assert {trait: value for trait, value in page.state.items() if trait != "_request"} == before
    page.ask(OVER)
    widget.wait()
    assert page.labels == ["a cat over a dog"]


def test_markup_in_a_side_is_only_text(widget, page):
    html = "<img src=x onerror=alert(1)>"
    page.ask({**OVER, "a": {"kind": "text", "text": html}, "label": "<b>forged</b>"})
    widget.wait()
    assert page.labels == [f"{html} over a dog"]  # the page's own label counts for nothing


def test_templates_travel_with_their_prompt(widget, page, model, photo):
    templates = ["a photo of {}", "a drawing of {}"]
    asked = lw.Text("a cat", templates=templates)
    widget.targets = [asked, "a cat"]
    widget.wait()
    assert page.state["targets"] == [CAT | {"templates": templates}, CAT]
    assert page.labels == ["a cat", "a cat"]
    averaged, plain = (entry["score"] for entry in page.result["targets"])
    assert averaged == pytest.approx(model.encode(photo).explain(asked).score)
    assert averaged != pytest.approx(plain, abs=1e-4)
    page.ask({**CAT, "templates": templates[::-1]}, {**OVER, "a": {**CAT, "templates": templates}})
    widget.wait()
    assert widget.targets[0] == lw.Text("a cat", templates=templates[::-1])
    assert widget.targets[1] == lw.Contrast(asked, "a dog")
    assert page.result["targets"][0]["score"] == pytest.approx(averaged)
