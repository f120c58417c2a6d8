"""Attention rollout: equal to the full product of matrices, a distribution over the tokens, blind to the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from legrad_widget.method import KnobError
from tests import specimens
from tests.method.running import CASES, FAMILIES, Ran, assert_close
from tests.oracles.rollout import rollout


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_equals_the_product_of_matrices(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    for start in (1, 2):
        maps = ran("rollout", start=start)
        oracle = rollout(ran.module, ran.image, start)
        for tokens in maps.tokens:
            assert_close(tokens[:, 0], oracle, dtype)
        torch.testing.assert_close(oracle.sum(-1), torch.ones_like(oracle[:, 0]))
    assert not maps.signed
    assert not maps.has_heads


def test_on_another_grid_that_is_not_square():
    ran = Ran(specimens.ALL["timm-dynamic-size"](), size=(32, 80))
    assert_close(ran("rollout").tokens[0, :, 0], rollout(ran.module, ran.image))


def test_one_layer_is_half_of_its_raw_attention_on_the_patches():
    ran = Ran(specimens.clip(layers=1))
    patches = slice(ran.vit.prefix, None)
    raw = ran("raw_attention").tokens[0, 0].mean(0)
    assert_close(ran("rollout").tokens[0, 0, 0, patches], raw[patches] / 2)


def test_attention_that_looks_everywhere_alike_gives_a_flat_map():
    module = specimens.clip()
    with torch.no_grad():
        for block in module.visual.transformer.resblocks:
            block.attn.in_proj_weight[: specimens.WIDTH] = 0  # no queries: softmax of zeros
            block.attn.in_proj_bias[: specimens.WIDTH] = 0
    ran = Ran(module)
    assert all(ran.encoding.explain(ran.directions[0], "rollout").degenerate)


def test_maps_are_cumulative_and_start_says_where_they_begin():
    ran = Ran(specimens.ALL["clip"]())
    whole, some = ran("rollout"), ran("rollout", layers=(1, 3))
    torch.testing.assert_close(some.tokens, whole.tokens[:, [0, 2]], rtol=0, atol=0)
    late = ran("rollout", start=3).tokens[0, :, 0]
    assert late[0, 0] == late[1, 0] == 1  # nothing multiplied in yet: the class token itself
    assert not torch.allclose(late[2], whole.tokens[0, 2, 0])
    x = ran.encoding.explain(ran.directions[0], "rollout")
    np.testing.assert_array_equal(x.raw(), x.maps[-1])
    with pytest.raises(KnobError, match="start is a layer from 1 to 3; arrived: 4"):
        ran("rollout", start=4)
