"""TAM against tokens really deleted, and against key masks in the library's own blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import legrad_widget as lw
from legrad_widget.method import find
from legrad_widget.models import forward
from legrad_widget.models.capture import plain_arithmetic
from tests import specimens
from tests.oracles import native
from tests.oracles import tam as oracle

CLS = ("clip", "clip-layerscale", "timm-registers", "timm-layerscale-qknorm", "deit-distilled")
MEAN = ("clip-avg-norm-before", "timm-gap-norm-after", "timm-gap-prefix")
POOLER = ("timm-map-cls-registers", "timm-map-prefix", "timm-map-headless", "timm-map-qknorm")
BUILT = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
# Rotary positions and relative biases need every token in its place, and some take any grid.
MASKED = (
    *("clip-wide", "timm-dynamic-size", "timm-gap-norm-after", "timm-map-prefix", "timm-post-norm", "timm-parallel"),
    *("eva02", "eva02-clip", "dinov3", "perception", "eva-grouped", "beit", "beit-both-token", "relpos-shared"),
)
DELETED = (*CLS, *MEAN, *POOLER, "coca", "coca-parallel", "clip-custom-all", "siglip-linear", "timm-swiglu-packed")


def maps_of(encoding, targets, **knobs):
    """[P, N] of the method itself, in the model's own precision."""
    model = encoding.model
    with plain_arithmetic(model.vit.device):
        aims = model.aims([model.target(t) for t in targets])
        return find("tam").run(encoding.tokens, aims, None, lambda *_: None, **knobs).tokens[:, 0, 0]


def question(model):
    """A target, and the score that the oracle takes of the native output: a class's logit, or a direction's cosine."""
    if model.kind == "classifier":
        return 3, lambda output: output[3]
    direction = specimens.directions(model.vit.features, 1)[0]
    t = torch.tensor(direction).double()
    if model.kind == "backbone":
        return direction, lambda output: output @ t
    return direction, lambda output: F.cosine_similarity(output, t, dim=0)


def close(ours, literal, tolerance):
    np.testing.assert_allclose(ours, literal, rtol=0, atol=tolerance * float(np.abs(literal).max()))


@pytest.mark.parametrize("name", DELETED)
def test_removal_equals_tokens_really_deleted(name):
    module = BUILT[name]()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    target, score = question(model)
    prefix, count = model.vit.prefix, encoding.tokens.count
    literal = oracle.tam(oracle.deleted, module, encoding.image, score, [[i] for i in range(prefix, count)]).numpy()
    close(maps_of(encoding, [target])[0, prefix:], literal, 1e-5)
    exact = lw.wrap(module.double()).encode(encoding.image)
    ours = maps_of(exact, [target])
    assert ours.dtype == torch.float64
    close(ours[0, prefix:], literal, 1e-9)
    assert not ours[:, :prefix].any()


@pytest.mark.parametrize("name", MASKED)
def test_removal_equals_key_masks_in_the_native_blocks(name):
    module = BUILT[name]().double()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture(), size=(32, 80) if name == "timm-dynamic-size" else None)
    target, score = question(model)
    prefix, count = model.vit.prefix, encoding.tokens.count
    literal = oracle.tam(oracle.masked, module, encoding.image, score, [[i] for i in range(prefix, count)]).numpy()
    close(maps_of(encoding, [target])[0, prefix:], literal, 1e-9)


def one_block(**options):
    """One block without norms and MLP, class token and linear head, in float64."""
    module = specimens.timm_vit(depth=1, **options).double()
    module.norm = module.blocks[0].norm1 = module.blocks[0].norm2 = nn.Identity()
    with torch.no_grad():
        module.blocks[0].mlp.fc2.weight.zero_()
        module.blocks[0].mlp.fc2.bias.zero_()
    return module


def test_one_block_formula():
    """S[i] = sum_h A[h, 0, i] / (1 - A[h, 0, i]) <G_h, v[h, i] - o_h>."""
    module = one_block()
    encoding = lw.wrap(module).encode(specimens.picture())
    made = native.record(module, encoding.image)
    (gradient,) = torch.autograd.grad(made.output[3], made.heads[0])
    a, g, o = made.attention[0][:, 0], gradient[:, 0], made.heads[0][:, 0]
    formula = (a / (1 - a) * ((made.values[0] - o[:, None]) * g[:, None]).sum(-1)).sum(0)
    close(maps_of(encoding, [3])[0, 1:], formula[1:].detach().numpy(), 1e-9)


def test_equal_tokens_have_equal_values():
    module = specimens.timm_vit().double()
    with torch.no_grad():
        module.pos_embed.zero_()
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[16:32] = 200  # the second row of patches
    values = lw.wrap(module).encode(stripes).explain(2, "tam").maps[0]
    np.testing.assert_allclose(values, values[:, :1].repeat(3, 1), rtol=0, atol=1e-6 * np.abs(values).max())
    assert abs(values[0, 0] - values[1, 0]) > 1e-3 * np.abs(values).max()


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(2, 5), group=st.integers(1, 4), prefix=st.sampled_from([0, 1, 4]))
def test_groups_are_removed_together_on_every_grid(height, width, group, prefix):
    module = specimens.timm_vit(
        img_size=(16 * height, 16 * width), depth=1, class_token=prefix > 0, reg_tokens=max(0, prefix - 1),
        global_pool="token" if prefix else "avg",
    ).double()  # fmt: skip
    encoding = lw.wrap(module).encode(specimens.picture())
    if group >= max(height, width):
        with pytest.raises(lw.KnobError, match=f"group={group} removes all of the {height} x {width} patches"):
            encoding.explain(1, "tam", group=group)
        return
    grid = np.arange(height * width).reshape(height, width)
    literal = np.zeros((height, width))
    for row in range(0, height, group):
        for column in range(0, width, group):
            place = np.s_[row : row + group, column : column + group]
            removed = [int(i) + prefix for i in grid[place].flat]
            literal[place] = oracle.tam(oracle.deleted, module, encoding.image, lambda out: out[1], [removed])[0]
    close(maps_of(encoding, [1], group=group)[0, prefix:].reshape(height, width), literal, 1e-9)


