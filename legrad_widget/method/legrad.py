"""LeGrad: the gradient of each layer's own score with respect to that layer's attention."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from ..models.attention import Attention
from ..models.capture import Tokens
from ..models.live import apply
from ..models.readout import Readout
from ..target import Aim, Aims, Score
from ._descent import descend, final_score
from ._layer_score import Pool, layer_readout, layer_score, output_gradient, pooler_gradient
from ._method import KnobError, Maps, Tick, method

Preset = Literal["paper", "reference"]
_CHUNK = 1 << 22  # numbers of an [P, H, rows, N] product held at once (16 MiB)


@method(
    title="LeGrad",
    summary="Where more attention would raise this layer's own score: gradient, ReLU, mean over heads and rows.",
    shows=(
        "Patches whose attention, were it a little stronger, would raise the target's score as it stands after a "
        "layer. Only the gradient speaks: how strong the attention already is plays no part."
    ),
    formula=(
        "Eˡ[j] = 1/(H·N) · Σₕ Σᵢ max(0, ∂sˡ/∂Aˡ[h, i, j])\n"
        "E = mean of Eˡ over the layers\n"
        "sˡ: the target's score read from the tokens after block l\n"
        "Aˡ: its attention (a pooler's, where there is one); head h, row i, column j"
    ),
    paper="Bousselham et al., LeGrad (arXiv:2404.03214), eqs. 4-8",
    cost="no forward; per target 0.01 forwards (class token, pooler) to 0.5 (mean of all tokens); final score 2",
    readouts=("cls", "mean", "attention"),
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
    score: Annotated[
        Score | Literal["final"] | None,
        "what is differentiated; None: cosine for prompts, logit for classes; final: the whole model's score, once",
    ] = None,
    attention: Annotated[
        Literal["native", "self"], "of a model with an attention pooler: the pooler's attention, or the blocks' own"
    ] = "native",
    relu: Annotated[bool, "keep only attention that speaks for the target (off: signed maps)"] = True,
    preset: Annotated[
        Preset | None,
        "paper: class token, raw projected score; reference: mean of all tokens, cosine, last two layers",
    ] = None,
) -> Maps:
    """LeGrad maps of every layer and head.

    ``E^l[h, j] = 1/N sum_i relu(ds^l/dA^l[h, i, j])``, and ``E^l = mean_h E^l[h]`` (eqs. 5-7); s^l is the target's
    score read from the output of block l. With the identity ``ds/dA[h, i, j] = <G[h, i], v[h, j]>`` nothing of size
    N x N is formed where the readout reads few tokens, and chunks of it elsewhere.

    Models with an attention pooler (SigLIP, CoCa): the pooler is applied to the output of every block, and
    ``E^l[h, j] = relu(ds^l/dA_pool^l[h, j])`` with the pooler's heads; tokens that it does not read are 0 (section
    "LeGrad for attention pooling"). ``attention="self"``, which the paper does not have, differentiates the same s^l
    with respect to block l's own attention.

    ``score="final"`` is the ablation of the paper's table 5: the score of the whole model, differentiated with respect
    to every A^l. That takes a full backward pass. ``relu=False`` is the other ablation.

    Paper and reference code differ. The paper (v1) reads the class token, without norm, over all layers; the code reads
    the mean of all tokens, takes the cosine after the final norm, and keeps the last two layers. With a pooler both
    read the pooler; the code leaves out the trunk's final norm before SigLIP's and takes the cosine, and leaves out
    ``ln_post`` after CoCa's and takes the plain product (``score="raw"``). Both are presets. The code explains the sum
    of several prompts at once; here every target has its own map.

    Cost: no forward; per layer and target one vector-Jacobian product through output projection and MLP on the tokens
    that the readout reads; through the pooler's projections alone where there is a pooler.

    Raises:
        MethodError: pool="cls" on a model without a class token, "cls" or "mean" on one with a pooler.
        KnobError: pool or score beside a preset; attention="self" without a pooler; score="final" beside a pool, or
            on a pooler, which reads the last layer alone.
    """
    vit, pooled = tokens.vit, tokens.vit.readout.pooler is not None
    if attention == "self" and not pooled:
        raise KnobError(
            f"{vit.name} has no attention pooler: LeGrad reads its blocks' own attention; leave attention out"
        )
    bare = False
    if preset is not None:
        if (pool, score) != ("native", None):
            raise KnobError(f"preset={preset!r} sets pool and score; leave them out, or leave out the preset")
        pool, score, bare = _stands_for(preset, vit.readout)
    if preset == "reference":
        layers = layers or tuple(range(max(1, tokens.depth - 1), tokens.depth + 1))
    layers = layers or tuple(range(1, tokens.depth + 1))
    ran = {"pool": pool, "score": score}
    if score == "final":
        _check_final(pool, attention, pooled)
        maps, scores = _of_the_final_score(tokens, Aims(aims), layers, relu, tick)
        return Maps(maps, layers, scores, has_heads=True, signed=not relu, ran=ran)
    readout = layer_readout(vit, pool, raw=bare or score == "raw")
    batch = Aims(aims, score)
    layer_maps = _of_pooler if pooled and attention == "native" else _of_block
    per_layer = []
    for step, layer in enumerate(layers):
        tick(step, len(layers))
        per_layer.append(layer_maps(tokens, layer, readout, batch, relu))
    maps, scores = (torch.stack(parts, 1) for parts in zip(*per_layer, strict=True))
    return Maps(maps, layers, scores, has_heads=True, signed=not relu, ran=ran)


def _stands_for(preset: Preset, readout: Readout) -> tuple[Pool, Score, bool]:
    """The pool and the score of a preset, and whether the final norms are left out beside the score."""
    if readout.pooler is None:
        return ("cls", "raw", False) if preset == "paper" else ("mean", "cos", False)
    if preset == "paper" or not isinstance(readout.pooler.own_norm, nn.Identity):  # CoCa's pooler norms its own tokens
        return "native", "raw", False
    return "native", "cos", True


def _check_final(pool: Pool, attention: str, pooled: bool) -> None:
    if pool != "native":
        raise KnobError(
            f"score='final' is the score of the whole model, which has its own readout; leave out pool={pool!r}"
        )
    if pooled and attention == "native":
        raise KnobError(
            "score='final' reads the pooler on the last layer alone; add attention='self' for the blocks' own "
            "attention, or leave out score for a pooler on every layer"
        )


def _of_pooler(tokens: Tokens, layer: int, readout: Readout, aims: Aims, relu: bool) -> tuple[Tensor, Tensor]:
    """Ê^l [P, H, N] with respect to the pooler's attention to Z^l, and s^l [P]."""
    assert readout.pooler is not None  # who asks has seen to it
    k = apply(readout.norm, tokens.after(layer)[readout.rows])
    scores, gradient = pooler_gradient(k, readout, aims)
    read = readout.pooler.toward(gradient, k)
    maps = read.new_zeros(len(aims), readout.pooler.heads, tokens.count)
    maps[..., readout.rows] = read.clamp_min(0) if relu else read
    return maps, scores


