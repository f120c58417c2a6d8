"""Bad input says what it is, and the inspection goes on where it can."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import legrad_widget as lw
from legrad_widget.inspection import (
    Inspection,
    InspectionError,
    InspectionWarning,
    Overlay,
    Thresholds,
    open_inspection,
)
from tests import specimens
from tests.inspection import world

NAMES = world.NAMES


def make(images=None, labels=None, **options):
    images = world.pictures() if images is None else images
    labels = world.labels() if labels is None else labels
    model = options.pop("model", None) or world.classifier()
    return Inspection(model, images, labels, **{"cache": False, "batch": 4, **options})


def changed(values, **places):
    values = list(values)
    for place, value in places.items():
        values[int(place[1:])] = value
    return values


def files(folder: Path):
    """Twelve files, of which two cannot be read and one is not there."""
    paths = []
    for index, image in enumerate(world.pictures()):
        paths.append(folder / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    paths[3].write_bytes(b"this is no picture")
    paths[6].write_bytes(paths[6].read_bytes()[:200])
    paths[9].unlink()
    return [str(path) for path in paths]


class Failing(torch.utils.data.Dataset):
    """Items that raise what decoders and Datasets raise."""

    def __init__(self):
        self.raised = {1: RuntimeError("worker died"), 5: KeyError("row 5"), 7: OSError("no such disk")}

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index in self.raised:
            raise self.raised[index]
        return world.pictures()[index], world.labels()[index]


# ------------------------------------------------------------ one sample is skipped, the others go on

SKIPPED = {
    "labels out of range": (lambda: make(labels=changed(world.labels(), _2=7, _5=-1)), {2: "label", 5: "label"}),
    "names that no class has": (
        lambda: make(labels=changed([NAMES[i] for i in world.labels()], _4="wolf")),
        {4: "label"},
    ),
    "no label": (lambda: make(labels=changed(world.labels(), _0=None, _1=float("nan"))), {0: "label", 1: "label"}),
    "a label that is none": (lambda: make(labels=changed(world.labels(), _0=2.5, _1=[1])), {0: "label", 1: "label"}),
    "not a picture": (
        lambda: make(changed(world.pictures(), _2=object(), _8=None)),
        {2: "unreadable", 8: "unreadable"},
    ),
    "NaN in a picture": (
        lambda: make(changed(world.pictures(), _3=np.full((60, 60, 3), np.nan, np.float32))),
        {3: "unreadable"},
    ),
    "a tensor of another size": (
        lambda: make(changed(world.pictures(), _3=torch.zeros(3, 64, 64))),
        {3: "unreadable"},
    ),
    "a Dataset that raises": (
        lambda: Inspection(world.classifier(), Failing(), cache=False),
        {1: "unreadable", 5: "unreadable", 7: "unreadable"},
    ),
    "NaN logits": (
        lambda: make(logits=changed(np.eye(12, 7), _2=np.full(7, np.nan), _4=np.full(7, np.inf))),
        {2: "not finite", 4: "not finite"},
    ),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_a_bad_sample_is_listed_skipped_and_counted(case):
    build, bad = SKIPPED[case]
    labels = [at for at, kind in bad.items() if kind == "label"]
    told = f"{len(labels)} of 12 labels fit no class.*; sample {labels[0]}: " if labels else ""
    with pytest.warns(InspectionWarning, match=told) if labels else nullcontext():
        r = build()
    r.run(False)
    assert r.complete
    assert dict(zip(r.problems["sample"], r.problems["kind"], strict=True)) == bad
    assert r.problems["says"].str.len().gt(5).all()
    assert sorted(set(range(12)) - set(bad)) == r.scored.tolist()
    assert f"{len(bad)} skipped" in repr(r)
    rows = r.frame
    for at, kind in bad.items():
        assert rows.loc[at, "status"] == kind
        assert pd.isna(rows.loc[at, "correct"])
        assert pd.isna(rows.loc[at, "loss"])
        with pytest.raises(InspectionError, match=re.escape(f"it was skipped: {rows.loc[at, 'problem']}")):
            r.contrast(at)
    assert rows["problem"].ne("").tolist() == [at in bad for at in range(12)]
    assert r.confusion()["count"].sum() == len(r.wrong)


def test_unreadable_files_in_the_middle(tmp_path):
    r = make(files(tmp_path)).run(False)
    assert r.problems["sample"].tolist() == [3, 6, 9]
    assert r.problems["kind"].eq("unreadable").all()
    assert r.problems["path"].tolist() == [r.frame.loc[at, "path"] for at in (3, 6, 9)]
    assert len(r.scored) == 9
    clean = make().run(False)
    assert r.frame.loc[r.scored, "predicted"].tolist() == clean.frame.loc[r.scored, "predicted"].tolist()


def test_a_picture_that_goes_away_later_is_told(tmp_path):
    paths = files(tmp_path)
    r = make(paths).run(False)
    at = int(r.wrong[0])
    Path(paths[at]).unlink()
    with pytest.raises(InspectionError, match=re.escape(paths[at])):
        r.contrast(at)
    assert r.thumbnail(at)[:2] == b"\xff\xd8"


def test_a_picture_that_is_gone_is_left_out_of_what_is_asked_of_many(tmp_path):
    paths = files(tmp_path)
    r = make(paths).run(False)
    gone, *left = r.wrong.tolist()
    Path(paths[gone]).unlink()
    assert sorted(at for at, _ in r.contrasts()) == left
    assert r.problems.query("kind == 'map'")["sample"].tolist() == [gone]
    found = r.clusters(2)
    assert sorted(at for card in found for at in card.members) == left
    assert gone not in r.calibrate(12, ["legrad"], flips=False, show=False).samples
    assert len(r.problems.query("kind == 'map'")) == 1  # told once
    assert r.status(gone) == "scored"


def test_classes_that_are_the_same_to_the_model_have_no_contrast():
    names = ["cat"] * 2 + ["dog", "eel"]
    r = make(labels=[1] * 12, model=world.clip(), class_names=names).run(False)
    same = r.cell(true=1, predicted=0).tolist()
    assert same, "the first of two equal classes wins"
    assert sorted(at for at, _ in r.contrasts()) == sorted(set(r.wrong.tolist()) - set(same))
    assert r.problems.query("kind == 'map'")["sample"].tolist() == same
    with pytest.raises(lw.TargetError, match=r"apart from itself|are the same"):
        r.contrast(same[0])


def test_the_models_own_nan_is_told():
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=NAMES)
    r = make(model=model)
    with torch.no_grad():
        module.head.bias[0] = float("nan")
    with pytest.raises(InspectionError, match=r"not one of the 12 samples can be used; sample 0: .*NaN"):
        r.run(False)


def test_duplicates_count_twice_and_are_told(tmp_path):
    paths = files(tmp_path)
    r = make([*paths[:3], *paths[:2]], [0, 1, 2, 0, 4]).run(False)
    assert r.problems["sample"].tolist() == [3, 4]
    assert r.problems["kind"].eq("duplicate").all()
    assert r.problems["says"].tolist()[1].startswith("the same file as sample 1")
    assert len(r.scored) == 5
    assert "skipped" not in repr(r)


@pytest.mark.parametrize("labels", [[2] * 12, ["cat"] * 12])
def test_one_class_only(labels):
    r = make(labels=labels).run(False)
    assert r.confusion(errors_only=False)["count"].sum() == 12
    assert set(r.confusion()["true"]) <= {"cat"}
    assert r.frame["disagreement"].eq(0).all()
    assert len(r.reliability.pair_auc) == 3
    assert r.neighbours(0).correct_true is not None


def test_no_errors_at_all():
    right = make().run(False).records["predicted"].tolist()
    r = make(labels=right).run(False)
    assert len(r.wrong) == 0
    assert r.errors.empty
    assert r.confusion().empty
    assert r.confusion_matrix().to_numpy().sum() == 12
    assert list(r.contrasts()) == []
    assert r.sorted("confident_errors").empty
    assert len(r.calibrate(2, ["legrad"], flips=False, show=False).samples) == 2  # the least certain right answers
    with pytest.raises(InspectionError, match="at least two errors; there are none"):
        r.clusters()
    assert "0 of 12 samples wrong" in repr(r)


BAD_MASKS = {
    "another size": (np.ones((5, 5), bool), "5 x 5 pixels and its picture 60 x 60"),
    "empty": (np.zeros((60, 60), bool), "is empty"),
    "three axes too many": (np.ones((1, 1, 60, 60), bool), "is \\[1, 1, 60, 60\\]"),
    "no file": ("nowhere.png", "cannot be read"),
    "words": (np.array([["a"] * 60] * 60), "True on the object"),
    "no numbers": (np.full((60, 60), np.nan), "not a number"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_a_mask_that_does_not_fit_is_listed_and_left_out(case):
    bad, says = BAD_MASKS[case]
    good = np.zeros((60, 60), bool)
    good[:30] = True
    base = make().run(False)
    first, second = base.wrong[:2].tolist()
    r = make(masks={first: bad, second: good}).run(False)
    with pytest.warns(InspectionWarning, match=f"one mask cannot be used.*; sample {first}: .*{says}"):
        assert r.alignment().index.tolist() == [second]
    assert r.problems["sample"].tolist() == [first]
    assert r.problems["kind"].tolist() == ["mask"]
    assert re.search(says, r.problems["says"][0])
    assert r.frame.loc[first, "status"] == "scored"
    with pytest.warns(InspectionWarning, match="one mask"):
        r.alignment()
    assert len(r.problems) == 1  # listed once


def test_another_overlay_or_other_thresholds_are_checked_when_they_are_set():
    r = make().run(False)
    r.overlay = "legrad"
    assert r.overlay == Overlay("legrad")
    for overlay, error in ((5, InspectionError), ("legrade", Exception)):
        with pytest.raises(error, match=r"arrived: 5|legrad"):
            r.overlay = overlay
    with pytest.raises(InspectionError, match=r"Thresholds\(iou"):
        r.thresholds = (0.1, 0.2, 0.3)
    assert r.overlay == Overlay("legrad")
    assert r.thresholds == Thresholds()


def test_maps_are_not_ranked_by_what_is_not_measured():
    r = make().run(False)
    with pytest.raises(InspectionError, match="flips=False leaves out"):
        r.calibrate(2, by="flip_size", flips=False)
    with pytest.raises(InspectionError, match="ranks by masks, and there are none"):
        r.calibrate(2, by="mask_precision")
    assert r.calibrate(2, "legrad", flips=False, show=False).best == Overlay("legrad")


def test_templates_may_come_one_by_one():
    names = dict(model=world.clip(), class_names=NAMES, labels=[0] * 12)
    r, plain = (make(**names, templates=given) for given in ((t for t in ["a {}", "the {}"]), ["a {}", "the {}"]))
    assert r.templates == plain.templates == ("a {}", "the {}")


def test_probabilities_in_the_place_of_logits_are_told():
    chances = np.full((12, 7), 1 / 7)
    chances[3] = np.nan  # skipped, as ever
    with pytest.warns(InspectionWarning, match=r"look like probabilities.*np.log"):
        make(logits=chances)
    make(logits=np.log(chances))


def test_a_function_that_fails_for_one_mask_leaves_out_that_one():
    mask = np.zeros((60, 60), bool)
    mask[:30] = True
    first, second = make().run(False).wrong[:2].tolist()
    r = make(masks=lambda at: {second: mask}[at]).run(False)
    with pytest.warns(InspectionWarning, match=f"sample {first}: its mask cannot be had: KeyError: {first}"):
        assert r.alignment([first, second]).index.tolist() == [second]
    r = make(boxes=lambda at: 1 / 0).run(False)
    with pytest.warns(InspectionWarning, match="its box cannot be had: ZeroDivisionError"):
        assert r.alignment([first]).empty


@pytest.mark.parametrize("box", [(1, 2, 3), "left", (70, 70, 90, 90), (5, 5, 5, 5), (float("nan"), 0, 5, 5)])
def test_a_box_that_holds_nothing_is_listed(box):
    r = make(boxes=dict.fromkeys(range(12), box)).run(False)
    with pytest.warns(InspectionWarning, match=f"{len(r.wrong)} masks of {len(r.wrong)} samples cannot be used"):
        assert r.alignment().empty
    assert r.problems["kind"].eq("mask").all()


def test_class_names_with_html_are_text(tmp_path):
    names = [f"<img src=x onerror=alert({i})>" for i in range(6)] + ['a & b, "quoted"\n']
    r = make(model=lw.wrap(specimens.timm_vit(), class_names=names)).run(False)
    assert r.frame["label"][6] == names[6]
    r.save(tmp_path)
    assert open_inspection(tmp_path).class_names == tuple(names)
    assert open_inspection(tmp_path).frame["label"].tolist() == r.frame["label"].tolist()


def test_an_interrupted_run_is_whole_as_far_as_it_went():
    r = make()

    def stop(done, total):
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        r.run(stop)
    assert (r.done, len(r.scored)) == (4, 4)
    assert r.frame["status"].tolist() == ["scored"] * 4 + ["pending"] * 8
    assert r.frame["disagreement"].isna().all()
    assert r.confusion()["count"].sum() == len(r.wrong)
    with pytest.raises(InspectionError, match="run\\(\\) has not come to it yet"):
        r.curve(7)


# ------------------------------------------------------------ nothing can be inspected

REFUSED = {
    "more labels than pictures": (lambda: make(labels=[*world.labels(), 1]), "12 pictures and 13 labels"),
    "fewer labels": (lambda: make(labels=[0]), "12 pictures and 1 labels"),
    "no pictures": (lambda: make([], []), "nothing to inspect"),
    "no labels": (lambda: Inspection(world.classifier(), world.pictures()), "there are no labels"),
    "a folder that is not there": (lambda: make("nowhere"), "nowhere is not there"),
    "labels as a dict": (lambda: make(labels={"a": 1}), "one label per picture"),
    "a table": (lambda: make(pd.DataFrame({"path": ["a"]})), "pass the one with the paths"),
    "one picture": (lambda: make(Image.new("RGB", (60, 60))), "a list of pictures"),
    "a generator": (lambda: make(iter([1, 2])), "a list of pictures"),
    "no model": (lambda: Inspection(world.pictures(), world.labels()), "the model comes first"),
    "a bare module": (lambda: Inspection(specimens.timm_vit(), world.pictures(), world.labels()), "lw.wrap"),
    "a CLIP without names": (lambda: make(model=world.clip()), "class_names="),
    "a CLIP without a tokenizer": (lambda: make(model=lw.wrap(specimens.clip())), "tokenizer"),
    "a backbone": (lambda: make(model=lw.wrap(specimens.timm_vit(num_classes=0))), "head"),
    "names for other outputs": (lambda: make(class_names=["a", "b"]), "has 7 classes; class_names has 2"),
    "one class": (lambda: make(model=world.clip(), class_names=["cat"]), "never wrong"),
    "names as a word": (lambda: make(class_names="cat"), "list of names"),
    "a blank name": (lambda: make(model=world.clip(), class_names=["cat", " "]), "blank"),
    "templates for a classifier": (lambda: make(templates=["a {}"]), "templates are for prompts"),
    "a template without a place": (
        lambda: make(model=world.clip(), class_names=NAMES, templates=["a photo"]),
        "one {} where",
    ),
    "logits of other classes": (lambda: make(logits=np.zeros((12, 3))), r"\[12, 7\]"),
    "logits of other pictures": (lambda: make(logits=np.zeros((3, 7))), "12 in all"),
    "embeddings alone": (lambda: make(embeddings=np.zeros((12, 3))), "go with the logits"),
    "a size that no memory holds": (lambda: make(size=2**20), r"makes 4294967297 tokens: .* GiB"),
    "a size between patches": (lambda: make(size=50), "multiple of the 16 x 16"),
    "no whole batch": (lambda: make(batch=0), "batch is a whole number from 1"),
    "masks of others": (lambda: make(masks=[None] * 3), "one for each of the 12"),
    "masks of samples that are not there": (lambda: make(masks={1: None, "2": None, 12: None}), "has '2', 12"),
    "masks as a word": (lambda: make(masks="folder"), "a list with one per picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_inspected_says_why(case):
    build, says = REFUSED[case]
    with pytest.raises((InspectionError, TypeError, ValueError), match=says):
        build()


def test_nothing_readable_is_an_error_that_names_the_first():
    with pytest.raises(InspectionError, match=r"not one of the 3 samples can be used; sample 0 \(a\.png\)"):
        make(["a.png", "b.png", "c.png"], [0, 1, 2]).run(False)


def test_fit_is_checked_before_anything_runs():
    with pytest.raises(ValueError, match="fit is"):
        make(fit="stretch")


@pytest.fixture(scope="module")
def done():
    return make().run(False)


@pytest.mark.parametrize("index", [12, -1, 1.5, "3", True, None])
@pytest.mark.parametrize("call", ["curve", "contrast", "flip_set", "neighbours", "picture", "thumbnail", "encoding"])
def test_a_sample_that_is_not_there(done, call, index):
    with pytest.raises(InspectionError, match=r"samples go from 0 to 11|a sample's number is a whole number"):
        getattr(done, call)(index)


def test_a_cache_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InspectionError, match="cache=False"):
        make(cache=tmp_path / "file")
    monkeypatch.setenv("LEGRAD_WIDGET_CACHE", str(tmp_path / "file"))
    with pytest.warns(InspectionWarning, match="nothing is kept now"):  # nobody asked for it
        r = make(cache=True)
    assert r.run(False).complete
