"""CheferCAM: attention times its gradient, multiplied through the layers from the final score down."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.live import apply
from ..target import Aim, Aims
from ._descent import FinalScore, Passage, descend, final_score
from ._method import KnobError, Maps, Tick, method

_STORED = 1 << 25  # numbers of the N x N relevances that a pooler's rule needs at once (128 MiB)


@method(
    title="CheferCAM",
    summary="Attention times its gradient, multiplied through the layers, residual included.",
    shows=(
        "Attention weighed by its gradient and followed from the readout down through every layer, the residual "
        "path included. It leans on attention itself, so it tells targets apart only weakly."
    ),
    formula=(
        "Āˡ = 1/H · Σₕ max(0, Aˡ[h] ⊙ ∂s/∂Aˡ[h])\n"
        "E = πᵀ (I + Āᴸ) ⋯ (I + Ā¹)\n"
        "With a pooler: E = a (R̂ / rowsum R̂ + I),  R̂ = (I + Āᴸ) ⋯ (I + Ā¹) − I,\n"
        "a = 1/H · Σₕ max(0, A_pool[h] ⊙ ∂s/∂A_pool[h])\n"
        "s: the final score; π: the readout's shares of the tokens"
    ),
    paper="Chefer, Gur & Wolf 2021 (arXiv:2103.15679), eqs. 5-6; poolers: eq. 10 as in LeGrad, sec. 9.3",
    cost="no forward; 1.5 forwards for one target, 1 for every other (0.02 for the last block alone)",
    readouts=("cls", "mean", "attention"),
)
def chefercam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    blocks: Annotated[
        Literal["all", "last"], "multiply every block (the paper), or take the last one alone (the CLIP notebook)"
    ] = "all",
    score: Annotated[
        Literal["logit", "cos", "dot"], "what is differentiated; its scale matters, a logit weighs long paths more"
    ] = "logit",
) -> Maps:
    """``Ā^l = mean_h relu(A^l * ds/dA^l)`` of the final score s, ``R = (I + Ā^L) ... (I + Ā^1)``, ``E = pi^T R``.

    pi are the readout's shares. Only a row vector is multiplied, from the top: ``r <- r + r Ā^l``. maps[l] is what
    block l adds to it, ``r Ā^l`` with r from the blocks above. So the maps of all blocks sum to E - pi, those of the
    blocks l..L to the map of a product that starts at block l (the reference's ``start_layer``), and maps[L] is the
    last block alone. pi is left out: it is on the class token, or the same for every patch. Heads: before their mean.

    Attention poolers are a decoder's cross-attention (bi-modal rule without its skip term): with ``R̂ = R - I`` and
    ``a = mean_h relu(A_pool * ds/dA_pool)``, ``E = a (R̂ / rowsum(R̂) + I)``, 0/0 being 0. There r starts as
    ``a / rowsum(R̂)``, and the pooler's own ``a`` is counted into maps[L]. The row sums need every block first, so one
    N x N matrix per block is kept for as long as the call lasts; no heads.

    Not invariant to the scale of s once several blocks are multiplied: a CLIP's logit (exp(logit_scale) * cos, about
    100 times the cosine) favours paths through many blocks. The CLIP notebook differentiates the logit and keeps the
    last block only; the ViT notebook takes a class logit and all blocks. Differs from both: batch elements and heads
    never mix (the ViT notebook averages them together).

    Raises:
        KnobError: blocks="last" with other layers than the last.
    """
    depth = tokens.depth
    if blocks == "last" and layers not in (None, (depth,)):
        raise KnobError(f'blocks="last" gives the map of layer {depth} alone; leave out layers, or use blocks="all"')
    lowest = depth if blocks == "last" else 1
    layers = layers or tuple(range(lowest, depth + 1))
    if tokens.vit.readout.pooler is None:
        maps = _by_rows(tokens, Aims(aims, score), layers, tick)
        return Maps(maps, layers, None, has_heads=True, signed=False)
    together = max(1, _STORED // ((depth - lowest + 1) * tokens.count**2))
    parts = [aims[first : first + together] for first in range(0, len(aims), together)]
    maps = torch.cat([_by_pooler(tokens, Aims(part, score), lowest, tick) for part in parts])
    chosen = [layer - lowest for layer in layers]
    return Maps(maps[:, chosen, None], layers, None, has_heads=False, signed=False)


def _by_rows(tokens: Tokens, aims: Aims, layers: tuple[int, ...], tick: Tick) -> Tensor:
    """What each of ``layers`` adds to the row [P, L, H, N]; every N x N matrix is gone before the next."""
    pi = tokens.vit.readout.shares(tokens.after(tokens.depth))
    row = pi.repeat(len(aims), 1)
    added: dict[int, Tensor] = {}
    for passage in descend(tokens, final_score(tokens, aims), min(layers), tick):
        part = torch.stack(
            [(row[target, None, None, passage.rows] @ _relevance(passage, target))[:, 0] for target in range(len(aims))]
        )
        row = row + part.mean(1)
        if passage.layer in layers:
            added[passage.layer] = part
    return torch.stack([added[layer] for layer in layers], 1)


def _by_pooler(tokens: Tokens, aims: Aims, lowest: int, tick: Tick) -> Tensor:
    """What each of the blocks ``lowest``..L adds [P, L, N], the pooler's own part with the last."""
    start = final_score(tokens, aims)
    own = _pooler_relevance(tokens, start)
    relevance = []  # Ā^L first
    for passage in descend(tokens, start, lowest, tick):
        per_target = own.new_zeros(len(aims), tokens.count, tokens.count)
        for target in range(len(aims)):
            per_target[target, passage.rows] = _relevance(passage, target).mean(0)
        relevance.append(per_target)
    sums = torch.zeros_like(own)  # rowsum(R̂) without ever forming 1 + something small
    for matrix in reversed(relevance):
        sums = sums + (matrix @ (1 + sums)[..., None])[..., 0]
    row = torch.where(sums > 0, own / sums, 0)
    added = []
    for matrix in relevance:
        added.append((row[:, None] @ matrix)[:, 0])
        row = row + added[-1]
    added[0] = added[0] + own
    return torch.stack(added[::-1], 1)


def _relevance(passage: Passage, target: int) -> Tensor:
    """relu(A * ds/dA) [H, R, N] of one target; the rows that are left out are zero."""
    passage.pause()
    gradient = passage.heads[target] @ passage.values.transpose(-2, -1)
    return gradient.mul_(passage.attention).clamp_min_(0)


def _pooler_relevance(tokens: Tokens, start: FinalScore) -> Tensor:
    """a [P, N]: mean_h relu(A_pool * ds/dA_pool) of the one query that is read; 0 for tokens it does not see."""
    readout = tokens.vit.readout
    assert readout.pooler is not None  # who asks has seen to it
    assert start.pooler is not None
    k = apply(readout.norm, tokens.after(tokens.depth)[readout.rows])
    gradient = readout.pooler.toward(start.pooler, k)
    relevance = gradient.new_zeros(len(gradient), tokens.count)
    relevance[:, readout.rows] = (gradient * readout.pooler.rows(k)).clamp_min(0).mean(1)
    return relevance
