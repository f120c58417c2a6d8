"""A saved inspection opens without a model, equal in everything; damaged and foreign folders are told."""

from __future__ import annotations

import builtins
import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget.inspection import Inspection, InspectionError, Overlay, open_inspection
from tests import specimens
from tests.inspection import world


@pytest.fixture(scope="module")
def model():
    return world.classifier()


@pytest.fixture(scope="module")
def asked(model, tmp_path_factory):
    """An inspection of files of which everything was asked, and the folder it was saved in."""
    base = tmp_path_factory.mktemp("inspection")
    data = world.folder(base / "data")
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:60] = True
    r = Inspection(model, data, masks=dict.fromkeys(range(14), mask), cache=False).run(False)
    list(r.contrasts())
    r.contrast(int(r.wrong[0]), "legrad")
    r.calibrate(3, ["legrad", "attention_gradient"], flips=False, show=False)
    r.alignment()
    for at in r.wrong[:3].tolist():
        r.flip_set(at, control=2)
    r.clusters(2)
    r.tag("snow", where=[0, 3])
    r.note(3, "a <b>bold</b> note")
    r.selected = [1, 2]
    r.save(base / "saved")
    return r, base / "saved"


def test_everything_is_there_again_without_a_model(asked):
    r, folder = asked
    again = open_inspection(folder)
    assert again.model is None
    pd.testing.assert_frame_equal(again.frame, r.frame)
    pd.testing.assert_frame_equal(again.problems, r.problems)
    pd.testing.assert_frame_equal(again.confusion(), r.confusion())
    pd.testing.assert_frame_equal(again.cases(), r.cases())
    assert (again.overlay, again.thresholds, again.class_names) == (r.overlay, r.thresholds, r.class_names)
    assert again.selected.index.tolist() == [1, 2]
    assert again.tagged("snow").tolist() == [0, 3]
    for at in range(14):
        assert again.thumbnail(at) == r.thumbnail(at)
        assert again.neighbours(at) == r.neighbours(at)
        assert np.array_equal(again.curve(at).true, r.curve(at).true)
    assert np.array_equal(again.reliability.pair_auc, r.reliability.pair_auc)
    assert again.picture(3).size == (80, 60)


def test_maps_that_were_made_are_there_and_others_say_what_they_need(asked):
    r, folder = asked
    again = open_inspection(folder)
    first = int(r.wrong[0])
    for method in ("legrad", "attention_gradient"):
        assert np.array_equal(again.contrast(first, method).predicted, r.contrast(first, method).predicted)
    assert np.array_equal(again.mask_share(first), r.mask_share(first))
    with pytest.raises(InspectionError, match="was not saved, and there is no model"):
        again.contrast(first, "cdam")
    last = int(r.wrong[-1])
    for call in (
        lambda: again.flip_set(last),
        lambda: again.flip_set(first, goal="true"),
        lambda: again.without(first, [(0, 0)]),
        again.calibrate,
    ):
        with pytest.raises(InspectionError, match="open_inspection"):
            call()
    assert repr(again).startswith("<Inspection of timm vit_tiny_patch16_224 (saved)")


def test_figures_and_cards_are_there(asked):
    r, folder = asked
    again = open_inspection(folder)
    assert again.flip_sets.keys() == r.flip_sets.keys()
    for at, flip in r.flip_sets.items():
        assert again.flip_sets[at].patches == flip.patches
        assert repr(again.flip_sets[at]) == repr(flip)
    pd.testing.assert_frame_equal(again.calibrated.frame, r.calibrated.frame)
    assert str(again.calibrated) == str(r.calibrated)
    for ours, theirs in zip(again.clustered, r.clustered, strict=True):
        assert ours.members == theirs.members
        assert ours.pairs == theirs.pairs
        assert ours.flips == theirs.flips
        assert ours.margins == theirs.margins
        assert np.array_equal(ours.mean_map, theirs.mean_map)
        assert np.array_equal(ours.region, theirs.region)


def test_what_is_kept_is_given_back_without_the_model(asked):
    r, folder = asked
    again = open_inspection(folder)
    at = int(r.wrong[0])
    assert repr(again.flip_set(at)) == repr(r.flip_sets[at])
    assert again.flip_set(at).patches == r.flip_sets[at].patches
    with pytest.raises(InspectionError, match=f"r.flip_sets\\[{at}\\] is one with goal='other' along the map"):
        again.flip_set(at, Overlay("legrad", "floor"))
    some = r.wrong[:3].tolist()
    pd.testing.assert_frame_equal(again.find_flip_sets(some, control=2), r.find_flip_sets(some, control=2))
    with pytest.raises(InspectionError, match=r"to find flip sets of .* the model is needed"):
        again.find_flip_sets(control=2)
    pd.testing.assert_frame_equal(again.alignment(), r.alignment())
    again.maps.saved.clear()
    pd.testing.assert_frame_equal(again.alignment(), r.alignment())  # the numbers are kept, with the map or without it
    with pytest.raises(InspectionError, match="was not saved, and there is no model"):
        again.alignment(binarise="otsu")


