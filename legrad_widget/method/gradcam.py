"""GradCAM on the tokens of one block: channels weighed by the mean gradient of the final score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from ..models.block import Block, scaled
from ..models.capture import Tokens
from ..models.live import apply, pullback
from ..target import Aim, Aims
from ._descent import FinalScore, descend, final_score
from ._method import KnobError, Maps, MethodError, Tick, method


@method(
    title="GradCAM",
    summary="The tokens of one block, their channels weighed by the mean gradient of the final score.",
    shows=(
        "Patches that are strong in the channels the score wants more of, in the middle of the model. One weight per "
        "channel for the whole picture; the class token's gradient often decides it."
    ),
    formula=(
        "w[k] = 1/n · Σᵢ ∂s/∂Z[i, k]\n"
        "E[i] = max(0, 1/D · Σₖ w[k] · Z[i, k])\n"
        "Z: the tokens after a block two thirds up; i in the first sum runs over all tokens, n counts the patches\n"
        "s: the final score; D channels"
    ),
    paper="Selvaraju et al. 2017 (arXiv:1610.02391), on ViT tokens as in LeGrad eq. 9",
    cost="no forward; one target 0.12 forwards for every block above the layer (0.45 for layer 8 of 12)",
    readouts=("cls", "mean", "attention"),
)
def gradcam(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    layer: Annotated[int | None, "the block whose tokens are weighed; None: two thirds up, 8 of 12", (1, None)] = None,
    weights: Annotated[
        Literal["all", "patches"], "whose gradients are averaged: every token's, class token included, or the patches'"
    ] = "all",
    site: Annotated[
        Literal["output", "norm1"], "the block's output, or what its attention reads (the output of its first norm)"
    ] = "output",
    score: Annotated[
        Literal["cos", "dot", "logit"] | None, "what is differentiated; None: cosine for prompts, logit for classes"
    ] = None,
) -> Maps:
    """``w = 1/n sum_i ds/dX_i`` over the tokens, ``E_i = relu(<w, X_i>) / D``; X the tokens at the site, n patches.

    s is the final score. One map, labelled with its layer; several ``layers`` give one map each, from one way down.

    The class token decides the weights: under a class-token readout the patches of the last block's output have no
    gradient at all, so weights="patches" gives an empty map there, and weights="all" compares every patch with the
    class token's gradient. The paper found block 8 of 12 best for one model, and no rule for others.

    pytorch-grad-cam: ``layer=L, site="norm1", weights="patches"``, without the factor 1/D, and each map normalised and
    resized before maps of several layers are averaged; its CLIP example differentiates a softmax over the prompts.

    Raises:
        KnobError: ``layer`` is not a block, or contradicts ``layers``. MethodError: site="norm1" on blocks without
            a norm before their attention.
    """
    layers = _chosen(layer, layers, tokens.depth)
    if site == "norm1":
        _check_norm(tokens, layers)
    start = final_score(tokens, Aims(aims, score))
    walk = _outputs if site == "output" else _norms
    steps = tokens.depth - min(layers) + (1 if site == "output" else 2)  # blocks, and the weighing
    maps: dict[int, Tensor] = {}
    for at, x, gradient in walk(tokens, start, min(layers), lambda step, _total: tick(step, steps)):
        if at in layers:
            patches = gradient[:, tokens.vit.prefix :]
            w = (gradient if weights == "all" else patches).sum(1) / patches.shape[1]
            maps[at] = (w @ x.T).clamp_min(0) / x.shape[-1]
    tick(steps - 1, steps)
    stacked = torch.stack([maps[at] for at in layers], 1)
    return Maps(stacked[:, :, None], layers, None, has_heads=False, signed=False)


def _chosen(layer: int | None, layers: tuple[int, ...] | None, depth: int) -> tuple[int, ...]:
    if layer is None:
        return layers or (max(1, 2 * depth // 3),)
    if layer > depth:
        raise KnobError(f"layer is a block from 1 to {depth}, or None; arrived: {layer}")
    if layers not in (None, (layer,)):
        raise KnobError(f"layer={layer} gives the map of that block alone; leave out layers, or leave out layer")
    return (int(layer),)


def _check_norm(tokens: Tokens, layers: tuple[int, ...]) -> None:
    bare = [tokens.block(layer).name for layer in layers if isinstance(tokens.block(layer).norm1, nn.Identity)]
    if bare:
        raise MethodError(f"{bare[0]} of {tokens.vit.name} has no norm before its attention; use site='output'")


_Sites = Iterator[tuple[int, Tensor, Tensor]]  # layer, X [N, D], ds/dX [P, N, D]


def _outputs(tokens: Tokens, start: FinalScore, lowest: int, tick: Tick) -> _Sites:
    """The blocks' outputs, from the last one down."""
    z = tokens.after(tokens.depth)
    top = z.new_zeros(len(start.scores), *z.shape)
    top[:, start.rows] = start.after
    yield tokens.depth, z, top
    for passage in descend(tokens, start, lowest + 1, tick):
        yield passage.layer - 1, tokens.before(passage.layer), passage.before


def _norms(tokens: Tokens, start: FinalScore, lowest: int, tick: Tick) -> _Sites:
    """The outputs of the blocks' first norms, from the last one down; one that the MLP reads too counts both."""
    for passage in descend(tokens, start, lowest, tick):
        block, gradient = passage.block, passage.normed
        t = block.normed(tokens.before(passage.layer))
        if block.norm2 is block.norm1:
            gradient = gradient.clone()
            gradient[:, passage.rows] += pullback(_mlp_of(block), t[passage.rows], passage.after)
        yield passage.layer, t, gradient


def _mlp_of(block: Block) -> Callable[[Tensor], Tensor]:
    return lambda t: scaled(block.gamma2, apply(block.after2, block.mlp(t)))
