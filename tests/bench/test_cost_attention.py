"""Methods that read attention, on a ViT-B/16 of every readout: at most 0.3 forwards for one target."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import timm
import torch

import legrad_widget as lw
from tests.bench import vit_b16

METHODS = ("raw_attention", "rollout", "cdam", "attentioncam", "textspan")


@cache
def of_readout(kind: str) -> tuple[lw.Model, int]:
    """A model, and the FLOPs of its plain forward."""
    if kind == "cls":
        return vit_b16.model(), vit_b16.flops(vit_b16.plain_forward)
    name, options = {
        "mean": ("vit_base_patch16_224", {"global_pool": "avg"}),
        "attention": ("vit_base_patch16_siglip_224", {}),
    }[kind]
    torch.manual_seed(0)
    module: Any = timm.create_model(name, num_classes=10, **options).eval().requires_grad_(False)
    return lw.wrap(module), vit_b16.flops(lambda: module(vit_b16.image()[None]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["cls", "mean", "attention"])
def test_one_target_stays_within_the_budget(kind, method, capsys):
    model, forward = of_readout(kind)
    encoding = model.encode(vit_b16.image())
    targets = list(np.random.default_rng(0).standard_normal((9, model.vit.features)).astype(np.float32))
    one = vit_b16.flops(lambda: encoding.explain(targets[0], method)) / forward
    more = vit_b16.flops(lambda: encoding.explain(targets[1:], method)) / forward
    with capsys.disabled():
        print(f"\n    {method} on {kind}: {one:.3f} forwards (budget 0.3); eight more targets: {more:.3f}")
    assert one <= 0.3
    assert more <= 8 * 0.3
