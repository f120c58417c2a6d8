"""LeGrad: the gradient of each layer's own score with respect to that layer's attention."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from ..models.capture import Tokens
from ..models.readout import Readout
from ..target import Aim, Aims, Score
from ._layer_score import Pool, layer_readout, layer_score, output_gradient
from ._method import KnobError, Maps, Tick, method

_PRESETS: dict[str, tuple[Pool, Score]] = {"paper": ("cls", "raw"), "reference": ("mean", "cos")}
_CHUNK = 1 << 22  # numbers of an [P, H, rows, N] product held at once (16 MiB)


@method(
    title="LeGrad",
    summary="Where more attention would raise this layer's own score: gradient, ReLU, mean over heads and rows.",
    paper="Bousselham et al., LeGrad (arXiv:2404.03214), eqs. 4-8",
    cost="no forward; per target 0.01 forwards (class token) to 0.5 (mean of all tokens)",
)
def legrad(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    pool: Annotated[
        Pool, "what the layer's score reads: the model's own readout, the class token, or all tokens"
    ] = "native",
    score: Annotated[Score | None, "what is differentiated; None: cosine for prompts, logit for classes"] = None,
    relu: Annotated[bool, "keep only attention that speaks for the target (off: signed maps)"] = True,
    preset: Annotated[
        Literal["paper", "reference"] | None,
        "paper: class token, raw projected score; reference: mean of all tokens, cosine, last two layers",
    ] = None,
) -> Maps:
    """LeGrad maps of every layer and head.

    ``E^l[h, j] = 1/N sum_i relu(ds^l/dA^l[h, i, j])``, and ``E^l = mean_h E^l[h]`` (eqs. 5-7); s^l is the target's
    score read from the output of block l. With the identity ``ds/dA[h, i, j] = <G[h, i], v[h, j]>`` nothing of size
    N x N is formed where the readout reads few tokens, and chunks of it elsewhere.

    Paper and reference code differ: the paper (v1) reads the class token, without norm, over all layers; the code reads
    the mean of all tokens, takes the cosine after the final norm, and keeps the last two layers. Both are presets.

    Cost: no forward; per layer and target one vector-Jacobian product through output projection and MLP on the tokens
    that the readout reads.

    Raises:
        MethodError: pool="cls" on a model without a class token. KnobError: pool or score beside a preset.
    """
    if preset is not None:
        if (pool, score) != ("native", None):
            raise KnobError(f"preset={preset!r} sets pool and score; leave them out, or leave out the preset")
        pool, score = _PRESETS[preset]
    if preset == "reference":
        layers = layers or tuple(range(max(1, len(tokens.vit.blocks) - 1), len(tokens.vit.blocks) + 1))
    layers = layers or tuple(range(1, len(tokens.vit.blocks) + 1))
    readout = layer_readout(tokens.vit, pool, raw=score == "raw")
    batch = Aims(aims, score)
    per_layer = []
    for step, layer in enumerate(layers):
        tick(step, len(layers))
        per_layer.append(_layer(tokens, layer, readout, batch, relu))
    maps, scores = (torch.stack(parts, 1) for parts in zip(*per_layer, strict=True))
    return Maps(maps, layers, scores, has_heads=True, signed=not relu, ran={"pool": pool, "score": score})


def _layer(tokens: Tokens, layer: int, readout: Readout, aims: Aims, relu: bool) -> tuple[Tensor, Tensor]:
    """Ê^l [P, H, N] and s^l [P]."""
    scores, u = layer_score(tokens.after(layer), readout, aims)
    gradient = output_gradient(tokens, layer, readout.rows, u)
    if not relu:  # the mean over rows commutes with the inner product
        gradient = gradient.sum(2, keepdim=True)
    return _row_sum(tokens, layer, gradient, relu) / tokens.count, scores


def _row_sum(tokens: Tokens, layer: int, gradient: Tensor, relu: bool) -> Tensor:
    """sum_i relu(<G[h, i], v[h, j]>) [P, H, N] from G [P, H, R, e], by the cheaper of two roads."""
    targets, heads, rows, _ = gradient.shape
    block = tokens.block(layer)
    attention = block.attention
    width = attention.value.weight.shape[1]
    if targets * rows * heads < width:  # few rows: absorb the value projection, <W_V^T G, T_j> + <G, b_V>
        weight = attention.value.weight.unflatten(0, (heads, -1))
        product = torch.einsum("phre,hed->phrd", gradient, weight) @ block.normed(tokens.before(layer)).T
        if attention.value.bias is not None:
            product += torch.einsum("phre,he->phr", gradient, attention.value.bias.view(heads, -1))[..., None]
        return (product.clamp_min(0) if relu else product).sum(2)
    values = tokens.shared("values", layer, lambda: attention.values(block.normed(tokens.before(layer))))
    chunk = max(1, _CHUNK // (targets * heads * tokens.count))
    total = gradient.new_zeros(targets, heads, tokens.count)
    for part in gradient.split(chunk, dim=2):
        product = part @ values.transpose(-2, -1)
        total += (product.clamp_min_(0) if relu else product).sum(2)
    return total
