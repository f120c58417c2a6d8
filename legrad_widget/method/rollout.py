"""Attention rollout: attention multiplied through the layers, with the residual path in it."""

from __future__ import annotations

from typing import Annotated

import torch

from ..models.capture import Tokens
from ..target import Aim
from ._method import KnobError, Maps, Tick, method


@method(
    title="Attention rollout",
    summary="Attention multiplied from the first layer up, residual included. Knows nothing of the prompt.",
    shows=(
        "How much of each patch can have reached the readout through attention, if heads are averaged and every "
        "block passes half of its input on unchanged. The same for every target."
    ),
    formula=(
        "Rˡ = ½ (Āˡ + I) Rˡ⁻¹,  Āˡ = 1/H · Σₕ Aˡ[h],  R⁰ = I\n"
        "Eˡ = πᵀ Rˡ\n"
        "π: the readout's shares of the tokens at layer l"
    ),
    paper="Abnar & Zuidema 2020 (arXiv:2005.00928)",
    cost="no forward; about 0.2 forwards for all layers, whatever the target",
    class_discriminative=False,
    merge="last",
    readouts=("cls", "mean", "attention"),
)
def rollout(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    start: Annotated[int, "the first layer that is multiplied in (evaluation scripts skip layer 1: start=2)"] = 1,
) -> Maps:
    """``R^l = prod_{k=l..start} (mean_h A^k + I) / 2``, ``E^l = pi^T R^l`` with pi the readout's shares at layer l.

    maps[l] is cumulative: what the readout at layer l has gathered from the patches. Rows of R sum to 1. Only the row
    vectors are multiplied, from the top down, so each A^k is formed once and none is kept. Below ``start`` nothing is
    multiplied in yet: the map there is pi itself.

    Models with an attention pooler: pi is the pooler's attention to the output of block l, averaged over its heads
    (LeGrad section 9.3 calls rollout unaltered there, but such a model may have no class token whose row it could be).

    Raises:
        KnobError: ``start`` is not a layer.
    """
    depth = tokens.depth
    if start not in range(1, depth + 1):
        raise KnobError(f"start is a layer from 1 to {depth}; arrived: {start}")
    layers = layers or tuple(range(1, depth + 1))
    shares = tokens.vit.readout.shares
    rolled = torch.stack([shares(tokens.after(layer)) for layer in range(1, max(layers) + 1)])  # row l-1: pi^T R^l
    for layer in range(max(layers), int(start) - 1, -1):
        tick(max(layers) - layer, max(layers))
        block = tokens.block(layer)
        attention = block.attention.rows(block.normed(tokens.before(layer)), slice(None)).mean(0)
        above = rolled[layer - 1 :]
        rolled[layer - 1 :] = 0.5 * (above @ attention + above)
    maps = rolled[[layer - 1 for layer in layers]]
    return Maps(maps[None, :, None].expand(len(aims), -1, -1, -1), layers, None, has_heads=False, signed=False)