def test_with_its_model_everything_goes_on(asked, model):
    r, folder = asked
    again = open_inspection(folder, model, cache=False)
    at = int(r.wrong[0])
    assert np.allclose(again.contrast(at, "cdam").predicted, r.contrast(at, "cdam").predicted)
    assert again.flip_set(at, control=0).size == r.flip_set(at, control=0).size


def test_another_model_is_refused(asked):
    other = lw.wrap(specimens.timm_vit(reg_tokens=1), class_names=world.NAMES)
    with pytest.raises(InspectionError, match="another model"):
        open_inspection(asked[1], other, cache=False)


def test_saving_again_replaces_it_as_a_whole(asked, tmp_path):
    r, _ = asked
    r.save(tmp_path)
    (tmp_path / "mine.txt").write_text("stays")
    r.tag("late", where=[5])
    try:
        r.save(tmp_path, table="csv")
    finally:
        r.untag("late", where=[5])
    assert open_inspection(tmp_path).tagged("late").tolist() == [5]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[1:] == ["manifest.json", "mine.txt", "samples.csv"]
    assert left[0].startswith("arrays-")


def test_a_save_that_breaks_off_leaves_what_was_there(asked, tmp_path, monkeypatch):
    r, _ = asked
    r.save(tmp_path)
    before = open_inspection(tmp_path).frame
    real = lw.atomic_file.write

    def full(path, data):
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr("legrad_widget.atomic_file.write", full)
    with pytest.raises(OSError, match="No space"):
        r.save(tmp_path)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(open_inspection(tmp_path).frame, before)


def test_an_unfinished_inspection_goes_on_after_it_was_opened(model, tmp_path):
    data = world.folder(tmp_path / "data")
    r = Inspection(model, data, cache=False, batch=5)
    next(iter(r.stream()))
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved", model, cache=False)
    assert again.done == 5
    again.run(False)
    whole = Inspection(model, data, cache=False).run(False)
    assert again.frame["predicted"].tolist() == whole.frame["predicted"].tolist()


def test_pictures_that_were_no_files_have_their_thumbnails(tmp_path):
    r = world.inspected()
    r.save(tmp_path)
    again = open_inspection(tmp_path)
    assert again.thumbnail(4) == r.thumbnail(4)
    with pytest.raises(InspectionError, match="only the thumbnail"):
        again.picture(4)


def test_given_logits_are_saved_with_thumbnails(model, tmp_path):
    logits = np.random.default_rng(0).standard_normal((12, 7))
    r = Inspection(model, world.pictures(), world.labels(), logits=logits, cache=False)
    r.save(tmp_path)
    again = open_inspection(tmp_path)
    pd.testing.assert_frame_equal(again.frame, r.frame)
    assert again.thumbnail(0)[:2] == b"\xff\xd8"


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_a_file_whose_name_is_no_utf8_is_in_the_table(model, tmp_path, table):
    name = str(tmp_path / os.fsdecode(b"caf\xe9.png"))
    try:
        Image.fromarray(specimens.picture()).save(name)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only UTF-8")
    r = Inspection(model, [name], [0], cache=False).run(False)
    r.save(tmp_path / "saved", table=table)
    read = pd.read_csv if table == "csv" else pd.read_parquet
    assert read(tmp_path / "saved" / f"samples.{table}")["path"][0].endswith("caf\\udce9.png")
    again = open_inspection(tmp_path / "saved")
    assert again.frame["path"][0].endswith("caf\\udce9.png")
    assert again.picture(0).size == r.picture(0).size


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_the_table_is_for_reading(asked, tmp_path, table):
    r, _ = asked
    r.save(tmp_path, table=table)
    read = pd.read_csv if table == "csv" else pd.read_parquet
    rows = read(tmp_path / f"samples.{table}")
    assert rows["predicted"].tolist() == r.frame["predicted"].tolist()
    assert np.allclose(rows["loss"], r.frame["loss"])


def test_maps_that_memory_let_go_of_come_from_the_disk(model, tmp_path):
    r = Inspection(model, world.folder(tmp_path / "data"), cache=tmp_path / "cache").run(False)
    made = dict(r.contrasts())
    r.maps.forget()
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved")
    assert len(made) > 2
    assert all(np.array_equal(again.contrast(at).predicted, one.predicted) for at, one in made.items())


