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

from ..models.block import scaled
from ..models.capture import Tokens
from ..models.live import apply, pullback
from ..models.mlp import Mlp
from ..models.readout import Readout
from ..models.view import ViT
from ..target import Aims
from ._method import MethodError

Pool = Literal["native", "cls", "mean"]


def layer_readout(vit: ViT, pool: Pool, *, raw: bool = False) -> Readout:
    """The readout that gives s^l: the model's own, the class token's, or the mean of all tokens with norm after it.

    ``raw`` leaves out every final norm (LeGrad eq. 3 read literally); a pooler keeps the norms that are its own.

    Raises:
        MethodError: pool="cls" on a model without a class token; another pool than its own on one with a pooler.
    """
    own = vit.readout
    norm, post_norm = (nn.Identity(), nn.Identity()) if raw else (own.norm, own.post_norm)
    if own.pooler is not None:
        if pool != "native":
            raise MethodError(
                f"{vit.name} reads its tokens by an attention pooler, and what follows fits only what that gives; use "
                f"pool='native' instead of pool={pool!r}"
            )
        return replace(own, norm=own.pooler.own_norm if raw else norm, post_norm=post_norm)
    if pool == "mean":
        copies = own.rows.stop - own.rows.start if own.kind == "cls" else 1
        return Readout("mean", slice(0, None), nn.Identity(), _Repeated(norm, post_norm, copies), own.projection)
    if pool == "cls" and own.kind == "mean":
        if not vit.has_cls:
            raise MethodError(
                f"{vit.name} has no class token; use pool='native' (the mean of its patches) or pool='mean'"
            )
        return Readout("cls", slice(0, 1), norm, post_norm, own.projection)
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
    if readout.kind == "mean":
        return _of_mean(read, readout, aims)
    leaf = read.expand(len(aims), *read.shape)
    with torch.enable_grad():
        leaf = leaf.contiguous().requires_grad_()
        score = aims(readout.tail(readout.pool(apply(readout.norm, leaf))))
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
    return score.detach(), gradient


def _of_mean(read: Tensor, readout: Readout, aims: Aims) -> tuple[Tensor, Tensor]:
    """The same for a mean: one gradient for all tokens, unless a norm before the mean tells them apart."""
    pooled = readout.pool(apply(readout.norm, read))
    with torch.enable_grad():
        leaf = pooled.expand(len(aims), *pooled.shape).contiguous().requires_grad_()
        score = aims(readout.tail(leaf))
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
    gradient = gradient[:, None] / len(read)
    if isinstance(readout.norm, nn.Identity):
        return score.detach(), gradient
    return score.detach(), pullback(lambda x: apply(readout.norm, x), read, gradient)


def pooler_gradient(k: Tensor, readout: Readout, aims: Aims) -> tuple[Tensor, Tensor]:
    """s [P] of the normed tokens K [R, D] that an attention pooler reads, and G = ds/dO_pool [P, H, e]."""
    pooler = readout.pooler
    assert pooler is not None  # who asks has seen to it
    o = pooler.attended(k)
    with torch.enable_grad():
        leaf = o.expand(len(aims), *o.shape).contiguous().requires_grad_()
        score = aims(readout.tail(pooler.finish(leaf)))
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
    return score.detach(), gradient


def output_gradient(tokens: Tokens, layer: int, rows: slice, u: Tensor) -> Tensor:
    """G = ds/dO [P, H, R, e] on ``rows`` from u = ds/dZ [P, R or 1, D]."""
    block = tokens.block(layer)
    read = len(range(*rows.indices(tokens.count)))
    gradient = (u if block.parallel else through_mlp(tokens, layer, rows, u)).expand(-1, read, -1)
    if block.attention.inner is None and isinstance(block.after1, nn.Identity):
        return block.attention.split(scaled(block.gamma1, gradient) @ block.attention.out.weight)
    t = block.normed(tokens.before(layer))  # a norm or gate on the heads: its derivative needs the heads themselves
    heads = block.attention.rows(t, rows) @ block.attention.values(t)
    return pullback(lambda o: block.rejoin(o, t[rows]), heads, gradient)


def through_mlp(tokens: Tokens, layer: int, rows: slice, u: Tensor) -> Tensor:
    """ds/dY [P, R, D] = u + J_{MLP o norm2}(Y)^T (g2 * u)."""
    block = tokens.block(layer)
    y = tokens.middle(layer)[rows]
    mlp = block.mlp
    if not isinstance(mlp, Mlp) or not mlp.elementwise or not isinstance(block.after2, nn.Identity):
        return pullback(lambda x: block.finish(x, x), y, u.expand(-1, len(y), -1))

    def make() -> Tensor:
        return mlp.slope(apply(block.norm2, y))

    slope = tokens.shared("mlp slope", layer, make) if len(y) == tokens.count else make()
    # where u is one vector for all rows, its product with fc2 is taken once
    hidden = (slope * (scaled(block.gamma2, u) @ mlp.fc2.weight)) @ mlp.fc1.weight
    return u + pullback(lambda x: apply(block.norm2, x), y, hidden)
