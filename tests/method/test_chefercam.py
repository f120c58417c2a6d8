"""CheferCAM equals the literal products, by rows alone; poolers by the bi-modal rule."""

from __future__ import annotations

import pytest
import torch

import legrad_widget as lw
from legrad_widget.method import chefercam as source
from tests import specimens
from tests.method.running import TOLERANCE, Ran, assert_close
from tests.oracles import chefercam as oracle
from tests.oracles import final_score, native

ROWS = {
    "clip": specimens.clip,
    "clip-avg-norm-after": specimens.CLIPS["clip-avg-norm-after"],
    "clip-wide": specimens.CLIPS["clip-wide"],
    "timm-gap-no-cls": specimens.CLASSIFIERS["timm-gap-no-cls"],
    "deit-distilled": specimens.CLASSIFIERS["deit-distilled"],
    "timm-registers": specimens.CLASSIFIERS["timm-registers"],
    "timm-post-norm": specimens.BLOCKS["timm-post-norm"],
    "timm-parallel": specimens.BLOCKS["timm-parallel"],
    "timm-gated-attention": specimens.BLOCKS["timm-gated-attention"],
}
POOLERS = {
    "timm-map": specimens.POOLED["timm-map"],
    "timm-map-cls-registers": specimens.POOLED["timm-map-cls-registers"],
    "coca": specimens.COCA["coca"],
    "siglip": specimens.TOWERS["siglip"],
}


def literal(ran: Ran, target, score: str = "logit") -> final_score.Scored:
    if isinstance(target, int):
        return final_score.score(ran.module, ran.image, target, "logit")
    scale = ran.model.logit_form()[0] if score == "logit" and ran.model.kind == "clip" else 1.0
    kind = "cos" if score == "cos" or (score == "logit" and ran.model.kind == "clip") else "dot"
    return final_score.score(ran.module, ran.image, target, kind, scale)


def shares(ran: Ran) -> torch.Tensor:
    """pi, written out for the readouts here."""
    pi = torch.zeros(ran.tokens.count, dtype=torch.float64)
    if ran.vit.readout.kind == "mean":
        pi[ran.vit.prefix :] = 1
    else:
        pi[: 2 if hasattr(ran.module, "dist_token") else 1] = 1
    return pi / pi.sum()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ROWS)
def test_rows_equal_the_whole_products(name, dtype):
    ran = Ran(ROWS[name](), dtype)
    pi, maps = shares(ran), ran("chefercam", ran.targets)
    assert maps.has_heads
    for index, target in enumerate(ran.targets):
        scored = literal(ran, target)
        ours = maps.tokens[index].mean(1)
        expected = [oracle.chefercam(scored, pi, start) for start in range(1, scored.depth + 1)]
        for layer in range(1, scored.depth + 1):  # blocks l..L together are the product that starts at l
            assert_close(ours[layer - 1 :].sum(0), (expected[layer - 1] - pi).to(dtype), dtype)
        last = ran("chefercam", [target], blocks="last").tokens
        assert last.shape[1] == 1
        assert_close(last[0, 0].mean(0), (expected[-1] - pi).to(dtype), dtype)


