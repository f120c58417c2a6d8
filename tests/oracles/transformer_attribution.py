"""Transformer Attribution, literally: autograd for every attention matrix, whole N x N products (arXiv:2012.09838)."""

from __future__ import annotations

import torch
from torch import Tensor

from .final_score import Scored
from .relevance import Relevance


def transformer_attribution(
    found: Relevance, scored: Scored, pi: Tensor, reads: slice, start: int = 1
) -> tuple[Tensor, Tensor]:
    """E [N] = pi^T C, with C the product of I + mean_h relu(dA * R_A) over the blocks ``start``..L.

    Also E - pi of shorter products [L - start + 2, N]: entry k over the blocks from start + k up, the last over none.
    ``reads``: a pooler's keys; its own mean_h relu(dA * R_A) takes the place of pi.
    """
    depth = len(found.before)
    gradients = [scored.gradient(a) for a in scored.made.attention if scored.gradient(a).any()]
    parts = [(g * r).clamp(min=0).mean(0).detach() for g, r in zip(gradients, found.attention, strict=True)]
    if len(parts) > depth:
        pi = torch.zeros(len(pi), dtype=torch.float64)
        pi[reads] = parts[depth][0]
    added = []
    for first in range(start, depth + 2):
        rest = torch.zeros(len(pi), len(pi), dtype=torch.float64)  # C - I, in which small parts are not lost beside I
        for part in parts[first - 1 : depth]:
            rest = rest + part + part @ rest
        added.append(pi @ rest)
    return pi + added[0], torch.stack(added)
