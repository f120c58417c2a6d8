"""``explore``: the right call works, a wrong one is told what the right one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from tests import specimens


def test_everything_in_one_call(model, photo):
    widget = lw.explore(
        photo,
        ["a cat", "a dog"],
        model=model,
        method="legrad",
        pool="mean",
        fit="crop",
        layers=[1, 2],
        opacity=0.3,
        active=1,
    )
    widget.wait()
    page = widget.comm
    assert page.opened["knobs"] == {"pool": "mean"}
    assert (page.opened["layers"], page.opened["opacity"], page.opened["active"]) == ([1, 2], 0.3, 1)
    assert page.state["_image"]["window"] == [10, 0, 70, 60]
    expected = model.encode(photo, fit="crop").explain("a dog", pool="mean")
    np.testing.assert_allclose(widget.explanation.maps, expected.maps, atol=1e-7)


def test_a_letterbox_reaches_outside_the_picture(model, photo):
    widget = lw.explore(photo, "a cat", model=model, fit="pad", size=64)
    widget.wait()
    assert widget.comm.state["_image"]["window"] == pytest.approx([0, -10, 80, 70])
    assert widget.comm.result["grid"] == [4, 4]


def test_from_the_model(model, photo):
    widget = model.explore(photo, "a cat")
    widget.wait()
    assert widget.model is model
    assert widget.explanation.label == "a cat"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, p: lw.explore("a cat", p, model=m), r"the image comes first.*explore\(image, 'a cat'\)"),
        (lambda m, p: lw.explore("a cat", Path("x.png"), model=m), "the image comes first"),
        (lambda m, p: lw.explore("a cat", Image.fromarray(p), model=m), "the image comes first"),
        (lambda m, p: lw.explore("a cat", model=m), r"'a cat' is no file.*explore\(image, 'a cat'\)"),
        (lambda m, p: lw.explore(m, p), r"explore\(image, targets, model=model\)"),
        (lambda m, p: lw.explore(p, m), r"explore\(image, targets, model=model\)"),
        (lambda m, p: lw.explore(p, "a cat", model=m.module), r"model=lw.wrap\(module\)"),
        (lambda m, p: lw.explore(p, "a cat", model=3), "this is int"),
        (lambda m, p: lw.explore(p, "a cat", model=m, opcity=0.3), r"'opcity'; did you mean 'opacity'\?.*pool.*layers"),
        (lambda m, p: lw.explore(p, "a cat", model=m, method="rollout", pool="cls"), r"'pool'.*It knows start"),
        (lambda m, p: lw.explore(17, "a cat", model=m), "an image is a path"),
    ],
)
def test_calls_in_another_order(model, photo, call, sentence):
    with pytest.raises(TypeError, match=sentence):
        call(model, photo)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(method="gradcm"), "there is no method"),
        (dict(pool="max"), "pool is one of"),
        (dict(layers=9), "from 1 to 3"),
        (dict(opacity=7), "from 0 to 1"),
        (dict(fit="stretch"), "fit is one of squash, crop, pad"),
        (dict(targets=" "), "blank"),
        (dict(image="missing.png"), "no image file"),
        (dict(model="timm:no_such_model"), "no_such_model"),
    ],
)
def test_values_that_cannot_be_leave_no_widget_behind(model, photo, options, sentence):
    from ipywidgets.widgets.widget import _instances

    before = set(_instances)
    call = {"image": photo, "targets": "a cat", "model": model} | options
    with pytest.raises(ValueError, match=sentence):
        lw.explore(**call)
    assert set(_instances) == before


def test_without_a_built_bundle_the_output_says_how_to_build_it():
    from legrad_widget.widget import explorer

    text = explorer._asset("no such bundle.js", explorer._NOT_BUILT)
    assert "make demo" in text
    assert "render" in text


def test_a_backbone_explains_directions_only(photo):
    backbone = lw.wrap(specimens.timm_vit(num_classes=0))
    widget = lw.explore(photo, np.ones(specimens.WIDTH), model=backbone)
    widget.wait()
    assert widget.explanation.label == "direction"
    with pytest.raises(ValueError, match="no text tower"):
        widget.targets = "a cat"


# ---------------------------------------------------------------- the built-in model


@pytest.fixture(scope="module")
def builtin():
    return lw.load("builtin")


def test_no_argument_shows_a_built_in_scene_offline(builtin):
    widget = lw.explore()
    widget.wait()
    page = widget.comm
    assert page.opened["_model"]["builtin"] is True
    assert len(widget.targets) >= 2
    assert all(x.supported for x in widget.explanations)
    assert set(widget.targets) <= set(page.opened["_model"]["suggestions"])
    assert page.result["predictions"]


def test_a_word_that_the_built_in_model_never_saw_is_answered_honestly(builtin):
    widget = lw.explore(model=builtin)
    widget.comm.ask("an aardvark")
    widget.wait()
    [entry] = widget.comm.result["targets"]
    assert entry["supported"] is False
    assert "does not know 'aardvark'" in entry["note"]


def test_a_scene_is_a_picture(builtin):
    scene = lw.scene(["cat", "pizza"], "grass", seed=3)
    widget = lw.explore(scene, "pizza", model=builtin)
    widget.wait()
    assert widget.image.size == scene.image.size
    assert widget.comm.opened["_model"]["suggestions"][:3] == ["cat", "pizza", "grass"]
    widget.image = lw.scene(["dog"], seed=1)
    widget.wait()
    assert widget.comm.labels == ["pizza"]
