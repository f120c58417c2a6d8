"""CDAM, literally: eqs. 2 and 4 of arXiv:2312.02364 by autograd on the library's own last attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .last_attention import Last, Score


def cdam(model: nn.Module, image: Tensor, score: Score, *, pooler: bool = False) -> tuple[Tensor, Tensor]:
    """S [N] and its head by head split [H, N], float64; ``score`` of the native output."""
    last = Last(model, image, score, pooler=pooler)
    s = _product(last, last.gradient(last.score, last.leaf))
    at_heads = last.gradient(last.score, last.heads)
    split = []
    for head in range(len(at_heads)):
        alone = torch.zeros_like(at_heads)
        alone[head] = at_heads[head]
        split.append(_product(last, last.gradient(last.heads, last.leaf, alone)))
    return s, torch.stack(split)


def _product(last: Last, gradient: Tensor) -> Tensor:
    return last.placed((last.inputs * gradient.squeeze()).sum(-1)).detach()
