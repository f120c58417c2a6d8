"""LeGrad on an attention pooler, per prompt, in units of one native forward: SigLIP's and CoCa's towers, full size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import legrad_widget as lw
from tests.bench import vit_b16

BUDGET = 0.1


def siglip() -> nn.Module:
    import timm

    return timm.create_model("vit_base_patch16_siglip_224", num_classes=0)


def coca() -> nn.Module:
    from open_clip.transformer import VisionTransformer

    size = dict(image_size=224, patch_size=32, width=768, layers=12, heads=12, mlp_ratio=4)
    return VisionTransformer(**size, attentional_pool=True, output_dim=512)


@pytest.mark.parametrize("tower", [siglip, coca])
def test_legrad_on_a_pooler_stays_within_its_budget(tower, capsys):
    torch.manual_seed(0)
    module = tower().eval().requires_grad_(False)  # or the counter trips over a parameter that a module is given
    image = torch.randn(3, 224, 224)
    with torch.no_grad():
        forward = vit_b16.flops(lambda: module(image[None]))
    encoding = lw.wrap(module).encode(image)
    prompts = list(np.random.default_rng(0).standard_normal((8, encoding.model.vit.features)).astype(np.float32))
    one, eight = (vit_b16.flops(lambda n=n: encoding.explain(prompts[:n])) / forward for n in (1, 8))
    with capsys.disabled():
        print(f"\n    LeGrad on {tower.__name__}'s pooler: {one:.3f} forwards (budget {BUDGET}), 8 prompts {eight:.3f}")
    assert one <= BUDGET
    assert eight <= 8 * BUDGET
