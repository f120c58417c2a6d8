"""LeGrad equals the literal paper on every readout and every shape of block, and keeps its knobs' promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import legrad_widget as lw
from tests import specimens
from tests.method.running import Ran, assert_close
from tests.oracles import final_score
from tests.oracles.legrad import legrad, of_the_final_score

FAMILIES = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
ATTENTION_POOLED = {"coca", "coca-wide", "coca-parallel", "siglip-linear", "timm-map-cls-registers", "timm-map-qknorm"}
SHAPES = (
    "clip", "clip-wide", "clip-avg-norm-before", "clip-avg-norm-after", "clip-custom-all", "timm-gap-prefix",
    "timm-gap-no-cls", "timm-registers", "timm-post-norm", "timm-parallel", "timm-swiglu", "timm-inner-norms",
    "timm-gated-attention", "deit-distilled",
)  # fmt: skip


def both(ran, maps, knobs, **literal):
    """Our maps and scores beside the oracle's, for every direction."""
    for ours, scores, direction in zip(maps.tokens, maps.scores, ran.directions, strict=True):
        oracle, expected = legrad(ran.module, ran.image, direction, **(knobs | literal))
        assert_close(ours, oracle, ran.vit.dtype)
        assert_close(scores, expected, ran.vit.dtype)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, torch.float64) for name in FAMILIES),
        *((n, torch.float32) for n in (*SHAPES, *sorted(ATTENTION_POOLED))),
    ],
)
def test_equals_the_literal_paper_with_the_model_s_own_readout(name, dtype):
    ran = Ran(FAMILIES[name](), dtype)
    for score, relu in (("cos", True), ("raw", False)):
        knobs = {"score": score, "relu": relu}
        maps = ran("legrad", **knobs)
        both(ran, maps, knobs)
        assert maps.signed is not relu


@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_literal_paper_with_another_pooling(name):
    ran = Ran(FAMILIES[name]())
    pools = ("mean", *(("cls",) if ran.vit.has_cls and ran.vit.readout.kind == "mean" else ()))
    for pool, score, relu in itertools.product(pools, ("dot", "cos", "raw"), (True, False)):
        knobs = {"pool": pool, "score": score, "relu": relu}
        both(ran, ran("legrad", **knobs), knobs)


@pytest.mark.parametrize("name", sorted(ATTENTION_POOLED))
def test_with_a_pooler_s_score_and_the_blocks_own_attention(name):
    ran = Ran(FAMILIES[name]())
    for relu in (True, False):
        both(ran, ran("legrad", attention="self", score="cos", relu=relu), {"attention": "self", "relu": relu})


@pytest.mark.parametrize("name", specimens.CLASSIFIERS)
def test_of_a_class_differentiates_its_logit(name):
    ran = Ran(FAMILIES[name](), torch.float32)
    weight, bias = ran.vit.classes()
    maps = ran("legrad", [3])
    oracle, scores = legrad(ran.module, ran.image, weight[3], score="logit", bias=float(bias[3]))
    assert_close(maps.tokens[0], oracle, torch.float32)
    assert_close(maps.scores[0], scores, torch.float32)
    x = ran.encoding.explain(3)
    native = ran.module(ran.image[None])[0].detach()
    assert x.score == pytest.approx(float(native[3]), abs=1e-5)
    assert x.probability == pytest.approx(float(native.softmax(0)[3]), abs=1e-6)


@pytest.mark.parametrize("name", [*SHAPES, *sorted(ATTENTION_POOLED)])
def test_the_final_score_with_respect_to_every_layer(name):
    ran = Ran(FAMILIES[name](), targets=1)
    if ran.vit.classes is not None:
        asked, s = [4], final_score.score(ran.module, ran.image, 4, "logit")
    else:
        asked, s = (
            None,
            final_score.score(ran.module, ran.image, ran.directions[0], "cos" if ran.model.kind == "clip" else "dot"),
        )
    knobs = {"attention": "self"} if name in ATTENTION_POOLED else {}
    for relu in (True, False):
        maps = ran("legrad", asked, score="final", relu=relu, **knobs)
        assert_close(maps.tokens[0], of_the_final_score(s.made, s.score, s.depth, relu=relu))
        assert_close(maps.scores[0], s.score.detach().expand(s.depth))
    some = ran("legrad", asked, layers=(2,), score="final", **knobs)
    whole = ran("legrad", asked, score="final", **knobs)
    torch.testing.assert_close(some.tokens[:, 0], whole.tokens[:, 1], rtol=0, atol=0)


