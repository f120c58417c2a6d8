"""Raw attention, literally: the readout's rows of each layer's attention matrix; a pooler's own attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import native


def raw_attention(model: nn.Module, image: Tensor) -> Tensor:
    """[L, H, N] in float64; tokens that an attention pooler does not read: 0."""
    made = native.record(model, image)
    maps = []
    for a, z in zip(made.attention, made.after, strict=False):  # a pooler's own attention comes last and is left over
        pooled = pooler_rows(made, z)
        maps.append(a[:, read_rows(made, z)].mean(1) if pooled is None else pooled)
    return torch.stack(maps).detach()


def pooler_rows(made: native.Recording, z: Tensor) -> Tensor | None:
    """How the library's attention pooler reads the tokens z [N, D]: [H, N], its first query's row; None without one."""
    seen = native.Recording(made.model)
    with native.explicit_attention(seen), torch.no_grad():
        native.tail(made.model, z)
    if not seen.attention:
        return None
    row = seen.attention[-1][:, 0]  # CoCa with parallel poolers: the contrastive one runs last
    return torch.cat([row.new_zeros(len(row), len(z) - row.shape[1]), row], 1)


def read_rows(made: native.Recording, z: Tensor) -> Tensor:
    """Indices of the tokens on which the library's own tail depends at all."""
    leaf = z.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(native.tail(made.model, leaf).square().sum(), leaf)
    return (gradient != 0).any(1).nonzero()[:, 0]


def shares(made: native.Recording, z: Tensor) -> Tensor:
    """pi [N]: the readout's rows in equal parts; a pooler's attention to z, averaged over its heads."""
    pooled = pooler_rows(made, z)
    if pooled is not None:
        return pooled.mean(0)
    pi, rows = torch.zeros(len(z), dtype=torch.float64), read_rows(made, z)
    pi[rows] = 1 / len(rows)
    return pi
