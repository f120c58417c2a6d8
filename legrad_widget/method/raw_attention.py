"""Raw attention: how much the readout's tokens attend to each token."""

from __future__ import annotations

import torch

from ..models.capture import Tokens
from ..target import Aim
from ._method import Maps, Tick, method


@method(
    title="Raw attention",
    summary="How much the class token (or the mean patch) looks at each patch. Knows nothing of the prompt.",
    paper="LeGrad eq. 11; CDAM's AM",
    cost="no forward; about 0.1 forwards for all layers, whatever the target",
    class_discriminative=False,
    default="last",
)
def raw_attention(tokens: Tokens, aims: list[Aim], layers: tuple[int, ...] | None, tick: Tick) -> Maps:
    """``E^l[h, j] = sum_i pi_i A^l[h, i, j]`` with pi the readout's shares of the tokens.

    pi is row 0 for a class token, the mean of the two rows of a distilled model, the mean over the pooled rows for
    average pooling (the paper defines the class token's case).

    The paper takes the last layer; every layer is returned, merged by default as the paper does. Sums to 1 over all
    tokens, prefix included. The map is the same for every target.
    """
    layers = layers or tuple(range(1, len(tokens.vit.blocks) + 1))
    rows = tokens.vit.readout.rows
    maps = []
    for step, layer in enumerate(layers):
        tick(step, len(layers))
        block = tokens.block(layer)
        maps.append(block.attention.rows(block.normed(tokens.before(layer)), rows).mean(-2))
    stacked = torch.stack(maps)[None].expand(len(aims), -1, -1, -1)
    return Maps(stacked, layers, None, has_heads=True, signed=False)
