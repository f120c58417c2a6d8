"""Attention rollout, literally: the full product of row-normalised (mean attention + identity)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import native
from .raw_attention import shares


def rollout(model: nn.Module, image: Tensor, start: int = 1) -> Tensor:
    """[L, N] in float64: the readout of each layer's tokens, times the product up to that layer."""
    made = native.record(model, image)
    count = len(made.before[0])
    product, rows = torch.eye(count, dtype=torch.float64), []
    for layer, (a, z) in enumerate(zip(made.attention, made.after, strict=False), start=1):
        if layer >= start:
            step = a.mean(0) + torch.eye(count, dtype=torch.float64)
            product = step / step.sum(-1, keepdim=True) @ product
        rows.append(shares(made, z) @ product)
    return torch.stack(rows).detach()
