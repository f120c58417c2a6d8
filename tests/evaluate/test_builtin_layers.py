"""The built-in model comes with its layers calibrated, and the command that did it still says the same."""

from __future__ import annotations

import json

import legrad_widget as lw
from legrad_widget import builtin
from legrad_widget.builtin import loading
from legrad_widget.evaluate import builtin_layers


def test_the_command_measures_ranks_on_scenes_that_training_never_saw(tmp_path):
    model = lw.load("builtin")
    shipped = model.layer_reliability
    found = builtin_layers.calibrated(model, "validation", 20)
    assert model.layer_reliability is found
    assert 15 <= found.images <= 20
    assert found.of == shipped.of == len(model.class_names)
    assert found.reliable[-1]
    assert found.median_rank[-1] < found.chance_rank / 4
    path = builtin_layers.record(found, "validation", tmp_path)
    held = json.loads(path.read_text())
    assert held["sha256"] == loading.weights_hash()
    assert tuple(held["median_rank"]) == found.median_rank
    assert builtin_layers.table(found).count("\n| ") == 8


def test_the_calibration_belongs_to_the_shipped_weights(tmp_path, monkeypatch):
    held = builtin.layer_calibration()
    assert held["sha256"] == loading.weights_hash()
    reliability = lw.load("builtin").layer_reliability
    assert reliability.reliable == (False, True, True, True, True, True)
    assert "no better than chance" in reliability.why(1)
    for content in (None, {**held, "sha256": "of other weights"}):
        folder = tmp_path / str(content is None)
        folder.mkdir()
        (folder / loading.MANIFEST).write_text((loading.FOLDER / loading.MANIFEST).read_text())
        if content:
            (folder / loading.LAYERS).write_text(json.dumps(content))
        with monkeypatch.context() as patched:
            patched.setattr(loading, "FOLDER", folder)
            assert builtin.layer_calibration() is None
