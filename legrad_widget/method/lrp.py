"""LRP: relevance propagated from the target down to the tokens."""

from __future__ import annotations

from typing import Annotated

from ..models.capture import Tokens
from ..target import Aim
from ._method import Maps, Tick, method
from ._relevance import RULES, RuleSet
from ._relevance_walk import Path, descend, path_of, top, without_rules


@method(
    title="LRP",
    summary="Relevance of the target, handed down rule by rule to the tokens that enter the first block.",
    shows=(
        "Relevance starts at 1 on the target and is handed down, layer by layer, to whatever made up each sum; drawn "
        "is what arrives at the patches. Above zero it speaks for the target, below against it. The published rules "
        "explode with depth."
    ),
    formula=(
        "E[j] = Σ_d R(Z⁰)[j, d]\n"
        "Linear layers, rules “orig”: R[j] = Σᵢ (x⁺w⁺[i, j] / Σⱼ x⁺w⁺ + x⁻w⁻[i, j] / Σⱼ x⁻w⁻) · R[i]\n"
        "Z⁰: the tokens that enter block 1; x, w: what a layer reads, and its weights, split by sign"
    ),
    paper="Bach et al. 2015; rules for transformers by Chefer et al. 2021 (arXiv:2012.09838)",
    cost="no forward; about 5 forwards in float64 per target",
    signed=True,
    readouts=("cls", "mean", "attention"),
    slow=True,
    undefined=without_rules,
    instead="chefercam",
)
def lrp(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    rules: Annotated[
        RuleSet,
        "orig: the rules of the published baseline, which explode with depth; ours: the rules that keep the total",
    ] = "orig",
    qk: Annotated[
        Path | None,
        "keep: half of the relevance goes on through queries and keys; drop: all of it to the values; "
        "None: drop where positions rotate queries and keys, else keep",
    ] = None,
) -> Maps:
    """``E^l[j] = sum_d R(Z^{l-1})[j, d]``: the signed relevance of each token at the input of block l.

    Relevance starts at 1 on the target; a prompt's vector is one more linear map on the features, before they are
    normalised (no source says how LRP meets CLIP). With "ours" the map of every layer sums to 1 over all tokens, prefix
    included (3/4 below an attention pooler whose query takes its share, with qk="keep"). Computed in float64; how a
    float32 model rounds its own tokens still shows, by up to 1e-3 of the maximum, since sums that nearly cancel divide.

    Without ``layers`` there is one map, of layer 1: the tokens that enter the first block. Any other layer says what
    relevance its tokens still had on the way; ``merged`` is then the mean of the chosen layers.

    Differs from the paper and its code: they go on to pixels, through the position embedding (whose share is lost), the
    class token (lost too) and the patch convolution, whose rule keeps each patch's total. Here the map ends at the
    tokens, so that a patch keeps the share of its position; nothing is lost.
    """
    layers = layers or (1,)
    path, chosen = path_of(tokens, qk), RULES[rules]
    z = tokens.after(tokens.depth).double()
    down_to = min(layers)
    steps = tokens.depth - down_to + 1
    maps = z.new_zeros(len(aims), len(layers), 1, tokens.count)
    for target, aim in enumerate(aims):

        def step(done: int, _total: int, target: int = target) -> None:
            tick(target * steps + done, len(aims) * steps)

        start = top(tokens.vit, z, aim.vector, chosen, path)
        for passage in descend(tokens, start, chosen, path, down_to, step):
            if passage.layer in layers:
                maps[target, layers.index(passage.layer), 0] = passage.before.sum(-1)
    return Maps(maps, layers, None, has_heads=False, signed=True, ran={"qk": path})
