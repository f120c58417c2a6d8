"""Head effects against autograd on the native forward, ablations against native forwards with edited heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import legrad_widget as lw
from legrad_widget.heads import HeadError, verifying
from tests import specimens
from tests.oracles import ablation, final_score, native

SPECIMENS = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
NAMES = (
    *("clip", "clip-layerscale", "clip-avg-norm-before", "timm", "timm-registers", "timm-gap-norm-after", "timm-map"),
    *("deit-distilled", "timm-post-norm", "timm-parallel", "timm-inner-norms", "timm-gated-attention", "eva02", "beit"),
    *("eva-grouped", "coca", "siglip-linear", "clip-custom-all", "dinov2"),
)


def made(name):
    """The model in float64, its encoding, a target, and the target's score of a native output."""
    module = SPECIMENS[name]().double()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    if model.kind == "classifier":
        return module, encoding, 3, "logit", lambda output: float(output[3])
    direction = specimens.directions(model.vit.features, 1)[0]
    t = torch.tensor(direction).double()
    if model.kind == "backbone":
        return module, encoding, direction, "dot", lambda output: float(output @ t)
    return module, encoding, direction, "cos", lambda output: float(F.cosine_similarity(output, t, dim=0))


@pytest.mark.parametrize("name", NAMES)
def test_effects_are_gradient_times_attention_of_the_final_score(name):
    module, encoding, target, kind, _ = made(name)
    effects = encoding.head_effects(target)
    aim = target if isinstance(target, int) else torch.tensor(target)
    scored = final_score.score(module, encoding.image, aim, kind)
    prefix = encoding.model.vit.prefix
    for layer in range(scored.depth):
        a = scored.made.attention[layer]
        maps = (a * scored.gradient(a)).sum(1).detach().numpy()  # over the queries: [H, N]
        top = np.abs(maps).max()
        ours = np.concatenate([effects.prefix[layer], effects.maps[layer].reshape(len(maps), -1)], 1)
        np.testing.assert_allclose(ours, maps, rtol=0, atol=1e-6 * top)  # handed out in float32
        np.testing.assert_allclose(effects.values[layer], maps.sum(1), rtol=0, atol=1e-5 * top)
        o = scored.made.heads[layer]
        by_output = (o * scored.gradient(o)).sum((1, 2)).detach().numpy()
        np.testing.assert_allclose(effects.values[layer], by_output, rtol=0, atol=1e-5 * top)
        assert effects.prefix[layer].shape == (len(maps), prefix)
    np.testing.assert_allclose(effects.layers, effects.values.sum(1), rtol=1e-6)
    assert effects.score == pytest.approx(float(scored.score.detach()))


@pytest.mark.parametrize("how", ["zero", "mean"])
@pytest.mark.parametrize("name", NAMES)
def test_ablation_equals_a_native_forward_without_the_heads(name, how):
    module, encoding, target, _, score = made(name)
    whole = score(native.record(module, encoding.image).output.detach().flatten())
    for heads in ([(1, 1)], [(3, 0)], [(2, 0), (2, 1), (3, 1)]):
        literal = score(ablation.without_heads(module, encoding.image, heads, how))
        found = encoding.ablate(heads, target, how=how)
        scale = max(abs(whole), abs(literal))
        assert found.after == pytest.approx(literal, abs=1e-9 * scale)
        assert found.before == pytest.approx(whole, abs=1e-9 * scale)
        assert found.change == found.after - found.before
    assert abs(found.change) > 1e-6 * scale


@pytest.mark.parametrize("name", ["timm", "timm-layerscale-qknorm", "dinov2", "timm-gap-norm-after"])
def test_ablation_equals_a_hook_on_the_output_projection(name):
    module, encoding, target, _, score = made(name)
    for layer, head in ((1, 2), (2, 0), (3, 1)):
        literal = score(ablation.without_slice(module, encoding.image, layer, head))
        assert encoding.ablate((layer, head), target).after == pytest.approx(literal, rel=1e-9)