def test_coarse_to_fine_is_exact_where_it_looks_and_shares_out_elsewhere():
    model = lw.wrap(specimens.timm_vit(dynamic_img_size=True).double())
    encoding = model.encode(specimens.picture(), size=(64, 96))  # 4 x 6 patches: six windows of 2 x 2, two refined
    coarse, exact, windows = (
        encoding.explain(3, "tam", **knobs).maps[0] for knobs in ({"coarse": 2}, {}, {"group": 2})
    )
    corners = windows[::2, ::2]
    refined = np.isin(np.arange(6), np.argsort(-np.abs(corners).ravel())[:2]).reshape(2, 3)
    fine = refined.repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(coarse[fine], exact[fine], rtol=1e-6)
    np.testing.assert_allclose(coarse[~fine], windows[~fine] / 4, rtol=1e-6)
    with pytest.raises(lw.KnobError, match="leave out group"):
        encoding.explain(3, "tam", coarse=2, group=2)
    with pytest.raises(lw.KnobError, match="coarse=6 removes all"):
        encoding.explain(3, "tam", coarse=6)


@pytest.mark.parametrize("knobs", [{}, {"group": 2}, {"coarse": 2}, {"score": "dot"}])
def test_targets_together_are_as_one_at_a_time_and_share_their_forwards(knobs):
    model = lw.wrap(specimens.clip().double())
    encoding = model.encode(specimens.picture(), size=(64, 64))
    targets = specimens.directions(model.vit.features)
    together = maps_of(encoding, targets, **knobs)
    for index, target in enumerate(targets):
        close(together[index], maps_of(encoding, [target], **knobs)[0].numpy(), 1e-9)
    assert not np.allclose(together[0], together[1])


def test_score_scale_and_linearity():
    model = lw.wrap(specimens.clip().double())
    encoding = model.encode(specimens.picture())
    a, b = specimens.directions(model.vit.features, 2)
    close(maps_of(encoding, [7 * a])[0], maps_of(encoding, [a])[0].numpy(), 1e-6)  # a direction is held in float32
    sums = maps_of(encoding, [a, b, a + b], score="dot")
    close(sums[2], (sums[0] + sums[1]).numpy(), 1e-6)
    scale = model.logit_form()[0]
    close(maps_of(encoding, [a], score="logit")[0], scale * maps_of(encoding, [a], score="cos")[0].numpy(), 1e-9)


@pytest.mark.parametrize("numbers", [1, 20_000])
def test_batches_do_not_show(monkeypatch, numbers):
    encoding = lw.wrap(specimens.clip().double()).encode(specimens.picture())
    target = specimens.directions(encoding.model.vit.features, 1)
    whole = maps_of(encoding, target)
    monkeypatch.setitem(forward._CHUNK, "cpu", numbers)
    close(maps_of(encoding, target)[0], whole[0].numpy(), 1e-9)


@pytest.mark.parametrize("knobs", [{}, {"coarse": 2}])
def test_progress_rises_to_its_end_and_can_be_stopped(knobs, monkeypatch):
    monkeypatch.setitem(forward._CHUNK, "cpu", 1)  # one mask a batch
    module = specimens.timm_vit(dynamic_img_size=True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    encoding = lw.wrap(module).encode(specimens.picture(), size=(64, 64))
    seen = []
    encoding.explain([0, 1], "tam", progress=lambda step, total: seen.append((step, total)), **knobs)
    assert all(0 <= step < total for step, total in seen)
    fractions = [step / total for step, total in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    assert len(seen) >= (17 if not knobs else 5) * specimens.DEPTH  # every mask, every block

    class Stop(Exception):
        pass

    def stop(step, total):
        if step > total // 2:
            raise Stop

    with pytest.raises(Stop):
        encoding.explain(0, "tam", progress=stop)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_the_explanation_says_what_it_is():
    encoding = lw.wrap(specimens.timm_vit(reg_tokens=4)).encode(specimens.picture())
    x = encoding.explain(3, "tam")
    assert x.signed
    assert x.layers == (specimens.DEPTH,)
    assert x.maps.shape == (1, 3, 3)
    assert x.heads is None
    assert not x.prefix.any()
    assert x.prefix.shape == (1, 5)
    assert find("tam").slow
    assert encoding.explain(3, "tam", layers=specimens.DEPTH).layers == x.layers
    with pytest.raises(lw.MethodError, match="leave out layers"):
        encoding.explain(3, "tam", layers=1)
    with pytest.raises(lw.KnobError, match="group is a whole number from 1"):
        encoding.explain(3, "tam", group=0)
