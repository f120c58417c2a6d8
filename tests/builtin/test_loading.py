"""The shipped model: the file is the one described, it loads fast, and it is a stock open_clip CLIP that works."""

import time

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import legrad_widget as lw
from legrad_widget.builtin import EXAMPLES, Vocabulary, example, load, scene, showcase
from legrad_widget.builtin.loading import FOLDER, WEIGHTS, manifest, shipped_weights, weights_hash
from legrad_widget.builtin.sprites import sheet_names


@pytest.fixture(scope="module")
def builtin():
    return load()


def test_the_file_is_the_one_that_the_manifest_describes():
    assert weights_hash() == manifest()["sha256"]
    assert (FOLDER / WEIGHTS).stat().st_size <= 8_000_000


def test_the_manifest_says_how_it_was_made_and_how_well_it_does():
    held = manifest()
    training = held["training"]
    assert training["steps"] == sum(stage["steps"] for stage in training["stages"])
    assert training["sheets"] == list(sheet_names("train"))
    assert training["mask_supervision"] == any(stage["dense"] > 0 for stage in training["stages"])
    assert training["stages"][-1]["decay"]
    assert {"validation", "test"} <= set(held["metrics"])
    support = held["support"]
    assert 0 < support["probability"] < 1
    assert 0 <= support["false_fade"] < 0.5
    assert 0 <= support["false_show"] < 0.5


def test_it_loads_in_under_a_second(builtin, record_property):
    began = time.perf_counter()
    load()
    seconds = time.perf_counter() - began
    record_property("seconds", round(seconds, 3))
    assert seconds < 5  # the promise is 1 s; the slack is for a busy machine


def test_it_is_a_stock_clip_in_eval_mode_and_float32(builtin):
    clip = builtin.clip
    assert type(clip) is open_clip.CLIP
    assert not clip.training
    assert type(clip.visual) is open_clip.transformer.VisionTransformer
    assert len(clip.visual.transformer.resblocks) == 6
    assert {parameter.dtype for parameter in clip.parameters()} == {torch.float32}
    assert clip.visual.pool_type == "tok"
    assert clip.visual.image_size == (64, 64)


def test_two_loads_share_nothing(builtin):
    other = load()
    with torch.no_grad():
        other.clip.logit_bias += 1
    assert float(builtin.clip.logit_bias.detach()) != float(other.clip.logit_bias.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_it_takes_a_floating_point_dtype(dtype):
    clip = load(dtype=dtype).clip
    assert {parameter.dtype for parameter in clip.parameters()} == {dtype}


@pytest.mark.parametrize("dtype", [torch.int8, "float16", 16])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(TypeError, match="floating-point dtype such as"):
        load(dtype=dtype)


def test_preprocessing_is_what_it_was_trained_with(builtin):
    grey = builtin.preprocess(Image.new("RGB", (64, 64), (128, 128, 128)))
    assert grey.shape == (3, 64, 64)
    torch.testing.assert_close(grey, torch.full((3, 64, 64), (128 / 255 - 0.5) / 0.25))
    assert builtin.preprocess(Image.new("RGB", (256, 256))).shape == (3, 64, 64)


def test_it_recognises_the_objects_of_the_showcase(builtin):
    picture = showcase()
    nouns = Vocabulary().nouns
    with torch.no_grad():
        seen = builtin.clip.encode_image(builtin.preprocess(picture.image)[None], normalize=True)
        said = builtin.clip.encode_text(builtin.tokenizer([f"a photo of a {noun}" for noun in nouns]), normalize=True)
    best = (seen @ said.T)[0].topk(6).indices.tolist()
    assert {nouns[index] for index in best} >= set(picture.objects)


def test_shipped_weights_can_start_a_training():
    weights = shipped_weights()
    assert {value.dtype for value in weights.values()} == {torch.float32}
    load().clip.load_state_dict(weights)


def test_legrad_finds_the_prompted_object_far_better_than_raw_attention():
    from legrad_widget.evaluate import localisation, min_max

    model, maps, masks = lw.load("builtin"), {"legrad": [], "raw_attention": []}, []
    for seed in range(22):
        picture = scene(seed=seed, size=64)
        masks += [picture.mask(noun) for noun in picture.objects]
        encoding = model.encode(picture.image)
        for method, of in maps.items():
            of += [x.heatmap("image") for x in encoding.explain(list(picture.objects), method=method)]
    found = {method: localisation(min_max(np.stack(of)), np.stack(masks)) for method, of in maps.items()}
    assert len(masks) >= 64
    assert found["legrad"].miou > 0.70
    assert found["legrad"].pointing > 0.75
    assert found["legrad"].miou > found["raw_attention"].miou + 0.12
    assert found["legrad"].pointing > found["raw_attention"].pointing + 0.3


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_prompt_of_an_example_means_its_object_more_than_the_others(name):
    picture = example(name)
    found = lw.load("builtin").encode(picture.image).explain(list(picture.objects))
    for noun, x in zip(picture.objects, found, strict=True):
        heat = x.heatmap("image")
        means = {other: heat[picture.mask(other)].mean() for other in (*picture.objects, picture.background)}
        assert max(means, key=means.get) == noun
        assert x.supported, noun


def test_present_things_are_supported_and_absent_ones_are_not():
    model, right, asked = lw.load("builtin"), 0, 0
    nouns = Vocabulary().nouns
    for seed in range(12):
        picture = scene(seed=seed, size=128)
        absent = [
            noun for noun in np.random.default_rng(seed).permutation(nouns).tolist() if noun not in picture.objects
        ]
        encoding = model.encode(picture.image)
        for noun in (*picture.objects, *absent[:4]):
            right += encoding.explain(noun).supported == (noun in picture.objects)
            asked += 1
    assert right / asked > 0.8


def test_a_word_that_it_never_saw_is_answered_and_not_supported():
    x = lw.load("builtin").encode(showcase().image).explain("an aardvark")
    assert x.note.startswith("the built-in model does not know 'aardvark'")
    assert x.supported is False
