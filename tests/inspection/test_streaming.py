"""Batches stream, stop, go on, and nothing is computed twice, not even after a restart."""

from __future__ import annotations

import sqlite3
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection import Inspection, InspectionWarning
from legrad_widget.inspection.cache import Cache
from legrad_widget.inspection.identity import digest, digest_of_picture
from tests import specimens
from tests.inspection import world


class Counted:
    """How many pictures go through a model's own forward."""

    def __init__(self, module):
        self.count = 0
        self.handle = module.register_forward_hook(self)

    def __call__(self, _module, args, _output):
        self.count += len(args[0])


@pytest.fixture
def counted():
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    return model, Counted(module.blocks[0])


def fresh(model, folder, count=12, **options):
    return Inspection(model, world.pictures(count), world.labels(count), cache=folder, batch=4, **options)


def test_batches_come_in_order_and_add_up(counted, tmp_path):
    r = fresh(counted[0], tmp_path)
    seen = []
    for part in r.stream():
        seen.append(part.tolist())
        assert r.done == sum(map(len, seen))
        assert r.frame["status"].eq("scored").sum() == r.done
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert counted[1].count == 12


def test_stopping_keeps_what_is_there_and_the_next_call_goes_on(counted, tmp_path):
    r = fresh(counted[0], tmp_path)
    next(iter(r.stream()))
    assert (r.done, r.complete) == (4, False)
    assert "8 pending" in repr(r)
    r.run(False)
    assert counted[1].count == 12


def test_nothing_is_computed_twice_after_a_restart(counted, tmp_path):
    model, count = counted
    next(iter(fresh(model, tmp_path).stream()))
    assert count.count == 4
    again = fresh(model, tmp_path).run(False)
    assert count.count == 12
    third = fresh(model, tmp_path).run(False)
    assert count.count == 12
    pd.testing.assert_frame_equal(again.frame, third.frame)
    assert third.thumbnail(3) == again.thumbnail(3)


def test_the_same_picture_with_the_same_label_is_computed_once(counted, tmp_path):
    model, count = counted
    images = [world.pictures()[0]] * 5
    Inspection(model, images, [1, 1, 1, 2, 2], cache=tmp_path).run(False)
    assert count.count == 2


@pytest.mark.parametrize("change", ["weights", "names", "fit", "size", "label", "picture"])
def test_whatever_an_answer_depends_on_makes_it_new(tmp_path, change):
    module = specimens.clip()
    tokenizer = world.clip().text._tokenizer
    Inspection(
        lw.wrap(module, tokenizer=tokenizer),
        world.pictures(3, 60, 80),
        [0, 1, 2],
        class_names=world.NAMES,
        cache=tmp_path,
    ).run(False)
    images, labels, names, options = world.pictures(3, 60, 80), [0, 1, 2], list(world.NAMES), {}
    if change == "weights":
        with torch.no_grad():
            module.visual.proj.mul_(1.01)
    elif change == "names":
        names[6] = "goat"
    elif change == "label":
        labels = [1, 2, 3]
    elif change == "picture":
        images = [255 - image for image in images]
    else:
        options = {"fit": "crop"} if change == "fit" else {"size": 64}
    model = lw.wrap(module, tokenizer=tokenizer)
    count = Counted(module.visual.transformer.resblocks[0])
    Inspection(model, images, labels, class_names=names, cache=tmp_path, **options).run(False)
    assert count.count > 0


def test_progress_is_told_and_may_cancel(counted, tmp_path):
    r, told = fresh(counted[0], tmp_path), []

    def progress(done, total):
        told.append((done, total))
        if done == 8:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        r.run(progress)
    assert told == [(4, 12), (8, 12)]
    assert r.done == 8
    r.run(False)
    assert counted[1].count == 12


def test_an_interruption_loses_nothing_and_is_told(counted, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.warns(InspectionWarning, match="stopped after 4 of 12"):
        r = fresh(counted[0], tmp_path).run(interrupt)
    assert r.done == 4
    assert r.run(False).complete
    assert counted[1].count == 12


def test_a_damaged_cache_is_put_aside(counted, tmp_path):
    fresh(counted[0], tmp_path).run(False)
    (tmp_path / "results.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.warns(InspectionWarning, match="damaged"):
        r = fresh(counted[0], tmp_path)
    assert r.run(False).complete
    assert (tmp_path / "results.damaged").exists()
    assert counted[1].count == 24


def test_the_users_cache_folder_is_the_default(counted, tmp_path, monkeypatch):
    monkeypatch.setenv("LEGRAD_WIDGET_CACHE", str(tmp_path / "named"))
    Inspection(counted[0], world.pictures(2), [0, 1]).run(False)
    assert (tmp_path / "named" / "results.sqlite").exists()
    monkeypatch.delenv("LEGRAD_WIDGET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    Inspection(counted[0], world.pictures(2), [0, 1]).run(False)
    assert (tmp_path / "xdg" / "legrad_widget" / "results.sqlite").exists()


def test_a_value_that_was_cut_off_is_computed_again(counted, tmp_path):
    fresh(counted[0], tmp_path).run(False)
    with sqlite3.connect(tmp_path / "results.sqlite") as base:
        base.execute("UPDATE kept SET value = substr(value, 1, 10)")
    base.close()
    assert fresh(counted[0], tmp_path).run(False).complete
    assert counted[1].count == 24


def test_the_cache_gives_what_was_put(tmp_path):
    cache = Cache(tmp_path)
    values = {digest(i): bytes([i % 256]) * 5 for i in range(1200)}
    cache.put("score", values)
    cache.close()
    again = Cache(tmp_path)
    assert again.get("score", values) == values
    assert again.get("maps", values) == {}
    again.close()
    assert again.get("score", values) == {}


def test_digests_tell_pictures_apart(tmp_path):
    image = world.pictures()[0]
    assert digest_of_picture(image) == digest_of_picture(image.copy())
    assert digest_of_picture(image) != digest_of_picture(image[::-1])
    assert digest(image) != digest(image.reshape(-1))
    assert digest("a", "bc") != digest("ab", "c")
    half = torch.arange(4, dtype=torch.bfloat16)
    assert digest(half) == digest(half.clone())
    assert digest(half) != digest(half.float())


def test_streaming_writes_nothing_to_the_screen(counted, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(fresh(counted[0], tmp_path).stream())
    assert capsys.readouterr() == ("", "")
    assert np.all(fresh(counted[0], tmp_path).run(True).scored == np.arange(12))
    assert "12/12" in capsys.readouterr().err
