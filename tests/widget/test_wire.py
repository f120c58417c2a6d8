"""What crosses the wire: bytes that come back the same, JSON without nan, pictures at a bounded size."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import legrad_widget as lw
from legrad_widget.widget import wire
from legrad_widget.widget.answer import answer, recalled
from legrad_widget.widget.chips import ClassChip, Held, HeldChip, TextChip, chip_of, read_chips, thing_of
from legrad_widget.widget.memory import Memory, nbytes
from legrad_widget.widget.message import Part
from legrad_widget.widget.question import Photo, Question
from legrad_widget.widget.rules import Refused
from legrad_widget.widget.upload import PATIENCE, Uploads

# ---------------------------------------------------------------- arrays


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.dtype(">f4"), np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
    ),
    st.booleans(),
)
def test_arrays_come_back_as_float32_whatever_their_kind_and_layout(array, turned):
    array = array.T if turned else array
    packed = wire.pack(array)
    assert packed["dtype"] == "float32"
    assert len(packed["data"]) == 4 * math.prod(packed["shape"])
    np.testing.assert_array_equal(wire.unpack(packed), array.astype(np.float32))


def test_a_view_of_a_bigger_array_is_packed_alone():
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)[:, ::2, 1:4]
    packed = wire.pack(array)
    assert len(packed["data"]) == 4 * array.size
    np.testing.assert_array_equal(wire.unpack(packed), array)


@pytest.mark.parametrize(("value", "sent"), [(None, None), (math.nan, None), (math.inf, None), (np.float32(0.5), 0.5)])
def test_json_has_no_nan(value, sent):
    assert wire.number(value) == sent


def test_a_whole_result_is_json_and_bytes(page):
    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return "bytes" if isinstance(value, bytes) else value

    for name in ("_result", "_image", "_status", "_catalogue", "_model"):
        text = json.dumps(plain(page.state[name]), allow_nan=False)
        assert json.loads(text) == plain(page.state[name]), name  # no tuples, no numpy numbers


# ---------------------------------------------------------------- heads


def test_every_head_travels_exactly(widget, page):
    widget.wait()
    assert page.state["_result"]["heads"] == 4
    for entry, x in zip(page.state["_result"]["targets"], widget.explanations, strict=True):
        assert entry["heads"]["dtype"] == "float32"
        np.testing.assert_array_equal(wire.unpack(entry["heads"]), x.heads)
    widget.method = "rollout"
    widget.wait()
    assert page.state["_result"]["heads"] == 0
    assert [entry["heads"] for entry in page.state["_result"]["targets"]] == [None, None]


@pytest.mark.parametrize(("room", "sent"), [(3, "111"), (2, "011"), (1, "010"), (0, "010")])
def test_heads_are_few_enough_and_the_active_targets_come_first(model, photo, monkeypatch, room, sent):
    widget = lw.explore(photo, ["a cat", "a dog", "a fox"], model=model, active=1)
    widget.wait()
    monkeypatch.setattr(wire, "HEADS_MOST", room * widget.explanation.heads.nbytes)
    result = widget._result_of(widget._answer, None, 1)
    assert "".join(str(int(entry["heads"] is not None)) for entry in result["targets"]) == sent
    assert result["heads"] == 4


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("size", "shown", "mime"),
    [
        ((80, 60), (80, 60), "image/png"),
        ((256, 256), (256, 256), "image/png"),
        ((600, 400), (600, 400), "image/jpeg"),
        ((4000, 1000), (1024, 256), "image/jpeg"),
        ((20, 6000), (3, 1024), "image/png"),
    ],
)
def test_pictures_travel_small(size, shown, mime):
    sent = wire.image(Image.linear_gradient("L").resize(size), (0, 0, *size), rev=3, name="/a/b/c.png")
    decoded = Image.open(io.BytesIO(sent["data"]))
    assert decoded.size == (sent["width"], sent["height"]) == shown
    assert (sent["mime"], sent["original"], sent["name"], sent["rev"]) == (mime, list(size), "c.png", 3)
    assert decoded.format == mime.removeprefix("image/").upper()


def test_a_small_picture_travels_exactly(photo):
    sent = wire.image(Image.fromarray(photo), (0, 0, 80, 60), rev=1, name="")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sent["data"]))), photo)


# ---------------------------------------------------------------- chips

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1000).filter(lambda text: text.strip())


@given(st.lists(TEXTS | st.integers(0, 6), max_size=32))
def test_prompts_and_classes_survive_the_round_trip(things):
    held, names = Held(), tuple("abcdefg")
    chips = [TextChip(thing) if isinstance(thing, str) else ClassChip(thing, names[thing]) for thing in things]
    wired = json.loads(json.dumps([chip.wire for chip in chips]))
    read = read_chips(wired, names)
    assert list(read) == chips
    assert [chip.wire for chip in read] == wired
    assert [thing_of(chip, held) for chip in read] == things


@given(TEXTS)
def test_a_prompt_is_a_chip_and_a_control_stays_in_python(text):
    held = Held()
    assert chip_of(lw.Text(text), held) == TextChip(text)
    control = lw.Text(text, control=True)
    chip = chip_of(control, held)
    assert isinstance(chip, HeldChip)
    assert held[chip.key] is control


def test_the_objects_behind_keys_are_few_and_the_oldest_go():
    held, things = Held(limit=3), [lw.Direction([n + 1.0]) for n in range(5)]
    keys = [held.key_of(thing) for thing in things]
    assert len(set(keys)) == 5
    assert held[keys[4]] is things[4]
    with pytest.raises(Refused, match="set it again from Python"):
        held[keys[0]]


# ---------------------------------------------------------------- memory


def asked(model, picture, *words, memory):
    chips = tuple(TextChip(word) for word in words)
    question = Question(picture, chips, words, lw.list_methods()[0], ())
    return answer(model, question, lambda step, total: None, memory, fit="squash")


def test_recent_explanations_are_kept_within_their_bytes(model, photo):
    picture, ample = Photo(1, photo), Memory()
    one, two, three = (asked(model, picture, word, memory=ample) for word in ("a cat", "a dog", "a fox"))
    [first], [second], [third] = ([outcome.explanation for outcome in each.outcomes] for each in (one, two, three))
    assert ample.nbytes == sum(map(nbytes, (first, second, third))) > 0
    encoding, memory = picture.encoding, Memory(limit=2 * nbytes(first))
    memory.add(one.question, first, encoding), memory.add(two.question, second, encoding)
    assert memory.get(one.question) is first
    memory.add(three.question, third, encoding)
    assert memory.get(two.question) is None  # the least recently used
    assert memory.get(one.question) is first
    memory.add(one.question, first, encoding)  # again: it counts once
    assert memory.nbytes == 2 * nbytes(first)
    tight = Memory(limit=1)
    tight.add(one.question, first, encoding)
    assert tight.get(one.question) is first  # the newest always stays
    memory.keep(None)
    assert memory.nbytes == 0


def test_what_a_model_said_before_it_was_trained_further_is_not_remembered(photo):
    """It was computed before the weights changed, and comes to be kept after everything was forgotten."""
    import torch

    from tests import specimens

    module = specimens.timm_vit()
    picture, memory = Photo(1, photo), Memory()
    question = Question(picture, (ClassChip(1),), (1,), lw.list_methods()[0], ())
    [outcome] = answer(lw.wrap(module), question, lambda step, total: None, memory, fit="squash").outcomes
    with torch.no_grad():
        module.blocks[0].mlp.fc1.weight.mul_(1.5)
    memory.keep(None)
    memory.add(question, outcome.explanation, picture.encoding)
    assert memory.get(question) is None
    assert memory.nbytes == 0


def test_only_targets_that_are_new_are_computed_and_the_order_stays(model, photo, calls):
    picture, memory = Photo(1, photo), Memory()
    known = asked(model, picture, "a cat", "a dog", memory=memory)
    calls.clear()
    more = asked(model, picture, "a fox", "a dog", "a cat", memory=memory)
    assert calls == [("explain", 1)]
    assert [outcome.explanation.label for outcome in more.outcomes] == ["a fox", "a dog", "a cat"]
    assert more.outcomes[2].explanation is known.outcomes[0].explanation
    assert recalled(more.question, memory).outcomes == more.outcomes
    memory.keep(Photo(2, photo))
    assert recalled(more.question, memory) is None


# ---------------------------------------------------------------- uploads


def part(data, index, parts, *, size, upload="u", client="c"):
    return Part(client, index, upload, "x.png", size, index, parts, data)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.integers(1, 8), st.randoms(use_true_random=False))
def test_parts_in_any_order_make_the_file(data, parts, random):
    size = -(-len(data) // parts)
    pieces = [part(data[n * size : (n + 1) * size], n, parts, size=len(data)) for n in range(parts)]
    random.shuffle(pieces)
    uploads = Uploads()
    *first, last = [uploads.add(piece) for piece in pieces]
    assert first == [None] * (parts - 1)
    assert last == data
    assert uploads.held == 0


def test_abandoned_uploads_are_dropped():
    now = [0.0]
    uploads = Uploads(clock=lambda: now[0])
    uploads.add(part(b"12", 0, 2, size=4))
    now[0] = PATIENCE + 1
    uploads.add(part(b"ab", 0, 2, size=4, client="another"))
    assert uploads.held == 2
    assert uploads.add(part(b"34", 1, 2, size=4)) is None  # its first part is gone


def test_a_page_has_one_upload_and_a_kernel_four():
    uploads = Uploads()
    uploads.add(part(b"12", 0, 2, size=4, upload="one"))
    uploads.add(part(b"1", 0, 2, size=4, upload="two"))
    assert uploads.held == 1
    for n in range(10):
        uploads.add(part(b"123", 0, 2, size=4, client=f"page {n}"))
    assert uploads.held == 4 * 3
    uploads.clear()
    assert uploads.held == 0


@pytest.mark.parametrize("second", [dict(parts=3), dict(size=5), dict(data=b"345678")])
def test_parts_that_contradict_each_other_are_refused_and_forgotten(second):
    uploads = Uploads()
    uploads.add(part(b"12", 0, 2, size=4))
    filled = dict(data=b"34", index=1, parts=2, size=4) | second
    with pytest.raises(Refused, match="do not add up"):
        uploads.add(part(**filled))
    assert uploads.held == 0
