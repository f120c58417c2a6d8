"""CheferCAM, literally: autograd for every attention matrix, whole N x N products (arXiv:2103.15679, eqs. 5, 6, 10)."""

from __future__ import annotations

import torch
from torch import Tensor

from .final_score import Scored


def relevances(scored: Scored) -> list[Tensor]:
    """Ā^l = mean_h relu(A * ds/dA) [N, N] of every block, and of a pooler [Q, N'] last where there is one."""
    return [(a * scored.gradient(a)).clamp(min=0).mean(0).detach() for a in scored.made.attention]


def product(parts: list[Tensor]) -> Tensor:
    """R: R <- R + Ā R for the blocks in ascending order, from the identity."""
    rolled = torch.eye(len(parts[0]), dtype=torch.float64)
    for part in parts:
        rolled = rolled + part @ rolled
    return rolled


def chefercam(scored: Scored, pi: Tensor, start: int = 1) -> Tensor:
    """E [N] = pi^T R with R over the blocks ``start``..L."""
    return pi.double() @ product(relevances(scored)[start - 1 : scored.depth])


def with_pooler(scored: Scored, reads: slice, start: int = 1) -> tuple[Tensor, Tensor]:
    """E [N] by the bi-modal rule without its skip term, and the same split over the blocks [L - start + 1, N].

    ``reads``: the pooler's keys among the tokens. Split by the telescoping sum of R; the pooler's own a with the last.
    """
    *blocks, pooler = relevances(scored)
    blocks = blocks[start - 1 :]
    count = len(blocks[0])
    a = torch.zeros(count, dtype=torch.float64)
    a[reads] = pooler[0]
    relevance = product(blocks) - torch.eye(count, dtype=torch.float64)
    sums = relevance.sum(-1, keepdim=True)
    normalised = torch.nan_to_num(relevance / sums)  # the reference code turns 0/0 into 0
    whole = a @ (normalised + torch.eye(count, dtype=torch.float64))
    upper = [product(blocks[index:]) for index in range(len(blocks))] + [torch.eye(count, dtype=torch.float64)]
    parts = [a @ torch.nan_to_num((upper[i] - upper[i + 1]) / sums) for i in range(len(blocks))]
    parts[-1] = parts[-1] + a
    return whole, torch.stack(parts)
