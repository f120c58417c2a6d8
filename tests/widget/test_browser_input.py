"""A page may send anything: what does not fit is refused in a sentence, nothing changes, and the next request works."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legrad_widget.widget.message import MAX_PART, read
from legrad_widget.widget.rules import Refused, Scope


def state_of(page):
    return {name: value for name, value in page.state.items() if name not in ("_request", "_look", "layout")}


def ask(**parts):
    return {
        **dict(kind="ask", v=1, client="page", n=1, rid="page.1", targets=[{"kind": "text", "text": "a fox"}]),
        **dict(active=0, method="legrad", knobs={}, view={}, compare=[]),
    } | parts


def nested(depth):
    return [] if depth == 0 else [nested(depth - 1)]


BAD = {
    "not an object": ("hello", "an object"),
    "nothing": (None, "an object"),
    "a list": ([1, 2], "an object"),
    "empty": ({}, "no message is called None"),
    "unknown kind": (ask(kind="run"), "no message is called 'run'"),
    "kind of another type": (ask(kind=["ask"]), "no message is called"),
    "another version": (ask(v=2), "version 2"),
    "no version": ({"kind": "hello", "client": "x"}, "version None"),
    "no client": (ask(client=None), "client is a string"),
    "an endless client": (ask(client="x" * 65), "client has 1 to 64 characters"),
    "n is a string": (ask(n="1"), "n is a whole number"),
    "n is true": (ask(n=True), "n is a whole number"),
    "n is negative": (ask(n=-1, rid="page.-1"), "n is a whole number"),
    "rid of another": (ask(rid="other.1"), "rid is the client and n"),
    "no targets": (ask(targets=None), "targets is a list"),
    "too many targets": (ask(targets=[{"kind": "text", "text": "x"}] * 33), "33 targets are too many"),
    "a bare string as target": (ask(targets=["a fox"]), "a target has the kind"),
    "a target of another kind": (ask(targets=[{"kind": "file", "path": "/etc/passwd"}]), "arrived: 'file'"),
    "a blank prompt": (ask(targets=[{"kind": "text", "text": " \n"}]), "blank"),
    "an endless prompt": (ask(targets=[{"kind": "text", "text": "x" * 10_000}]), "10000 characters"),
    "half a character": (ask(targets=[{"kind": "text", "text": "\udc00"}]), "surrogate"),
    "a prompt that is a number": (ask(targets=[{"kind": "text", "text": 7}]), "a prompt is a string"),
    "a class on a CLIP": (ask(targets=[{"kind": "class", "index": 0}]), "no classes"),
    "an unknown key": (ask(targets=[{"kind": "held", "key": "v99"}]), "held under 'v99'"),
    "a key of another type": (ask(targets=[{"kind": "held", "key": {}}]), "key is a string"),
    "active is a float": (ask(active=0.5), "active is a whole number"),
    "unknown method": (ask(method="gradcm"), "there is no method 'gradcm'"),
    "no method": (ask(method=None), "named by a string"),
    "unknown knob": (ask(knobs={"file": "x"}), "does not know the knob 'file'"),
    "a knob's bad value": (ask(knobs={"pool": "max"}), "pool is one of"),
    "knobs is a list": (ask(knobs=[]), "knobs is a dict"),
    "layer 0": (ask(view={"layers": [0]}), "from 1 to 3"),
    "layer L + 1": (ask(view={"layers": [4]}), "from 1 to 3"),
    "layers is a string": (ask(view={"layers": "12"}), "whole numbers"),
    "layers is an object": (ask(view={"layers": {"a": 1}}), "whole numbers"),
    "layer 0 of heads": (ask(view={"heads": [[0, 1]]}), "layers go from 1 to 3"),
    "head H": (ask(view={"heads": [[1, 4]]}), "heads go from 0 to 3"),
    "a cell of three": (ask(view={"heads": [[1, 2, 3]]}), "a pair of a layer and a head"),
    "a cell of lists": (ask(view={"heads": [[[1], 2]]}), "a pair of a layer and a head"),
    "cells and heads mixed": (ask(view={"heads": [[1, 2], 3]}), "a pair of a layer and a head"),
    "a cell of words": (ask(view={"heads": [["1", "2"]]}), "whole numbers"),
    "no cell": (ask(view={"heads": []}), "heads is empty"),
    "heads is a string": (ask(view={"heads": "12"}), "whole numbers"),
    "weights": (ask(view={"weights": "median"}), "weights is one of paper, equal"),
    "opacity": (ask(view={"opacity": 2}), "from 0 to 1"),
    "colour map": (ask(view={"colormap": "jet"}), "colormap is one of"),
    "smooth": (ask(view={"smooth": "yes"}), "True or False"),
    "compare is a name": (ask(compare="rollout"), "a list of method names"),
    "compare is nothing": (ask(compare=None), "a list of method names"),
    "compare names no method": (ask(compare=["legrad", "rolout"]), "there is no method 'rolout'"),
    "compare holds a list": (ask(compare=[["legrad"]]), "named by a string"),
    "a view that compares what is not": (ask(view={"compare": "layers"}), "compare is one of"),
    "a view that compares no method": (ask(view={"compared": ["nope"]}), "there is no method"),
    "a scale": (ask(view={"compare_scale": 1}), "compare_scale is one of"),
    "view is a list": (ask(view=[]), "view is a dict"),
    "a view with a bad layer": (
        {"kind": "view", "v": 1, "client": "p", "n": 1, "view": {"layers": [9]}},
        "from 1 to 3",
    ),
    "cancel without n": ({"kind": "cancel", "v": 1, "client": "p"}, "n is a whole number"),
    "too many values": (ask(knobs={str(n): n for n in range(3000)}), "too big"),
    "too many characters": (ask(extra="x" * 300_000), "too big"),
    "too deep": (ask(extra=nested(20)), "nested deeper"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_refused_and_the_next_one_works(widget, page, name):
    content, sentence = BAD[name]
    before = state_of(page)
    page.message(content)
    assert page.last["kind"] == "refused"
    assert sentence in page.last["message"]
    assert len(page.last["message"]) < 400
    sent_rid = content.get("rid") if isinstance(content, dict) else None
    assert page.last["rid"] == sent_rid
    assert state_of(page) == before
    page.ask("a fox", n=2)
    widget.wait()
    assert page.labels == ["a fox"]


BY_TRAIT = [name for name, (content, _) in BAD.items() if isinstance(content, dict) and content.get("kind") == "ask"]


@pytest.mark.parametrize("name", BY_TRAIT)
def test_the_same_by_trait(widget, page, name):
    content, sentence = BAD[name]
    before = state_of(page)
    request = {key: value for key, value in content.items() if key != "kind"}
    page.write(_request=request, targets=[], method="rollout")
    assert page.last["kind"] == "refused"
    assert sentence in page.last["message"]
    assert widget.method == "legrad"
    assert state_of(page) == before
    page.write(_request=page.question("a fox", n=2))
    widget.wait()
    assert page.labels == ["a fox"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MANGLED = st.dictionaries(st.sampled_from([*ask(), "size", "part", "parts", "upload", "name"]), JSON, max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MANGLED, st.sampled_from(["ask", "view", "cancel", "image", "hello", "other"]), st.booleans())
def test_reading_never_raises_anything_but_a_refusal(change, kind, keep):
    content = ask(kind=kind) | change if keep else change
    sentence = refusal(content)
    assert sentence is None or 10 < len(sentence.encode()) < 600


def refusal(content):
    try:
        read(content, [], Scope(3, None))
    except Refused as refused:
        return str(refused)
    return None


def test_numbers_beyond_a_float_are_refused():
    with pytest.raises(Refused, match="from 0 to 1"):
        read(ask(view={"opacity": 10**400}), [], Scope(3, None))


# ---------------------------------------------------------------- the view


def test_a_view_message_changes_the_traits_and_asks_nothing(widget, page, calls):
    heard = len(page.sent)
    seen = []
    widget.observe(lambda change: seen.append((change.name, change.new)), names=["layers", "opacity"])
    view = {"layers": [3, 2], "opacity": 0.2, "colormap": "gray", "threshold": 0.1, "smooth": False, "future": 1}
    page.message({"kind": "view", "v": 1, "client": "page", "n": 3, "view": view, "active": 1})
    assert (widget.layers, widget.opacity, widget.colormap) == ([2, 3], 0.2, "gray")
    assert (widget.threshold, widget.smooth, widget.active) == (0.1, False, 1)
    assert seen == [("layers", [2, 3]), ("opacity", 0.2)]
    page.message({"kind": "view", "v": 1, "client": "page", "n": 2, "view": {"opacity": 0.9}, "active": 0})  # older
    assert widget.opacity == 0.2
    told = {name for data in page.sent[heard:] for name in data["state"]}
    assert told == {*view, "active", "_look"} - {"future"}  # what the edit named, for every page, and whose it was
    assert page.state["layers"] == [2, 3]
    assert calls == []


def test_an_ask_carries_the_view(widget, page):
    page.ask("a fox", "a bird", active=1, view={"layers": [2], "opacity": 0.4})
    widget.wait()
    assert (widget.layers, widget.opacity, widget.active) == ([2], 0.4, 1)
    assert widget.explanation.label == "a bird"


def test_an_active_index_beyond_the_targets_is_clamped(widget, page):
    page.ask("a fox", active=7)
    assert widget.active == 0
    page.write(active=31)
    assert widget.active == 0


# ---------------------------------------------------------------- trait writes


def test_trait_writes_from_other_hosts_work_like_python(widget, page):
    """jslink, marimo and older front ends write the public traits alone."""
    page.write(targets=[{"kind": "text", "text": "a fox"}], opacity=0.5)
    widget.wait()
    assert widget.targets == ("a fox",)
    assert page.labels == ["a fox"]
    assert page.result["rid"] is None
    page.write(method="rollout")
    widget.wait()
    assert page.result["method"] == "rollout"


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        ({"opacity": 7, "smooth": False}, "from 0 to 1"),
        ({"smooth": False, "opacity": 7}, "from 0 to 1"),
        ({"layers": [9]}, "from 1 to 3"),
        ({"heads": [[1, -1]], "weights": "equal"}, "heads go from 0 to 3"),
        ({"weights": 1}, "weights is one of"),
        ({"targets": [{"kind": "text", "text": ""}]}, "1 to 1000 characters"),
        ({"targets": "a cat"}, "targets is a list"),
        ({"method": "nope"}, "there is no method"),
        ({"knobs": {"x": 1}}, "does not know the knob"),
        ({"compare": "layers"}, "compare is one of"),
        ({"compared": ["nope"], "compare": "methods"}, "there is no method"),
        ({"compare_scale": None}, "compare_scale is one of"),
        ({"active": "one"}, "whole number"),
        ({"_request": [1]}, "an object"),
        ({"opacity": 0.2, "_look": [1]}, "an object"),
        ({"opacity": 0.2, "_look": {"client": "", "n": 1}}, "client"),
        ({"opacity": 0.2, "_look": {"client": "page", "n": "one"}}, "n is"),
        ({"layout": "IPY_MODEL_nobody"}, "nobody"),
        ({"tooltip": 5}, "tooltip"),
    ],
)
def test_a_bad_trait_write_is_refused_and_the_page_is_put_right(widget, page, write, sentence):
    names = (
        *("opacity", "smooth", "layers", "heads", "weights", "targets", "method", "knobs"),
        *("compare", "compared", "compare_scale"),
    )
    before = {name: getattr(widget, name) for name in names}
    page.write(**write)
    assert {name: getattr(widget, name) for name in before} == before
    assert any(m["kind"] == "refused" and sentence in m["message"] for m in page.messages)
    for name in set(write) - {"_request", "_look", "layout", "tooltip"}:
        assert page.updates(name)[-1] == page.opened[name]


def test_the_page_cannot_write_what_the_kernel_knows(widget, page):
    result, image = widget._result, widget._image
    page.write(_result={}, _image={"data": b"x"}, _status={"state": "error"}, _catalogue=[], _model={}, _esm="alert()")
    assert widget._result is result
    assert widget._image is image
    assert widget.status.state == "idle"
    assert widget._esm != "alert()"
    assert len(widget._catalogue) >= 3


# ---------------------------------------------------------------- uploads through the widget


def upload(page, data, *, name="photo.png", n=1, parts=1, client="page", **wrong):
    size = -(-len(data) // parts) or 1
    for part in range(parts):
        content = {
            **dict(kind="image", v=1, client=client, n=n + part, upload=f"up{n}", name=name),
            **dict(size=len(data), part=part, parts=parts),
        }
        page.message(content | wrong, [memoryview(data[part * size : (part + 1) * size])])


def png(size=(50, 70), **options):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("parts", [1, 4])
def test_an_upload_becomes_the_picture_and_the_question_stays(widget, page, calls, parts):
    upload(page, png(), parts=parts)
    widget.wait()
    image = page.state["_image"]
    assert (image["name"], image["original"]) == ("photo.png", [50, 70])
    assert widget.image.size == (50, 70)
    assert page.result["image_rev"] == image["rev"]
    assert page.labels == ["a cat", "a dog"]
    assert [kind for kind, _ in calls] == ["encode", "explain"]


def test_an_upload_is_not_lost_to_a_question_that_follows_at_once(widget, page, busy):
    with busy():
        upload(page, png())
        page.ask("a fox")
    widget.wait()
    assert page.state["_image"]["original"] == [50, 70]
    assert page.labels == ["a fox"]


def test_the_name_of_an_upload_is_no_path(widget, page):
    upload(page, png(), name="C:\\secret\\..\\" + "x" * 300)
    widget.wait()
    assert page.state["_image"]["name"] == "x" * 200 or len(page.state["_image"]["name"]) <= 200
    assert "\\" not in page.state["_image"]["name"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"not a picture at all", "not an image"),
        (png()[:90], "damaged or cut off"),
        (png((1, 1)), "at least 4 x 4"),
    ],
)
def test_an_upload_that_is_no_picture_is_a_sentence_and_the_old_one_stays(widget, page, data, sentence):
    image, result = page.state["_image"], page.result
    upload(page, data)
    with pytest.raises(ValueError, match=sentence):
        widget.wait()
    assert page.status["state"] == "error"
    assert sentence in page.status["message"]
    assert page.state["_image"] == image
    assert page.result == result
    assert widget.image.size == (80, 60)
    assert widget.explanation.label == "a cat"
    page.ask("a fox")
    widget.wait()
    assert page.labels == ["a fox"]
    upload(page, png(), n=50)
    widget.wait()
    assert page.state["_image"]["original"] == [50, 70]


def test_a_bomb_is_refused_before_it_is_unpacked(widget, page):
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(20_001)) * 1
    upload(page, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="64 million"):
        widget.wait()
    assert widget.image.size == (80, 60)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (dict(size=33 * 2**20), "33 MB; at most 32 MB"),
        (dict(size=0), "0 bytes"),
        (dict(size=-1), "size is a whole number"),
        (dict(size="big"), "size is a whole number"),
        (dict(parts=65), "parts is a whole number"),
        (dict(part=1), "part is a whole number"),
        (dict(upload=""), "upload has 1 to 64"),
        (dict(size=7), "do not add up"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(widget, page, wrong, sentence):
    upload(page, png(), **wrong)
    assert page.last["kind"] == "refused"
    assert sentence in page.last["message"]
    assert widget._uploads.held == 0
    widget.wait()
    assert widget.image.size == (80, 60)


def test_buffers_are_one_for_a_part_and_none_for_anything_else(page):
    content = dict(kind="image", v=1, client="p", n=1, upload="u", name="x", size=4, part=0, parts=1)
    page.message(content, [])
    assert "one buffer" in page.last["message"]
    page.message(content, [b"1234", b"5"])
    assert "one buffer" in page.last["message"]
    page.message({"kind": "hello", "v": 1, "client": "p"}, [b"x"])
    assert "no buffers" in page.last["message"]
    page.message(content | dict(size=MAX_PART + 1), [bytes(MAX_PART + 1)])
    assert "at most 4 MB" in page.last["message"]
