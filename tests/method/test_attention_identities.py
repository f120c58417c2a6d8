"""What the methods that read attention owe each other, and what none of them may depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import legrad_widget as lw
from tests import specimens
from tests.method.running import Ran, assert_close

METHODS = ("raw_attention", "rollout", "attentioncam", "cdam", "textspan")


def one_linear_block(*, queries: bool = True):
    """One block without norms, MLP and biases, and a class token: the score is linear in the attention."""
    module = specimens.clip(layers=1)
    visual, block = module.visual, module.visual.transformer.resblocks[0]
    block.ln_1, block.ln_2, visual.ln_post = nn.Identity(), nn.Identity(), nn.Identity()
    visual.ln_post.normalized_shape = (specimens.WIDTH,)
    with torch.no_grad():
        for parameter in (*block.mlp.parameters(), block.attn.in_proj_bias, block.attn.out_proj.bias):
            parameter.zero_()
        if not queries:
            block.attn.in_proj_weight[: specimens.WIDTH] = 0
    return module


def test_textspan_is_cdam_where_attention_does_not_depend_on_the_tokens():
    ran = Ran(one_linear_block(queries=False))
    length = ran.encoding.features.norm() * ran.directions[0].double().norm()
    spans, cdam = (ran(method).tokens[0, -1] for method in ("textspan", "cdam"))
    assert_close(spans * length, cdam)


def test_textspan_is_attention_times_legrad_s_gradient():
    ran = Ran(one_linear_block())
    length = ran.encoding.features.norm() * ran.directions[0].double().norm()
    gradient = ran("legrad", relu=False, score="dot").tokens[0, 0] * ran.tokens.count  # LeGrad divides by N
    attention = ran("raw_attention").tokens[0, 0]
    assert_close(ran("textspan").tokens[0, 0] * length / specimens.HEADS, attention * gradient)


@pytest.mark.parametrize("name", ["clip", "clip-avg-norm-before", "timm-gap-norm-after", "timm-registers"])
def test_attentioncam_weighs_heads_by_the_gradient_that_legrad_shows(name):
    """Rows of attention sum to one, so each head's map of AttentionCAM sums to its weight."""
    ran = Ran(specimens.ALL[name]())
    n = ran.tokens.count - ran.vit.prefix
    gradient = ran("legrad", layers=(ran.tokens.depth,), relu=False, score="dot").tokens[:, 0].sum(-1)
    weights = ran("attentioncam", score="dot").tokens[:, 0].sum(-1)
    assert_close(weights, gradient * ran.tokens.count / n**2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["clip", "clip-avg-norm-before", "siglip"])
def test_patches_in_another_order_give_the_map_in_that_order(name, method):
    """Where no position is told, the order of the patches is nothing."""
    module = (specimens.ALL | specimens.TOWERS)[name]()
    with torch.no_grad():
        for part, parameter in module.named_parameters():
            if part.startswith("visual.") and part.endswith(("positional_embedding", "pos_embed")):
                parameter.zero_()
    model = lw.wrap(module.double())
    image = torch.randn(3, specimens.SIDE, specimens.SIDE, generator=torch.Generator().manual_seed(0))
    side = specimens.SIDE // specimens.PATCH
    order = torch.randperm(side**2, generator=torch.Generator().manual_seed(1))
    tiles = image.unflatten(1, (side, -1)).unflatten(3, (side, -1)).permute(1, 3, 0, 2, 4).flatten(0, 1)[order]
    shuffled = tiles.unflatten(0, (side, side)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    target = specimens.directions(model.vit.features, 1)[0]
    before, after = (model.encode(x).explain(target, method).raw().flatten() for x in (image, shuffled))
    np.testing.assert_allclose(after, before[order], atol=1e-6 * np.abs(before).max())


@pytest.mark.parametrize("method", METHODS)
def test_a_patch_s_value_does_not_depend_on_what_else_was_asked(method):
    ran = Ran(specimens.ALL["clip-wide"](), torch.float32)
    fresh = ran.encoding.explain(ran.directions[0], method).maps
    for other in METHODS:
        ran.encoding.explain(ran.directions, other)
    np.testing.assert_array_equal(ran.encoding.explain(ran.directions[0], method).maps, fresh)
