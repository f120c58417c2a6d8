"""Partial LRP: the relevance of the last attention map."""

from __future__ import annotations

import torch

from ..models.capture import Tokens
from ..target import Aim
from ._method import Maps, Tick, method
from ._relevance import RULES
from ._relevance_walk import descend, top, without_rules
from ._single_map import only_layer


@method(
    title="Partial LRP",
    summary="Relevance of the target, propagated back to the last attention map and read there.",
    shows=(
        "How much of the target's relevance passes through the last attention map, column by column. What the "
        "layers below made of the patches plays no part."
    ),
    formula=(
        "E[j] = 1/H · Σₕ Σᵢ πᵢ · max(0, R_A[h, i, j])\n"
        "R_A: relevance of the last attention (the pooler's, where there is one), 1 on the target\n"
        "π: the readout's shares of the rows"
    ),
    paper="Voita et al. 2019 (arXiv:1905.09418), as a baseline of Chefer et al. 2021 (arXiv:2012.09838)",
    cost="no forward; per target the head and the last block only: 0.01 forwards (class token) to 0.4 (mean)",
    readouts=("cls", "mean", "attention"),
    undefined=without_rules,
    instead="chefercam",
)
def partial_lrp(tokens: Tokens, aims: list[Aim], layers: tuple[int, ...] | None, tick: Tick) -> Maps:
    """``E[h, j] = sum_i pi_i max(0, R_A[h, i, j])``, ``E = mean_h E[h]``, with R_A the relevance of the last attention.

    pi are the readout's shares of the tokens: row 0 for a class token (the paper's case), the mean of two rows for a
    distilled model, the mean over the pooled rows for average pooling. An attention pooler's own attention takes the
    place of the last block's: ``E[h, j] = max(0, R_A_pool[h, j])``.

    Relevance starts at 1 on the target and follows the rule set "orig", as the code of Chefer et al. has it for this
    baseline; R_A sums to half of what reaches the heads' output. A prompt's vector is one more linear map on the
    features, before they are normalised (no source says how LRP meets CLIP). As in that code, negative relevance is
    dropped before the mean over the heads. Computed in float64.

    Raises:
        MethodError: other layers than the last.
    """
    labelled = only_layer(layers, tokens.depth, "partial_lrp")
    readout, rules = tokens.vit.readout, RULES["orig"]
    z = tokens.after(tokens.depth).double()
    pi = readout.shares(z)[readout.rows, None]
    maps = []
    for step, aim in enumerate(aims):
        tick(step, len(aims))
        start = top(tokens.vit, z, aim.vector, rules, "drop")
        if start.pooler is None:
            (last,) = descend(tokens, start, rules, "drop", tokens.depth)
            heads = (pi * last.attention.clamp_min(0)).sum(1)
        else:
            heads = z.new_zeros(len(start.pooler), tokens.count)
            heads[:, readout.rows] = start.pooler.clamp_min(0)
        maps.append(heads)
    return Maps(torch.stack(maps)[:, None], labelled, None, has_heads=True, signed=False)
