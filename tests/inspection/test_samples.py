"""Whatever the pictures and labels come as, the same samples are inspected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from legrad_widget.inspection import Inspection, InspectionError, InspectionWarning, open_inspection
from legrad_widget.inspection.labels import Labels
from tests.inspection import world

NAMES = world.NAMES


class Pairs(Dataset):
    """A torch Dataset that counts how often it is asked."""

    def __init__(self, images, labels):
        self.images, self.given, self.asked = images, labels, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index], self.given[index]


class Dicts(Pairs):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return {"image": image, "label": torch.tensor(label)}


def answers(r):
    return r.frame[["label", "predicted", "loss"]].reset_index(drop=True)


@pytest.mark.parametrize("make", [Pairs, Dicts])
def test_a_dataset_brings_its_labels_and_is_read_once(make):
    data = make(world.pictures(), world.labels())
    r = Inspection(world.classifier(), data, cache=False)
    assert len(data.asked) <= 1  # to see what it gives
    data.asked.clear()
    r.run(False)
    assert data.asked == list(range(12))
    pd.testing.assert_frame_equal(answers(r), answers(world.inspected()))


@pytest.mark.parametrize(
    "labels",
    [
        [NAMES[i] for i in world.labels()],
        np.array(world.labels()),
        torch.tensor(world.labels()),
        pd.Series(world.labels(), index=range(100, 112)),
        [name.upper() for name in (NAMES[i] for i in world.labels())],
        [float(i) for i in world.labels()],
    ],
    ids=["names", "array", "tensor", "column", "case", "floats"],
)
def test_labels_are_numbers_or_names(labels):
    r = Inspection(world.classifier(), world.pictures(), labels, cache=False).run(False)
    pd.testing.assert_frame_equal(answers(r), answers(world.inspected()))


@pytest.mark.parametrize(
    "images",
    [
        np.stack(world.pictures()),
        [Image.fromarray(image) for image in world.pictures()],
        tuple(world.pictures()),
    ],
    ids=["array", "PIL", "tuple"],
)
def test_pictures_of_any_kind(images):
    r = Inspection(world.classifier(), images, world.labels(), cache=False).run(False)
    pd.testing.assert_frame_equal(answers(r), answers(world.inspected()))


def test_preprocessed_tensors_are_taken_as_they_are():
    model = world.classifier()
    tensors = torch.stack([model.encode(image).image for image in world.pictures()])
    r = Inspection(model, tensors, world.labels(), cache=False).run(False)
    pd.testing.assert_frame_equal(answers(r), answers(world.inspected()))
    assert r.picture(0).size == (48, 48)


def test_a_folder_with_a_sub_folder_per_class(tmp_path):
    world.folder(tmp_path / "data")
    (tmp_path / "data" / "ant" / "notes.txt").write_text("no picture")
    r = Inspection(world.classifier(), tmp_path / "data", cache=False).run(False)
    assert r.frame["label"].tolist() == [name for name in NAMES for _ in range(2)]
    assert r.frame["path"].str.endswith(".png").all()
    column = pd.DataFrame({"file": r.frame["path"], "kind": r.frame["label"]})
    again = Inspection(world.classifier(), column["file"], column["kind"], cache=False).run(False)
    pd.testing.assert_frame_equal(answers(r), answers(again))


def test_columns_of_any_table(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    paths = [str(path) for path in sorted(world.folder(tmp_path / "data").rglob("*.png"))]
    kinds = [path.split("/")[-2] for path in paths]
    table = pyarrow.table({"path": paths, "kind": kinds, "number": [NAMES.index(kind) for kind in kinds]})
    base = Inspection(world.classifier(), paths, kinds, cache=False).run(False)
    for column in (table["kind"], table["number"], table["kind"].combine_chunks(), pd.array(kinds), iter(kinds)):
        r = Inspection(world.classifier(), table["path"], column, cache=False).run(False)
        pd.testing.assert_frame_equal(r.frame, base.frame)
    with pytest.raises(TypeError, match="pass the one with the paths"):
        Inspection(world.classifier(), table, kinds, cache=False)


def test_folders_of_other_names_are_the_classes_in_sorted_order_and_that_is_told(tmp_path):
    data = world.folder(tmp_path / "data")
    for index, name in enumerate(NAMES):
        (data / name).rename(data / f"n{index:08d}")
    with pytest.warns(InspectionWarning, match="'n00000000' is 'ant' ... 'n00000006' is 'gnu'"):
        r = Inspection(world.classifier(), data, cache=False)
    assert r.run(False).frame["label"].tolist() == [name for name in NAMES for _ in range(2)]
    (data / "n00000006").rename(data / "fox")
    with pytest.warns(InspectionWarning, match="12 of 14 labels fit no class"):  # one has a name: no other is guessed
        r = Inspection(world.classifier(), data, cache=False).run(False)
    assert r.scored.tolist() == [0, 1]
    assert r.frame["label"][0] == "fox"
    assert r.problems["says"].str.contains("there is no class").all()


def test_a_flat_folder_needs_labels(tmp_path):
    for index in range(3):
        Image.fromarray(world.pictures()[index]).save(tmp_path / f"{index}.png")
    with pytest.raises(InspectionError, match="there are no labels"):
        Inspection(world.classifier(), str(tmp_path), cache=False)
    assert Inspection(world.classifier(), str(tmp_path), [0, 1, 2], cache=False).run(False).done == 3


def test_a_name_counts_as_one_of_several_synonyms():
    labels = Labels(["gnu, wildebeest", "fox"])
    assert labels.index("Wildebeest") == 0
    assert labels.index("gnu, wildebeest") == 0
    assert labels.index("fox") == 1
    with pytest.raises(InspectionError, match="did you mean 'fox'"):
        labels.index("foxx")


def test_the_callers_model_keeps_its_own_names():
    model = world.classifier()
    r = Inspection(model, world.pictures(), world.labels(), class_names=[n.upper() for n in NAMES], cache=False)
    assert model.class_names == tuple(NAMES)
    assert r.run(False).frame["label"][0] == "ANT"
    assert r.target(1) == r.model.target("BEE")


def test_logits_that_are_there_already_are_not_computed_again(monkeypatch):
    base = world.inspected()
    model = world.classifier()
    images = world.pictures()
    logits = torch.stack([model.class_logits(model.encode(image).features) for image in images])
    embeddings = np.stack([model.encode(image).features.numpy() for image in images])
    monkeypatch.setattr("legrad_widget.inspection.streaming.score_images", None)  # would fail if it were called
    r = Inspection(model, images, world.labels(), logits=logits, embeddings=embeddings, cache=False)
    assert r.complete
    assert list(r.stream()) == []
    for name in ("loss", "margin", "disagreement"):
        assert np.allclose(r.frame[name], base.frame[name], atol=1e-4), name
    assert r.frame["rival"].tolist() == base.frame["rival"].tolist()
    assert r.neighbours(0).correct_true == base.neighbours(0).correct_true
    assert r.layers == ()
    with pytest.raises(InspectionError, match="no layer was seen"):
        r.curve(0)


class Listed(Dataset):
    """As torchvision's ImageFolder: files and labels in ``samples``, pictures opened by the Dataset itself."""

    def __init__(self, folder):
        files = sorted(folder.rglob("*.png"))
        self.samples = [(str(path), NAMES.index(path.parent.name)) for path in files]
        self.targets = [label for _, label in self.samples]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, label = self.samples[index]
        return Image.open(path).convert("RGB"), label


