"""Merging, normalising, resampling and drawing of an explanation, by exact arithmetic and against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from legrad_widget.explanation import Explanation, resample


def explanation(maps: np.ndarray, **changes) -> Explanation:
    fields = dict(
        maps=np.asarray(maps, np.float32), heads=None, prefix=None, layers=tuple(range(1, len(maps) + 1)),
        scores=np.zeros(len(maps), np.float32), score=0.5, score_name="cosine", probability=None, probability_of="",
        supported=None, note="", signed=False, window=(0.0, 0.0, 80.0, 60.0), picture=Image.new("RGB", (80, 60)),
        input_size=(48, 48), merge="mean", default="all", method="legrad", knobs={}, model="test", target=None,
        label="cat", seconds=0.0,
    )  # fmt: skip
    return Explanation(**(fields | changes))


RAMP = np.arange(12, dtype=np.float32).reshape(3, 2, 2)


def test_merging_follows_the_methods_rule():
    mean = explanation(RAMP)
    np.testing.assert_allclose(mean.raw(), RAMP.mean(0))
    np.testing.assert_allclose(mean.raw([3, 1]), (RAMP[0] + RAMP[2]) / 2)
    np.testing.assert_allclose(mean.raw(slice(2, 3)), RAMP[1:].mean(0))
    np.testing.assert_allclose(mean.merged(), [[0, 1 / 3], [2 / 3, 1]], rtol=1e-6)
    last = explanation(RAMP, merge="last")
    np.testing.assert_array_equal(last.raw(), RAMP[2])
    np.testing.assert_array_equal(last.raw([2, 1]), RAMP[1])
    np.testing.assert_array_equal(explanation(RAMP, default="last").raw(), RAMP[2])
    np.testing.assert_allclose(explanation(RAMP, default="last").raw([1, 2]), RAMP[:2].mean(0))


def test_layers_are_block_numbers_not_positions():
    x = explanation(RAMP, layers=(4, 5, 9))
    np.testing.assert_array_equal(x.raw(9), RAMP[2])
    for bad in (1, [4, 6], []):
        with pytest.raises(ValueError, match="over 4, 5, 9"):
            x.merged(bad)


def test_signed_maps_keep_zero_and_flat_maps_are_stated():
    signed = explanation(np.array([[[-4.0, 0], [1, 2]]]), signed=True)
    np.testing.assert_allclose(signed.merged(), [[-1, 0], [0.25, 0.5]])
    flat = explanation(np.stack([np.full((2, 2), 3.0), RAMP[0]]))
    assert flat.degenerate == (True, False)
    np.testing.assert_array_equal(flat.merged(1), np.zeros((2, 2)))
    assert explanation(np.full((1, 2, 2), 5.0), signed=True).degenerate == (True,)


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        explanation(RAMP).maps[0, 0, 0] = 1


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 70)] * 2), st.integers(0, 9))
def test_resampling_is_torchs_bilinear(grid, size, seed):
    values = np.random.default_rng(seed).random(grid, dtype=np.float32)
    expected = F.interpolate(torch.tensor(values)[None, None].double(), size=size, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(resample(values, size), expected[0, 0].numpy(), atol=1e-6)


def test_heat_maps_sit_where_the_model_looked():
    x = explanation(RAMP[:1])
    expected = F.interpolate(torch.tensor(x.merged())[None, None], size=(60, 80), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(x.heatmap("image"), expected[0, 0], atol=1e-6)
    assert x.heatmap("input").shape == (48, 48)
    crop = explanation(RAMP[:1], window=(10.0, 0.0, 70.0, 60.0)).heatmap()
    assert np.isnan(crop[:, :10]).all()
    assert np.isnan(crop[:, 70:]).all()
    np.testing.assert_allclose(crop[:, 10:70], resample(x.merged(), (60, 60)), atol=1e-6)
    np.testing.assert_array_equal(np.isnan(explanation(RAMP[:1], window=(10.0, 0.0, 70.0, 60.0)).heatmap((6, 8)))[0],
                                  [True] + [False] * 6 + [True])  # fmt: skip
    padded = explanation(RAMP[:1], window=(0.0, -10.0, 80.0, 70.0)).heatmap()
    np.testing.assert_allclose(padded, resample(x.merged(), (80, 80))[10:70], atol=1e-6)
    for bad in ("picture", (0, 5), 7):
        with pytest.raises(ValueError, match=r"at least 1 x 1|size is 'input'"):
            x.heatmap(bad)


def test_the_overlay_shows_the_picture_where_nothing_is_relevant():
    picture = Image.new("RGB", (80, 60), (10, 200, 30))
    drawn = np.asarray(explanation(np.array([[[0.0, 0], [0, 1]]]), picture=picture).overlay())
    assert tuple(drawn[0, 0]) == (10, 200, 30)
    assert abs(drawn[59, 79].astype(int) - (10, 200, 30)).max() > 60
    plain = np.asarray(explanation(np.zeros((1, 2, 2)), picture=picture).overlay())
    np.testing.assert_array_equal(plain, np.asarray(picture))
    assert explanation(RAMP)._repr_png_().startswith(b"\x89PNG")
