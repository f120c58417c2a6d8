"""TextSpan: the image's vector as a sum over tokens, heads and layers, each read along the target's direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from ..models.block import scaled
from ..models.capture import Tokens, plain_arithmetic
from ..models.live import Affine, apply, pullback
from ..models.readout import Readout
from ..models.view import ViT
from ..target import Aim
from ._frozen_norm import FrozenNorm, freeze
from ._method import KnobError, Maps, MethodError, Tick, method
from ._single_map import only_layer

Centering = Literal["shared", "own"]


def _undefined(vit: ViT) -> str | None:
    """Why the image's vector is no sum over tokens, or None."""
    readout = vit.readout
    width = vit.blocks[-1].attention.value.weight.shape[1]
    noise = torch.randn(vit.prefix + 4, width, generator=torch.Generator().manual_seed(0)).to(vit.device)
    with plain_arithmetic(vit.device):
        pooled = readout.pool(apply(readout.norm, noise[readout.rows]))
        if not _is_affine(readout, pooled):
            return f"the image vector of {vit.name} passes an MLP after pooling, so it is no sum over tokens"
        norms = [(readout.post_norm, pooled[None])]
        if readout.pooler is None:
            norms += [(norm, noise) for norm in (readout.norm, *(block.after1 for block in vit.blocks))]
        if any(freeze(norm, x) is None for norm, x in norms):
            return f"{vit.name} has a norm that is neither a LayerNorm nor an RMSNorm, whose sums TextSpan cannot split"
    if readout.pooler is None and any(block.attention.inner is not None for block in vit.blocks):
        return (
            f"the attention of {vit.name} has a norm, a scale or a gate between its heads and its output projection, "
            "so its image vector is no plain sum over heads and tokens"
        )
    return None


def _refusal(vit: ViT) -> str | None:
    reason = _undefined(vit)
    return None if reason is None else f"TextSpan is not defined here: {reason}. Use 'legrad' instead"


def _is_affine(readout: Readout, pooled: Tensor) -> bool:
    if readout.projection is None or isinstance(readout.projection, Affine):
        return True
    other = pooled.flip(-1)
    gap = (
        readout.project(pooled + other) + readout.project(0 * other) - readout.project(pooled) - readout.project(other)
    )
    return bool(gap.norm() <= 1e-4 * readout.project(pooled + other).norm())


