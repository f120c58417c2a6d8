"""A concept from pictures that a page sends: read one by one, a target like any other, and bounded."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget.models.preprocess import picture
from legrad_widget.target import Concept
from legrad_widget.widget import chips
from legrad_widget.widget.chips import Held
from tests import specimens
from tests.widget.test_tools import lw_widget


def png(size=(70, 50), colour=(200, 40, 90), kind="PNG", seed=None):
    pixels = np.full((size[1], size[0], 3), colour, np.uint8)
    if seed is not None:
        pixels = np.random.default_rng(seed).integers(0, 256, pixels.shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


class Sender:
    """A page that sends examples, each in parts of at most ``part`` bytes."""

    def __init__(self, page, client="page", part=4 * 2**20):
        self.page, self.client, self.part, self.n, self.concepts = page, client, part, 0, 0

    def send(self, *pictures, names=None, only=None, **changes):
        self.concepts += 1
        for at, data in enumerate(pictures):
            if only is not None and at not in only:
                continue
            parts = max(1, -(-len(data) // self.part))
            for part in range(parts):
                self.n += 1
                name = (names or [f"{at}.png"] * 99)[at]
                content = {"kind": "example", "v": 1, "client": self.client, "n": self.n, "name": name}
                content |= {"concept": f"c{self.concepts}", "at": at, "count": len(pictures), "size": len(data)}
                content |= {"upload": f"u{self.n - part}", "part": part, "parts": parts} | changes
                self.page.message(content, [data[part * self.part : (part + 1) * self.part]])

    @property
    def refusals(self):
        return [message["message"] for message in self.page.messages if message["kind"] == "refused"]


@pytest.fixture
def sender(page):
    return Sender(page)


def test_pictures_become_a_concept_that_is_the_active_target(widget, page, sender, model, photo, calls):
    examples = [png(seed=seed) for seed in range(3)]
    sender.send(*examples)
    widget.wait()
    concept = widget.targets[2]
    assert isinstance(concept, lw.Concept)
    assert (concept.label, len(concept.images), widget.active) == ("like 3 pictures", 3, 2)
    assert page.labels == ["a cat", "a dog", "like 3 pictures"]
    for held, data in zip(concept.images, examples, strict=True):
        np.testing.assert_array_equal(np.asarray(held), np.asarray(picture(data)))
    [expected] = model.encode(photo).explain([lw.Concept(images=examples)])
    np.testing.assert_allclose(widget.explanation.maps, expected.maps, atol=1e-6 * expected.maps.max())
    assert page.result["targets"][2]["score"] == pytest.approx(expected.score)
    assert [call for call in calls if call == ("explain", 2)] == []  # the prompts' maps were known


def test_a_few_small_pictures_of_it_travel_once_and_go_with_it(widget, page, sender):
    sender.send(*[png(seed=seed) for seed in range(6)], names=["striped.png"] * 6)
    widget.wait()
    key = page.state["targets"][2]["key"]
    assert page.state["targets"][2] == {"kind": "held", "key": key, "label": "like 6 pictures"}
    shown = page.state["_concepts"]
    assert list(shown) == [key]
    assert (shown[key]["count"], len(shown[key]["thumbnails"])) == (6, 4)
    for small in shown[key]["thumbnails"]:
        assert Image.open(io.BytesIO(small)).size == (44, 44)
        assert len(small) < 4000
    told = len(page.updates("_concepts"))
    page.ask(*page.state["targets"], "a fox")
    widget.wait()
    assert len(page.updates("_concepts")) == told
    again = widget.get_state()  # as a page that reloads reads it
    assert again["_concepts"][key] == shown[key]
    page.ask("a fox")
    widget.wait()
    assert page.state["_concepts"] == {}


def test_one_picture_lends_its_name(widget, page, sender):
    sender.send(png(), names=["../../etc/striped\udc00 <b>.png"])
    widget.wait()
    assert page.labels[-1] == "like striped? <b>"
    sender.send(png(), names=[""])
    widget.wait()
    assert page.labels[-1] == "like a picture"


def test_parts_and_pictures_are_joined_and_large_ones_kept_small(widget, page):
    sender = Sender(page, part=20_000)
    sender.send(png((900, 300), seed=1), png(kind="JPEG"))
    widget.wait()
    assert [image.size for image in widget.targets[2].images] == [(512, 171), (70, 50)]


def test_a_concept_can_be_opposed_to_a_prompt_and_asked_by_every_method(widget, page, sender):
    sender.send(png(seed=1))
    widget.wait()
    concept = page.state["targets"][2]
    page.ask(concept, {"kind": "contrast", "a": concept, "b": {"kind": "text", "text": "a dog"}})
    widget.wait()
    assert widget.targets[1] == lw.Contrast(widget.targets[0], "a dog")
    assert list(page.state["_concepts"]) == [concept["key"]]
    for entry in page.state["_catalogue"]:
        if entry["available"]:
            page.ask(concept, method=entry["name"])
            widget.wait()
            assert page.result["targets"][0]["error"] == ""


def test_a_concept_from_python_is_pictured_too(widget, page, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    widget.targets = lw.Concept(images=[photo, tmp_path / "a.png", tmp_path / "missing.png"], label="striped")
    [known] = page.state["_concepts"].values()
    assert (known["count"], len(known["thumbnails"])) == (3, 2)
    with pytest.raises(ValueError, match=r"image 3 of 3 of 'striped': there is no image file"):
        widget.wait()


def test_on_a_classifier_its_score_is_the_dot_product(classifier, photo):
    with lw_widget(classifier, photo, [2]) as widget:
        Sender(widget.comm).send(png(seed=2), png(seed=3))
        widget.wait()
        assert widget.explanation.label == "like 2 pictures"
        assert widget.comm.result["targets"][1]["score_name"] == "dot"


def test_with_no_picture_yet_the_concept_waits(model, photo):
    widget = lw.explore(photo, [], model=model)
    widget.wait()
    Sender(widget.comm).send(png(seed=2))
    widget.wait()
    assert widget.comm.labels == ["like 0"]


HEADER = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + HEADER + zlib.crc32(HEADER).to_bytes(4, "big") + png()[33:]
UNREADABLE = {
    "a text": (b"not a picture at all", "is not an image that can be read"),
    "a bomb": (BOMB, "million"),
    "cut off": (png(seed=1)[:400], "damaged or cut off"),
    "too small": (png((1, 1)), "pixel"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image that can be read"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_picture_is_refused_once_and_nothing_changes(widget, page, sender, name):
    data, sentence = UNREADABLE[name]
    before = dict(page.state)
    sender.send(png(), data, png(), names=["a.png", "holiday.png", "c.png"])
    assert len(sender.refusals) == 1
    assert sentence in sender.refusals[0]
    assert "example 2 of 3, 'holiday.png'" in sender.refusals[0]
    assert page.state == before
    assert widget._examples.held == 0
    sender.send(png())
    widget.wait()
    assert page.labels[-1] == "like 0"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"count": 31}, "31 pictures are too many: a concept is made of at most 30"),
        ({"count": 0}, "count is a whole number from 1 to 30"),
        ({"count": 2.0}, "count is a whole number"),
        ({"at": 1}, "at is a whole number from 0 to 0"),
        ({"concept": 3}, "concept is a string"),
        ({"concept": ""}, "concept has 1 to 64 characters"),
        ({"size": 33 * 2**20}, "at most 32 MB"),
        ({"size": 0}, "the file is empty"),
        ({"size": 5}, "do not add up"),
        ({"upload": None}, "upload is a string"),
    ],
)
def test_a_message_that_does_not_fit_is_refused(page, sender, widget, changes, sentence):
    before = dict(page.state)
    sender.send(png(), **changes)
    assert sentence in sender.refusals[-1]
    assert page.state == before


def test_pictures_that_contradict_each_other_are_refused(page, sender, widget):
    sender.send(png(), png(), png(), only=[0])
    sender.concepts -= 1
    sender.send(png(), png(), only=[1])
    assert sender.refusals == ["the pictures of the concept do not add up: send them again"]
    assert page.labels == ["a cat", "a dog"]


def test_what_never_ends_is_forgotten_when_the_page_begins_anew(page, widget):
    for number in range(9):
        Sender(page, client=f"page {number}").send(png(), png(), only=[0])
    assert widget._examples.held == 4
    Sender(page, client="page 8").send(png())
    widget.wait()
    assert widget._examples.held <= 3
    widget.close()
    assert widget._examples.held == 0


def test_among_32_targets_there_is_no_room(widget, page, sender):
    widget.targets = [f"thing {number}" for number in range(32)]
    widget.wait()
    sender.send(png())
    assert sender.refusals == ["32 targets are the most: remove one first"]
    assert len(widget.targets) == 32


def test_few_concepts_are_held():
    held = Held()
    keys = [held.key_of(Concept([np.zeros((4, 4, 3))])) for _ in range(chips.MAX_CONCEPTS + 5)]
    direction = held.key_of(lw.Direction(specimens.directions(24, 1)[0]))
    assert len(held._things) == chips.MAX_CONCEPTS + 1
    assert held[keys[-1]] is not None
    assert held[direction] is not None
    with pytest.raises(ValueError, match="is held under 'v5' any more"):
        held[keys[4]]


def test_a_saved_page_shows_them_too(widget, sender):
    sender.send(png(seed=1), png(seed=2))
    widget.wait()
    page = widget.to_html()
    state = json.loads(re.search(r'<script type="application/json" id="state">(.*?)</script>', page, re.S)[1])
    [known] = state["_concepts"].values()
    assert [base64.b64decode(small["$bytes"])[:2] for small in known["thumbnails"]] == [b"\xff\xd8"] * 2


def test_code_names_the_concept(widget, sender):
    sender.send(png(seed=1), png(seed=2))
    widget.wait()
    assert "target_2 = ...  # the concept 'like 2 pictures'" in widget.code()
