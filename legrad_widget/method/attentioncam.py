"""AttentionCAM: the last attention, each head weighted by how much the score wants more of it."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..target import Aim, Aims
from ._last_attention import LastAttention, last_attention
from ._method import Maps, Tick, method
from ._single_map import only_layer


@method(
    title="AttentionCAM",
    summary="The last attention's heads, each weighted by how much the score wants more of it.",
    shows=(
        "The heads of the last attention added up, with a plus where the score wants more of a head and a minus where "
        "it wants less. One weight per head: none can count in one place only."
    ),
    formula=(
        "w[h] = 1/n² · Σᵢ Σⱼ ∂s/∂A[h, i, j]\n"
        "E[j] = 1/H · Σₕ w[h] · Σᵢ πᵢ · A[h, i, j]\n"
        "A: the last attention (the pooler's, where there is one); s: the final score\n"
        "π: the readout's shares of the rows; n patches"
    ),
    paper="LeGrad (arXiv:2404.03214), eq. 10; Chefer et al. 2021 call it GradCAM",
    cost="no forward; 0.01 (class token) to 0.1 forwards (mean of all tokens), and little more per target",
    signed=True,
    merge="last",
    default="last",
    readouts=("cls", "mean", "attention"),
)
def attentioncam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    score: Annotated[
        Literal["cos", "dot", "logit"] | None, "what is differentiated; None: cosine for prompts, logit for classes"
    ] = None,
    relu: Annotated[
        bool, "Chefer's variant: gradients averaged over the patches alone, and what speaks against the target cut off"
    ] = False,
) -> Maps:
    """``E[j] = mean_h w_h sum_i pi_i A[h, i, j]`` of the last attention, pi the readout's shares of the query rows.

    ``w_h = 1/n^2 sum_ij ds/dA[h, i, j]`` over all rows and columns (eq. 10), n patches. As ds/dA = G V^T, that is
    ``w_h = 1/n^2 <sum_i G[h, i], sum_j V[h, j]>``: nothing of size N x N is differentiated. ``heads`` are w_h A_h.

    ``relu`` (Chefer et al.'s code, there for the class token): ``w_h = mean_j sum_i pi_i ds/dA[h, i, j]`` over the
    patches' columns alone, and the map is clamped at zero after the mean over heads; ``heads`` are then the heads'
    parts where the map is not zero.

    Models with an attention pooler: the pooler's attention, with ``w_h`` the mean of its one row of gradients over all
    tokens it reads (LeGrad section 9.3); tokens that it does not read are 0.

    Differs from the paper: the mean over heads stands for the sum (a factor H).

    Raises:
        MethodError: a layer other than the last.
    """
    layers = only_layer(layers, tokens.depth, "AttentionCAM")
    last = last_attention(tokens, Aims(aims, score), tick, pooler=tokens.vit.readout.pooler is not None)
    weights = _over_patches(last, tokens.vit.prefix) if relu else _over_all(last, tokens.count - tokens.vit.prefix)
    maps = last.placed(weights[..., None] * last.rows.mean(-2), tokens.count)
    if relu:
        maps = maps * (maps.mean(1, keepdim=True) > 0)
    return Maps(maps[:, None], layers, last.scores[:, None], has_heads=True, signed=not relu)


def _over_all(last: LastAttention, patches: int) -> Tensor:
    """w_h [P, H] of eq. 10; of a pooler the mean over the tokens that it reads."""
    values = last.values(last.inputs)
    size = patches**2 if last.passage is not None else values.shape[-2]
    return torch.einsum("phe,he->ph", last.gradient.sum(-2), values.sum(-2)) / size


def _over_patches(last: LastAttention, prefix: int) -> Tensor:
    """w_h [P, H]: the readout's row of gradients, averaged over the patches' columns."""
    first = max(0, prefix - (last.columns.start or 0))  # the first patch among the keys
    values = last.values(last.inputs)[:, first:]
    return torch.einsum("phe,he->ph", last.gradient.mean(-2), values.mean(-2))
