"""GradCAM on tokens equals its literal formula at every layer and site."""

from __future__ import annotations

import pytest
import torch

import legrad_widget as lw
from tests import specimens
from tests.method.running import TOLERANCE, Ran, assert_close
from tests.oracles import final_score, native
from tests.oracles import gradcam as oracle

MODELS = {
    "clip": specimens.clip,
    "clip-wide": specimens.CLIPS["clip-wide"],
    "timm-gap-no-cls": specimens.CLASSIFIERS["timm-gap-no-cls"],
    "timm-registers": specimens.CLASSIFIERS["timm-registers"],
    "deit-distilled": specimens.CLASSIFIERS["deit-distilled"],
    "timm-parallel": specimens.BLOCKS["timm-parallel"],
    "timm-gated-attention": specimens.BLOCKS["timm-gated-attention"],
    "timm-map": specimens.POOLED["timm-map"],
    "coca": specimens.COCA["coca"],
}


def scored(ran: Ran, target) -> final_score.Scored:
    """What each model differentiates by default: a class's logit, a direction's cosine on a CLIP."""
    if isinstance(target, int):
        return final_score.score(ran.module, ran.image, target, "logit")
    return final_score.score(ran.module, ran.image, target, "cos" if ran.model.kind == "clip" else "dot")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", MODELS)
def test_every_layer_equals_the_literal_formula(name, dtype):
    ran = Ran(MODELS[name](), dtype)
    depth, prefix = ran.tokens.depth, ran.vit.prefix
    literal = [scored(ran, target) for target in ran.targets]
    for weights in ("all", "patches"):
        sweep = ran("gradcam", ran.targets, layers=tuple(range(1, depth + 1)), weights=weights).tokens
        for index, one in enumerate(literal):
            for layer in range(1, depth + 1):
                expected = oracle.at_output(one, layer, prefix, weights).to(dtype)
                assert_close(sweep[index, layer - 1, 0], expected, dtype)
        alone = ran("gradcam", ran.targets, weights=weights)
        assert alone.layers == (2 * depth // 3,)
        assert_close(alone.tokens, sweep[:, [2 * depth // 3 - 1]], dtype)
        assert_close(ran("gradcam", ran.targets, weights=weights, layer=depth).tokens, sweep[:, [-1]], dtype)


NORMS = {"clip": "ln_1", "timm-gap-no-cls": "norm1", "timm-parallel": "in_norm", "timm-gated-attention": "norm1"}


@pytest.mark.parametrize("name", NORMS)
def test_the_first_norm_equals_the_gradient_at_that_module(name):
    ran = Ran(MODELS[name]())
    outputs: list[torch.Tensor] = []
    blocks = native.blocks_of(getattr(ran.module, "visual", ran.module))
    handles = [
        getattr(block, NORMS[name]).register_forward_hook(lambda _module, _args, output: outputs.append(output))
        for block in blocks
    ]
    one = scored(ran, ran.targets[0])
    for handle in handles:
        handle.remove()
    for weights in ("all", "patches"):
        ours = ran("gradcam", ran.targets[:1], layers=(1, 2, 3), site="norm1", weights=weights).tokens[0, :, 0]
        for layer, t in enumerate(outputs, start=1):
            x, gradient = t.detach().reshape(-1, t.shape[-1]), one.gradient(t).reshape(-1, t.shape[-1])
            assert_close(ours[layer - 1], oracle.weighed(x, gradient, ran.vit.prefix, weights))


def test_the_last_output_of_a_class_token_model_has_weights_from_that_token_alone():
    ran = Ran(specimens.timm_vit())
    depth = ran.tokens.depth
    assert not ran("gradcam", [1], layer=depth, weights="patches").tokens.any()
    x = ran.encoding.explain(1, "gradcam", layer=depth, weights="patches")
    assert x.degenerate == (True,)
    z = ran.tokens.after(depth)
    head, norm = ran.module.head.weight[1].detach(), ran.module.norm
    leaf = z[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad((norm(leaf) * head).sum(), leaf)
    count = ran.tokens.count - 1
    assert_close(ran("gradcam", [1], layer=depth).tokens[0, 0, 0], (z @ gradient).clamp(min=0) / (count * z.shape[1]))


def test_a_mean_without_norm_has_the_closed_form():
    """s = <mean over patches of Z^L, t> without norm => E_i = relu(<t, Z^L_i>) / (n d)."""
    module = specimens.timm_vit(global_pool="avg", class_token=False, fc_norm=False)
    module.norm = torch.nn.Identity()
    ran = Ran(module)
    z = ran.tokens.after(ran.tokens.depth)
    ours = ran("gradcam", ran.directions[:1], layer=ran.tokens.depth, score="dot").tokens[0, 0, 0]
    count, width = z.shape
    assert_close(ours, (z @ ran.directions[0].double()).clamp(min=0) / (count * width))


@pytest.mark.parametrize("score", ["cos", "dot", "logit"])
def test_each_score_of_a_clip_is_the_one_that_is_differentiated(score):
    ran = Ran(specimens.clip())
    t = ran.directions[0]
    scale = ran.model.logit_form()[0] if score == "logit" else 1.0
    one = final_score.score(ran.module, ran.image, t, "dot" if score == "dot" else "cos", scale)
    expected = oracle.at_output(one, 2, 1, "all")
    assert_close(ran("gradcam", [t], score=score).tokens[0, 0, 0], expected)


def test_a_positive_scale_of_the_target_changes_nothing_but_the_unit():
    ran = Ran(specimens.timm_vit())
    t = ran.directions[0]
    small, large = (ran("gradcam", [factor * t], score="dot").tokens for factor in (1.0, 64.0))
    assert_close(large / 64, small)


def test_one_map_is_labelled_with_its_layer_and_contradictions_are_refused():
    model = lw.wrap(specimens.timm_vit(depth=12))
    encoding = model.encode(specimens.picture())
    x = encoding.explain(1, "gradcam")
    assert x.layers == (8,)
    assert x.heads is None
    assert x.prefix.shape == (1, 1)
    assert encoding.explain(1, "gradcam", layer=5).layers == (5,)
    assert encoding.explain(1, "gradcam", layers=(3, 5)).layers == (3, 5)
    with pytest.raises(lw.KnobError, match="from 1 to 12"):
        encoding.explain(1, "gradcam", layer=13)
    with pytest.raises(lw.KnobError, match="layer=5 gives the map of that block alone"):
        encoding.explain(1, "gradcam", layer=5, layers=(3, 4))
    with pytest.raises(lw.KnobError, match="layer is a whole number"):
        encoding.explain(1, "gradcam", layer=0)


def test_blocks_without_a_first_norm_refuse_that_site():
    ran = Ran(specimens.BLOCKS["timm-post-norm"]())
    with pytest.raises(lw.MethodError, match="use site='output'"):
        ran("gradcam", [1], site="norm1")
    one = scored(ran, 1)
    assert_close(ran("gradcam", [1]).tokens[0, 0, 0], oracle.at_output(one, 2, 1, "all"))
