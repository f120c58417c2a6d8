"""The built-in model comes with its layers calibrated, and the command that did it still says the same."""

from __future__ import annotations

import json

import numpy as np
import torch

import legrad_widget as lw
from legrad_widget import builtin
from legrad_widget.builtin import loading
from legrad_widget.builtin.held_out import single_scenes
from legrad_widget.builtin.nouns import NOUNS
from legrad_widget.evaluate import builtin_layers
from legrad_widget.evaluate.builtin_card import PIXELS, PROMPT, sheets_of
from legrad_widget.translator import Translators


def test_the_command_measures_ranks_on_scenes_that_training_never_saw(tmp_path):
    model = lw.load("builtin")
    shipped = model.layer_reliability
    found = builtin_layers.calibrated(model, "validation", 60)
    assert model.layer_reliability is found
    assert 50 <= found.images <= 60
    assert found.of == shipped.of == len(model.class_names)
    assert found.reliable[-1]
    assert found.median_rank[-1] < found.chance_rank / 4
    path = builtin_layers.record(model, "validation", tmp_path)
    held = json.loads(path.read_text())
    assert held["sha256"] == loading.weights_hash()
    assert tuple(held["median_rank"]) == found.median_rank
    assert held["fitted"]["images"] == found.images
    again = Translators.load(tmp_path / loading.TRANSLATORS)
    torch.testing.assert_close(again.weights, model.translators.weights, rtol=1e-3, atol=1e-3)
    assert builtin_layers.table(found).count("\n| ") == 14


def test_the_shipped_lenses_find_objects_that_neither_training_nor_fitting_saw():
    model = lw.load("builtin")
    batch = single_scenes(sheets_of("test"), PIXELS, 30, seed=77)
    raw, fitted = [], []
    for image, (noun, *_) in zip(batch.images, batch.present, strict=True):
        encoding = model.encode(image)
        raw.append(encoding.layer_ranks(PROMPT.format(NOUNS[noun])).ranks)
        fitted.append(encoding.layer_ranks(PROMPT.format(NOUNS[noun]), fitted=True).ranks)
    assert np.median(raw, 0)[3:].max() <= 3
    assert np.median(fitted, 0)[3:].max() <= 3
    assert np.mean(fitted, 0)[0] < 69  # there is something in the first layer, which the raw lens does not find
    np.testing.assert_array_equal(np.array(raw)[:, -1], np.array(fitted)[:, -1])


def test_the_calibration_belongs_to_the_shipped_weights(tmp_path, monkeypatch):
    held = builtin.layer_calibration()
    assert held["sha256"] == loading.weights_hash()
    reliability = lw.load("builtin").layer_reliability
    assert reliability.reliable == (False, True, True, True, True, True)
    assert "no better than chance" in reliability.why(1)
    assert reliability.fitted.reliable == (True,) * 6
    assert reliability.fitted.images == reliability.images >= 10 * 128  # five images for each number, in both halves
    assert reliability.weights[0] == 0 < reliability.weights[1] < reliability.weights[3] < 1
    assert (loading.FOLDER / loading.TRANSLATORS).stat().st_size < 300_000
    for content in (None, {**held, "sha256": "of other weights"}):
        folder = tmp_path / str(content is None)
        folder.mkdir()
        (folder / loading.MANIFEST).write_text((loading.FOLDER / loading.MANIFEST).read_text())
        if content:
            (folder / loading.LAYERS).write_text(json.dumps(content))
        with monkeypatch.context() as patched:
            patched.setattr(loading, "FOLDER", folder)
            assert builtin.layer_calibration() is None
