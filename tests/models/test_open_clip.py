"""open_clip's towers beyond the plain CLIP: CoCa's attention pooler and the custom attention block."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch

import legrad_widget as lw
from legrad_widget.models.capture import capture
from tests import specimens
from tests.oracles import native

SPECIMENS = specimens.COCA | specimens.CUSTOM


@pytest.mark.parametrize("name", SPECIMENS)
@pytest.mark.parametrize("grid", [None, (2, 5)])
def test_every_block_and_the_readout_match_the_native_forward(name, grid):
    vit = lw.wrap(SPECIMENS[name]().double()).vit
    rows, columns = grid or vit.grid
    tokens, output = capture(vit, torch.randn(3, rows * vit.patch[0], columns * vit.patch[1]))
    assert tokens.count == 1 + rows * columns
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
