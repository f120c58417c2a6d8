"""The code of a view: run, it gives the same array to the bit; what cannot be written down is said in a comment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget.explainer import Model
from legrad_widget.widget import LeGradWidget
from legrad_widget.widget.view import drawing, merging


def run(widget: LeGradWidget, **given: Any) -> dict[str, Any]:
    """Run the code of a view and compare its array and its picture with the view's."""
    widget.wait()
    names = dict(given)
    exec(compile(widget.code(), "the code of the view", "exec"), names)
    x = widget.explanation
    assert x is not None
    np.testing.assert_array_equal(names["heat"], x.merged(**merging(widget, x)))
    overlay = x.overlay(**merging(widget, x), **drawing(widget))
    np.testing.assert_array_equal(np.asarray(names["picture"]), np.asarray(overlay))
    return names


@pytest.fixture
def builtin() -> Model:
    """A model of its own: what other tests asked would stay in its memory of prompts."""
    return lw.load("builtin")


@pytest.fixture
def shown(builtin: Model) -> Iterator[LeGradWidget]:
    """The widget as it opens without an argument."""
    widget = lw.explore(model=builtin)
    yield widget
    widget.close()


def test_the_first_view_is_a_few_plain_lines(shown: LeGradWidget) -> None:
    run(shown)
    assert shown.code() == (
        'import legrad_widget as lw\n\nmodel = lw.load("builtin")\n'.replace('"', "'")
        + "image = lw.scene(['cat', 'pizza', 'rocket'], 'grass', seed=3).image\n"
        "encoding = model.encode(image)\n"
        "encoding.predictions()  # as the widget does: it fixes the last bits of the prompts' vectors\n"
        "x = encoding.explain(['cat', 'pizza', 'rocket'], 'legrad')[0]\n"
        "heat = x.merged()\n"
        "picture = x.overlay()\n"
    )


def test_every_part_of_the_view_is_in_it(shown: LeGradWidget) -> None:
    shown.active, shown.layers, shown.opacity, shown.colormap, shown.threshold = 2, [2, 5], 0.5, "viridis", 0.25
    shown.knobs = {"relu": False, "pool": "mean"}
    names = run(shown)
    assert names["x"].label == "rocket"
    assert "layers=[2, 5]" in shown.code()
    assert "relu=False" in shown.code()


def test_heads_and_weights_are_in_it(shown: LeGradWidget) -> None:
    shown.heads, shown.weights = {3: [1], 5: [0, 2]}, "equal"
    run(shown)
    assert "heads={3: [1], 5: [0, 2]}, weights='equal'" in shown.code()
    shown.weights = "reliability"
    run(shown)
    assert "weights='reliability'" in shown.code()
    assert "calibrate" not in shown.code()  # the built-in model comes with it


@pytest.mark.parametrize("method", [m.name for m in lw.list_methods() if not m.slow and m.name != "legrad"])
def test_every_quick_method(shown: LeGradWidget, method: str) -> None:
    if reason := next(entry["reason"] for entry in shown._catalogue if entry["name"] == method):
        pytest.skip(reason)
    shown.method = method
    run(shown)


def test_a_file_and_the_way_it_is_seen(builtin: Model, tmp_path: Path) -> None:
    file = tmp_path / 'it\'s a "picture".png'
    Image.fromarray(np.arange(90 * 60 * 3, dtype=np.uint8).reshape(60, 90, 3)).save(file)
    widget = lw.explore(file, "grass", model=builtin, fit="pad", size=96)
    names = run(widget)
    assert names["encoding"].picture.size == (90, 60)
    assert "fit='pad', size=96" in widget.code()


def test_awkward_prompts_contrasts_templates_and_controls(builtin: Model) -> None:
    scene = lw.scene(["cat", "dog"], "grass", seed=1)
    targets = [
        "a \"cat\"\n# and \\ a 'dog' \u2028",
        lw.Contrast("cat", "dog"),
        lw.Text("cat", templates=["a photo of a {}", "a {}"]),
        lw.Text("", control=True),
    ]
    for target in targets:
        run(lw.explore(scene, target, model=builtin))


def test_your_own_model_picture_and_direction_are_left_to_you(model: Model, photo: np.ndarray) -> None:
    vector = np.ones(model.vit.features, np.float32)
    widget = lw.explore(photo, ["a cat", lw.Direction(vector, label="up\nimport os")], model=model)
    widget.wait()
    code = widget.code()
    assert "target_1 = ...  # the direction 'up\\nimport os' that you made" in code
    assert "# model is your own, called 'tiny' here" in code
    assert "image = ...  # the picture that you passed (80 x 60 pixels)" in code
    filled = code.replace("image = ...", "image = photo").replace("target_1 = ...", "target_1 = vector")
    names: dict[str, Any] = {"model": model, "photo": photo, "vector": vector}
    exec(compile(filled, "code", "exec"), names)
    np.testing.assert_array_equal(names["heat"], widget.explanation.merged())  # type: ignore[union-attr]


def test_classes_by_their_index(classifier: Model, photo: np.ndarray) -> None:
    widget = lw.explore(photo, ["pizza"], model=classifier)
    widget.wait()
    assert "target_0 = 2  # class 'pizza'" in widget.code()
    names: dict[str, Any] = {"model": classifier, "photo": photo}
    exec(widget.code().replace("image = ...", "image = photo"), names)
    np.testing.assert_array_equal(names["heat"], widget.explanation.merged())  # type: ignore[union-attr]


def test_a_picture_from_the_browser_keeps_its_name_alone(widget: LeGradWidget) -> None:
    from legrad_widget.widget.question import Photo

    widget._take_picture(Photo(99, widget.image, "<b>dog</b>'.jpg"))
    widget.wait()
    line = next(line for line in widget.code().splitlines() if line.startswith("image"))
    assert line.startswith('image = "<b>dog</b>\'.jpg"  # its file (80 x 60 pixels)')


def test_before_anything_was_asked(model: Model) -> None:
    compile(LeGradWidget(model).code(), "code", "exec")


def test_templates_are_written_once(shown: LeGradWidget) -> None:
    shown.templates = ["a photo of a {}", "a drawing of a {}"]
    shown.targets = [*shown.targets, lw.Contrast("cat", "dog"), lw.Text("dog", templates=["the {}"])]
    names = run(shown)
    code = shown.code()
    assert code.count("a drawing of a {}") == 1
    assert "lw.Text('cat', templates=templates)" in code
    assert "lw.Contrast(lw.Text('cat', templates=templates), lw.Text('dog', templates=templates))" in code
    assert "lw.Text('dog', templates=['the {}'])" in code
    assert names["templates"] == shown.templates
    shown.templates = []
    assert "templates" not in shown.code()