@method(
    title="TextSpan",
    summary="What each patch's attended value adds to the image's vector along the target's direction.",
    shows=(
        "The score taken apart: what each patch adds to the image's vector along the target, through attention, with "
        "all norms held fixed. With the parts of MLPs and embedding it adds up to the score."
    ),
    formula=(
        "Mˡ[i] = Σₕ ⟨Aˡ[h, r, i] · W_O⁽ʰ⁾ vˡ[h, i], t̃⟩ + const\n"
        "t̃ = γ ⊙ (proj · t) / (σ ‖z‖)\n"
        "r: the row that the readout reads; v: values; γ, σ: gain and spread of the final norm\n"
        "z: the image's vector; t: the target's"
    ),
    paper="Gandelsman et al. 2024 (arXiv:2310.05916), as used in LeGrad (arXiv:2404.03214)",
    cost="no forward and no gradient; 0.16 (class token) to 0.26 forwards (mean), and little more per target",
    signed=True,
    readouts=("cls", "mean", "attention"),
    undefined=_refusal,
    together=True,
)
def textspan(
    tokens: Tokens,
    aims: list[Aim],
    layers: tuple[int, ...] | None,
    tick: Tick,
    *,
    centering: Annotated[
        Centering, "the final norm's mean: shared out evenly over all terms, or each term's own"
    ] = "shared",
    contrast: Annotated[
        Literal["mean_over_prompts"] | None, "take away the mean map of the other prompts asked together"
    ] = None,
) -> Maps:
    """``M^l[i] = sum_h <c^l[i, h], t>``: the score, split over tokens, heads and layers with all norms held fixed.

    Attention adds to the row r that the readout reads ``c^l[i, h] = A^l[h, r, i] W_O^(h) v^l[h, i] + b_O / (N H)``
    (times LayerScale). The final norm with the mean mu and spread sigma it had, and the length of the image's vector,
    turn every such term into its share of the vector, ``((c - mu / (K N H)) * gamma / sigma + beta / (K N H)) proj /
    |z|``, K = 2L + 1 counting L attentions, L MLPs and the embedding. Together with the MLPs' and the embedding's terms
    all of them add up to the score exactly. Nothing of size D is kept per token: t is taken back through projection,
    norm and W_O once, ``M^l[i] = sum_h A^l[h, r, i] <W_O^(h)T t~, v^l[h, i]> + const``.

    Every layer is one term of the sum. The paper adds all of them; merged here is their mean, the same up to a factor
    L. ``heads``: H times each head's part, so that their mean is the layer's map.

    ``centering`` "own" takes each term's own mean away instead of an equal share of mu; complete as well. ``contrast``
    subtracts the mean map of the other prompts of the list; the reference code subtracts the mean over all of them
    (the same up to a factor P / (P - 1)) and cuts off what is negative, which is left to the reader here.

    Readouts: two class tokens add their terms. A mean averages the rows; a norm before it has each row's own
    statistics. With an attention pooler (not in the papers) the terms are those of the pooler's attention alone,
    ``A_pool[h, j] W_O^(h) v[h, j]``, beside one term for its MLP where it has one: a single map. Norms after the
    attention of a block are held fixed likewise, with each term's own mean. A class is scored by its logit, without
    |z|; what its bias adds belongs to no token.

    Raises:
        KnobError: contrast with one prompt; centering="own" where no final norm takes a mean away.
        MethodError: a layer other than the last of a model with an attention pooler.
    """
    readout = tokens.vit.readout
    if contrast is not None and len(aims) == 1:
        raise KnobError(
            f"contrast={contrast!r} compares prompts with each other, and only one was asked; ask for several together "
            "in a list, or leave out contrast"
        )
    score = _toward_readout(tokens, aims, centering)
    if readout.pooler is not None:
        layers = only_layer(layers, tokens.depth, "TextSpan of an attention pooler")
        tick(0, 1)
        maps = _pooler_terms(tokens, score)[:, None]
    else:
        layers = layers or tuple(range(1, tokens.depth + 1))
        parts = []
        for step, layer in enumerate(layers):
            tick(step, len(layers))
            parts.append(_block_terms(tokens, layer, score))
        maps = torch.stack(parts, 1)
    if contrast is not None:
        maps = (len(maps) * maps - maps.sum(0)) / (len(maps) - 1)  # each minus the mean of the others
    return Maps(maps, layers, None, has_heads=True, signed=True)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A linear reading of terms x [R, D]: ``sum_r weights[r] <toward[r], x_r>``, and what belongs to no term.

    ``toward`` [P, R, D], or [P, 1, D] where all rows are read alike; ``weights`` [R]; ``constant`` [P].
    """

    toward: Tensor
    weights: Tensor
    constant: Tensor

    def of(self, x: Tensor) -> Tensor:
        """[P] of x [R or 1, D]."""
        return ((self.toward * x).sum(-1) * self.weights).sum(-1)

    def behind(self, norm: FrozenNorm, centering: Centering) -> _Reading:
        """This reading, of what enters ``norm``."""
        constant = self.constant + self.of(norm.shift)
        toward, weights = self.toward * norm.gain, self.weights / norm.spread
        if norm.centred and centering == "own":
            toward = toward - toward.mean(-1, keepdim=True)
        elif norm.centred:
            constant = constant - (toward.sum(-1) * weights * norm.centre).sum(-1)
        return _Reading(toward, weights, constant)


def _toward_readout(tokens: Tokens, aims: list[Aim], centering: Centering) -> _Reading:
    """The score as a reading of the last tokens' rows; of the pooled vector itself where a pooler makes it."""
    readout, z = tokens.vit.readout, tokens.after(tokens.depth)[tokens.vit.readout.rows]
    norm = _frozen(readout.norm if readout.pooler is None else nn.Identity(), z)
    pooled = readout.pool(apply(readout.norm, z))
    post_norm = _frozen(readout.post_norm, pooled[None])
    if centering == "own" and not (norm.centred or post_norm.centred):
        raise KnobError(
            f"centering plays no part for {tokens.vit.name}: no norm at its end takes a mean away; leave it out"
        )
    toward = pullback(readout.project, pooled, _directions(aims, readout.tail(pooled)))
    one = pooled.new_ones(1)
    reading = _Reading(toward[:, None], one, pooled.new_zeros(len(aims))).behind(post_norm, centering)
    toward = reading.toward * reading.weights
    if readout.pooler is not None:
        return replace(reading, toward=toward, weights=one)
    if readout.kind == "cls":
        toward, weights = toward[:, 0].unflatten(-1, z.shape), torch.ones_like(z[:, 0])
    else:
        weights = torch.full_like(z[:, 0], 1 / len(z))
    return _Reading(toward, weights, reading.constant).behind(norm, centering)


