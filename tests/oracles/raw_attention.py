"""Raw attention, literally: the readout's row of each layer's attention matrix."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import explicit


def raw_attention(model: nn.Module, image: Tensor) -> Tensor:
    """[L, H, N] in float64."""
    made = explicit.run(model, image)
    pi = explicit.readout_shares(made)
    return torch.stack([(pi[None, :, None] * a).sum(1) for a in made.attention]).detach()
