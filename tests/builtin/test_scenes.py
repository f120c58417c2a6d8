"""Scenes: what was asked for is there, every pixel is accounted for, and the same arguments give the same picture."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from legrad_widget.builtin import EXAMPLES, Vocabulary, example, scene, showcase
from legrad_widget.builtin.compose import find_place, paste
from legrad_widget.builtin.sprites import sheet, sheet_names

NOUNS = Vocabulary().nouns


def test_paste_composites_exactly_and_labels_what_is_opaque():
    image = np.full((4, 4, 3), 100, np.uint8)
    labels = np.zeros((4, 4), np.uint8)
    sprite = np.zeros((2, 2, 4), np.uint8)
    sprite[0, 0] = (200, 0, 50, 255)
    sprite[0, 1] = (200, 0, 50, 51)  # a fifth
    sprite[1, 0] = (200, 0, 50, 128)
    paste(image, labels, sprite, 1, 2, 7)
    assert image[1, 2].tolist() == [200, 0, 50]
    assert image[1, 3].tolist() == [120, 80, 90]
    assert image[2, 3].tolist() == [100, 100, 100]
    assert labels.tolist() == [[0, 0, 0, 0], [0, 0, 7, 0], [0, 0, 7, 0], [0, 0, 0, 0]]


def test_a_place_is_found_where_there_is_room_and_none_where_there_is_not():
    labels = np.ones((8, 8), np.uint8)
    assert find_place(np.random.default_rng(0), labels, 3, 3, overlap=0.1, tries=50) is None
    labels[:, 4:] = 0
    top, left = find_place(np.random.default_rng(0), labels, 3, 3, overlap=0.0, tries=200)
    assert not labels[top : top + 3, left : left + 3].any()


def test_masks_are_where_the_picture_differs_from_its_background():
    alone = scene(["cat"], "night sky", seed=5)
    empty = scene(["key"], "night sky", seed=5)
    mask = alone.mask("cat")
    differs = (np.asarray(alone.image) != np.asarray(empty.image)).any(-1)
    outside = ~mask & ~empty.mask("key")
    assert differs[mask].mean() > 0.99
    assert differs[outside].mean() < 0.02  # soft edges only
    assert mask.sum() > 0.04 * mask.size


def test_masks_of_objects_and_background_share_out_every_pixel():
    picture = scene(["cat", "pizza", "rocket", "key"], "snow", seed=2)
    parts = [picture.mask(name) for name in (*picture.objects, picture.background)]
    assert (np.sum(parts, axis=0) == 1).all()
    for name, (left, top, right, bottom) in zip(picture.objects, picture.boxes, strict=True):
        inside = np.zeros(picture.labels.shape, bool)
        inside[top:bottom, left:right] = True
        mask = picture.mask(name)
        assert (mask <= inside).all()
        assert mask[top].any()
        assert mask[bottom - 1].any()
        assert mask[:, left].any()
        assert mask[:, right - 1].any()


@pytest.mark.parametrize("start", range(0, len(NOUNS), 35))
def test_every_noun_can_be_drawn_at_three_patches_or_more(start):
    for index, noun in enumerate(NOUNS[start : start + 35]):
        picture = scene(noun, "sand", seed=index, size=128)
        assert picture.objects == (noun,)
        left, top, right, bottom = picture.boxes[0]
        assert max(right - left, bottom - top) >= 3 / 8 * 128, noun
        assert picture.mask(noun).sum() > 150, noun


@pytest.mark.parametrize("background", Vocabulary().backgrounds)
def test_every_background_can_be_drawn(background):
    picture = scene("duck", background, size=64)
    assert picture.background == background
    assert picture.mask(background).sum() == 64 * 64 - picture.mask("duck").sum()


def test_the_same_arguments_give_the_same_pixels_and_another_seed_does_not():
    one, two, other = scene(seed=4), scene(seed=4), scene(seed=5)
    assert one.image.tobytes() == two.image.tobytes()
    assert (one.labels == two.labels).all()
    assert (one.objects, one.background) == (two.objects, two.background)
    assert one.image.tobytes() != other.image.tobytes()


def test_objects_hide_little_of_one_another():
    for seed in range(12):
        picture = scene(["dog", "bus", "tree", "cake"], seed=seed, size=128)
        smallest = min(int((picture.labels == index + 1).sum()) for index in range(4))
        assert smallest > 500, seed


def test_names_may_be_synonyms_plurals_and_capitals():
    picture = scene(["Kitten", "buses", "SOCCER BALL"], "Lawn", size=64)
    assert picture.objects == ("cat", "bus", "football")
    assert picture.background == "grass"
    assert (picture.mask("kitten") == picture.mask("cat")).all()


def test_two_of_a_kind_share_a_mask_but_not_a_box():
    picture = scene(["ant", "ant"], seed=1, size=64)
    assert len(set(picture.boxes)) == 2
    assert picture.mask("ant").sum() == (picture.labels > 0).sum()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"objects": ["zebrafish"]}, ValueError, "no picture of 'zebrafish'; try: 'fish'"),
        ({"objects": ["snow"]}, ValueError, "background='snow'"),
        ({"objects": ["cat"] * 5}, ValueError, "one to 4 objects, not 5"),
        ({"objects": []}, ValueError, "one to 4 objects, not 0"),
        ({"objects": [3]}, TypeError, "names such as 'cat'"),
        ({"background": "lava"}, ValueError, "no background 'lava'; there are grass"),
        ({"background": 7}, TypeError, "such as 'grass'"),
        ({"size": 16}, ValueError, "from 32 to 1024, not 16"),
        ({"size": 100_000}, ValueError, "from 32 to 1024"),
        ({"seed": -1}, ValueError, "from 0 up, not -1"),
        ({"source": "openmoji"}, ValueError, "no sprite sheet 'openmoji' is installed here, only"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(arguments, error, says):
    with pytest.raises(error, match=says):
        scene(**arguments)


def test_a_mask_of_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no 'dog' in this scene; it shows cat on wood"):
        scene("cat", "wood", size=64).mask("dog")


def test_a_scene_shows_itself_and_cannot_be_changed():
    picture = scene("cat", size=64)
    assert Image.open(io.BytesIO(picture._repr_png_())).tobytes() == picture.image.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        picture.labels[0, 0] = 1
    with pytest.raises(AttributeError):
        picture.objects = ()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_what_they_say(name):
    picture = example(name)
    assert picture.objects == EXAMPLES[name].objects
    assert picture.image.size == (256, 256)
    assert EXAMPLES[name].shows.endswith(".")


def test_the_showcase_is_an_example_and_an_unknown_one_is_refused():
    assert showcase() is example("showcase")
    with pytest.raises(ValueError, match="no example 'nothing'; there are showcase"):
        example("nothing")


def test_the_held_out_sources_are_not_for_training():
    assert {"streamline", "twemoji", "openmoji"}.isdisjoint(sheet_names("train"))
    assert sheet_names("validation") == ("streamline",)
    assert sheet_names("test") == ("twemoji",)
    assert set(sheet("twemoji").nouns) == set(NOUNS) == set(sheet("noto").nouns)


def test_scenes_need_neither_torch_nor_open_clip():
    code = "import sys; from legrad_widget.builtin import scene; scene(seed=1); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
