"""The way of relevance down a Vision Transformer, by the rules of ``_relevance``, one block at a time.

Every block is recomputed in float64 from its captured input when the walk reaches it, so that memory holds one block::

    R(Z^l) -> add: R(Y), MLP -> R(Y) in all -> add: R(Z^{l-1}), attention -> W_O -> R(O) -> R(A), R(V) [-> R(Q), R(K)]
           -> R(T) -> R(Z^{l-1}) in all

A parallel block adds its two branches before the residual, and is passed in that order (an output projection that both
share is read as the two that it holds). Norms, LayerScale and rotations hand relevance on as it is. Half of what
reaches O goes on through A to queries and keys (``path`` "keep"), or all of it to the values, the attention taken as
constant ("drop").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from ..models.attention import Attention
from ..models.block import Block, scaled
from ..models.capture import Tokens
from ..models.live import Affine, apply
from ..models.readout import Pooler, Readout
from ..models.view import ViT
from ._method import Tick
from ._relevance import Rules, mean, product

EVERY = slice(0, None)
Path = Literal["keep", "drop"]


@dataclass(frozen=True)
class Passage:
    """One block on the way down. What is asked for is computed once; what is not asked for costs nothing.

    Attributes:
        block: bound to the image; z: its input Z^{l-1} [N, D] float64.
        rows: the tokens whose output carries relevance: those that the readout reads in the last block, all below.
        after: R of Z^l on ``rows`` [R, D].
    """

    layer: int
    block: Block
    z: Tensor
    rows: slice
    after: Tensor
    rules: Rules
    path: Path

    @cached_property
    def attention(self) -> Tensor:
        """R_A [H, R, N], half of what reaches the heads' output O."""
        return self._factors[0]

    @cached_property
    def before(self) -> Tensor:
        """R of Z^{l-1} [N, D]."""
        attention, (r_a, r_v) = self.block.attention, self._factors
        if self.path == "drop":  # the attention taken as constant: the values get both halves
            r_v = 2 * r_v
        r = self.rules.through(attention.value, self._t, _side_by_side(r_v, attention.groups))
        below, straight = r, self._halves[0]
        if self.path == "keep":
            r_q, r_k = product(_unscaled(attention, self._t, self.rows), attention.keys(self._t).mT, r_a)
            below = below + self.rules.through(attention.key, self._t, _side_by_side(r_k.mT, attention.groups))
            straight = straight + self.rules.through(attention.query, self._t[self.rows], _side_by_side(r_q))
        below[self.rows] += straight
        return below

    @cached_property
    def _t(self) -> Tensor:
        return self.block.normed(self.z)

    @cached_property
    def _heads(self) -> tuple[Tensor, Tensor]:
        """A [H, R, N] and V [H, N, e]."""
        return self.block.attention.rows(self._t, self.rows), self.block.attention.values(self._t)

    @cached_property
    def _joined(self) -> Tensor:
        """What the output projection reads [R, H*e]."""
        a, v = self._heads
        joined = _side_by_side(a @ v)
        inner = self.block.attention.inner
        return joined if inner is None else inner(joined, self._t[self.rows])

    @cached_property
    def _halves(self) -> tuple[Tensor, Tensor]:
        """R of Z^{l-1} past the attention, and of what the attention adds, both [R, D]."""
        block = self.block
        attended = apply(block.after1, block.attention.out(self._joined))
        return self._past_both(attended) if block.parallel else self._past_one_by_one(attended)

    def _past_one_by_one(self, attended: Tensor) -> tuple[Tensor, Tensor]:
        block, z = self.block, self.z[self.rows]
        added = scaled(block.gamma1, attended)
        read = apply(block.norm2, z + added)
        mixed = scaled(block.gamma2, apply(block.after2, block.mlp(read)))
        r_y, r_mixed = self.rules.add(z + added, mixed, self.after)
        return self.rules.add(z, added, r_y + self.rules.through_mlp(block.mlp, read, r_mixed))

    def _past_both(self, attended: Tensor) -> tuple[Tensor, Tensor]:
        block, z = self.block, self.z[self.rows]
        read = apply(block.norm2, z)
        mixed = apply(block.after2, block.mlp(read))
        added = scaled(block.gamma1, attended), scaled(block.gamma2, mixed)
        straight, r = self.rules.add(z, added[0] + added[1], self.after)
        one_scale = block.gamma1 == block.gamma2  # then the branches are added before it
        r_attended, r_mixed = self.rules.add(*((attended, mixed) if one_scale else added), r)
        return straight + self.rules.through_mlp(block.mlp, read, r_mixed), r_attended

    @cached_property
    def _factors(self) -> tuple[Tensor, Tensor]:
        """R_A [H, R, N] and R_V [H, N, e]."""
        attention = self.block.attention
        joined = self.rules.through(attention.out, self._joined, self._halves[1])
        return product(*self._heads, attention.split(joined))