@pytest.mark.parametrize("name", ["clip", "timm-registers"])
def test_the_last_block_alone_is_attention_times_gradient_head_by_head(name):
    ran = Ran(ROWS[name]())
    scored = literal(ran, ran.targets[0])
    a = scored.made.attention[scored.depth - 1]
    expected = (a * scored.gradient(a)).clamp(min=0)[:, 0].detach()
    assert_close(ran("chefercam", ran.targets[:1], blocks="last").tokens[0, 0], expected)
    assert_close(ran("chefercam", ran.targets[:1]).tokens[0, -1], expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", POOLERS)
def test_a_pooler_equals_the_bimodal_rule_without_its_skip_term(name, dtype):
    ran = Ran(POOLERS[name](), dtype)
    for start, blocks in ((1, "all"), (ran.tokens.depth, "last")):
        maps = ran("chefercam", ran.targets, blocks=blocks)
        assert not maps.has_heads
        for index, target in enumerate(ran.targets):
            whole, parts = oracle.with_pooler(literal(ran, target), ran.vit.readout.rows, start)
            ours = maps.tokens[index, :, 0]
            assert_close(ours.sum(0), whole.to(dtype), dtype)
            assert_close(ours, parts.to(dtype), dtype)


def test_prompts_of_a_pooler_that_do_not_fit_together_are_taken_in_turn(monkeypatch):
    ran = Ran(specimens.POOLED["timm-map"](), targets=3)
    together = ran("chefercam").tokens
    monkeypatch.setattr(source.__name__ + "._STORED", 1)
    assert_close(ran("chefercam").tokens, together)


@pytest.mark.parametrize("score", ["cos", "dot", "logit"])
def test_each_score_of_a_clip_is_the_one_that_is_differentiated(score):
    ran = Ran(specimens.clip(logit_bias=-3.0))
    ours = ran("chefercam", ran.directions[:1], score=score).tokens[0].mean(1).sum(0)
    scored = literal(ran, ran.directions[0], score)
    assert_close(ours, oracle.chefercam(scored, shares(ran)) - shares(ran))


def test_the_scale_of_the_score_matters_for_several_blocks_and_not_for_the_last_one():
    ran = Ran(specimens.clip())
    maps = {
        (score, blocks): ran("chefercam", ran.directions[:1], score=score, blocks=blocks).tokens[0].mean(1).sum(0)[1:]
        for score in ("cos", "logit")
        for blocks in ("all", "last")
    }
    stretched = {key: (m - m.min()) / (m.max() - m.min()) for key, m in maps.items()}
    assert_close(stretched["cos", "last"], stretched["logit", "last"])
    assert float((stretched["cos", "all"] - stretched["logit", "all"]).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-before", "timm-map"])
def test_relevance_is_never_negative_and_a_score_without_gradient_gives_nothing(name):
    model = lw.wrap(specimens.EVERY[name]())
    encoding = model.encode(specimens.picture())
    target = specimens.directions(model.vit.features)[0]
    x = encoding.explain(target, "chefercam")
    assert x.maps.min() >= 0
    assert x.maps.max() > 0
    assert not x.signed
    with torch.no_grad():
        for parameter in model.module.parameters():
            if parameter.ndim > 1:
                parameter.zero_()  # nothing reaches the score
    flat = model.encode(specimens.picture()).explain(target, "chefercam")
    assert all(flat.degenerate)
    assert not flat.maps.any()


def test_layers_choose_among_the_parts_and_the_last_block_refuses_others():
    ran = Ran(specimens.timm_vit(depth=4))
    every = ran("chefercam", [1])
    some = ran("chefercam", [1], layers=(2, 4))
    assert some.layers == (2, 4)
    assert_close(some.tokens, every.tokens[:, [1, 3]])
    pooled = Ran(specimens.POOLED["timm-map"]())
    assert_close(pooled("chefercam", [1], layers=(2,)).tokens, pooled("chefercam", [1]).tokens[:, [1]])
    with pytest.raises(lw.KnobError, match="map of layer 4 alone"):
        ran("chefercam", [1], layers=(3,), blocks="last")


def test_uniform_attention_makes_the_last_block_legrad():
    """methods.md identity: A uniform => relu(A dA) is relu(dA) up to a constant."""
    module = specimens.timm_vit()
    with torch.no_grad():
        module.blocks[-1].attn.qkv.weight[: 2 * specimens.WIDTH] = 0
        module.blocks[-1].attn.qkv.bias[: 2 * specimens.WIDTH] = 0
    ran = Ran(module)
    count = ran.tokens.count
    attention = native.record(ran.module, ran.image).attention[-1]
    assert torch.allclose(attention, torch.full_like(attention, 1 / count))
    ours = ran("chefercam", [2], blocks="last").tokens[0, 0]
    assert_close(ours, ran("legrad", [2]).tokens[0, -1])


@pytest.mark.parametrize("name", ["clip", "timm-registers", "timm-post-norm", "timm-gated-attention"])
def test_the_last_block_is_raw_attention_times_legrad(name):
    """Under a class token all three read row 0 of the last block, with the same G: relu(A dA) = A relu(dA)."""
    ran = Ran(ROWS[name]())
    last = ran("chefercam", ran.targets, blocks="last").tokens[:, 0]
    legrad = ran("legrad", ran.targets, score="logit").tokens[:, -1] * ran.tokens.count
    assert_close(last, ran("raw_attention", ran.targets).tokens[:, -1] * legrad)
