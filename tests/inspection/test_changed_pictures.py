"""A picture that is no longer the one that was scored is never explained in its place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from legrad_widget.inspection import Inspection, InspectionError
from tests.inspection import world


def files(folder, count=6):
    made = [folder / f"{number}.png" for number in range(count)]
    for path, image in zip(made, world.pictures(count), strict=True):
        Image.fromarray(image).save(path)
    return made


def test_a_file_that_changed_since_it_was_scored_is_told_and_left_out(tmp_path):
    paths, model = files(tmp_path), world.classifier()
    r = Inspection(model, paths, world.labels(6), cache=tmp_path).run(False)
    at = int(r.wrong[0])
    Image.fromarray(255 - world.pictures(6)[at]).save(paths[at])
    for ask in (r.contrast, r.flip_set, r.picture, r.source, r.encoding):
        with pytest.raises(InspectionError, match=rf"sample {at} \(.*png\) shows another picture than the one"):
            ask(at)
    assert at not in dict(r.contrasts())
    assert r.problems["sample"].tolist() == [at]
    assert len(dict(r.contrasts())) == len(r.wrong) - 1
    assert r.thumbnail(at)  # of the picture that was scored


def test_a_changed_file_does_not_spoil_what_is_kept(tmp_path):
    paths, model = files(tmp_path), world.classifier()
    r = Inspection(model, paths, world.labels(6), cache=tmp_path).run(False)
    at = int(r.wrong[0])
    good = paths[at].read_bytes()
    Image.fromarray(255 - world.pictures(6)[at]).save(paths[at])
    assert at not in dict(r.contrasts())
    paths[at].write_bytes(good)
    again = Inspection(model, paths, world.labels(6), cache=tmp_path).run(False)
    fresh = Inspection(model, paths, world.labels(6), cache=False).run(False)
    assert np.array_equal(again.contrast(at).predicted, fresh.contrast(at).predicted)


def test_a_dataset_that_draws_at_random_is_told():
    class Random:
        def __init__(self):
            self.draw = np.random.default_rng(0)

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return np.roll(world.pictures(4)[index], self.draw.integers(1, 59), 0), index

    r = Inspection(world.classifier(), Random(), cache=False).run(False)
    with pytest.raises(InspectionError, match="or its Dataset draws at random"):
        r.contrast(int(r.wrong[0]))
