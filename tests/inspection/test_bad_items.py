"""One bad item among many, of whatever kind, is listed and skipped; what cannot be at all is said in a sentence."""

from __future__ import annotations

import struct
import time

import numpy as np
import pandas as pd
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection import Inspection, InspectionError, InspectionWarning, inspect, open_inspection
from legrad_widget.inspection.labels import Labels, check
from tests import specimens
from tests.inspection import world


class Failing:
    """Pictures with labels, and at some places an exception."""

    def __init__(self, failures):
        self.failures = failures

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index in self.failures:
            raise self.failures[index]
        return world.pictures(6)[index], index


class Custom(Exception):
    pass


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (AttributeError("'NoneType' object has no attribute 'shape'"), "AttributeError: 'NoneType' object"),
        (Custom("imread failed"), "Custom: imread failed"),
        (struct.error("unpack requires 4 bytes"), "error: unpack requires"),
        (KeyError("path"), "KeyError: 'path'"),
        (AssertionError(), "AssertionError"),
        (MemoryError(), "MemoryError"),
        (OSError("the disk is gone"), "the disk is gone"),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_a_dataset_may_raise_anything_for_one_item(failure, says, place):
    r = Inspection(world.classifier(), Failing({place: failure}), cache=False).run(False)
    assert (len(r.scored), r.complete) == (5, True)
    assert r.problems["sample"].tolist() == [place]
    assert r.problems["says"][0].startswith(says)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([0, 1, None, 3], dtype="Int64"),
        pd.Series([0, 1, None, 3]),
        pd.Series(["ant", "bee", None, "dog"], dtype="string"),
        pd.Series(["ant", "bee", pd.NA, "dog"], dtype="category"),
        [0, 1, " ", 3],
    ],
)
def test_a_label_that_is_missing_is_told(labels):
    with pytest.warns(InspectionWarning, match="1 of 4 labels fit no class.*; sample 2: it has no label"):
        r = Inspection(world.classifier(), world.pictures(4), labels, cache=False).run(False)
    assert r.scored.tolist() == [0, 1, 3]
    assert r.problems["says"].tolist() == ["it has no label"]


@pytest.mark.parametrize("one", [np.eye(7)[1], torch.eye(7)[1], [0.0, 1.0], (1, 2)])
def test_a_label_that_is_several_numbers_is_told(one):
    items = [(image, label) for image, label in zip(world.pictures(3), [0, one, 2], strict=True)]
    r = Inspection(world.classifier(), items, cache=False).run(False)
    assert r.scored.tolist() == [0, 2]
    assert r.problems["says"][0].startswith("a label is the number or the name of one class")


@pytest.mark.parametrize(
    "make", [iter, lambda found: (one for one in found), lambda found: dict(enumerate(found)).values()]
)
def test_labels_may_be_anything_that_can_be_listed(make):
    r = Inspection(world.classifier(), world.pictures(4), make([0, 1, 2, 3]), cache=False).run(False)
    assert r.records["label"].tolist() == [0, 1, 2, 3]


def test_a_label_that_was_given_is_in_the_table_whatever_became_of_its_picture(tmp_path):
    pictures = [*world.pictures(4), tmp_path / "not there.png", *world.pictures(1)]
    labels = ["ant", "gnat", [1], None, "cat", "dog"]
    with pytest.warns(InspectionWarning, match="3 of 6 labels fit no class"):
        r = Inspection(world.classifier(), pictures, labels, cache=False)
    assert r.frame["label"].tolist() == ["ant", "", "", "", "cat", "dog"]  # nothing is scored yet
    r.run(False)
    rows = r.frame
    assert rows["status"].tolist() == ["scored", "label", "label", "label", "unreadable", "scored"]
    assert rows["label"].tolist() == ["ant", "", "", "", "cat", "dog"]
    assert rows["label_index"].fillna(-1).tolist() == [0, -1, -1, -1, 2, 3]
    assert rows["predicted"].iloc[1:5].eq("").all()
    assert rows["correct"].isna().tolist() == [False, True, True, True, True, False]
    assert r.confusion(errors_only=False)["count"].sum() == 2
    r.save(tmp_path / "audit")
    assert open_inspection(tmp_path / "audit").frame["label"].tolist() == rows["label"].tolist()