def test_without_pyarrow_it_is_csv(asked, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    asked[0].save(tmp_path)
    assert (tmp_path / "samples.csv").exists()
    with pytest.raises(InspectionError, match="pip install"):
        asked[0].save(tmp_path, table="parquet")


def break_manifest(folder, **changes):
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**said, **changes}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
        (lambda f: (f / "manifest.json").write_text("{"), "damaged: its manifest"),
        (lambda f: (f / "manifest.json").write_text("[]"), "of something else"),
        (lambda f: break_manifest(f, schema=99), "schema 99"),
        (lambda f: break_manifest(f, files={}), "damaged: its arrays"),
        (lambda f: break_manifest(f, files={"arrays": "../../secret.npz"}), "damaged: its arrays"),
        (lambda f: next(f.glob("arrays-*")).write_bytes(b"PK\x03\x04half"), "damaged: its arrays"),
        (lambda f: break_manifest(f, overlay={"nothing": 1}), "damaged"),
    ],
)
def test_a_folder_that_is_none_is_told(asked, tmp_path, damage, says):
    asked[0].save(tmp_path)
    damage(tmp_path)
    with pytest.raises(InspectionError, match=says):
        open_inspection(tmp_path)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_inspection(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(InspectionError, match="is a file"):
        world.inspected(2).save(tmp_path / "file")


def test_masks_come_back_drawn_and_given_and_are_drawn_without_the_model(model, tmp_path):
    """Where a map was kept, a mask that is drawn is compared with it; elsewhere what is missing is said."""
    given = np.zeros((60, 80), bool)
    given[10:40, 20:60] = True
    data = world.folder(tmp_path / "data")
    r = Inspection(model, data, masks=dict.fromkeys(range(12), given), boxes={12: (4, 4, 30, 30)}, cache=False)
    r.run(False)
    first, second, third = r.wrong[:3].tolist()
    r.draw_mask(first, (0, 0, 40, 60))
    r.alignment([first, second])
    r.mask_share(12)
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved")
    size = (80, 60)
    for at in (first, second, 12):
        assert np.array_equal(again.masks.of(at, size), r.masks.of(at, size))
        assert again.masks.coarse(at) == r.masks.coarse(at) == (at == 12)
    assert list(again.masks.drawn) == [first]
    again.draw_mask(first, None)
    assert np.array_equal(again.masks.of(first, size), given)

    for one in (r, again):
        one.draw_mask(second, (20, 0, 80, 60))
    pd.testing.assert_frame_equal(again.alignment([second]), r.alignment([second]))
    again.draw_mask(third, (20, 0, 80, 60))
    with pytest.raises(InspectionError, match="was not saved, and there is no model"):
        again.mask_share(third)


def test_every_mask_is_there_again_also_of_samples_that_were_not_compared(model, tmp_path):
    masks = [np.zeros((60, 80), bool) for _ in range(14)]
    for at, mask in enumerate(masks):
        mask[at : at + 20, 5:40] = True
    r = Inspection(model, world.folder(tmp_path / "data"), masks=[*masks[:13], None], cache=False).run(False)
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved", model=model, cache=False)
    for at, mask in enumerate(masks[:13]):
        assert np.array_equal(again.masks.of(at, (80, 60)), mask)
    assert again.masks.of(13, (80, 60)) is None
    everything = dict(rows=r.scored)
    pd.testing.assert_frame_equal(again.alignment(**everything), r.alignment(**everything))


def test_masks_of_samples_that_wait_are_kept_too(model, tmp_path):
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:60] = True
    r = Inspection(model, world.folder(tmp_path / "data"), masks=lambda at: mask, cache=False, batch=4)
    next(iter(r.stream()))
    r.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved", model=model, cache=False).run(False)
    assert len(again.alignment(rows=again.scored)) == 14


def test_a_flip_set_that_is_there_needs_no_picture(model, tmp_path):
    r = Inspection(model, world.folder(tmp_path / "data"), cache=False).run(False)
    first, second = r.wrong[:2].tolist()
    found = r.flip_set(first, control=0)
    r.save(tmp_path / "saved")
    (tmp_path / "data").rename(tmp_path / "gone")
    again = open_inspection(tmp_path / "saved", model=model, cache=False)
    assert np.array_equal(again.flip_set(first).removed, found.removed)
    with pytest.raises(InspectionError, match="cannot be read"):
        again.flip_set(second)


@pytest.mark.parametrize("wrong", [5, "model"])
def test_something_that_is_no_model_is_told(asked, wrong):
    with pytest.raises(TypeError, match=r"lw\.load or lw\.wrap"):
        open_inspection(asked[1], model=wrong)