@dataclass(frozen=True, slots=True)
class Top:
    """What the readout hands down: R of Z^L on its tokens ``rows`` [R, D], and R_A of a pooler [H, R] (else None)."""

    rows: slice
    after: Tensor
    pooler: Tensor | None = None


def top(vit: ViT, z: Tensor, target: Tensor, rules: Rules, path: Path) -> Top:
    """The readout passed with relevance 1 on the target, ``<features, target>`` taken as one more linear map.

    ``z`` [N, D] float64: the last block's output. Relevance that reaches a pooler's learned query is let go.
    """
    readout = vit.readout
    x = apply(readout.norm, z[readout.rows])
    pooled = readout.pool(x)
    projected = apply(readout.post_norm, pooled)
    r = rules.linear(readout.project(projected), target.to(z)[None], z.new_ones(1))
    if isinstance(readout.projection, Affine):
        r = rules.through(readout.projection, projected, r)
    if readout.pooler is not None:
        return _through_pooler(readout, readout.pooler, x, r, rules, path)
    return Top(readout.rows, mean(x, r) if readout.kind == "mean" else r.view_as(x))


def _through_pooler(readout: Readout, pooler: Pooler, x: Tensor, r: Tensor, rules: Rules, path: Path) -> Top:
    heads = pooler.attended(x).flatten(-2)
    if pooler.mlp is not None:
        y = heads if pooler.out is None else pooler.out(heads)
        read = apply(pooler.norm, y)
        r, spoken = rules.add(y, pooler.mlp(read), r)
        r = r + rules.through_mlp(pooler.mlp, read, spoken)
    if pooler.out is not None:
        r = rules.through(pooler.out, heads, r)
    r_a, r_v = product(pooler.rows(x)[:, None], pooler.values(x), r.view(pooler.heads, 1, -1))
    below = rules.through(pooler.value, x, _side_by_side(2 * r_v if path == "drop" else r_v))
    if path == "keep":
        keys = apply(pooler.key_norm, pooler.split(pooler.key(x)))
        query = pooler.query().to(x)[:, None] * keys.shape[-1] ** 0.5  # as the product has it, before the scale
        _, r_k = product(query, keys.mT, r_a)
        below = below + rules.through(pooler.key, x, _side_by_side(r_k.mT))
    return Top(readout.rows, below, r_a[:, 0])


def descend(
    tokens: Tokens, start: Top, rules: Rules, path: Path, down_to: int = 1, tick: Tick = lambda step, total: None
) -> Iterator[Passage]:
    """Blocks L, L-1, ..., ``down_to``, each with the relevance that reaches its output.

    A passage holds its block in float64: take what you need and let it go before the next. ``tick`` is called between
    blocks, and before every linear map that is passed.
    """
    rows, after = start.rows, start.after
    total = tokens.depth - down_to + 1
    for step, layer in enumerate(range(tokens.depth, down_to - 1, -1)):
        tick(step, total)
        pausing = replace(rules, pause=partial(tick, step, total))
        passage = Passage(layer, tokens.block(layer), tokens.before(layer).double(), rows, after, pausing, path)
        yield passage
        if layer > down_to:
            rows, after = EVERY, passage.before


def path_of(tokens: Tokens, path: Path | None) -> Path:
    """``path``, or the default: no rule leads through a rotation, so rotary positions drop queries and keys."""
    turned = any(tokens.block(layer).attention.place.turn is not None for layer in range(1, tokens.depth + 1))
    return path or ("drop" if turned else "keep")


def without_rules(vit: ViT) -> str | None:
    """Why relevance cannot be propagated through a model, or None."""
    if not isinstance(vit.readout.projection, Affine | None):
        return (
            f"relevance has no rule for the head of {vit.name}, which is more than one linear map. "
            "Use 'chefercam' instead"
        )
    for block in vit.blocks:
        if _is_gated(block.attention):
            return (
                f"relevance has no rule for the gate on the attention's output in {block.name} of {vit.name}. "
                "Use 'chefercam' instead"
            )
    return None


def _is_gated(attention: Attention) -> bool:
    """Whether what follows the heads depends on the tokens themselves."""
    if attention.inner is None:
        return False
    weight = attention.out.weight
    heads, t = weight.new_ones(1, weight.shape[1]), weight.new_zeros(1, attention.value.weight.shape[1])
    return not torch.equal(attention.inner(heads, t), attention.inner(heads, t + 1))


def _unscaled(attention: Attention, t: Tensor, rows: slice) -> Tensor:
    """Q [H, R, e] as the product D = Q K^T has it, before the scale."""
    scale = attention.scale() if callable(attention.scale) else attention.scale
    return attention.queries(t, rows) / scale


def _side_by_side(x: Tensor, groups: int = 1) -> Tensor:
    """[H, N, e] -> [N, H/groups*e]; what heads of one group were lent together is summed."""
    return x.unflatten(0, (-1, groups)).sum(1).transpose(0, 1).flatten(1)
