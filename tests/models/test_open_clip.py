"""open_clip's towers beyond the plain CLIP: CoCa's attention pooler and the custom attention block."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch

import legrad_widget as lw
from legrad_widget.models.capture import capture
from legrad_widget.target import Aims
from tests import specimens
from tests.oracles import native

SPECIMENS = specimens.COCA | specimens.CUSTOM | specimens.TOWERS


@pytest.mark.parametrize("name", SPECIMENS)
@pytest.mark.parametrize("grid", [None, (2, 5)])
def test_every_block_and_the_readout_match_the_native_forward(name, grid):
    vit = lw.wrap(SPECIMENS[name]().double()).vit
    rows, columns = grid or vit.grid
    tokens, output = capture(vit, torch.randn(3, rows * vit.patch[0], columns * vit.patch[1]))
    assert tokens.count == vit.prefix + rows * columns
    with torch.no_grad():
        for layer in range(1, tokens.depth + 1):
            block, before = tokens.block(layer), tokens.before(layer)
            torch.testing.assert_close(block(before), tokens.after(layer), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(vit.readout(tokens.after(tokens.depth)), output, rtol=1e-9, atol=1e-9)
    assert output.shape == (vit.features,)


@pytest.mark.parametrize("name", specimens.COCA)
def test_the_pooler_is_read_by_its_first_query_over_the_class_token_and_the_patches(name):
    module = specimens.COCA[name]().double()
    vit = lw.wrap(module).vit
    image = torch.randn(3, *vit.size)
    tokens, _ = capture(vit, image)
    recorded = native.record(module, image)
    pooler, readout = vit.readout.pooler, vit.readout
    pooled = [a for a in recorded.attention if len(a) == pooler.heads and a.shape[-2] != tokens.count][-1]
    with torch.no_grad():
        attention = pooler.rows(lw.models.live.apply(readout.norm, tokens.after(tokens.depth)[readout.rows]))
    torch.testing.assert_close(attention, pooled[:, 0].detach(), rtol=1e-9, atol=1e-12)
    assert attention.shape[-1] == tokens.count


def test_what_is_read_is_what_the_model_calls_the_image_vector():
    module = specimens.coca()
    model = lw.wrap(module, tokenizer=open_clip.get_tokenizer("coca_ViT-B-32"))
    encoding = model.encode(specimens.picture())
    with torch.no_grad():
        image = module.encode_image(encoding.image[None])
        text = module.encode_text(open_clip.get_tokenizer("coca_ViT-B-32")(["a cat"]))
    np.testing.assert_allclose(torch.nn.functional.normalize(encoding.features, dim=0), image[0], atol=1e-6)
    np.testing.assert_allclose(model.text(["a cat"])[0], text[0], atol=1e-6)
    with pytest.raises(lw.TargetError, match="more than the 76 tokens"):
        model.text(["cat " * 75])


@pytest.mark.parametrize(
    ("vision", "why"),
    [
        ({"attentional_pool": "cascade", "width": specimens.EMBED, "head_width": 6}, "two attention poolers in a row"),
        ({"pool_type": "avg"}, "mixes many queries"),
        ({"pool_type": "none"}, "mixes many queries"),
    ],
)
def test_a_pooling_without_one_query_over_the_tokens_is_refused(vision, why):
    with pytest.raises(lw.UnsupportedModel, match=why):
        lw.wrap(specimens.coca(**vision))


def test_a_native_forward_that_fails_is_said_to_fail():
    module = specimens.clip(scaled_cosine_attn=True)
    try:
        with torch.no_grad():
            module.encode_image(torch.randn(1, 3, specimens.SIDE, specimens.SIDE))
    except RuntimeError:
        with pytest.raises(lw.UnsupportedModel, match=r"the forward of open_clip CLIP itself fails .*3D tensor"):
            lw.wrap(module)
    else:  # a version of open_clip where it runs
        assert lw.wrap(module).vit.blocks[0].attention.heads == specimens.HEADS


def test_scaled_cosine_attention_as_open_clip_means_it(monkeypatch):
    """Its forward multiplies with a product for three axes; with one for four, it runs and is replayed."""
    monkeypatch.setattr(torch, "bmm", torch.matmul)
    vit = lw.wrap(specimens.clip(scaled_cosine_attn=True).double()).vit
    tokens, _ = capture(vit, torch.randn(3, *vit.size))
    with torch.no_grad():
        torch.testing.assert_close(vit.blocks[0](tokens.before(1)), tokens.after(1), rtol=1e-9, atol=1e-9)


def test_a_siglip_is_asked_by_prompts_with_its_own_scale_and_bias():
    module = specimens.TOWERS["siglip"]()
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    model = lw.wrap(module, tokenizer=tokenizer)
    encoding = model.encode(specimens.picture())
    with torch.no_grad():
        logits, _ = module.get_logits(encoding.image[None], tokenizer(["a cat"]))
    target = model.target("a cat")
    (aim,) = model.aims([target])
    assert model.is_sigmoid
    assert float(Aims([aim], "logit")(encoding.features[None])) == pytest.approx(float(logits), abs=1e-4)
    said = model.support(target, aim, encoding.features)
    assert said.probability == pytest.approx(float(logits.sigmoid()), abs=1e-6)
    with pytest.raises(ValueError, match="77 tokens a prompt, the text tower reads 16"):
        lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    assert lw.wrap(module.visual).vit.features == model.vit.features  # the bare tower


def test_a_tower_is_prepared_as_open_clip_says_or_as_its_trunk_does():
    module = specimens.TOWERS["siglip"]()
    assert lw.wrap(module).preprocess.mean == (0.5, 0.5, 0.5)
    module.visual.preprocess_cfg = {"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0), "interpolation": "bilinear"}
    assert lw.wrap(module).preprocess.mean == (0.1, 0.2, 0.3)


def test_a_tower_of_another_kind_is_refused_with_the_trunks_reason():
    import timm

    module = specimens.TOWERS["siglip"]()
    module.visual.trunk = timm.create_model("test_convnext", num_classes=0)
    with pytest.raises(lw.UnsupportedModel, match="ConvNeXt cannot be explained"):
        lw.wrap(module)
    module = specimens.TOWERS["timm-tower-mlp"]()
    module.visual.head.add_module("extra", torch.nn.Tanh())
    with pytest.raises(lw.UnsupportedModel, match="Mlp, Tanh; a linear map or an MLP is supported"):
        lw.wrap(module)
