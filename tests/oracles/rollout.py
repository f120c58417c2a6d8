"""Attention rollout, literally: the full product of row-normalised (mean attention + identity)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import explicit


def rollout(model: nn.Module, image: Tensor, start: int = 1) -> Tensor:
    """[L, N] in float64: the readout's row of the product up to each layer."""
    made = explicit.run(model, image)
    count = len(made.tokens[0])
    product, rows = torch.eye(count, dtype=torch.float64), []
    for layer, a in enumerate(made.attention, start=1):
        if layer >= start:
            step = a.mean(0) + torch.eye(count, dtype=torch.float64)
            product = step / step.sum(-1, keepdim=True) @ product
        rows.append(explicit.readout_shares(made) @ product)
    return torch.stack(rows).detach()
