"""CDAM: equal to the gradient taken by autograd on the library's own attention, with its identities."""

from __future__ import annotations

import itertools

import pytest
import torch

from legrad_widget.method import KnobError, MethodError
from tests import specimens
from tests.method.running import CASES, FAMILIES, MIXED_HEADS, Ran, assert_close
from tests.oracles.cdam import cdam
from tests.oracles.last_attention import Last

POOLERS = specimens.POOLED | specimens.COCA


def compare(ran, dtype=torch.float64, site=None, **knobs):
    maps = ran("cdam", ran.targets, site=site, **knobs)
    pooler = site != "last_block" and ran.vit.readout.pooler is not None
    assert maps.ran["site"] == ("pooler" if pooler else "last_block")
    for index, target in enumerate(ran.targets):
        score = ran.native_score(target, knobs.get("score"))
        whole, heads = cdam(ran.module, ran.image, score, pooler=pooler)
        assert_close(maps.tokens[index, 0].mean(0), whole, dtype)
        if maps.has_heads:
            assert_close(maps.tokens[index, 0] / len(heads), heads, dtype)
    return maps


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_equals_autograd_on_the_library_s_attention(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    maps = compare(ran, dtype)
    assert maps.signed
    assert maps.layers == (specimens.DEPTH,)
    assert maps.has_heads == (name not in MIXED_HEADS)


@pytest.mark.parametrize("name", POOLERS)
def test_of_the_last_block_below_a_pooler(name):
    compare(Ran(POOLERS[name]()), site="last_block")


def test_on_another_grid_that_is_not_square():
    compare(Ran(specimens.ALL["timm-dynamic-size"](), size=(32, 80)))


@pytest.mark.parametrize("score", ["dot", "cos", "logit"])
def test_every_score(score):
    compare(Ran(specimens.ALL["clip-sigmoid"]()), score=score)


def test_scores_and_sites_are_different_maps():
    ran = Ran(specimens.COCA["coca"]())
    knobs = itertools.product(("dot", "cos"), ("pooler", "last_block"))
    maps = [ran("cdam", score=score, site=site).tokens.mean(2) for score, site in knobs]
    for i, a in enumerate(maps):
        for b in maps[:i]:
            assert torch.corrcoef(torch.stack([a[0, 0], b[0, 0]]))[0, 1] < 0.9999


def test_what_nobody_attends_to_has_no_part():
    """Each head's part is proportional to the class token's attention (the softmax's derivative carries it)."""
    module = specimens.clip()
    with torch.no_grad():  # queries so long that every head looks at little
        attention = module.visual.transformer.resblocks[-1].attn
        attention.in_proj_weight[: specimens.WIDTH] *= 400
        attention.in_proj_bias[: specimens.WIDTH] *= 400
    ran = Ran(module)
    unseen = ran("raw_attention").tokens[0, -1] < 1e-12
    unseen[:, 0] = False  # the class token also acts as the query
    assert unseen.any(1).all()
    parts = ran("cdam").tokens[0, 0].abs()
    assert (parts[unseen] < 1e-8 * parts.max()).all()
    assert (Ran(specimens.clip())("cdam").tokens != 0).all()


def test_without_queries_and_value_bias_it_is_attention_times_its_gradient():
    module = specimens.clip()
    with torch.no_grad():
        attention = module.visual.transformer.resblocks[-1].attn
        attention.in_proj_weight[: specimens.WIDTH] = 0
        attention.in_proj_bias[: specimens.WIDTH] = 0
        attention.in_proj_bias[2 * specimens.WIDTH :] = 0
    ran = Ran(module)
    maps = ran("cdam").tokens[0, 0].mean(0)
    last = Last(ran.module, ran.image, ran.native_score(ran.directions[0]), pooler=False)
    product = last.attention * last.gradient(last.score, last.attention)
    assert_close(maps, product[:, 0].sum(0))


@pytest.mark.parametrize("name", ["clip", "timm-map-headless", "clip-avg-norm-after"])
def test_is_linear_in_the_target(name):
    ran = Ran(FAMILIES[name]())
    a, b = ((256 * d).round() / 256 for d in ran.directions)  # so short that float32 holds their sum exactly
    one, two, both, longer, against = ran("cdam", [a, b, a + b, 4 * a, -a], score="dot").tokens
    assert_close(both, one + two)
    assert_close(longer, 4 * one)
    assert_close(against, -one)


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-after", "timm-map", "clip-custom-all"])
def test_targets_together_are_each_alone(name):
    ran = Ran(FAMILIES[name]())
    together = ran("cdam", ran.targets)
    for index, target in enumerate(ran.targets):
        alone = ran("cdam", [target])
        torch.testing.assert_close(alone.tokens[0], together.tokens[index], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone.scores[0], together.scores[index])


def test_refusals_are_sentences():
    ran = Ran(specimens.ALL["clip"]())
    with pytest.raises(MethodError, match="has no attention pooler; leave out site"):
        ran("cdam", site="pooler")
    with pytest.raises(MethodError, match="CDAM gives one map, labelled layer 3; leave out layers"):
        ran("cdam", layers=(1,))
    with pytest.raises(KnobError, match="score is one of"):
        ran("cdam", score="raw")
    torch.testing.assert_close(ran("cdam", site="last_block").tokens, ran("cdam").tokens)
