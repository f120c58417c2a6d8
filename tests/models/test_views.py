"""A view matches the native forward block by block, or is refused by name."""

from __future__ import annotations

import copy
import re
import warnings

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import DiffParallelScalingBlock, ParallelThingsBlock
from torch import nn

import legrad_widget as lw
from legrad_widget.models.capture import capture
from tests import specimens
from tests.models.test_left_as_found import fingerprint, same


@pytest.mark.parametrize("name", specimens.EVERY)
@pytest.mark.parametrize("grid", [None, (2, 5)])
def test_every_block_and_the_readout_match_the_native_forward(name, grid):
    model = lw.wrap(specimens.EVERY[name]())
    vit = model.vit
    rows, columns = grid or vit.grid
    if vit.fixed_grid and grid is not None:
        with pytest.raises(lw.ImageError, match=re.escape(vit.fixed_grid)):
            model.encode(specimens.picture(), size=(rows * vit.patch[0], columns * vit.patch[1]))
        return
    image = torch.randn(3, rows * vit.patch[0], columns * vit.patch[1])
    tokens, output = capture(vit, image)
    assert tokens.grid == (rows, columns)
    assert tokens.count == vit.prefix + rows * columns
    with torch.no_grad():
        for layer in range(1, tokens.depth + 1):
            block = tokens.block(layer)
            middle = block.middle(tokens.before(layer))
            torch.testing.assert_close(middle, tokens.middle(layer), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(
                block.finish(middle, tokens.before(layer)), tokens.after(layer), rtol=1e-5, atol=1e-5
            )
        features = vit.readout(tokens.after(len(vit.blocks)))
        if vit.classes is not None:
            weight, bias = vit.classes()
            features = features @ weight.T + (0 if bias is None else bias)
        assert vit.features == vit.readout(tokens.after(1)).shape[0]
    torch.testing.assert_close(features, output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {"reg_tokens": 2}),
        ("deit3_small_patch16_224", {}),
        ("eva02_base_patch14_224", {"patch_size": 16}),
        ("vit_pe_core_base_patch16_224", {}),
        ("vit_small_patch16_rope_mixed_224", {}),
        ("vit_small_patch16_rope_ape_224", {}),
        ("vit_small_patch16_dinov3", {}),
    ],
)
def test_another_grid_is_seen_as_by_the_model_that_timm_makes_for_any(name, options):
    fixed = specimens.timm_vit(name, dynamic_img_size=False, **options)
    dynamic = specimens.timm_vit(name, dynamic_img_size=True, **options)
    dynamic.load_state_dict(fixed.state_dict())
    image = torch.randn(3, 32, 80)
    _, output = capture(lw.wrap(fixed).vit, image)
    with torch.no_grad():
        torch.testing.assert_close(output, dynamic(image[None])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["timm-map", "timm-parallel", "eva02", "rope-mixed", "perception", "beit", "relpos-bias"]
)
def test_the_model_is_left_as_found(name):
    module = specimens.EVERY[name]()
    image = torch.randn(3, specimens.SIDE, specimens.SIDE)
    before = fingerprint(module, image)
    model = lw.wrap(module)
    for size in (None,) if model.vit.fixed_grid else (None, (32, 80)):
        model.encode(specimens.picture(), size=size)
    after = fingerprint(module, image)
    assert [part for part in before if not same(before[part], after[part])] == []


class TwiceAsSharp(nn.Module):
    """An MLP whose parts look ordinary but whose forward does something else."""

    def __init__(self, mlp):
        super().__init__()
        self.fc1, self.act, self.fc2 = mlp.fc1, mlp.act, mlp.fc2

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)) * 1.05)


def sharp_mlp(module):
    module.blocks[1].mlp = TwiceAsSharp(module.blocks[1].mlp)


def other_scale(module):
    module.blocks[2].attn.fused_attn = False
    module.blocks[2].attn.scale = 0.1
    module.blocks[2].attn.forward = type(module.blocks[2].attn).forward.__get__(_lying(module.blocks[2].attn))


