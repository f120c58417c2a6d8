"""The picture of the current view: the same pixels as ``x.overlay``, with what one must know around them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget.explainer import Model
from legrad_widget.widget import LeGradWidget
from legrad_widget.widget.snapshot import LINE, MARGIN


def map_of(picture: Image.Image, width: int, height: int) -> np.ndarray:
    """The part with the map."""
    top = MARGIN + 3 * LINE
    return np.asarray(picture)[top : top + height, MARGIN : MARGIN + width]


def test_the_map_is_the_overlay_to_the_pixel(widget: LeGradWidget) -> None:
    widget.active, widget.layers, widget.opacity, widget.colormap, widget.threshold = 1, [1, 3], 0.8, "viridis", 0.3
    x = widget.explanations[1]
    assert x is not None
    wanted = x.overlay([1, 3], size=(300, 400), opacity=0.8, colormap="viridis", threshold=0.3)
    np.testing.assert_array_equal(map_of(widget.snapshot(width=400), 400, 300), np.asarray(wanted))


def test_heads_and_weights_are_those_of_the_view(widget: LeGradWidget) -> None:
    widget.heads, widget.weights = {2: [0], 3: [1, 3]}, "equal"
    x = widget.explanation
    assert x is not None
    wanted = x.overlay(heads={2: [0], 3: [1, 3]}, weights="equal", size=(300, 400))
    np.testing.assert_array_equal(map_of(widget.snapshot(width=400), 400, 300), np.asarray(wanted))


def test_layers_that_the_method_does_not_have_are_left_out(widget: LeGradWidget) -> None:
    widget.method, widget.layers = "raw_attention", [1]
    widget.wait()
    x = widget.explanation
    assert x is not None
    wanted = x.overlay(x.layers if 1 not in x.layers else [1], size=(300, 400))
    np.testing.assert_array_equal(map_of(widget.snapshot(width=400), 400, 300), np.asarray(wanted))


@pytest.mark.parametrize("method", ["legrad", "cdam"])
def test_patches_are_flat_where_they_are_shown_flat(widget: LeGradWidget, method: str) -> None:
    """Every pixel of a patch, but for a rim where neighbours meet, has the colour of its middle."""
    widget.image = np.full((60, 60, 3), 128, np.uint8)
    widget.method, widget.smooth = method, False
    shown = map_of(widget.snapshot(width=300), 300, 300)
    x = widget.explanation
    assert x is not None
    rows, columns = x.maps.shape[1:]
    patches = shown.reshape(rows, 300 // rows, columns, 300 // columns, 3)
    inner = patches[:, 4:-4, :, 4:-4]
    assert (inner == inner[:, :1, :, :1]).all()
    assert len(np.unique(inner[:, 0, :, 0].reshape(-1, 3), axis=0)) > 3


def test_title_facts_and_scale_are_written(widget: LeGradWidget, model: Model, photo: np.ndarray) -> None:
    first = np.asarray(widget.snapshot())
    title = first[MARGIN : MARGIN + 20]
    assert (title < 100).any(), "ink"
    widget.active = 1
    second = np.asarray(widget.snapshot())
    assert (second[MARGIN : MARGIN + 20] != title).any(), "another target has another title"
    assert (second[-3 * LINE :] != first[-3 * LINE :]).any(), "and another range"
    again = np.asarray(widget.snapshot())
    np.testing.assert_array_equal(second, again)


def test_long_and_foreign_words_fit(model: Model, photo: np.ndarray) -> None:
    shown = lw.explore(photo, ["a very long prompt " * 6, "قطة 🐈 \u2028"], model=model)
    shown.wait()
    for active in (0, 1):
        shown.active = active
        picture = np.asarray(shown.snapshot(width=300))
        assert (picture[:, -MARGIN:] == 255).all(), "nothing runs over the edge"


def test_it_waits_and_says_what_is_missing(model: Model, photo: np.ndarray) -> None:
    assert lw.explore(photo, "a cat", model=model).snapshot().width == 640 + 2 * MARGIN
    with pytest.raises(ValueError, match="no map to take a picture of"):
        LeGradWidget(model).snapshot()
    with pytest.raises(ValueError, match="from 200 to 4096; arrived: 10"):
        lw.explore(photo, "a cat", model=model).snapshot(width=10)
