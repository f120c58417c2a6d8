"""Partial LRP equals its literal version on every readout and block."""

from __future__ import annotations

import pytest
import torch

from legrad_widget.method import MethodError, find
from tests.method.running import Ran, assert_close
from tests.method.test_relevance import MAKERS, MODELS
from tests.oracles.partial_lrp import partial_lrp
from tests.oracles.relevance import relevance


def shares(ran):
    """pi [N] by the kind of readout alone."""
    readout, pi = ran.vit.readout, torch.zeros(ran.tokens.count, dtype=torch.float64)
    pi[readout.rows] = 1
    return pi / pi.sum()


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_literal_version(name):
    ran = Ran(MAKERS[name]())
    maps = ran("partial_lrp")
    assert (maps.layers, maps.has_heads, maps.signed) == ((ran.tokens.depth,), True, False)
    for target, ours in zip(ran.directions, maps.tokens, strict=True):
        found = relevance(ran.module, ran.image, target, rules="orig")
        expected = partial_lrp(found, shares(ran), ran.vit.readout.rows)
        assert_close(ours[0], expected)
        assert (ours >= 0).all()
        assert ours.any()


def test_a_model_in_float32_is_explained_in_float64_from_its_own_tokens():
    name = "timm-layerscale-qknorm"
    single, double = Ran(MAKERS[name](), torch.float32)("partial_lrp"), Ran(MAKERS[name]())("partial_lrp")
    assert single.tokens.dtype == torch.float64
    near = 1e-4 * float(double.tokens.max())  # the tokens' own rounding, divided by sums that nearly cancel
    torch.testing.assert_close(single.tokens, double.tokens, rtol=0, atol=near)


def test_targets_together_are_each_what_they_are_alone():
    ran = Ran(MAKERS["timm-gap-norm-after"](), torch.float32, targets=3)
    together = ran("partial_lrp").tokens
    for target, maps in zip(ran.directions, together, strict=True):
        assert torch.equal(ran("partial_lrp", [target]).tokens[0], maps)


def test_the_length_of_a_direction_plays_no_part():
    ran = Ran(MAKERS["clip-quickgelu"](), targets=1)
    long = ran("partial_lrp", [1000 * ran.directions[0]]).tokens
    torch.testing.assert_close(long, ran("partial_lrp").tokens, rtol=1e-5, atol=1e-8)  # 1e-9 beside each sum


def test_another_layer_and_a_model_without_rules_are_refused():
    ran = Ran(MAKERS["timm"]())
    with pytest.raises(MethodError, match="one map, labelled layer 3"):
        ran("partial_lrp", layers=(2,))
    assert "Use 'chefercam' instead" in find("partial_lrp").refuses(Ran(MAKERS["timm-gated-attention"]()).vit)
