"""GradCAM on ViT tokens, literally (LeGrad eq. 9), by autograd through the library's own forward."""

from __future__ import annotations

import torch
from torch import Tensor

from .final_score import Scored


def at_output(scored: Scored, layer: int, prefix: int, weights: str) -> Tensor:
    """E [N] from the output of block ``layer`` (1-based)."""
    return weighed(*scored.tokens(layer), prefix, weights)


def weighed(x: Tensor, gradient: Tensor, prefix: int, weights: str) -> Tensor:
    """relu of the inner products of the tokens [N, D] with their mean gradient, one token and one channel at a time."""
    count, width = x.shape
    w = torch.zeros(width, dtype=torch.float64)
    for token in range(0 if weights == "all" else prefix, count):
        w += gradient[token] / (count - prefix)
    return torch.stack([sum(w[k] * x[i, k] for k in range(width)) / width for i in range(count)]).clamp(min=0)
