"""Raw attention: equal to the library's own attention, a distribution over the tokens, blind to the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import specimens
from tests.method.running import CASES, FAMILIES, Ran, assert_close
from tests.oracles import native
from tests.oracles.raw_attention import raw_attention


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_equals_the_library_s_attention(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    maps = ran("raw_attention")
    oracle = raw_attention(ran.module, ran.image)
    for tokens in maps.tokens:  # the same for every target
        assert_close(tokens, oracle, dtype)
    torch.testing.assert_close(oracle.sum(-1), torch.ones_like(oracle[..., 0]))
    assert not maps.signed
    assert maps.scores is None


def test_on_another_grid_that_is_not_square():
    ran = Ran(specimens.ALL["timm-dynamic-size"](), size=(32, 80))
    assert_close(ran("raw_attention").tokens[0], raw_attention(ran.module, ran.image))


def test_a_pooler_s_last_map_is_what_the_native_forward_attended_to():
    ran = Ran(specimens.POOLED["timm-map-cls-registers"]())
    own = native.record(ran.module, ran.image).attention[-1][:, 0]
    assert own.shape[1] == ran.tokens.count - ran.vit.prefix  # class token and registers are not pooled
    assert_close(ran("raw_attention").tokens[0, -1, :, ran.vit.prefix :], own)
    assert not ran("raw_attention").tokens[..., : ran.vit.prefix].any()


def test_the_chosen_layers_are_those_of_the_whole_and_the_last_is_merged():
    ran = Ran(specimens.ALL["clip"]())
    whole, some = ran("raw_attention"), ran("raw_attention", layers=(1, 3))
    assert some.layers == (1, 3)
    torch.testing.assert_close(some.tokens, whole.tokens[:, [0, 2]], rtol=0, atol=0)
    x = ran.encoding.explain(ran.directions[0], "raw_attention")
    np.testing.assert_array_equal(x.raw(), x.maps[-1])
