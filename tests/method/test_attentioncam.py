"""AttentionCAM: equal to eq. 10 by autograd on the library's own attention, with its identities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from legrad_widget.method import MethodError
from tests import specimens
from tests.method.running import CASES, FAMILIES, Ran, assert_close
from tests.oracles.attentioncam import attentioncam
from tests.oracles.last_attention import Last


def compare(ran, dtype=torch.float64, **knobs):
    pooler = ran.vit.readout.pooler is not None
    for relu in (False, True):
        maps = ran("attentioncam", ran.targets, relu=relu, **knobs)
        assert maps.signed is not relu
        for index, target in enumerate(ran.targets):
            score = ran.native_score(target, knobs.get("score") or "cos")
            whole, heads = attentioncam(ran.module, ran.image, score, prefix=ran.vit.prefix, pooler=pooler, relu=relu)
            assert_close(maps.tokens[index, 0].mean(0), whole, dtype, summands=heads)
            if not relu:
                assert_close(maps.tokens[index, 0], heads, dtype)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_equals_autograd_on_the_whole_attention(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    compare(ran, dtype, **({"score": "dot"} if ran.model.kind == "backbone" else {}))


def test_on_another_grid_that_is_not_square():
    compare(Ran(specimens.ALL["timm-dynamic-size"](), size=(32, 80)))


@pytest.mark.parametrize("score", ["dot", "cos", "logit"])
def test_every_score(score):
    compare(Ran(specimens.ALL["clip-sigmoid"]()), score=score)


def test_no_score_means_the_cosine_of_a_prompt():
    ran = Ran(specimens.ALL["clip"]())
    torch.testing.assert_close(ran("attentioncam").tokens, ran("attentioncam", score="cos").tokens, rtol=0, atol=0)


def test_scores_and_relu_are_different_maps():
    ran = Ran(specimens.ALL["clip-avg-norm-after"]())
    shown = []
    for score, relu in itertools.product(("cos", "dot"), (False, True)):
        x = ran.encoding.explain(-ran.directions[1], "attentioncam", score=score, relu=relu)
        assert x.signed is not relu
        assert not x.degenerate[0]
        shown.append(x.merged())
    for a, b in itertools.combinations(shown, 2):
        assert np.abs(a - b).max() > 1e-4


def test_one_head_is_raw_attention_up_to_its_sign():
    ran = Ran(specimens.clip(head_width=specimens.WIDTH))
    raw = ran("raw_attention").tokens[0, -1, 0]
    maps = ran("attentioncam", [d * sign for d in ran.directions for sign in (1, -1)]).tokens[:, 0, 0]
    for row in maps:
        assert_close(row / row.sum(), raw)
    np.testing.assert_array_equal(maps.sum(-1).sign().reshape(-1, 2).sum(-1), 0)  # one for, one against


def test_weights_that_agree_give_raw_attention():
    """All heads copies of one: equal weights, equal maps."""
    module = specimens.clip()
    width = specimens.WIDTH // specimens.HEADS
    with torch.no_grad():
        attention = module.visual.transformer.resblocks[-1].attn
        for parameter in (attention.in_proj_weight, attention.in_proj_bias):
            for part in parameter.split(specimens.WIDTH):
                part.copy_(torch.cat([part[:width]] * specimens.HEADS))
        attention.out_proj.weight.copy_(attention.out_proj.weight[:, :width].repeat(1, specimens.HEADS))
    ran = Ran(module)
    heads = ran("attentioncam").tokens[0, 0]
    raw = ran("raw_attention").tokens[0, -1].mean(0)
    for head in heads:
        assert_close(head / head.sum(), raw)


def test_weights_are_the_closed_form_of_the_gradient_s_mean():
    ran = Ran(specimens.ALL["clip-avg-norm-after"]())
    last = Last(ran.module, ran.image, ran.native_score(ran.directions[0], "dot"), pooler=False)
    g = last.gradient(last.score, last.heads)
    n = ran.tokens.count - ran.vit.prefix
    weights = (g.sum(1) * last.values.sum(1)).sum(-1).detach() / n**2
    maps = ran("attentioncam", score="dot").tokens[0, 0]
    assert_close(maps.sum(-1), weights)  # rows of attention sum to one


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-after", "timm-map-cls-registers"])
@pytest.mark.parametrize("relu", [False, True])
def test_targets_together_are_each_alone_and_length_plays_no_part(name, relu):
    ran = Ran(FAMILIES[name]())
    together = ran("attentioncam", ran.targets, relu=relu)
    for index, target in enumerate(ran.targets):
        alone = ran("attentioncam", [target], relu=relu)
        torch.testing.assert_close(alone.tokens[0], together.tokens[index], rtol=1e-12, atol=1e-15)
    d = ran.directions[0]
    one, longer = ran("attentioncam", [d, 4 * d], relu=relu, score="dot").tokens
    assert_close(longer, 4 * one)


def test_the_clamped_map_is_never_negative_and_its_heads_add_up():
    ran = Ran(specimens.ALL["clip"]())
    x = ran.encoding.explain(ran.directions[1], "attentioncam", relu=True)
    assert x.maps.min() >= 0
    np.testing.assert_allclose(x.heads.mean(1), x.maps, rtol=1e-6)


def test_one_map_of_the_last_layer():
    ran = Ran(specimens.ALL["clip"]())
    assert ran("attentioncam", layers=(3,)).layers == (3,)
    with pytest.raises(MethodError, match="AttentionCAM gives one map, labelled layer 3; leave out layers"):
        ran("attentioncam", layers=(1, 2))
