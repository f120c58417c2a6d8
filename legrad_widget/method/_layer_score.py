"""The score of one layer and its gradient with respect to the block's attention output (chain rule inside one block).

s^l reads Z^l through the readout. A^l reaches s^l only through O^l = A^l V^l inside block l, so

    ds/dA[h, i, j] = <G[h, i], v[h, j]>,   G = ds/dO,   G[h, i] = W_O^(h)T (g1 * ds/dY_i),
    ds/dY_i = u_i + J_{MLP o norm2}(Y_i)^T (g2 * u_i),   u_i = ds/dZ^l_i.

Rows that the readout does not read have u_i = 0, hence no gradient: only ``rows`` are computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from ..models.capture import Tokens
from ..models.view import Block, Readout, ViT, apply, pullback
from ..target import Aims
from ._method import MethodError

Pool = Literal["native", "cls", "mean"]


def layer_readout(vit: ViT, pool: Pool, *, raw: bool = False) -> Readout:
    """The readout that gives s^l: the model's own, the class token's, or the mean of all tokens with norm after it.

    ``raw`` leaves out every norm (LeGrad eq. 3 read literally).

    Raises:
        MethodError: pool="cls" on a model without a class token.
    """
    own = vit.readout
    norm, post_norm = (nn.Identity(), nn.Identity()) if raw else (own.norm, own.post_norm)
    if pool == "mean":
        copies = own.rows.stop - own.rows.start if own.kind == "cls" else 1
        return Readout("mean", slice(0, None), nn.Identity(), _Repeated(norm, post_norm, copies), own.weight)
    if pool == "cls" and own.kind == "mean":
        if not vit.has_cls:
            raise MethodError(
                f"{vit.name} has no class token; use pool='native' (the mean of its patches) or pool='mean'"
            )
        return Readout("cls", slice(0, 1), norm, post_norm, own.weight)
    return replace(own, norm=norm, post_norm=post_norm)


class _Repeated(nn.Module):
    """post_norm(norm(x)) of a mean token, laid side by side where the readout expects several class tokens."""

    def __init__(self, norm: nn.Module, post_norm: nn.Module, copies: int):
        super().__init__()
        self.parts, self.copies = (norm, post_norm), copies  # a tuple: not registered, so never moved or converted

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = apply(part, x)
        return torch.cat([x] * self.copies, -1)


def layer_score(tokens: Tensor, readout: Readout, aims: Aims) -> tuple[Tensor, Tensor]:
    """s [P] of the tokens Z^l [N, D], and u = ds/dZ on ``readout.rows``: [P, R, D], or [P, 1, D] if shared."""
    read = tokens[readout.rows].detach()
    per_token = readout.kind == "cls"
    pooled = readout.pool(read if per_token else apply(readout.norm, read))
    leaf = (read if per_token else pooled).expand(len(aims), *(read if per_token else pooled).shape)
    with torch.enable_grad():
        leaf = leaf.contiguous().requires_grad_()
        vector = readout.pool(apply(readout.norm, leaf)) if per_token else leaf
        score = aims(readout.project(apply(readout.post_norm, vector)))
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
    if per_token:
        return score.detach(), gradient
    gradient = gradient[:, None] / len(read)
    if isinstance(readout.norm, nn.Identity):
        return score.detach(), gradient
    return score.detach(), pullback(lambda x: apply(readout.norm, x), read, gradient)


def output_gradient(tokens: Tokens, layer: int, rows: slice, u: Tensor) -> Tensor:
    """G = ds/dO [P, H, R, e] on ``rows`` from u = ds/dZ [P, R or 1, D]."""
    block = tokens.vit.blocks[layer - 1]
    y = tokens.middle(layer)[rows]
    through_mlp = _pull_mlp(tokens, block, layer, y, block.scaled(block.gamma2, u))
    gradient = block.scaled(block.gamma1, u + pullback(lambda x: apply(block.norm2, x), y, through_mlp))
    return block.attention.split(gradient @ block.attention.out.weight)


def _pull_mlp(tokens: Tokens, block: Block, layer: int, y: Tensor, u: Tensor) -> Tensor:
    """J_MLP^T u [P, R, D] at norm2(Y). Where u is one vector for all rows, its product with fc2 is taken once."""

    def make() -> Tensor:
        return block.mlp.slope(block.hidden(y))

    slope = tokens.shared("mlp slope", layer, make) if len(y) == tokens.count else make()
    return (slope * (u @ block.mlp.fc2.weight)) @ block.mlp.fc1.weight