def test_in_float32_the_roundings_cancel():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    literal = ablation.without_heads(module, encoding.image, [(2, 1)])
    whole = native.record(module, encoding.image).output.detach()
    assert encoding.ablate((2, 1), 3).change == pytest.approx(float(literal[3] - whole[3]), rel=1e-4)
    assert encoding.ablate((2, 1), 3).before == pytest.approx(encoding.explain(3).score, rel=1e-5)


def test_the_estimate_is_the_slope_of_the_ablation():
    """A head scaled down by a thousandth loses a thousandth of its effect."""
    module = specimens.timm_vit().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    effects = encoding.head_effects(4)
    before = encoding.explain(4).score
    width = specimens.WIDTH // specimens.HEADS
    for layer, head in effects.top(3):
        projection = module.blocks[layer - 1].attn.proj.weight
        kept = projection.detach().clone()
        with torch.no_grad():
            projection[:, head * width : (head + 1) * width] *= 1 - 1e-5
        lost = before - float(module.eval()(encoding.image.double()[None])[0, 4].detach())
        with torch.no_grad():
            projection.copy_(kept)
        assert lost == pytest.approx(1e-5 * effects.values[layer - 1, head], rel=1e-3)


def test_where_everything_is_linear_the_estimate_is_exact():
    """One block, identity norms, no MLP, linear head: the heads' effects are what they add, and add up."""
    module = specimens.timm_vit(depth=1).double()
    module.norm = module.blocks[0].norm1 = module.blocks[0].norm2 = torch.nn.Identity()
    with torch.no_grad():
        module.blocks[0].mlp.fc2.weight.zero_()
        module.blocks[0].mlp.fc2.bias.zero_()
    encoding = lw.wrap(module).encode(specimens.picture())
    effects = encoding.head_effects(5)
    for head in range(4):
        assert -encoding.ablate((1, head), 5).change == pytest.approx(effects.values[0, head], rel=1e-5)
    together = encoding.ablate([(1, head) for head in range(4)], 5)
    assert -together.change == pytest.approx(float(effects.layers[0]), rel=1e-5)


def test_the_top_heads_are_verified_one_by_one():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    effects, seen = encoding.head_effects(2), []
    found = encoding.verify_heads(2, top=4, progress=lambda *at: seen.append(at))
    assert [(one.layer, one.head) for one in found] == effects.top(4)
    sizes = np.abs([one.estimate for one in found])
    assert (np.diff(sizes) <= 0).all()
    assert sizes[0] == np.abs(effects.values).max()
    for one in found:
        assert one.estimate == effects.values[one.layer - 1, one.head]
        assert one.measured == -encoding.ablate((one.layer, one.head), 2).change
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    one_by_one = verifying(encoding, 2, effects, 4)
    assert next(one_by_one) == found[0]
    assert len(encoding.verify_heads(2, top=99)) == 12


def test_progress_cancels_and_nothing_is_left_behind():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())

    class Enough(Exception):
        pass

    def stop(step, total):
        raise Enough

    for run in (encoding.head_effects, encoding.verify_heads):
        with pytest.raises(Enough):
            run(2, progress=stop)
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ((0, 1), "layers go from 1 to 3 and heads from 0 to 3; arrived: layer 0, head 1"),
        ([(2, 4)], "heads from 0 to 3"),
        ([], "name at least one"),
        ([3], "a pair \\(layer, head\\)"),
        ("1, 2", "a list of pairs"),
    ],
)
def test_heads_that_are_not_there(heads, said):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(HeadError, match=said):
        encoding.ablate(heads, 1)


def test_other_refusals():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    with pytest.raises(HeadError, match="how is one of 'zero', 'mean'"):
        encoding.ablate((1, 1), 1, how="noise")
    with pytest.raises(HeadError, match="top is how many heads"):
        encoding.verify_heads(1, top=0)
    with torch.no_grad():
        module.head.bias.add_(1)
    for run in (lambda: encoding.head_effects(1), lambda: encoding.ablate((1, 1), 1)):
        with pytest.raises(lw.StaleEncoding):
            run()
