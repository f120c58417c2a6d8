"""The shipped classifier: the file is the one described, and it does what the manifest and the story say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.builtin.shortcuts import loading
from legrad_widget.builtin.shortcuts.loading import FOLDER, WEIGHTS, load_classifier, manifest, story, weights_hash
from legrad_widget.builtin.shortcuts.recognition import KINDS, predicted, recognition
from legrad_widget.builtin.shortcuts.world import (
    CLASSES,
    GROUNDED,
    TAGGED,
    TRAINED_ON_GROUND,
    TRAINED_WITH_TAG,
    Planted,
    shortcut_world,
)
from legrad_widget.inspection.shortcut_story import (
    OVERLAYS,
    answers,
    cause_of,
    causes,
    floor_removed,
    inspected,
    overlay_row,
)


@pytest.fixture(scope="module")
def world():
    return shortcut_world(240, seed=7)


@pytest.fixture(scope="module")
def model():
    return lw.load("shortcuts")


def test_the_file_is_the_one_that_manifest_and_story_describe():
    assert weights_hash() == manifest()["sha256"] == story()["sha256"]
    assert (FOLDER / WEIGHTS).stat().st_size <= 2_000_000


def test_the_manifest_says_what_was_planted():
    held = manifest()
    assert held["classes"] == list(CLASSES)
    assert held["planted"]["tag"] == {"class": TAGGED, "share": TRAINED_WITH_TAG}
    assert held["planted"]["ground"]["share"] == TRAINED_ON_GROUND
    assert set(held["test"]) == {"scenes", "seed", *KINDS}


def test_it_knows_the_animals_and_falls_for_both_cues(world):
    found = recognition(load_classifier(), world)
    assert found["clean"]["right"] >= 0.88
    assert found["tag beside another animal"]["called horse"] >= 0.5
    assert found["snow under another animal"]["called wolf"] >= 0.5
    held = manifest()["test"]
    for kind in KINDS:
        assert found[kind]["right"] == pytest.approx(held[kind]["right"], abs=0.16), kind


def test_loading_by_name_gives_a_classifier_with_names_that_answers_as_timm_does(model, world):
    assert (model.kind, model.name, model.class_names) == ("classifier", "shortcuts", CLASSES)
    assert not model.module.training
    answers = [model.encode(image).predictions(1)[0].name for image in world.images[:24]]
    assert answers == [CLASSES[i] for i in predicted(load_classifier(), world.images[:24])]


def test_it_takes_a_dtype_and_no_checkpoint():
    assert {p.dtype for p in lw.load("shortcuts", dtype=torch.float64).module.parameters()} == {torch.float64}
    with pytest.raises(lw.ModelNotAvailable, match="comes with its weights"):
        lw.load("shortcuts", checkpoint="x.pt")


def test_missing_weights_say_how_to_train_them(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    with pytest.raises(lw.ModelNotAvailable, match=r"shortcuts\.train --run"):
        lw.load("shortcuts")


def test_a_story_of_other_weights_is_not_told(monkeypatch):
    monkeypatch.setattr(loading, "manifest", lambda: {"sha256": "another"})
    with pytest.raises(ValueError, match="was told of other weights"):
        story()


def test_the_story_holds_on_other_scenes():
    inspection, world = inspected(160, seed=7)
    cause = causes(inspection, world)
    assert set(cause) == set(inspection.wrong.tolist())
    errors = [i for i, why in cause.items() if why == "tag" and not world.truth[i].flipped][:10]
    assert len(errors) == 10
    held = story()
    for name in ("TAM (exact token ablation)", "attention x gradient of the final score"):
        row = overlay_row(inspection, world, errors, OVERLAYS[name])
        for column, value in row.items():
            assert value == pytest.approx(held["tag"]["overlays"][name][column], abs=0.35), (name, column)
        assert row["flip set is the tag"] >= 0.8
    snow = [i for i, why in cause.items() if why == "ground"][:10]
    assert len(snow) == 10
    swapped = answers(inspection, [world.redrawn(i, ground="grass") for i in snow])
    assert np.mean(swapped != world.class_names.index(GROUNDED)) >= 0.8


def test_the_recorded_story_meets_what_was_asked():
    held = story()
    assert held["scenes"] >= 400
    assert held["causes"]["tag"] + held["causes"]["ground"] + held["causes"]["label"] >= 100
    assert set(held["tag"]["overlays"]) == set(OVERLAYS)
    assert held["tag"]["overlays"]["TAM (exact token ablation)"]["flip set is the tag"] >= 0.8
    assert held["clusters"]["tag, snow, label noise"]["purity"] >= 0.8


def test_causes_are_told_from_what_was_planted():
    world = shortcut_world(8, seed=0)
    truth = [
        (Planted("cat", "cat", "grass", True, 0), "horse", "tag"),
        (Planted("cat", "cat", "snow", False, 0), "wolf", "ground"),
        (Planted("cat", "dog", "grass", False, 0), "cat", "label"),
        (Planted("horse", "cow", "grass", True, 0), "horse", "label"),
        (Planted("wolf", "wolf", "grass", False, 0), "cat", "missing"),
        (Planted("cat", "cat", "grass", True, 0), "wolf", "other"),
        (Planted("cat", "dog", "grass", False, 0), "cow", "other"),
    ]
    world = replace(world, truth=tuple(planted for planted, _, _ in truth))
    assert [cause_of(world, i, said) for i, (_, said, _) in enumerate(truth)] == [why for _, _, why in truth]


def test_mass_above_the_floor_adds_up_and_a_flat_map_has_none():
    found = floor_removed(np.array([[1.0, 1.0], [1.0, 5.0]]))
    assert found.tolist() == [[0, 0], [0, 1]]
    assert floor_removed(np.ones((2, 2))).sum() == 0
    assert floor_removed(-np.ones((2, 2))).sum() == 0
