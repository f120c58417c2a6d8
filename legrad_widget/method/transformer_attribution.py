"""Transformer Attribution: relevance times gradient of every attention map, multiplied through the layers."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.live import apply
from ..target import Aim, Aims
from . import _descent as gradient
from . import _relevance_walk as relevance
from ._method import KnobError, Maps, Tick, method
from ._relevance import RULES
from ._relevance_walk import Path


@method(
    title="Transformer Attribution",
    summary="Relevance times gradient of each attention map, multiplied through the layers, residual included.",
    shows=(
        "Where attention carried what the target is made of: each attention map's relevance times its "
        "gradient, followed from the readout down through every layer, the residual path included."
    ),
    formula=(
        "Āˡ = 1/H · Σₕ max(0, ∂s/∂Aˡ[h] ⊙ R_Aˡ[h])\n"
        "E = πᵀ (I + Āᴸ) ⋯ (I + Ā¹)\n"
        "R_Aˡ: relevance of block l's attention, by rules that keep the total, 1 on the target\n"
        "s: the final score; π: the readout's shares of the tokens"
    ),
    paper="Chefer, Gur & Wolf 2021 (arXiv:2012.09838)",
    cost="no forward; about 7 forwards per target, most of them in float64",
    readouts=("cls", "mean", "attention"),
    slow=True,
    undefined=relevance.without_rules,
    instead="chefercam",
)
def transformer_attribution(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    start: Annotated[
        int, "the first block that is multiplied in (the paper's evaluation skips block 1: start=2)", (1, None)
    ] = 1,
    score: Annotated[
        Literal["logit", "cos", "dot"], "what is differentiated; its scale matters, a logit weighs long paths more"
    ] = "logit",
    qk: Annotated[
        Path | None,
        "keep: half of the relevance goes on through queries and keys; drop: all of it to the values; "
        "None: drop where positions rotate queries and keys, else keep",
    ] = None,
) -> Maps:
    """``Ā^l = mean_h relu(ds/dA^l * R_A^l)`` of the final score s, ``C = (I + Ā^L) ... (I + Ā^start)``, ``E = pi^T C``.

    R_A^l [H, N, N] is the relevance of block l's attention by the rule set "ours", which starts at 1 on the target
    whatever its score; pi are the readout's shares. Only a row vector is multiplied, from the top: ``r <- r + r Ā^l``.
    As for CheferCAM, maps[l] is what block l adds, ``r Ā^l``: the maps of blocks start..L sum to E - pi. pi itself is
    left out: it is on the class token, or the same for every patch. Heads: the same before the head mean.

    Not invariant to the scale of s once several blocks are multiplied. Relevance is float64, and every target is
    computed alone, since the rules take sums over a whole sample. An attention pooler is not in the paper
    (experimental): relevance passes it by the rule of a product, and its own ``a = mean_h relu(ds/dA_pool * R_A_pool)``
    takes the place of pi; it is counted into maps[L], and there are no heads.

    Paper and code differ: the paper multiplies all blocks, the code's evaluation leaves out the first (``start=2``).
    The paper normalises the relevance of a product's factors, the code halves it; this is the code's rule. As in the
    code, rows are not normalised.

    Raises:
        KnobError: ``start`` is not a block, or above a layer that was asked for.
    """
    depth = tokens.depth
    if start not in range(1, depth + 1):
        raise KnobError(f"start is a block from 1 to {depth}; arrived: {start}")
    layers = layers or tuple(range(start, depth + 1))
    if min(layers) < start:
        raise KnobError(f"start={start} leaves out block {min(layers)}; ask for layers from {start} up, or lower start")
    path = relevance.path_of(tokens, qk)
    steps = depth - min(layers) + 1
    told, maps = 0, []
    for target, aim in enumerate(aims):

        def step(done: int, _total: int, target: int = target) -> None:
            nonlocal told  # relevance and gradient go down side by side, one a step ahead
            told = max(told, target * steps + done)
            tick(told, len(aims) * steps)

        maps.append(_added(tokens, aim, Aims([aim], score), path, layers, step))
    with_heads = tokens.vit.readout.pooler is None
    return Maps(torch.stack(maps), layers, None, has_heads=with_heads, signed=False, ran={"qk": path})


def _added(tokens: Tokens, aim: Aim, scored: Aims, path: Path, layers: tuple[int, ...], tick: Tick) -> Tensor:
    """What each of ``layers`` adds to the row, for one target: [L, H, N], or [L, 1, N] with a pooler."""
    vit, rules, lowest = tokens.vit, RULES["ours"], min(layers)
    z = tokens.after(tokens.depth).double()
    top, final = relevance.top(vit, z, aim.vector, rules, path), gradient.final_score(tokens, scored)
    own = _pooler_part(tokens, top, final)
    row = vit.readout.shares(z) if own is None else own
    added: dict[int, Tensor] = {}
    for passage, slope in zip(
        relevance.descend(tokens, top, rules, path, lowest, tick),
        gradient.descend(tokens, final, lowest, tick),
        strict=True,
    ):
        steepness = slope.heads[0] @ slope.values.transpose(-2, -1)
        part = row[passage.rows] @ (steepness * passage.attention).clamp_min(0)
        row = row + part.mean(0)
        if passage.layer in layers:
            added[passage.layer] = part if own is None else part.mean(0, keepdim=True)
    if own is not None and tokens.depth in added:
        added[tokens.depth] = added[tokens.depth] + own
    return torch.stack([added[layer] for layer in layers])


def _pooler_part(tokens: Tokens, top: relevance.Top, final: gradient.FinalScore) -> Tensor | None:
    """mean_h relu(ds/dA_pool * R_A_pool) [N] of the query that is read; 0 for tokens it does not see. Or None."""
    readout = tokens.vit.readout
    if readout.pooler is None or top.pooler is None or final.pooler is None:
        return None
    k = apply(readout.norm, tokens.after(tokens.depth)[readout.rows])
    steepness = (readout.pooler.values(k) @ final.pooler[0][..., None])[..., 0]
    part = top.pooler.new_zeros(tokens.count)
    part[readout.rows] = (steepness * top.pooler).clamp_min(0).mean(0)
    return part