def _directions(aims: list[Aim], features: Tensor) -> Tensor:
    """[P, E]: what every score is the inner product of the features [E] with, up to its bias."""
    rows = []
    for aim in aims:
        gain, slope, _ = aim.form(None)
        vector = aim.vector.to(features)
        rows.append((gain / (features.norm() * vector.norm()) + slope) * vector)
    return torch.stack(rows)


def _block_terms(tokens: Tokens, layer: int, score: _Reading) -> Tensor:
    """H times M^l [P, H, N]."""
    block, rows = tokens.block(layer), tokens.vit.readout.rows
    t = block.normed(tokens.before(layer))
    attention = block.attention.rows(t, rows)
    values = tokens.shared("values", layer, lambda: block.attention.values(t))
    reading = replace(score, toward=scaled(block.gamma1, score.toward), constant=torch.zeros_like(score.constant))
    if not isinstance(block.after1, nn.Identity):
        reading = reading.behind(_frozen(block.after1, block.attention.join(attention @ values, t[rows])), "own")
    out = block.attention.out
    constant = reading.constant + score.constant / (2 * tokens.depth + 1)
    if out.bias is not None:
        constant = constant + reading.of(out.bias)
    attention = attention * reading.weights[:, None]
    if reading.toward.shape[1] == 1:  # all rows are read alike
        attention = attention.sum(-2, keepdim=True)
    toward = block.attention.split(reading.toward @ out.weight)  # [P, H, R or 1, e]
    parts = (attention * (toward @ values.transpose(-2, -1))).sum(-2)
    return parts * block.attention.heads + constant[:, None, None] / tokens.count


def _pooler_terms(tokens: Tokens, score: _Reading) -> Tensor:
    """H times M [P, H, N] of the pooler's attention; zero for tokens that it does not read."""
    readout, pooler = tokens.vit.readout, tokens.vit.readout.pooler
    assert pooler is not None  # who asks has seen to it
    k = apply(readout.norm, tokens.after(tokens.depth)[readout.rows])
    toward, constant = score.toward[:, 0], score.constant / (1 if pooler.mlp is None else 2)
    if pooler.out is not None:
        if pooler.out.bias is not None:
            constant = constant + score.of(pooler.out.bias)
        toward = toward @ pooler.out.weight
    along = pooler.split(toward) @ pooler.values(k).transpose(-2, -1)  # [H, P, N']
    parts = (pooler.rows(k)[:, None] * along).transpose(0, 1)
    maps = k.new_zeros(len(parts), pooler.heads, tokens.count)
    maps[..., readout.rows] = parts * pooler.heads + constant[:, None, None] / len(k)
    return maps


def _frozen(norm: nn.Module, x: Tensor) -> FrozenNorm:
    found = freeze(norm, x)
    if found is None:
        raise MethodError(
            f"TextSpan cannot hold the statistics of {type(norm).__name__} fixed; LayerNorm and RMSNorm are supported. "
            "Use 'legrad' instead"
        )
    return found
