"""Transformer Attribution equals its literal version on every readout and block."""

from __future__ import annotations

import pytest
import torch

from legrad_widget.method import KnobError, find
from tests.method.running import Ran, assert_close
from tests.method.test_partial_lrp import shares
from tests.method.test_relevance import MAKERS, MODELS
from tests.oracles import chefercam, final_score
from tests.oracles.relevance import Relevance, class_direction, relevance
from tests.oracles.transformer_attribution import transformer_attribution

NAME = "transformer_attribution"


def literal(ran, target, start=1, qk="keep"):
    """The oracle's E and partial sums for a class, or for a direction's dot product."""
    is_class = isinstance(target, int)
    direction = class_direction(ran.module, target) if is_class else target
    found = relevance(ran.module, ran.image, direction, rules="ours", qk=qk)
    scored = final_score.score(ran.module, ran.image, target, "logit" if is_class else "dot")
    return transformer_attribution(found, scored, shares(ran), ran.vit.readout.rows, start)


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_literal_version(name):
    ran = Ran(MAKERS[name]())
    is_classifier = ran.model.kind == "classifier"
    targets, score = ([3, 5], "logit") if is_classifier else (ran.directions, "dot")
    for start, qk in ((1, "keep"), (2, "drop")):
        maps = ran(NAME, targets, start=start, score=score, qk=qk)
        assert (maps.layers, maps.signed) == (tuple(range(start, ran.tokens.depth + 1)), False)
        assert maps.has_heads == (ran.vit.readout.pooler is None)
        for target, ours in zip(targets, maps.tokens, strict=True):
            whole, cumulated = literal(ran, target, start, qk)
            from_the_top = ours.mean(1).flip(0).cumsum(0).flip(0)
            if ran.vit.readout.pooler is None:
                assert_close(from_the_top, cumulated[:-1])
                assert_close(from_the_top[0] + shares(ran), whole)
            else:  # the pooler's own part is counted into the last block's
                assert_close(from_the_top, cumulated[:-1] + (whole - cumulated[0]))


def test_heads_are_kept_before_their_mean():
    ran = Ran(MAKERS["timm"]())
    heads = ran(NAME, [3]).tokens[0]
    assert heads.shape == (3, 4, ran.tokens.count)
    assert (heads >= 0).all()
    assert (heads.std(1) > 0).any()


def test_with_the_attention_in_place_of_its_relevance_the_literal_version_is_chefercam():
    ran = Ran(MAKERS["timm-gap-norm-after"]())
    scored = final_score.score(ran.module, ran.image, 3, "logit")
    attention = [a.detach() for a in scored.made.attention]
    as_relevance = Relevance([torch.zeros(1)] * len(attention), attention, attention)
    pi = shares(ran)
    whole, _ = transformer_attribution(as_relevance, scored, pi, ran.vit.readout.rows)
    assert_close(whole, chefercam.chefercam(scored, pi))


@pytest.mark.parametrize("name", ["timm", "timm-gap-norm-after", "deit-distilled", "timm-parallel"])
def test_with_the_attention_in_place_of_its_relevance_it_is_chefercam(name, monkeypatch):
    from legrad_widget.method import _relevance_walk as walk

    def attention(passage):
        return passage.block.attention.rows(passage.block.normed(passage.z), passage.rows)

    ran = Ran(MAKERS[name]())
    expected = ran("chefercam", [3], score="logit").tokens
    assert not torch.allclose(ran(NAME, [3]).tokens, expected)
    monkeypatch.setattr(walk.Passage, "attention", property(attention))
    assert_close(ran(NAME, [3]).tokens, expected)


def test_the_score_is_a_knob_whose_scale_matters():
    module = MAKERS["clip-quickgelu"]()
    module.logit_scale.data.fill_(9.0)
    ran = Ran(module)
    maps = {score: ran(NAME, score=score).tokens[0] for score in ("logit", "cos", "dot")}
    sums = {score: m.mean(1).sum(0) for score, m in maps.items()}
    last = {score: m[-1].mean(0) for score, m in maps.items()}
    scale = ran.model.logit_form()[0]
    assert_close(last["cos"] * scale, last["logit"])  # one layer alone: only scaled
    assert not torch.allclose(sums["cos"] * scale, sums["logit"], rtol=1e-2)
    assert not torch.allclose(last["dot"] / last["dot"].max(), last["cos"] / last["cos"].max(), rtol=1e-3)


def test_targets_together_are_each_what_they_are_alone_and_progress_is_told_per_layer():
    ran = Ran(MAKERS["timm-swiglu-packed"](), torch.float32, targets=3)
    together = ran(NAME).tokens
    for target, maps in zip(ran.directions, together, strict=True):
        assert torch.equal(ran(NAME, [target]).tokens[0], maps)
    seen = []
    ran.encoding.explain([d.numpy() for d in ran.directions], NAME, progress=lambda *step: seen.append(step))
    assert sorted(set(seen)) == [(step, 9) for step in range(9)]
    assert seen == sorted(seen)


def test_start_leaves_out_the_blocks_below_it():
    ran = Ran(MAKERS["timm"]())
    every, upper = ran(NAME, [3]).tokens, ran(NAME, [3], start=2).tokens
    assert torch.equal(every[:, 1:], upper)
    with pytest.raises(KnobError, match="start is a block from 1 to 3"):
        ran(NAME, [3], start=4)
    with pytest.raises(KnobError, match="ask for layers from 2 up"):
        ran(NAME, [3], layers=(1, 3), start=2)


def test_a_model_without_rules_is_refused():
    assert "Use 'chefercam' instead" in find(NAME).refuses(Ran(MAKERS["timm-gated-attention"]()).vit)
