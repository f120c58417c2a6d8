"""The templates that prompts are read through: one trait, set by either side; no new sight of the picture."""

from __future__ import annotations

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.models.text import TextEncoder
from tests.widget.test_tools import lw_widget

PHOTO = "a photo of {}"
BOTH = [PHOTO, "a drawing of {}"]
CAT = {"kind": "text", "text": "a cat"}


@pytest.fixture
def read(monkeypatch):
    """The prompts that the text tower reads, in order."""
    seen = []
    encode = TextEncoder._encode
    monkeypatch.setattr(TextEncoder, "_encode", lambda self, new: seen.extend(new) or encode(self, new))
    return seen


def test_setting_templates_rewrites_every_prompt_and_sees_the_picture_not_again(widget, page, model, photo, calls):
    forwards = []
    handle = model.module.visual.transformer.resblocks[0].register_forward_hook(lambda *_: forwards.append(1))
    try:
        widget.templates = BOTH
        widget.wait()
    finally:
        handle.remove()
    assert forwards == []
    assert calls == [("explain", 2)]
    assert widget.targets == (lw.Text("a cat", templates=BOTH), lw.Text("a dog", templates=BOTH))
    assert page.state["templates"] == BOTH
    assert page.state["targets"][0] == CAT | {"templates": BOTH}
    [expected] = model.encode(photo).explain([lw.Text("a cat", templates=BOTH)])
    np.testing.assert_allclose(widget.explanation.maps, expected.maps, atol=1e-6 * expected.maps.max())


def test_templates_that_were_read_before_cost_nothing(widget, calls, read):
    widget.templates = BOTH
    widget.wait()
    asked = len(calls)
    read.clear()
    widget.templates = []
    widget.wait()
    assert widget.targets == ("a cat", "a dog")
    widget.templates = BOTH
    widget.wait()
    assert (read, calls[asked:]) == ([], [])


def test_bare_strings_are_read_through_them_and_a_text_stays_what_was_written(model, photo):
    own = lw.Text("a bird", templates=["the {}"])
    with lw_widget(model, photo) as widget:
        widget.templates = PHOTO
        widget.targets = ["a dog", own, lw.Text("", control=True), 3 * np.ones(24), lw.Contrast("a dog", "a fox")]
        widget.wait()
        dog, bird, control, direction, over = widget.targets
        assert widget.templates == [PHOTO]
        assert dog == lw.Text("a dog", templates=[PHOTO])
        assert bird is own
        assert control == lw.Text("", control=True)
        assert isinstance(direction, lw.Direction)
        assert over == lw.Contrast(lw.Text("a dog", templates=[PHOTO]), lw.Text("a fox", templates=[PHOTO]))
        widget.templates = []
        assert widget.targets[:2] == ("a dog", "a bird")
        assert widget.targets[2:4] == (control, direction)
        assert widget.targets[4] == lw.Contrast("a dog", "a fox")


def test_explore_takes_them_and_code_gives_them_back(model, photo):
    widget = lw.explore(photo, "a cat", model=model, templates=BOTH)
    widget.wait()
    assert widget.targets == (lw.Text("a cat", templates=BOTH),)
    assert f"templates = {BOTH!r}\nx = encoding.explain(lw.Text('a cat', templates=templates)" in widget.code()
    again = model.encode(photo).explain(widget.targets[0])
    np.testing.assert_array_equal(again.maps, widget.explanation.maps)


def test_a_page_sets_them_with_its_question(widget, page, calls):
    page.ask(CAT | {"templates": BOTH}, templates=BOTH)
    widget.wait()
    assert (widget.templates, widget.targets) == (BOTH, (lw.Text("a cat", templates=BOTH),))
    assert calls == [("explain", 1)]
    assert page.updates("templates") == [BOTH]
    page.ask("a dog")  # says nothing of templates
    widget.wait()
    assert (widget.templates, widget.targets) == (BOTH, ("a dog",))
    page.ask("a dog", templates=[])
    widget.wait()
    assert widget.templates == []


def test_a_question_that_arrives_as_a_trait_counts_once(widget, page, calls):
    asked = page.question(CAT | {"templates": BOTH}, templates=BOTH)
    page.write(_request=asked, templates=["ignored {}"])
    page.message({"kind": "ask", **asked})
    widget.wait()
    assert widget.templates == BOTH
    assert calls == [("explain", 1)]


HOSTILE = {
    "a word": ("a photo", "one {} where the text goes"),
    "two places": (["{} and {}"], "one {} where the text goes"),
    "numbers": ([1], "templates is a list of sentences"),
    "none": (None, "templates is a list of sentences"),
    "too many": (["{}"] * 101, "101 templates are too many"),
    "too long": (["{}" + "x" * 1000], "at most 1000"),
    "half a character": (["{} \ud800"], "surrogate"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_templates_is_refused_by_both_ways_and_changes_nothing(widget, page, name):
    templates, sentence = HOSTILE[name]
    before = dict(page.state)
    with pytest.raises(ValueError, match="template"):
        widget.templates = templates
    page.ask("a bird", templates=[templates] if isinstance(templates, str) else templates)
    assert sentence in page.last["message"]
    assert {**page.state, "_request": 0} == {**before, "_request": 0}


def test_templates_that_a_long_prompt_does_not_fit_into_leave_all_as_it_was(model, photo):
    with lw_widget(model, photo) as widget:
        widget.targets = ["a cat", "a " + "c" * 990]
        with pytest.raises(ValueError, match="filled template has 1006 characters"):
            widget.templates = ["photograph of {}"]
        assert widget.templates == []
        assert widget.targets[0] == "a cat"


def test_where_no_prompts_are_taken_there_are_no_templates(classifier, photo):
    with lw_widget(classifier, photo, ["fox"]) as widget:
        with pytest.raises(ValueError, match="tiny classifier takes none"):
            widget.templates = [PHOTO]
        widget.comm.ask({"kind": "class", "index": 1}, templates=[PHOTO])
        assert "takes none" in widget.comm.last["message"]
        assert widget.explanation.label == "fox"
        widget.targets = "pizza"
        widget.wait()
        assert widget.explanation.label == "pizza"