def _of_block(tokens: Tokens, layer: int, readout: Readout, aims: Aims, relu: bool) -> tuple[Tensor, Tensor]:
    """Ê^l [P, H, N] with respect to the attention of block l, and s^l [P]."""
    scores, u = layer_score(tokens.after(layer), readout, aims)
    return _row_mean(tokens, layer, output_gradient(tokens, layer, readout.rows, u), relu), scores


def _of_the_final_score(
    tokens: Tokens, aims: Aims, layers: tuple[int, ...], relu: bool, tick: Tick
) -> tuple[Tensor, Tensor]:
    """Ê [P, L, H, N] of the final score with respect to the attention of each of the layers, and that score [P, L]."""
    start = final_score(tokens, aims)
    maps = {
        passage.layer: _row_mean(tokens, passage.layer, passage.heads, relu)
        for passage in descend(tokens, start, min(layers), tick)
        if passage.layer in layers
    }
    return torch.stack([maps[layer] for layer in layers], 1), start.scores[:, None].expand(-1, len(layers))


def _row_mean(tokens: Tokens, layer: int, gradient: Tensor, relu: bool) -> Tensor:
    """1/N sum_i relu(<G[h, i], v[h, j]>) [P, H, N] from G [P, H, R, e], by the cheaper of two roads."""
    if not relu:  # the mean over rows commutes with the inner product
        gradient = gradient.sum(2, keepdim=True)
    targets, heads, rows, _ = gradient.shape
    attention = tokens.block(layer).attention
    absorb = targets * rows * heads < attention.value.weight.shape[1]
    total = (_from_tokens if absorb else _from_values)(tokens, layer, gradient, relu)
    return total / tokens.count


def _from_tokens(tokens: Tokens, layer: int, gradient: Tensor, relu: bool) -> Tensor:
    """Few rows: no value is formed, <W_V^T G, T_j> + <G, b_V>."""
    block = tokens.block(layer)
    weight = _by_head(block.attention, block.attention.value.weight)
    product = torch.einsum("phre,hed->phrd", gradient, weight) @ block.normed(tokens.before(layer)).T
    if block.attention.value.bias is not None:
        bias = _by_head(block.attention, block.attention.value.bias)
        product += torch.einsum("phre,he->phr", gradient, bias)[..., None]
    return (product.clamp_min_(0) if relu else product).sum(2)


def _from_values(tokens: Tokens, layer: int, gradient: Tensor, relu: bool) -> Tensor:
    """Many rows: against every value, so many rows at a time as fit into ``_CHUNK`` numbers."""
    block = tokens.block(layer)
    values = tokens.shared("values", layer, lambda: block.attention.values(block.normed(tokens.before(layer))))
    targets, heads, _, _ = gradient.shape
    total = gradient.new_zeros(targets, heads, tokens.count)
    for part in gradient.split(max(1, _CHUNK // (targets * heads * tokens.count)), dim=2):
        product = part @ values.transpose(-2, -1)
        total += (product.clamp_min_(0) if relu else product).sum(2)
    return total


def _by_head(attention: Attention, x: Tensor) -> Tensor:
    """A value weight or bias [H/groups*e, ...] -> [H, e, ...], repeated for the heads that share it."""
    return x.unflatten(0, (attention.heads // attention.groups, -1)).repeat_interleave(attention.groups, 0)
