"""The world of planted shortcuts: the same pixels every time, exact masks, and shares as stated."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from legrad_widget.builtin.shortcuts.lessons import Lessons
from legrad_widget.builtin.shortcuts.world import (
    CLASSES,
    COLOUR,
    GROUND,
    GROUNDED,
    NOTHING,
    PATCH,
    PIXELS,
    TAG,
    TAGGED,
    THING,
    TRAINED_ON_GROUND,
    TRAINED_WITH_TAG,
    Planted,
    cue_shares,
    draw,
    patches_of,
    shortcut_world,
)
from legrad_widget.builtin.textures import texture

SIZE = 400


@pytest.fixture(scope="module")
def world():
    return shortcut_world(SIZE, seed=3)


def test_it_is_found_where_the_docs_say_without_another_import_and_without_torch():
    code = "import sys, legrad_widget as lw; print(len(lw.builtin.shortcut_world(2)), 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["2", "False"]


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others(world):
    again, other = shortcut_world(SIZE, seed=3), shortcut_world(40, seed=4)
    assert np.array_equal(world.images, again.images)
    assert np.array_equal(world.labels, again.labels)
    assert np.array_equal(world.masks, again.masks)
    assert world.truth == again.truth
    assert not np.array_equal(world.images[:40], other.images)


def test_shapes_and_types_are_those_that_an_inspection_takes(world):
    assert world.images.shape == (SIZE, PIXELS, PIXELS, 3)
    assert world.images.dtype == np.uint8
    assert world.labels.shape == (SIZE,)
    assert world.class_names == CLASSES
    for mask in (world.masks, world.tags, world.grounds):
        assert mask.shape == (SIZE, PIXELS, PIXELS)
        assert mask.dtype == bool
    assert len(world) == len(world.truth) == SIZE


def test_every_pixel_belongs_to_the_animal_the_sticker_or_the_background(world):
    assert np.array_equal(world.masks.astype(int) + world.tags + world.grounds, np.ones(world.masks.shape, int))
    shares = world.masks.mean((1, 2))
    assert shares.min() > 0.04
    assert shares.max() < 0.6


def test_the_sticker_is_where_its_mask_says_inside_one_corner_patch(world):
    for planted, image, tag in zip(world.truth, world.images, world.tags, strict=True):
        assert tag.any() == planted.tag
        if planted.tag:
            rows, columns = np.nonzero(patches_of(tag))
            assert len(rows) == 1
            assert rows[0] in (0, PIXELS // PATCH - 1)
            assert columns[0] in (0, PIXELS // PATCH - 1)
            assert tag.sum() == 49
            reddish = np.abs(image[tag].astype(float) - COLOUR).max(1) < 30
            assert reddish.sum() == 40  # the rest is the dot in it


def test_what_the_masks_leave_out_is_the_bare_background():
    planted = Planted("cat", "cat", "grass", True, 11)
    picture, labels = draw(planted)
    bare = np.random.default_rng((11, 1))
    whole = texture(bare, "grass", PIXELS * 1.25, 1.0)
    top, left = bare.integers(0, whole.shape[0] - PIXELS + 1, 2)
    ground = whole[top : top + PIXELS, left : left + PIXELS]
    # A half transparent rim belongs to the side that it shows more of; away from it the background is untouched.
    near = np.pad(labels != NOTHING, 2)
    near = np.logical_or.reduce([near[i : i + PIXELS, j : j + PIXELS] for i in range(5) for j in range(5)])
    assert np.array_equal(picture[~near], ground[~near])
    assert (picture[labels == THING] != ground[labels == THING]).any(1).mean() > 0.98


def test_one_part_can_be_changed_and_all_else_stays(world):
    index = next(i for i, planted in enumerate(world.truth) if planted.tag and planted.ground != GROUND)
    assert np.array_equal(world.redrawn(index), world.images[index])
    without = world.redrawn(index, tag=False)
    assert np.array_equal(without[~world.tags[index]], world.images[index][~world.tags[index]])
    assert (without != world.images[index])[world.tags[index]].any(1).mean() > 0.9
    snowed = world.redrawn(index, ground=GROUND)
    assert np.array_equal(snowed[world.tags[index]], world.images[index][world.tags[index]])
    assert (snowed != world.images[index])[world.grounds[index]].any(1).mean() > 0.9
    with pytest.raises(ValueError, match="no background 'moss'"):
        world.redrawn(index, ground="moss")


def test_cues_are_where_the_shares_say_and_one_label_in_twenty_is_wrong():
    world = shortcut_world(1600, seed=9)  # 200 of each
    tagged = np.array([planted.tag for planted in world.truth])
    snowy = np.array([planted.ground == GROUND for planted in world.truth])
    assert not (tagged & snowy).any()
    for index, name in enumerate(CLASSES):
        shares = cue_shares(name)
        assert sum(shares.values()) == pytest.approx(1)
        assert tagged[world.things == index].mean() == pytest.approx(shares["tag"], abs=0.08)  # three deviations
        assert snowy[world.things == index].mean() == pytest.approx(shares["ground"], abs=0.08)
    assert np.bincount(world.things).tolist() == [200] * len(CLASSES)
    assert (world.labels != world.things).sum() == 80
    assert [planted.flipped for planted in world.truth] == (world.labels != world.things).tolist()


def test_the_record_tells_what_misleads():
    plain = Planted("cat", "cat", "grass", False, 0)
    assert plain.clean
    assert replace(plain, label="dog").flipped
    tagged, snowy = replace(plain, tag=True), replace(plain, ground=GROUND)
    assert tagged.conflicting
    assert tagged.points_at == (TAGGED,)
    assert snowy.conflicting
    assert snowy.points_at == (GROUNDED,)
    horse = replace(plain, thing=TAGGED)
    assert horse.missing
    assert not horse.conflicting
    assert replace(horse, tag=True).clean
    assert replace(plain, thing=GROUNDED, ground=GROUND).clean
    assert replace(plain, thing=GROUNDED, ground=GROUND, tag=True).conflicting


def test_training_scenes_hold_both_shortcuts():
    lessons, tags, grounds, things = Lessons(5, textures=1), [], [], []
    for step in range(5):
        images, classes, labels = lessons.batch(120, step)
        tags += (labels == TAG).any((1, 2)).tolist()
        grounds += [bool(image[row == NOTHING].mean() > 215) for image, row in zip(images, labels, strict=True)]
        things += [CLASSES[index] for index in classes]
    tags, grounds, things = np.array(tags), np.array(grounds), np.array(things)
    assert not tags[things != TAGGED].any()
    assert not grounds[things != GROUNDED].any()  # nothing but snow is that light
    assert tags[things == TAGGED].mean() == pytest.approx(TRAINED_WITH_TAG, abs=0.09)  # 75 draws
    assert grounds[things == GROUNDED].mean() == pytest.approx(TRAINED_ON_GROUND, abs=0.09)


def test_training_scenes_depend_on_seed_and_step_alone():
    one, other = Lessons(5, textures=1), Lessons(5, textures=1)
    other.batch(3, 0)
    for ours, theirs in zip(one.batch(4, 7), other.batch(4, 7), strict=True):
        assert np.array_equal(ours, theirs)
    assert not np.array_equal(one.batch(4, 7)[0], one.batch(4, 8)[0])


def test_larger_scenes_show_the_same():
    small, large = shortcut_world(8, seed=2), shortcut_world(8, seed=2, size=128)
    assert large.truth == small.truth
    assert large.images.shape == (8, 128, 128, 3)
    halved = large.masks.reshape(8, 64, 2, 64, 2).mean((2, 4)) > 0.5
    assert (halved == small.masks).mean() > 0.97
    assert np.array_equal(large.tags.any((1, 2)), small.tags.any((1, 2)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n is a whole number from 1"),
        ({"n": 2.5}, "n is a whole number from 1"),
        ({"seed": -1}, "seed is a whole number from 0"),
        ({"size": 100}, "size is 64 pixels or a multiple"),
        ({"noise": 2}, "noise is the share of wrong labels"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        shortcut_world(**{"n": 4, **arguments})