def test_a_label_that_comes_with_its_picture_is_there_once_that_is_scored():
    r = Inspection(world.classifier(), Failing({2: OSError("gone")}), cache=False)
    assert r.frame["label"].eq("").all()
    assert r.run(False).frame["label"].tolist() == ["ant", "bee", "", "dog", "eel", "fox"]


def test_a_table_is_no_column_of_labels():
    with pytest.raises(TypeError, match="pass the one with the labels"):  # its columns are as many as the pictures
        Inspection(world.classifier(), world.pictures(7), pd.get_dummies(pd.Series(world.NAMES)), cache=False)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["0", "1", "2"], "sample 0: there is no class '0'; for the class of that number pass 0, without quotes"),
        ([7, 8, 9], "sample 0: its label 7 is out of range"),
        ([None, [1], "oops"], "sample 0: it has no label"),
    ],
)
def test_labels_of_which_none_fits_are_refused_before_anything_is_read(labels, says):
    with pytest.raises(InspectionError, match=f"not one of the 3 labels fits a class; {says}.* are 'ant', 'bee'"):
        Inspection(world.classifier(), ["there is no such file"] * 3, labels, cache=False)


def test_many_labels_without_a_class_are_told_quickly():
    labels = [0, *(f"class number {index % 50}" for index in range(100_000))]
    began = time.perf_counter()
    with pytest.warns(InspectionWarning, match="100000 of 100001"):
        check(labels, Labels([f"no.{index} of all classes" for index in range(1000)]))
    assert time.perf_counter() - began < 5  # close names are looked for once per name, not once per sample


def test_numbers_in_quotes_are_told():
    with pytest.warns(InspectionWarning, match="1 of 2 labels fit no class.*; sample 0: there is no class '0'"):
        r = Inspection(world.classifier(), world.pictures(2), ["0", 1], cache=False).run(False)
    assert r.problems["says"].tolist() == ["there is no class '0'; for the class of that number pass 0, without quotes"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda found: (one for one in found), r"this is generator: list\(\.\.\.\) makes a list of it"),
        (lambda found: torch.utils.data.DataLoader(list(found)), r"this is DataLoader: pass its \.dataset"),
    ],
)
def test_pictures_that_cannot_be_numbered_say_what_to_do(make, says):
    with pytest.raises(TypeError, match=says):
        Inspection(world.classifier(), make(world.pictures(4)), [0, 1, 2, 3], cache=False)


def test_the_reason_is_told_not_that_a_file_is_there_twice():
    with pytest.raises(InspectionError, match=r"sample 0 \(x\.png\): its file cannot be read: No such file"):
        inspect(world.classifier(), ["x.png", "x.png"], [0, 1], progress=False, cache=False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"logits": "abc"}, "logits are numbers"),
        ({"logits": np.zeros((4, 7)), "embeddings": []}, "embeddings have one row per picture"),
        ({"logits": np.zeros((4, 7)), "embeddings": np.zeros(4)}, "embeddings have one row per picture"),
        ({"logits": np.zeros((4, 7)), "embeddings": [[0.0], [0.0, 1.0], [0.0], [0.0]]}, "embeddings are numbers"),
    ],
)
def test_answers_of_other_shapes_are_refused(given, says):
    with pytest.raises(InspectionError, match=says):
        Inspection(world.classifier(), world.pictures(4), [0, 1, 2, 3], cache=False, **given)


def test_interrupted_while_neighbours_are_compared_they_are_compared_the_next_time(monkeypatch):
    from legrad_widget.inspection import streaming

    def interrupted(inspection):
        if inspection.complete:
            raise KeyboardInterrupt

    r = Inspection(world.classifier(), world.pictures(12), world.labels(12), cache=False)
    with monkeypatch.context() as patched:
        patched.setattr(streaming, "know_disagreement", interrupted)
        with pytest.warns(InspectionWarning, match="stopped after 12 of 12"):
            r.run(False)
    assert r.disagreement is None
    r.run(False)
    assert r.frame["disagreement"].notna().all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"class_names": set(world.NAMES)}, "in the order of the classes.*this is set"),
        ({"class_names": {name: index for index, name in enumerate(world.NAMES)}}, "this is dict"),
        ({"class_names": world.NAMES, "templates": "a photo of a {}"}, r"templates=\['a photo of a {}'\]"),
        ({"class_names": world.NAMES, "cache": 3}, "cache is True, False or a folder"),
    ],
)
def test_arguments_that_would_be_read_otherwise_than_meant(options, says):
    with pytest.raises(TypeError, match=says):
        Inspection(world.clip(), world.pictures(4), [0, 1, 2, 3], **{"cache": False, **options})