def test_the_files_of_a_dataset_are_named_also_behind_a_subset(tmp_path):
    data = Listed(world.folder(tmp_path / "data"))
    r = Inspection(world.classifier(), data, cache=False)
    assert r.frame["path"].tolist() == [path for path, _ in data.samples]
    part = torch.utils.data.Subset(torch.utils.data.Subset(data, [5, 3, 1]), [2, 0])
    r = Inspection(world.classifier(), part, cache=False).run(False)
    assert r.frame["path"].tolist() == [data.samples[1][0], data.samples[5][0]]
    assert r.records["label"].tolist() == [data.targets[1], data.targets[5]]
    again = open_inspection(r.save(tmp_path / "saved"))
    assert again.frame["path"].tolist() == r.frame["path"].tolist()
    with pytest.raises(InspectionError, match="only the thumbnail was saved"):  # the Dataset is not there to open it
        again.picture(0)


def folders_of(path, names):
    """As torchvision's ImageFolder of these classes alone: it numbers them in its own order."""
    data = Listed(world.folder(path))
    kept = [one for one in data.samples if NAMES[one[1]] in names]
    data.classes = list(names)
    data.samples = [(file, names.index(NAMES[label])) for file, label in kept]
    data.targets = [label for _, label in data.samples]
    return data


