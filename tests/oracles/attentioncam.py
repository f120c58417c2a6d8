"""AttentionCAM, literally: eq. 10 of arXiv:2404.03214 and the clamped variant, by autograd on the whole attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import native
from .last_attention import Last, Score
from .raw_attention import read_rows


def attentioncam(
    model: nn.Module, image: Tensor, score: Score, *, prefix: int, pooler: bool = False, relu: bool = False
) -> tuple[Tensor, Tensor]:
    """The map [N], and w_h A_h [H, N] of the readout's row, float64."""
    last = Last(model, image, score, pooler=pooler)
    a, gradient = last.attention, last.gradient(last.score, last.attention)
    patches = last.count - prefix
    row, row_gradient = _row(last, a, pooler), _row(last, gradient, pooler)
    parts = []
    for h in range(len(a)):
        if relu:
            weight = row_gradient[h, -patches:].sum() / patches
        elif pooler:
            weight = row_gradient[h].sum() / row.shape[1]
        else:
            weight = gradient[h].sum() / patches**2
        parts.append(weight * row[h])
    heads = last.placed(torch.stack(parts)).detach()
    mean = heads.sum(0) / len(heads)
    return (mean.clamp(min=0) if relu else mean), heads


def _row(last: Last, a: Tensor, pooler: bool) -> Tensor:
    """[H, N']: a pooler's first query, else the mean of the rows that the readout reads."""
    if pooler:
        return a[:, 0]
    made = native.Recording(last.model)
    return a[:, read_rows(made, last.after)].mean(1)
