"""TextSpan: equal to the decomposition written out term by term, and complete: all terms add up to the score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from legrad_widget.method import KnobError, MethodError, find
from tests import specimens
from tests.method.running import CASES, FAMILIES, MIXED_HEADS, Ran, assert_close
from tests.oracles.textspan import textspan


def has_centred_end(ran):
    """Whether a LayerNorm lies between the terms and the score."""
    readout = ran.vit.readout
    norms = [readout.post_norm] if readout.kind == "attention" else [readout.norm, readout.post_norm]
    return any(isinstance(norm, nn.LayerNorm) for norm in norms)


@pytest.mark.parametrize(("name", "dtype"), [case for case in CASES if case.values[0] not in MIXED_HEADS])
def test_equals_the_terms_written_out_and_is_complete(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    for centering in ("shared", "own") if has_centred_end(ran) else ("shared",):
        maps = ran("textspan", ran.targets, centering=centering)
        assert maps.signed
        assert maps.scores is None
        for index, target in enumerate(ran.targets):
            split = textspan(ran.module, ran.image, target, centering)
            terms = split.terms.transpose(1, 2)  # [L, H, N or N']
            left = ran.tokens.count - terms.shape[-1]
            terms = torch.cat([terms.new_zeros(*terms.shape[:2], left), terms], -1)
            assert_close(maps.tokens[index] / terms.shape[1], terms, dtype)
            ours = maps.tokens[index].mean(1).sum()
            scale = torch.cat([terms.sum((1, 2)), split.others])
            assert_close(ours + split.others.sum().to(dtype), split.total, dtype, summands=scale)


def test_on_another_grid_that_is_not_square():
    ran = Ran(specimens.ALL["timm-dynamic-size"](), size=(32, 80))
    split = textspan(ran.module, ran.image, 3)
    assert_close(ran("textspan", [3]).tokens[0].mean(1), split.terms.mean(2) * specimens.HEADS)


def test_the_merged_map_is_the_papers_sum_over_layers():
    ran = Ran(specimens.ALL["clip"]())
    x = ran.encoding.explain(ran.directions[0], "textspan")
    total = (
        textspan(ran.module, ran.image, ran.directions[0]).terms.sum((0, 2))[ran.vit.prefix :].reshape(ran.tokens.grid)
    )
    np.testing.assert_allclose(x.raw() * specimens.DEPTH, total, atol=1e-6 * float(total.abs().max()))


def test_is_linear_in_a_class_and_in_a_prompt_s_unit_vector():
    ran = Ran(specimens.ALL["timm-token-fc-norm"]())
    a, b = ((256 * d).round() / 256 for d in ran.directions)  # so short that float32 holds their sum exactly
    one, two, both, longer = ran("textspan", [a, b, a + b, 4 * a]).tokens
    assert_close(both, one + two)
    assert_close(longer, 4 * one)
    ran = Ran(specimens.ALL["clip"]())
    one, longer, against = ran("textspan", [a := ran.directions[0], 4 * a, -a]).tokens
    assert_close(longer, one)
    assert_close(against, -one)


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-before", "coca"])
def test_targets_together_are_each_alone_and_contrast_is_what_sets_one_apart(name):
    ran = Ran(FAMILIES[name](), targets=3)
    targets = [2, 3, 5] if ran.model.kind == "classifier" else ran.directions
    together = ran("textspan", targets)
    for index, target in enumerate(targets):
        torch.testing.assert_close(ran("textspan", [target]).tokens[0], together.tokens[index], rtol=1e-12, atol=1e-15)
    contrasted = ran("textspan", targets, contrast="mean_over_prompts").tokens
    a, b, c = together.tokens
    assert_close(contrasted[0], a - (b + c) / 2)
    assert_close(contrasted.sum(0) + 1, torch.ones_like(a))
    pair = ran("textspan", targets[:2], contrast="mean_over_prompts").tokens
    assert_close(pair[0], a - b)


def test_the_two_centerings_differ_a_little():
    ran = Ran(specimens.ALL["clip"]())
    shared, own = (ran("textspan", centering=c).tokens[0].mean(1)[:, 1:] for c in ("shared", "own"))
    assert 1e-4 < float((shared - own).std() / shared.std()) < 0.5


def test_layers_can_be_chosen():
    ran = Ran(specimens.ALL["clip"]())
    some = ran("textspan", layers=(1, 3))
    assert some.layers == (1, 3)
    torch.testing.assert_close(some.tokens, ran("textspan").tokens[:, [0, 2]], rtol=0, atol=0)


def test_refusals_are_sentences():
    ran = Ran(specimens.ALL["clip"]())
    with pytest.raises(KnobError, match="only one was asked; ask for several together in a list"):
        ran("textspan", ran.directions[:1], contrast="mean_over_prompts")
    pooled = Ran(specimens.POOLED["timm-map-headless"]())
    with pytest.raises(MethodError, match="gives one map, labelled layer 3"):
        pooled("textspan", layers=(1,))
    with pytest.raises(KnobError, match="centering plays no part"):
        pooled("textspan", centering="own")


@pytest.mark.parametrize("name", MIXED_HEADS)
def test_refuses_where_heads_are_mixed_before_the_output_projection(name):
    ran = Ran(FAMILIES[name](), torch.float32)
    assert "between its heads and its output projection" in find("textspan").refuses(ran.vit)
    with pytest.raises(MethodError, match="Use 'legrad' instead"):
        ran.encoding.explain(ran.targets[0], "textspan")


def test_refuses_an_mlp_after_pooling_but_takes_linear_maps_in_a_row():
    mlp, linear = (
        Ran(specimens.TOWERS[name](), torch.float32) for name in ("timm-tower-mlp", "timm-tower-head-linear")
    )
    assert "passes an MLP after pooling" in find("textspan").refuses(mlp.vit)
    assert find("textspan").refuses(linear.vit) is None
    x = linear.encoding.explain(linear.directions[0], "textspan")
    assert np.isfinite(x.maps).all()


@pytest.mark.parametrize("name", ["clip-avg-norm-after", "coca", "timm-map-cls-registers", "timm-tower-head-linear"])
def test_whether_it_is_defined_does_not_hang_on_the_caller_s_autocast(name):
    ran = Ran(FAMILIES[name](), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert find("textspan").refuses(ran.vit) is None