def test_the_final_score_and_the_layers_own_agree_on_the_last_layer_alone():
    ran = Ran(specimens.clip())
    final, own = ran("legrad", score="final"), ran("legrad")
    torch.testing.assert_close(final.tokens[:, -1], own.tokens[:, -1], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(final.tokens[:, 0], own.tokens[:, 0], rtol=0.1)


def test_presets_of_a_class_token_model():
    ran = Ran(specimens.clip())
    both(ran, ran("legrad", preset="paper"), {"pool": "cls", "score": "raw"})
    reference = ran("legrad", preset="reference")
    assert reference.layers == (2, 3)
    assert dict(reference.ran) == {"pool": "mean", "score": "cos"}
    for ours, direction in zip(reference.tokens, ran.directions, strict=True):
        assert_close(ours, legrad(ran.module, ran.image, direction, pool="mean")[0][1:])


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        ("siglip", {"score": "cos", "final_norms": False}),  # the code leaves out trunk.norm, and takes the cosine
        ("coca", {"score": "raw"}),  # it leaves out ln_post, and takes the plain product
        ("coca-parallel", {"score": "raw"}),
    ],
)
def test_presets_of_models_with_an_attention_pooler(name, literal):
    ran = Ran(FAMILIES[name]())
    both(ran, ran("legrad", preset="paper"), {"score": "raw"})
    reference = ran("legrad", preset="reference")
    assert reference.layers == (2, 3)
    for ours, direction in zip(reference.tokens, ran.directions, strict=True):
        assert_close(ours, legrad(ran.module, ran.image, direction, **literal)[0][1:])


def test_on_another_grid():
    ran = Ran(FAMILIES["timm-dynamic-size"](), size=(32, 80))
    both(ran, ran("legrad"), {"score": "dot"})
    both(ran, ran("legrad", pool="mean"), {"pool": "mean", "score": "dot"})


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-after", "siglip", "coca"])
def test_what_the_definition_promises(name):
    ran = Ran(FAMILIES[name]())
    maps = ran("legrad")
    for index, direction in enumerate(ran.directions):  # prompts together are prompts one at a time
        torch.testing.assert_close(ran("legrad", [direction]).tokens[0], maps.tokens[index], rtol=1e-12, atol=1e-14)
    short, long = (ran("legrad", [factor * d for d in ran.directions], score="cos").tokens for factor in (1.0, 7.0))
    torch.testing.assert_close(short, long, rtol=1e-6, atol=1e-9)  # directions are kept in float32
    back = ran("legrad", [-d for d in ran.directions], score="dot").tokens
    signed = ran("legrad", score="dot", relu=False).tokens
    torch.testing.assert_close(ran("legrad", score="dot").tokens - back, signed, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ran("legrad", layers=(1, 3)).tokens, maps.tokens[:, [0, 2]], rtol=0, atol=0)


def test_a_pooler_s_map_is_zero_on_tokens_that_it_does_not_read():
    ran = Ran(FAMILIES["timm-map-cls-registers"]())
    maps = ran("legrad").tokens
    assert not maps[..., : ran.vit.prefix].any()
    assert maps[..., ran.vit.prefix :].any()
    ran = Ran(FAMILIES["coca"]())
    maps = ran("legrad").tokens
    assert maps[..., 0].any()  # CoCa's pooler reads the class token, with heads of its own
    assert maps.shape[2] == ran.vit.readout.pooler.heads != ran.vit.heads


@pytest.mark.parametrize(
    ("name", "knobs", "why"),
    [
        ("clip", {"attention": "self"}, "has no attention pooler"),
        ("clip", {"score": "final", "pool": "mean"}, "leave out pool='mean'"),
        ("clip", {"preset": "paper", "score": "cos"}, "preset='paper' sets pool and score"),
        ("clip", {"preset": "paper", "score": "final"}, "preset='paper' sets pool and score"),
        ("timm-gap-no-cls", {"pool": "cls"}, "has no class token"),
        ("coca", {"pool": "cls"}, "reads its tokens by an attention pooler"),
        ("coca", {"pool": "mean"}, "reads its tokens by an attention pooler"),
        ("coca", {"score": "final"}, "add attention='self'"),
    ],
)
def test_knobs_that_do_not_go_together_are_refused(name, knobs, why):
    ran = Ran(FAMILIES[name]())
    with pytest.raises((lw.KnobError, lw.MethodError), match=why):
        ran.encoding.explain(ran.directions[0].numpy(), **knobs)


def test_a_siglip_s_logit_is_its_cosine_s_map_on_another_scale():
    ran = Ran(FAMILIES["siglip"](), torch.float32)
    x, y = (ran.encoding.explain(ran.directions[0].numpy(), score=score) for score in ("cos", "logit"))
    scale, offset = ran.model.logit_form()
    np.testing.assert_allclose(y.maps, scale * x.maps, rtol=1e-4, atol=1e-5 * np.abs(y.maps).max())
    np.testing.assert_allclose(y.scores, scale * x.scores + offset, rtol=1e-5)
