"""Traits from Python: what is accepted, what is kept, what is refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import traitlets

import legrad_widget as lw
from legrad_widget.widget.rules import COLORMAPS

KEYS = {
    *("targets", "active", "method", "knobs", "layers", "heads", "weights", "opacity", "colormap", "threshold"),
    "smooth",
    *("compare", "compared", "compare_scale", "_comparison"),
    *("_catalogue", "_model", "_image", "_result", "_status", "_request", "_look", "_esm", "_css"),
}


def test_what_a_page_finds_when_it_opens(page):
    opened = page.opened
    assert set(opened) >= KEYS
    assert opened["targets"] == [{"kind": "text", "text": "a cat"}, {"kind": "text", "text": "a dog"}]
    assert (opened["active"], opened["method"], opened["knobs"], opened["layers"]) == (0, "legrad", {}, None)
    assert (opened["opacity"], opened["colormap"], opened["threshold"], opened["smooth"]) == (
        0.65,
        "inferno",
        0.0,
        True,
    )
    assert (opened["compare"], opened["compared"], opened["compare_scale"]) == ("off", [], "own")
    assert (opened["heads"], opened["weights"]) == (None, "paper")
    assert opened["_comparison"] == {}
    assert not {"value", "text", "style"} & set(opened)  # taken in marimo
    assert opened["_model"] == {
        **dict(name="tiny", kind="clip", layers=3, heads=4, grid=[3, 3], patch=[16, 16], prompts=True),
        **dict(classes=None, builtin=False, suggestions=opened["_model"]["suggestions"], scale="cosine"),
        **dict(reliable=None, reliability=None, fitted=None, layer_weights=None),
    }
    assert opened["_model"]["suggestions"]


def test_the_catalogue_tells_all_about_each_method(page):
    entries = {entry["name"]: entry for entry in page.opened["_catalogue"]}
    assert set(entries) == {method.name for method in lw.list_methods()}
    for method in lw.list_methods():
        entry = entries[method.name]
        assert entry["available"] is True
        assert entry["reason"] == ""
        assert (entry["merge"], entry["default"]) == (method.merge, method.default)
        assert entry["slow"] is method.slow
        assert [knob["name"] for knob in entry["knobs"]] == [knob.name for knob in method.knobs]
        for wired, knob in zip(entry["knobs"], method.knobs, strict=True):
            assert (wired["optional"], wired["integer"]) == (knob.optional, knob.integer)
            assert (wired["low"], wired["high"]) == (knob.low, knob.high)
            assert wired["default"] == knob.default
        assert all(len(entry[key]) > 10 for key in ("summary", "paper", "cost"))


def test_a_method_that_this_model_cannot_have_says_why(classifier, photo):
    from tests import specimens

    averaging = lw.wrap(specimens.timm_vit(global_pool="avg", class_token=False))
    widget = lw.explore(photo, model=averaging)
    entries = widget.comm.opened["_catalogue"]
    refused = [entry for entry in entries if not entry["available"]]
    assert all(len(entry["reason"]) > 20 for entry in refused)
    widget.wait()
    for entry in refused:
        widget.method = entry["name"]
        with pytest.raises(ValueError, match=r".{20,}"):
            widget.wait()
        assert widget.comm.status["message"] == entry["reason"]


# ---------------------------------------------------------------- heads and weights


@pytest.mark.parametrize(
    ("given", "kept", "wired"),
    [
        (None, None, None),
        ({3: 2, 1: [3, 0]}, {1: [0, 3], 3: [2]}, [[1, 0], [1, 3], [3, 2]]),
        ([(3, 0), (2, 3), [3, 0]], {2: [3], 3: [0]}, [[2, 3], [3, 0]]),
        (2, {1: [2], 2: [2], 3: [2]}, [[1, 2], [2, 2], [3, 2]]),
        ({2: None}, {2: [0, 1, 2, 3]}, [[2, 0], [2, 1], [2, 2], [2, 3]]),
    ],
)
def test_heads_are_kept_by_layer_and_travel_as_pairs(widget, page, given, kept, wired):
    widget.heads = {1: 1}
    widget.heads = given
    assert widget.heads == kept
    assert page.state["heads"] == wired
    widget.heads = {1: 1}
    page.write(heads=wired)
    assert widget.heads == kept
    widget.wait()
    np.testing.assert_array_equal(
        widget.explanation.merged(heads=widget.heads), widget.explanation.merged(heads=kept and dict(kept))
    )


def test_heads_and_weights_come_with_a_question_or_a_look(widget, page):
    page.ask("a fox", view={"heads": [[2, 3]], "weights": "equal"})
    assert (widget.heads, widget.weights) == ({2: [3]}, "equal")
    page.message({"kind": "view", "v": 1, "client": "p", "n": 1, "view": {"heads": None, "weights": "paper"}})
    assert (widget.heads, widget.weights) == (None, "paper")


@pytest.mark.parametrize("value", [-1, 4, [1, 9], {4: 1}, {1: 4}, "1", [], {}, [(1, 2, 3)], 1.5])
def test_heads_that_are_not_there_are_refused(widget, value):
    widget.heads = {1: 2}
    with pytest.raises(traitlets.TraitError, match=r"heads|layers|cell"):
        widget.heads = value
    assert widget.heads == {1: [2]}


def test_a_knob_called_weights_is_the_methods_own(model, photo):
    widget = lw.explore(photo, "a cat", model=model, method="gradcam", weights="patches")
    assert (widget.weights, widget.knobs) == ("paper", {"weights": "patches"})
    other = lw.explore(photo, "a cat", model=model, weights="equal", heads=2)
    assert (other.weights, other.heads) == ("equal", {1: [2], 2: [2], 3: [2]})


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        ("a bird", [{"kind": "text", "text": "a bird"}]),
        (["a bird", "ein Vogel 🐦"], [{"kind": "text", "text": "a bird"}, {"kind": "text", "text": "ein Vogel 🐦"}]),
        (("<b>bold</b>",), [{"kind": "text", "text": "<b>bold</b>"}]),
        (lw.Text("a bird"), [{"kind": "text", "text": "a bird"}]),
        ([], []),
    ],
)
def test_targets_read_back_as_they_were_set(widget, page, given, wire):
    widget.targets = given
    assert widget.targets == (tuple(given) if isinstance(given, list | tuple) else (given,))
    assert page.state["targets"] == wire
    widget.wait()
    assert [entry["target"] for entry in page.result.get("targets", [])] == wire


def test_vectors_and_controls_are_held_in_python(widget, page):
    vector = np.linspace(-1, 1, 24).astype(np.float32)
    control = lw.Text("", control=True)
    widget.targets = [vector, lw.Direction(torch.from_numpy(vector), label="east"), control, "a cat"]
    widget.wait()
    chips = page.state["targets"]
    assert [chip["kind"] for chip in chips] == ["held", "held", "held", "text"]
    assert [chip.get("label") for chip in chips] == ["direction", "east", "(empty prompt)", None]
    assert len({chip["key"] for chip in chips[:3]}) == 3
    np.testing.assert_array_equal(widget.targets[0].vector, vector)
    east, kept = widget.targets[1], widget.targets[2]
    assert kept is control
    page.ask(chips[1], "a bird", chips[2])  # the page hands the keys back, in another order
    widget.wait()
    assert widget.targets[0] is east
    assert widget.targets[2] is control
    widget.targets = [control, east]
    assert [chip["key"] for chip in page.state["targets"]] == [chips[2]["key"], chips[1]["key"]]


def test_targets_of_another_widget_can_be_taken_over(widget, model, photo):
    widget.targets = [lw.Direction(np.ones(24)), "a cat"]
    other = lw.explore(photo, "a fox", model=model)
    other.targets = widget.targets
    other.wait()
    assert other.targets[0] is widget.targets[0]
    other.comm.ask(*other.comm.state["targets"], method="rollout")
    other.wait()
    assert other.targets[0] is widget.targets[0]


def test_a_classifier_takes_names_and_indices(classifier, photo):
    widget = lw.explore(photo, ["beagle", 2, lw.Class(name="fox")], model=classifier)
    widget.wait()
    page = widget.comm
    assert page.state["targets"] == [
        {"kind": "class", "index": 1, "name": "beagle"},
        {"kind": "class", "index": 2, "name": "pizza"},
        {"kind": "class", "index": 6, "name": "fox"},
    ]
    assert widget.targets == ("beagle", 2, lw.Class(name="fox"))
    assert page.opened["_model"]["classes"][:2] == ["tabby", "beagle"]
    assert (page.opened["_model"]["prompts"], page.opened["_model"]["scale"]) == (False, "logit")
    assert page.result["predictions_of"] == "softmax over 7 classes"
    assert len(page.result["predictions"]) == 5
    page.ask({"kind": "class", "index": 1, "name": "beagle"}, {"kind": "class", "index": 5, "name": "?"})
    widget.wait()
    assert widget.targets == ("beagle", 5)
    assert page.labels == ["beagle", "daisy"]


def test_a_classifier_without_a_target_is_asked_for_what_it_sees(classifier, photo):
    widget = lw.explore(photo, model=classifier)
    widget.wait()
    page = widget.comm
    top = page.result["predictions"][0]
    assert page.state["targets"] == [{"kind": "class", "index": top["index"], "name": top["name"]}]
    assert widget.targets == (top["index"],)
    assert widget.explanation.label == top["name"]
    page.ask()  # all chips removed: the predictions stay, nothing is suggested again
    widget.wait()
    assert widget.targets == ()
    assert widget.explanation is None
    assert page.result["targets"] == []
    assert page.result["predictions"][0] == top


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (" ", "blank"),
        (["a cat", ""], "blank"),
        ("x" * 1001, "1001 characters"),
        (["a cat"] * 33, "33 targets are too many"),
        (3, "no class names"),
        (np.ones(5), "has 24 numbers; this one has 5"),
        (np.ones((2, 24)), "a vector"),
        (object(), "a target is a prompt"),
        (None, "a target is a prompt"),
        (["a cat", 2.5], "a target is a prompt"),
        ("half a pair \ud83d", "surrogate"),
    ],
)
def test_targets_that_cannot_be(widget, page, value, sentence):
    refuses(widget, page, "targets", value, sentence)


# ---------------------------------------------------------------- the other traits


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (2, [2]),
        (np.int64(3), [3]),
        ([3, 1, 3], [1, 3]),
        (range(2, 4), [2, 3]),
        ({1, 2}, [1, 2]),
        (slice(2, None), [2, 3]),
        (slice(1, 2), [1, 2]),
        (np.array([1, 2]), [1, 2]),
        (None, None),
    ],
)
def test_layers_from_python(widget, page, given, kept, calls):
    widget.layers = given
    assert widget.layers == kept
    assert page.state["layers"] == kept
    assert calls == []
    np.testing.assert_array_equal(widget.explanation.merged(widget.layers), widget.explanation.merged(given))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("layers", 0, "1 to 3.*0|0.*1 to 3"),
        ("layers", 4, "1 to 3.*4|4.*1 to 3"),
        ("layers", [1, 4], "1 to 3.*4|4.*1 to 3"),
        ("layers", [], "empty"),
        ("layers", "2", "whole numbers"),
        ("layers", [1.5], "whole numbers"),
        ("layers", True, "whole numbers"),
        ("active", 2, "from 0 to 1; arrived: 2"),
        ("active", -1, "from 0 to 1; arrived: -1"),
        ("active", "a cat", "whole number"),
        ("method", "gradcm", "there is no method 'gradcm'"),
        ("method", 3, "named by a string"),
        ("knobs", {"pol": "cls"}, "does not know the knob 'pol'"),
        ("knobs", {"pool": "max"}, "pool is one of"),
        ("knobs", {"relu": 1}, "relu is True or False"),
        ("knobs", "pool", "a dict"),
        ("opacity", 1.01, "from 0 to 1; arrived: 1.01"),
        ("opacity", float("nan"), "from 0 to 1"),
        ("opacity", "0.5", "a number"),
        ("opacity", True, "a number"),
        ("threshold", -0.1, "from 0 to 1"),
        ("colormap", "jet", "inferno, viridis, cividis, magma, gray; arrived: 'jet'"),
        ("smooth", 1, "True or False"),
    ],
)
def test_values_that_cannot_be(widget, page, name, value, sentence):
    refuses(widget, page, name, value, sentence)


def refuses(widget, page, name, value, sentence):
    """A TraitError that is a ValueError, with a sentence; the trait keeps its value, the page hears nothing."""
    before, heard = getattr(widget, name), len(page.sent)
    with pytest.raises(traitlets.TraitError, match=sentence) as caught:
        setattr(widget, name, value)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400
    assert getattr(widget, name) is before
    assert len(page.sent) == heard
    widget.wait()
    assert page.labels == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("opacity", 0.25), ("threshold", np.float32(0.5)), ("smooth", False), *(("colormap", c) for c in COLORMAPS[1:])],
)
def test_the_look_reaches_the_page_and_computes_nothing(widget, page, calls, name, value):
    setattr(widget, name, value)
    assert page.state[name] == value
    assert calls == []


def test_a_method_keeps_the_knobs_that_it_has_too(widget, page):
    widget.knobs = {"pool": "mean", "relu": True, "score": None}
    assert "relu" in page.state["knobs"] or {k.name: k.default for k in lw.list_methods()[0].knobs}["relu"] is True
    assert page.state["knobs"]["pool"] == "mean"
    assert "score" not in page.state["knobs"]  # the default
    widget.wait()
    assert widget.explanation.knobs["pool"] == "mean"
    widget.method = "rollout"
    assert widget.knobs == {}
    widget.wait()
    assert widget.explanation.method == "rollout"


def test_active_follows_when_targets_go(widget, page):
    widget.active = 1
    widget.targets = "a bird"
    assert widget.active == 0
    assert page.state["active"] == 0
    widget.wait()
    assert widget.explanation.label == "a bird"


def test_several_changes_at_once_are_one_question(widget, page, calls):
    with widget.hold_trait_notifications():
        widget.targets = ["a fox", "a bird"]
        widget.method = "rollout"
    widget.wait()
    assert calls == [("explain", 2)]
    assert page.result["method"] == "rollout"


def test_the_picture(widget, page, tmp_path, calls):
    from PIL import Image

    picture = Image.linear_gradient("L").resize((120, 90))
    picture.save(tmp_path / "my picture.png")
    before = page.state["_image"]["rev"]
    widget.image = tmp_path / "my picture.png"
    assert widget.image.size == (120, 90)
    widget.wait()
    shown = page.state["_image"]
    assert (shown["name"], shown["original"], shown["mime"]) == ("my picture.png", [120, 90], "image/png")
    assert shown["rev"] > before
    assert page.result["image_rev"] == shown["rev"]
    assert page.labels == ["a cat", "a dog"]
    assert [kind for kind, _ in calls] == ["encode", "explain"]


def test_a_preprocessed_tensor_is_taken_as_it_is(widget, page, model):
    tensor = torch.randn(1, 3, 48, 48)
    widget.image = tensor
    widget.wait()
    np.testing.assert_allclose(widget.explanation.maps, model.encode(tensor).explain("a cat").maps, atol=1e-7)
    assert widget.image.size == (48, 48)


@pytest.mark.parametrize(
    ("bad", "error", "sentence"),
    [
        ("no such file.png", ValueError, "no image file"),
        (b"GIF89a not really", ValueError, "damaged|not an image"),
        (b"", ValueError, "0 bytes"),
        (np.zeros((1, 1, 3), np.uint8), ValueError, "at least 4 x 4"),
        (np.full((9, 9, 3), np.nan), ValueError, "NaN"),
        (None, TypeError, "an image is a path"),
        (17, TypeError, "an image is a path"),
    ],
)
def test_pictures_that_cannot_be(widget, page, bad, error, sentence):
    before, heard = widget.image, len(page.sent)
    with pytest.raises(error, match=sentence):
        widget.image = bad
    assert widget.image is before
    assert len(page.sent) == heard
    widget.targets = "a bird"
    widget.wait()
    assert page.labels == ["a bird"]


def test_a_tensor_that_does_not_fit_is_given_up(widget, page):
    before = page.state["_image"]
    widget.image = torch.zeros(3, 50, 50)
    with pytest.raises(ValueError, match="not a multiple of the 16 x 16 patches"):
        widget.wait()
    assert page.status["state"] == "error"
    assert page.state["_image"] == before
    assert widget.image.size == (80, 60)
    widget.targets = "a bird"
    widget.wait()
    assert page.labels == ["a bird"]


def test_repr_is_short_and_says_what_there_is(widget):
    text = repr(widget)
    assert text == "<LeGradWidget tiny: picture 80 x 60, targets ['a cat', 'a dog'], legrad, idle>"
    assert len(str(widget._repr_mimebundle_()[0])) < 500
