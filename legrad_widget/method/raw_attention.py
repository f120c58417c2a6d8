"""Raw attention: how much the readout's tokens attend to each token."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.live import apply
from ..target import Aim
from ._method import Maps, Tick, method


@method(
    title="Raw attention",
    summary="How much the class token, the mean patch or the pooler looks at each patch. Knows nothing of the prompt.",
    shows=(
        "Where the readout looks. The same for every target, and no measure of what counts for one: a patch that is "
        "looked at may add nothing."
    ),
    formula=(
        "Eˡ[j] = 1/H · Σₕ Σᵢ πᵢ · Aˡ[h, i, j]\n"
        "Aˡ: block l's attention (a pooler's, where there is one); merged is the last layer's\n"
        "π: the readout's shares of the rows"
    ),
    paper="LeGrad eq. 11; CDAM's AM",
    cost="no forward; 0.1 to 0.2 forwards for all layers, next to none of a pooler, whatever the target",
    class_discriminative=False,
    default="last",
    readouts=("cls", "mean", "attention"),
)
def raw_attention(tokens: Tokens, aims: list[Aim], layers: tuple[int, ...] | None, tick: Tick) -> Maps:
    """``E^l[h, j] = sum_i pi_i A^l[h, i, j]`` with pi the readout's shares of the tokens.

    pi is row 0 for a class token, the mean of the two rows of a distilled model, the mean over the pooled rows for
    average pooling (the paper defines the class token's case). Models with an attention pooler: the pooler's own
    attention to the output of block l, ``E^l[h, j] = A_pool^l[h, j]`` (LeGrad section 9.3), with the pooler's heads;
    tokens that it does not read are 0.

    The paper takes the last layer; every layer is returned, merged by default as the paper does. Sums to 1 over all
    tokens, prefix included. The map is the same for every target.
    """
    layers = layers or tuple(range(1, tokens.depth + 1))
    maps = []
    for step, layer in enumerate(layers):
        tick(step, len(layers))
        maps.append(_read(tokens, layer))
    stacked = torch.stack(maps)[None].expand(len(aims), -1, -1, -1)
    return Maps(stacked, layers, None, has_heads=True, signed=False)


def _read(tokens: Tokens, layer: int) -> Tensor:
    """E^l [H, N]."""
    readout = tokens.vit.readout
    if readout.pooler is None:
        block = tokens.block(layer)
        return block.attention.rows(block.normed(tokens.before(layer)), readout.rows).mean(-2)
    z = tokens.after(layer)
    row = z.new_zeros(readout.pooler.heads, tokens.count)
    row[:, readout.rows] = readout.pooler.rows(apply(readout.norm, z[readout.rows]))
    return row
