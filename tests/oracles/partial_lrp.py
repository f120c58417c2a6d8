"""Partial LRP, literally: the positive relevance of the last attention map (a pooler's, where there is one)."""

from __future__ import annotations

import torch
from torch import Tensor

from .relevance import Relevance


def partial_lrp(found: Relevance, pi: Tensor, reads: slice) -> Tensor:
    """E [H, N] per head: the rows of R_A that the readout reads, weighed by pi [N]; a pooler's one row on ``reads``."""
    last = found.attention[-1].clamp(min=0)
    if len(found.attention) == len(found.before):
        return torch.einsum("i,hij->hj", pi, last)
    heads = torch.zeros(len(last), len(pi), dtype=torch.float64)
    heads[:, reads] = last[:, 0]
    return heads
