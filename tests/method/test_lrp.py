"""LRP equals its literal version under both rule sets and both ways through the attention."""

from __future__ import annotations

import pytest
import torch

from legrad_widget.method import find
from tests.method.running import Ran, assert_close
from tests.method.test_relevance import MAKERS, MODELS
from tests.oracles.lrp import lrp
from tests.oracles.relevance import class_direction, relevance


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_literal_version(name):
    ran = Ran(MAKERS[name]())
    every = tuple(range(1, ran.tokens.depth + 1))
    for rules, qk in (("orig", "keep"), ("ours", "keep"), ("ours", "drop")):
        maps = ran("lrp", layers=every, rules=rules, qk=qk)
        assert (maps.layers, maps.has_heads, maps.signed) == (every, False, True)
        for target, ours in zip(ran.directions, maps.tokens, strict=True):
            found = relevance(ran.module, ran.image, target, rules=rules, qk=qk)
            assert_close(ours[:, 0], lrp(found))


@pytest.mark.parametrize("name", ["timm", "deit-distilled", "timm-map"])
def test_a_class_starts_from_its_own_row_of_the_head(name):
    ran = Ran(MAKERS[name]())
    found = relevance(ran.module, ran.image, class_direction(ran.module, 3), rules="orig")
    assert_close(ran("lrp", [3]).tokens[0, :, 0], lrp(found)[:1])


def test_the_map_is_taken_at_the_first_block_unless_layers_are_named():
    ran = Ran(MAKERS["timm-gap-norm-after"]())
    alone, every = ran("lrp"), ran("lrp", layers=(1, 2, 3))
    assert (alone.layers, alone.ran) == ((1,), {"qk": "keep"})
    assert torch.equal(alone.tokens, every.tokens[:, :1])
    assert torch.equal(ran("lrp", layers=(3,)).tokens, every.tokens[:, 2:])
    explained = ran.encoding.explain(ran.directions[0].numpy(), "lrp")
    assert (explained.layers, explained.knobs["rules"], explained.knobs["qk"]) == ((1,), "orig", "keep")


def test_ours_sums_to_one_and_its_sign_means_for_or_against():
    ran = Ran(MAKERS["timm-registers"](), torch.float32)
    maps = ran("lrp", layers=(1, 2, 3), rules="ours").tokens
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps.sum(-1)), rtol=0, atol=1e-5)
    assert (maps < 0).any()


def test_a_model_in_float32_is_explained_in_float64_from_its_own_tokens():
    for rules, tolerance in (("ours", 1e-4), ("orig", 1e-3)):
        single, double = (
            Ran(MAKERS["timm-layerscale-qknorm"](), dtype)("lrp", rules=rules).tokens
            for dtype in (torch.float32, torch.float64)
        )
        assert single.dtype == torch.float64
        torch.testing.assert_close(single, double, rtol=0, atol=tolerance * float(double.abs().max()))


def test_targets_together_are_each_what_they_are_alone_and_progress_is_told_per_layer():
    ran = Ran(MAKERS["timm-swiglu-packed"](), torch.float32, targets=3)
    together = ran("lrp").tokens
    for target, maps in zip(ran.directions, together, strict=True):
        assert torch.equal(ran("lrp", [target]).tokens[0], maps)
    seen = []
    ran.encoding.explain([d.numpy() for d in ran.directions], "lrp", progress=lambda *step: seen.append(step))
    assert sorted(set(seen)) == [(step, 9) for step in range(9)]
    assert seen == sorted(seen)
    assert len(seen) > 9 * 6  # before every linear map


def test_the_length_of_a_direction_plays_no_part():
    ran = Ran(MAKERS["clip-quickgelu"](), targets=1)
    near = 1e-5 * float(ran("lrp", rules="ours").tokens.abs().max())  # 1e-9 beside each sum
    long = ran("lrp", [1000 * ran.directions[0]], rules="ours").tokens
    torch.testing.assert_close(long, ran("lrp", rules="ours").tokens, rtol=0, atol=near)


def test_a_model_without_rules_is_refused():
    assert "Use 'chefercam' instead" in find("lrp").refuses(Ran(MAKERS["timm-gated-attention"]()).vit)