def _lying(attention):
    """The same attention, except that its scale reads 0.1 to others and 0.2 to itself."""
    own = copy.copy(attention)
    own.scale = 0.2
    return own


def skip_connection_halved(module):
    block = module.blocks[0]
    forward = block.forward
    block.forward = lambda x, **kwargs: forward(x, **kwargs) - 0.5 * x


def readout_scaled(module):
    head = module.forward_head
    module.forward_head = lambda x, pre_logits=False: head(x, pre_logits) * 1.1


@pytest.mark.parametrize(
    ("mutate", "named"),
    [
        (sharp_mlp, r"MLP of blocks\.1"),
        (other_scale, r"attention of blocks\.2"),
        (skip_connection_halved, r"MLP of blocks\.0"),
        (readout_scaled, "readout"),
    ],
)
def test_a_mutated_block_is_refused_by_name(mutate, named):
    module = specimens.timm_vit()
    mutate(module)
    with pytest.raises(lw.UnsupportedModel, match=named):
        lw.wrap(module)


def other_attention(block):
    attend = block.attn.forward
    block.attn.forward = lambda *args, **kwargs: mixed(attend(*args, **kwargs))


def other_mlp(block):
    forward = block.mlp.forward
    block.mlp.forward = lambda x: mixed(forward(x))


def mixed(x):
    """A small change that a following norm does not undo."""
    return x + 0.05 * x.flip(-1)


def unturned(block):
    attend = block.attn.forward
    block.attn.forward = lambda x, rope=None, **kwargs: attend(x, rope=None, **kwargs)


def unbiased(block):
    twin = copy.deepcopy(block.attn)
    nn.init.zeros_(twin.relative_position_bias_table)
    block.attn.forward = twin.forward


@pytest.mark.parametrize(
    ("name", "mutate", "named"),
    [
        ("timm-post-norm", other_mlp, r"MLP of blocks\.1"),
        ("timm-post-norm", other_attention, r"attention of blocks\.1"),
        ("timm-swiglu", other_mlp, r"MLP of blocks\.1"),
        ("timm-gated-attention", other_attention, r"attention of blocks\.1"),
        ("timm-map", other_attention, r"attention of blocks\.1"),
        ("eva02", unturned, r"attention of blocks\.1"),
        ("dinov3", unturned, r"attention of blocks\.1"),
        ("rope-mixed", unturned, r"attention of blocks\.1"),
        ("eva-post-norm", other_mlp, r"MLP of blocks\.1"),
        ("beit", unbiased, r"attention of blocks\.1"),
        ("relpos-bias", other_attention, r"attention of blocks\.1"),
    ],
)
def test_a_mutated_block_of_any_family_is_refused_by_name(name, mutate, named):
    module = specimens.EVERY[name]()
    mutate(module.blocks[1])
    with pytest.raises(lw.UnsupportedModel, match=named):
        lw.wrap(module)


def test_a_mutated_parallel_block_or_pooler_is_refused_by_name():
    module = specimens.EVERY["timm-parallel"]()
    module.blocks[1].register_forward_hook(lambda _module, _args, output: output * 1.05)
    with pytest.raises(lw.UnsupportedModel, match=r"MLP of blocks\.1"):
        lw.wrap(module)
    module = specimens.EVERY["timm-map"]()
    module.attn_pool.register_forward_hook(lambda _module, _args, output: output * 1.05)
    with pytest.raises(lw.UnsupportedModel, match="readout"):
        lw.wrap(module)


