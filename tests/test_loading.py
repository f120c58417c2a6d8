"""Models by name go through the libraries' own loading; offline they say what to do; local checkpoints work."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

import legrad_widget as lw
from tests import specimens

TIMM = "test_vit"


@pytest.fixture(scope="module")
def timm_weights(tmp_path_factory):
    torch.manual_seed(3)
    model = timm.create_model(TIMM)
    folder = tmp_path_factory.mktemp("weights")
    save_file(model.state_dict(), folder / "w.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, folder / "w.pt")
    return model.eval(), folder


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
def test_timm_with_a_local_checkpoint(timm_weights, file):
    reference, folder = timm_weights
    model = lw.load(f"timm:{TIMM}", checkpoint=folder / file)
    assert model.name == f"timm:{TIMM}"
    assert not model.module.training
    encoding = model.encode(specimens.picture())
    expected = lw.wrap(reference).encode(specimens.picture()).explain(7)
    np.testing.assert_array_equal(encoding.explain(7).maps, expected.maps)
    assert model.class_names[7] == "cock"  # the ImageNet names of its configuration
    assert encoding.explain("goldfish").target.index == 1


@pytest.fixture(scope="module")
def tiny_architecture(tmp_path_factory):
    """The name of an open_clip architecture small enough to build in a moment."""
    config = dict(
        embed_dim=24,
        vision_cfg=dict(image_size=48, patch_size=16, width=32, layers=2, head_width=8),
        text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=1),
    )
    folder = tmp_path_factory.mktemp("architectures")
    (folder / "tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return "tiny-test"


def test_open_clip_with_a_local_checkpoint(tmp_path, tiny_architecture):
    reference = open_clip.create_model(tiny_architecture)
    for file in ("w.safetensors", "w.pt"):
        path = tmp_path / file
        (save_file if file.endswith("s") else torch.save)(reference.state_dict(), path)
        for name in ("open_clip:tiny-test", "open_clip:tiny-test/whatever"):
            model = lw.load(name, checkpoint=path)
            x = model.encode(specimens.picture()).explain("a cat")
            tokenizer = open_clip.get_tokenizer(tiny_architecture)
            expected = lw.wrap(reference, tokenizer=tokenizer).encode(specimens.picture()).explain("a cat")
            np.testing.assert_array_equal(x.maps, expected.maps)
    with pytest.raises(lw.ModelNotAvailable, match="does not fit"):
        lw.load(f"timm:{TIMM}", checkpoint=path)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "pure_fp16", "pure_bf16"])
def test_every_precision_of_open_clip(tiny_architecture, precision):
    def explained(kind):
        torch.manual_seed(0)
        model = open_clip.create_model(tiny_architecture, precision=kind)
        model = lw.wrap(model, tokenizer=open_clip.get_tokenizer(tiny_architecture))
        return model.encode(specimens.picture()).explain("a cat").maps

    full, low = explained("fp32"), explained(precision)
    assert np.abs(full - low).max() < (0.03 if "fp16" in precision else 0.15) * np.abs(full).max()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:vit_tiny_patch16_224", r"checkpoint='weights\.safetensors'"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", r"lw\.load\('open_clip:ViT-B-32/laion2b_s34b_b79k', checkpoint="),
    ],
)
def test_without_network_the_error_says_how_to_pass_a_file(name, words, tmp_path):
    with pytest.raises(lw.ModelNotAvailable, match=words):
        lw.load(name, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:vit_base_patch16_225", "did you mean 'vit_base_patch16_224"),
        ("open_clip:ViT-B-16/laion2b_s34b_b88", "did you mean 'ViT-B-16/laion2b_s34b_b88k'"),
        ("open_clip:ViT-B-17/openai", "did you mean"),
    ],
)
def test_misspelt_names_come_back_with_the_closest(name, words):
    with pytest.raises(lw.ModelNotAvailable, match=words):
        lw.load(name)


def test_a_tokenizer_that_cannot_be_had_is_told_from_weights_that_cannot(tmp_path, tiny_architecture):
    config = open_clip.get_model_config(tiny_architecture)
    config["text_cfg"]["hf_tokenizer_name"] = "timm/ViT-B-16-SigLIP"
    (tmp_path / "tiny-siglip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    save_file(open_clip.create_model(tiny_architecture).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(lw.ModelNotAvailable, match=r"are here, but its tokenizer is not .* package transformers"):
        lw.load("open_clip:tiny-siglip/webli", checkpoint=tmp_path / "w.safetensors")


def test_bad_checkpoints(tmp_path, timm_weights):
    with pytest.raises(lw.ModelNotAvailable, match="no checkpoint file"):
        lw.load(f"timm:{TIMM}", checkpoint=tmp_path / "none.pt")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(lw.ModelNotAvailable, match="no plain weights"):
        lw.load(f"timm:{TIMM}", checkpoint=tmp_path / "junk.safetensors")
    torch.save(timm_weights[0], tmp_path / "whole.pt")  # a pickled module could run code: refused
    with pytest.raises(lw.ModelNotAvailable, match="no plain weights"):
        lw.load(f"timm:{TIMM}", checkpoint=tmp_path / "whole.pt")
    torch.save({"epoch": 3, "note": "x"}, tmp_path / "other.pt")
    with pytest.raises(lw.ModelNotAvailable, match="no state dict"):
        lw.load(f"timm:{TIMM}", checkpoint=tmp_path / "other.pt")


def test_a_module_is_for_wrap():
    with pytest.raises(TypeError, match=r"lw\.wrap"):
        lw.load(specimens.timm_vit())