@pytest.mark.parametrize("way", ["whole", "a part", "two together"])
def test_a_datasets_numbers_go_by_the_names_of_its_classes(tmp_path, way):
    data = folders_of(tmp_path / "data", ["fox", "dog", "bee"])
    rows = range(len(data))
    if way == "a part":
        rows = [5, 0, 2]
        whole, data = data, torch.utils.data.Subset(data, rows)
    elif way == "two together":
        rows = [*rows, *rows]
        whole, data = data, torch.utils.data.ConcatDataset([data, data])
    else:
        whole = data
    r = Inspection(world.classifier(), data, cache=False).run(False)
    wanted = [Path(whole.samples[row][0]).parent.name for row in rows]
    assert r.frame["label"].tolist() == wanted
    assert r.records["label"].tolist() == [NAMES.index(name) for name in wanted]
    again = open_inspection(r.save(tmp_path / "saved"))
    assert again.frame["label"].tolist() == wanted
    given = Inspection(world.classifier(), data, [0] * len(data), cache=False).run(False)
    assert set(given.frame["label"]) == {NAMES[0]}


class Renumbered(Listed):
    """As torchvision's with ``target_transform``: ``targets`` are its own numbers, items have others."""

    def target_transform(self, label):
        return (label + 2) % 7

    def __getitem__(self, index):
        picture, label = super().__getitem__(index)
        return picture, self.target_transform(label)


@pytest.mark.parametrize("part", [False, True])
def test_labels_that_a_dataset_changes_are_those_of_its_items(tmp_path, part):
    data = Renumbered(world.folder(tmp_path / "data"))
    data.classes = sorted(NAMES, reverse=True)
    wanted = [(label + 2) % 7 for label in data.targets]
    data = torch.utils.data.Subset(data, range(len(data))) if part else data
    r = Inspection(world.classifier(), data, cache=False).run(False)
    assert r.records["label"].tolist() == wanted


def test_a_number_beyond_a_datasets_classes_is_no_class(tmp_path):
    data = folders_of(tmp_path / "data", ["fox", "dog", "bee"])
    data.classes = np.array(data.classes)
    data.targets[1] = 5
    with pytest.warns(InspectionWarning, match="number 5 of a Dataset with 3 classes"):
        r = Inspection(world.classifier(), data, cache=False)
    r.run(False)
    assert r.problems["sample"].tolist() == [1]
    assert r.frame["label"][0] == "bee"


def test_a_datasets_classes_that_are_called_otherwise_are_told(tmp_path):
    data = folders_of(tmp_path / "data", NAMES)
    Inspection(world.classifier(), data, cache=False)  # the model's own
    data.classes = [f"n{number}" for number in range(7)]
    with pytest.warns(InspectionWarning, match="called otherwise than the model's; there are as many"):
        r = Inspection(world.classifier(), data, cache=False)
    assert [r.samples.label(row) for row in range(len(data))] == data.targets
    data.classes = ["n0", "n1"]
    with pytest.raises(InspectionError, match=r"numbers 2 classes .* and the model 7"):
        Inspection(world.classifier(), data, cache=False)
    data.classes = [("a fox", "vulpes"), *NAMES[1:]]  # as torchvision's ImageNet has its synonyms
    with pytest.warns(InspectionWarning, match="fit no class"):
        r = Inspection(world.classifier(), data, cache=False)
    assert r.samples.label(0) == "a fox, vulpes"


def test_files_are_found_again_after_being_saved_twice(tmp_path):
    data = world.folder(tmp_path / "data")
    r = Inspection(world.classifier(), data, cache=False).run(False)
    once = open_inspection(r.save(tmp_path / "once"))
    twice = open_inspection(once.save(tmp_path / "twice"))
    assert twice.picture(3).tobytes() == r.picture(3).tobytes()


def test_what_is_hidden_in_a_folder_is_left_out(tmp_path):
    data = world.folder(tmp_path / "data")
    hidden = data / "ant" / ".ipynb_checkpoints"
    hidden.mkdir()
    Image.fromarray(world.pictures()[0]).save(hidden / "0-checkpoint.png")
    assert len(Inspection(world.classifier(), data, cache=False)) == 14
    moved = data.rename(tmp_path / ".hidden")  # only what is inside of the folder counts
    assert len(Inspection(world.classifier(), moved, cache=False)) == 14