def test_a_model_that_skips_a_block_is_refused():
    module = specimens.timm_vit()
    module.blocks[1].forward = lambda x, **_: x
    blocks = module.blocks

    class Skipping(nn.Sequential):
        def forward(self, x):
            return self[2](self[0](x))

    module.blocks = Skipping(*blocks)
    with pytest.raises(lw.UnsupportedModel, match=r"did not run blocks\.1"):
        lw.wrap(module)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("resnet18", {}, "convolutional"),
        ("swin_tiny_patch4_window7_224", {}, "windowed"),
        ("vit_tiny_patch16_224", {"global_pool": "max"}, "'max'"),
        ("vit_tiny_patch16_224", {"global_pool": "prr"}, "AttentionPoolPrr"),
        ("vit_tiny_patch16_224", {"attn_layer": "diff"}, "subtracts two attention maps"),
        ("vit_tiny_patch16_224", {"block_fn": DiffParallelScalingBlock}, "subtracts two attention maps"),
        ("vit_tiny_patch16_224", {"block_fn": ParallelThingsBlock}, "several attentions side by side"),
    ],
)
def test_other_architectures_are_refused_in_a_sentence(name, options, why):
    with pytest.raises(lw.UnsupportedModel, match=why):
        lw.wrap(timm.create_model(name, **({"depth": 2} if "vit" in name else {}), **options))


def test_scripted_compiled_wrapped_and_damaged_models():
    module = specimens.timm_vit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is on its way out; people still hold such models
        traced = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
    with pytest.raises(lw.UnsupportedModel, match="scripted"):
        lw.wrap(traced)
    assert lw.wrap(torch.compile(module)).module is module
    assert lw.wrap(nn.DataParallel(module)).module is module
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        lw.wrap("vit")
    with pytest.raises(lw.UnsupportedModel, match="meta device"):
        lw.wrap(specimens.timm_vit().to("meta"))
    with torch.no_grad():
        module.blocks[1].mlp.fc1.weight[0, 0] = float("nan")
    with pytest.raises(lw.UnsupportedModel, match="NaN"):
        lw.wrap(module)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["clip", "timm-layerscale-qknorm", "timm-gap-norm-before"])
def test_half_precision_models_are_explained_in_float32(name, dtype):
    module = specimens.ALL[name]()
    full = lw.wrap(module).encode(specimens.picture())
    target = specimens.directions(full.model.vit.features)[0]
    expected = full.explain(target)
    half = lw.wrap(specimens.ALL[name]().to(dtype)).encode(specimens.picture()).explain(target)
    assert half.maps.dtype == expected.maps.dtype == "float32"
    error = np.abs(half.maps - expected.maps).max() / np.abs(expected.maps).max()
    assert error < (0.03 if dtype == torch.float16 else 0.15)
    assert np.corrcoef(half.maps.ravel(), expected.maps.ravel())[0, 1] > 0.99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; runs wherever there is one")
def test_cpu_and_gpu_agree():
    cpu = lw.wrap(specimens.clip()).encode(specimens.picture())
    gpu = lw.wrap(specimens.clip().cuda()).encode(specimens.picture())
    target = specimens.directions(cpu.model.vit.features)[0]
    for method in lw.list_methods():
        a, b = cpu.explain(target, method.name).maps, gpu.explain(target, method.name).maps
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max())


def test_a_backbone_takes_a_linear_head():
    backbone = specimens.timm_vit(num_classes=0)
    head = nn.Linear(specimens.WIDTH, 4)
    model = lw.wrap(backbone, head=head, class_names=["a", "b", "c", "d"])
    x = model.encode(specimens.picture()).explain("c")
    whole = specimens.timm_vit(num_classes=4)
    whole.load_state_dict({**backbone.state_dict(), **{f"head.{k}": v for k, v in head.state_dict().items()}})
    expected = lw.wrap(whole).encode(specimens.picture()).explain(2)
    assert (x.maps == expected.maps).all()
    assert x.score == pytest.approx(expected.score, abs=1e-6)
    same = lw.wrap(backbone, head=(head.weight, head.bias)).encode(specimens.picture()).explain(2)
    assert (same.maps == expected.maps).all()
    with pytest.raises(ValueError, match="head maps the 32 features"):
        lw.wrap(backbone, head=nn.Linear(5, 4))
    with pytest.raises(ValueError, match="a head of its own"):
        lw.wrap(whole, head=head)
    with pytest.raises(lw.TargetError, match="has no classes"):
        lw.wrap(backbone).encode(specimens.picture()).explain(0)