def test_an_address_is_not_fetched_and_that_is_said():
    images = ["https://somewhere.example/a.png", *world.pictures(2)]
    r = Inspection(world.classifier(), images, [0, 1, 2], cache=False).run(False)
    assert r.problems["says"].tolist() == [
        "pictures are not fetched from the network; download the file and pass its path"
    ]


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e7])
def test_neighbours_do_not_depend_on_how_long_embeddings_are(scale):
    draw = np.random.default_rng(0)
    vectors, logits = draw.standard_normal((40, 8)), draw.standard_normal((40, 7))
    images, labels = world.pictures(1) * 40, draw.integers(0, 7, 40)
    given = {"logits": logits, "cache": False}
    base = Inspection(world.classifier(), images, labels, embeddings=vectors, **given)
    found = Inspection(world.classifier(), images, labels, embeddings=vectors * scale, **given)
    assert found.neighbours(0, 10).same_errors == base.neighbours(0, 10).same_errors
    assert found.neighbours(0, 10).correct_true == base.neighbours(0, 10).correct_true
    assert np.array_equal(found.disagreement, base.disagreement)


@pytest.mark.parametrize("ask", ["flip_set", "without", "encoding"])
def test_weights_that_changed_after_the_answers_are_told(ask):
    module = specimens.timm_vit()
    r = world.inspected(6, lw.wrap(module, class_names=world.NAMES))
    at = int(r.wrong[0])
    r.flip_set(at)  # now its map and its encoding are held
    with torch.no_grad():
        module.head.weight.mul_(-1)
    with pytest.raises(InspectionError, match="weights changed"):
        getattr(r, ask)(*([at, [(0, 0)]] if ask == "without" else [at]))


def test_a_certain_answer_has_no_loss_and_no_negative_zero():
    logits = np.eye(7)[:4] * 1e5
    r = Inspection(world.classifier(), world.pictures(4), [0, 1, 2, 3], logits=logits, cache=False)
    for name in ("loss", "entropy"):
        assert r.frame[name].tolist() == [0, 0, 0, 0]
        assert not np.signbit(r.frame[name]).any()


def test_weights_written_past_pytorch_are_told_when_the_run_goes_on():
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    r = Inspection(model, world.pictures(6), world.labels(6), cache=False, batch=2)
    next(iter(r.stream()))
    module.blocks[0].mlp.fc1.weight.data.mul_(2)
    with pytest.raises(InspectionError, match="weights changed since the inspection began"):
        r.run(False)
    assert r.done == 2


def test_answers_of_weights_that_change_between_batches_are_not_kept_as_those_of_the_old_ones(tmp_path):
    module = specimens.timm_vit()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model, images, labels = lw.wrap(module, class_names=world.NAMES), world.pictures(6), world.labels(6)
    stream = Inspection(model, images, labels, cache=tmp_path, batch=2).stream()
    next(stream)
    with torch.no_grad():
        module.head.weight.mul_(-2)
    with pytest.raises(InspectionError, match="weights changed since the inspection began"):
        next(stream)
    module.load_state_dict(before)
    again = Inspection(model, images, labels, cache=tmp_path).run(False)
    fresh = Inspection(model, images, labels, cache=False).run(False)
    assert np.allclose(again.records["loss"], fresh.records["loss"], atol=1e-5)


def test_a_name_that_several_classes_share_is_told():
    names = ["crane", "bee", "crane, wader", "dog", "eel", "fox", "crane"]
    with pytest.warns(InspectionWarning, match="sample 1: 2 classes are called 'crane'"):
        r = Inspection(
            world.classifier(), world.pictures(4), ["bee", "crane", 6, "Wader"], class_names=names, cache=False
        )
    assert r.run(False).scored.tolist() == [0, 2, 3]
    assert r.problems["says"].tolist() == ["2 classes are called 'crane'; pass labels as numbers"]
    assert r.records["label"][3] == 2
