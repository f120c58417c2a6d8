"""CDAM: how the score would change if a token entered the last attention stronger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.view import ViT
from ..target import Aim, Aims
from ._last_attention import LastAttention, last_attention
from ._method import Maps, MethodError, Tick, method
from ._single_map import only_layer

Site = Literal["pooler", "last_block"]


@method(
    title="CDAM",
    summary="Each token's pull on the score through the last attention: above zero for the target, below against it.",
    shows=(
        "How much the score moves, to first order, as a token that the last attention reads grows or shrinks. Above "
        "zero it speaks for the target, below against it; under a class token, zero where that does not look."
    ),
    formula=(
        "S[i] = Σ_d T[i, d] · ∂s/∂T[i, d]\n"
        "T: the normed tokens that the last attention reads (the pooler, where there is one)\n"
        "s: the final score"
    ),
    paper="Brocki et al., CDAM (arXiv:2312.02364), eqs. 2 and 4",
    cost="no forward; 0.05 (class token) to 0.15 forwards (mean of all tokens), and little more per target",
    signed=True,
    merge="last",
    default="last",
    readouts=("cls", "mean", "attention"),
)
def cdam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    score: Annotated[
        Literal["dot", "cos", "logit"] | None,
        "what is differentiated; None: the logit of a class, the dot product with a prompt",
    ] = None,
    site: Annotated[
        Site | None, "which attention: the pooler's, or the last block's; None: the pooler's where there is one"
    ] = None,
) -> Maps:
    """``S[i] = sum_d T[i, d] ds/dT[i, d]``, T [N, D] being what the last attention reads (eqs. 2 and 4).

    T feeds queries, keys and values only; the residual path carries the tokens before the norm. So with G = ds/dO the
    gradient at the heads, and a prime for "as T grows" (of a plain projection: without its bias)::

        dA = G V^T,    dlogits = A * (dA - sum_j A dA)
        S[i] = sum_h sum_r A[h, r, i] <G[h, r], v'[h, i]> + dlogits[h, r, i] <q[h, r], k'[h, i]>
             + sum_h sum_j dlogits[h, i, j] <q'[h, i], k[h, j]>        (tokens that the readout reads)

    Under a class token every head's part is proportional to its attention. The form is exact for every readout, and
    with q- and k-norm and rotary positions too. ``heads``: H times each head's part, so that their mean is S. Where a
    norm, a scale or a gate stands between heads and output projection the gradient is autograd's, and there are no
    heads. Models with an attention pooler: the last attention is the pooler's, T its normed input, its query constant;
    tokens that it does not read are 0.

    ``score``: the paper's class score is the logit, its concept score the dot product of latents. Both are linear in
    the target, S(t1 + t2) = S(t1) + S(t2). None does the same: the logit for a class, and for a prompt the dot product
    with its unit vector rather than the cosine, which also takes away what merely lengthens the image's vector.

    Differs from the paper: eqs. 8 and 10 keep the value term alone; eq. 2 and the code have all of them, as here.

    Raises:
        MethodError: a layer other than the last; site="pooler" on a model without one.
    """
    layers = only_layer(layers, tokens.depth, "CDAM")
    site = _site(tokens.vit, site)
    if score is None:
        aims = [aim if aim.default == "logit" else replace(aim, default="dot") for aim in aims]
    last = last_attention(tokens, Aims(aims, score), tick, pooler=site == "pooler")
    by_head = last.passage is None or last.passage.block.attention.inner is None
    maps = last.placed(_closed_form(last, tick) if by_head else _by_autograd(last), tokens.count)
    return Maps(maps[:, None], layers, last.scores[:, None], has_heads=by_head, signed=True, ran={"site": site})


def _site(vit: ViT, site: Site | None) -> Site:
    if site == "pooler" and vit.readout.pooler is None:
        raise MethodError(f"{vit.name} has no attention pooler; leave out site, or use site='last_block'")
    return site or ("last_block" if vit.readout.pooler is None else "pooler")


def _by_autograd(last: LastAttention) -> Tensor:
    """S [P, 1, N']."""
    assert last.passage is not None  # a pooler has the closed form
    return (last.passage.normed * last.inputs).sum(-1)[:, None]


def _closed_form(last: LastAttention, tick: Tick) -> Tensor:
    """H times each head's part of S [P, H, N'], one target at a time."""
    q, q_grown = _growing(last.queries, last.inputs)
    k, k_grown = _growing(last.keys, last.inputs)
    v, v_grown = _growing(last.values, last.inputs)
    by_key, maps = q @ k_grown.transpose(-2, -1), []
    for step, gradient in enumerate(last.gradient):
        tick(step, len(last.gradient))
        weighted = last.rows * (gradient @ v.transpose(-2, -1))  # A * dA [H, R, N']
        logits = weighted - last.rows * weighted.sum(-1, keepdim=True)
        part = (last.rows * (gradient @ v_grown.transpose(-2, -1)) + logits * by_key).sum(-2)
        if last.read != slice(0, 0):
            part[:, last.read] += (q_grown * (logits @ k)).sum(-1)
        maps.append(part * len(part))
    return torch.stack(maps)


def _growing(project: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    """``project(T)``, and how it changes as T grows: its derivative along T itself."""
    result: tuple[Tensor, Tensor] = torch.autograd.functional.jvp(project, t, t)
    return result
