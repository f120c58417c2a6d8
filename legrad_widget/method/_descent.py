"""The gradient of the final score on its way down: one block at a time, from the captured tokens, nothing kept.

With s the score of the whole model, block l takes ds/dZ^l to ds/dZ^{l-1}::

    dY = u + J_{MLP o norm2}(Y)^T (g2 * u)                     u = ds/dZ^l
    G  = ds/dO^l = W_O^T (g1 * dY)                             (through ``after1`` and ``inner`` where a block has them)
    dT = J_attention(T)^T G,     ds/dZ^{l-1} = dY + J_norm1(Z^{l-1})^T dT

A parallel block's MLP reads Z^{l-1}: there dY = u, and the MLP's part joins ds/dZ^{l-1}.

The vision tower never runs again: Z^{l-1} and Y^l were captured. Only the attention of the block at hand is on a graph,
and all targets share it. The MLP's forward ends at its activation: all blocks and one target cost about 1.6 forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from ..models.block import Block, scaled
from ..models.capture import Tokens
from ..models.live import apply, pullback
from ..models.readout import Readout
from ..target import Aims
from ._layer_score import layer_score, pooler_gradient, through_mlp
from ._method import Tick

EVERY = slice(0, None)


@dataclass(frozen=True, slots=True)
class FinalScore:
    """What the readout hands down: s [P], u = ds/dZ^L [P, R or 1, D] on its tokens ``rows``, G_pool = ds/dO_pool.

    ``pooler`` [P, H, e] is None for readouts without an attention pooler.
    """

    scores: Tensor
    rows: slice
    after: Tensor
    pooler: Tensor | None = None


@dataclass(frozen=True)
class Passage:
    """One block on the way down. What is asked for is computed once; what is not asked for costs nothing.

    Attributes:
        layer: l, 1-based.
        rows: the tokens whose output carries gradient: those that the readout reads in the last block, all below.
        after: ds/dZ^l [P, R or 1, D] on ``rows`` (one vector where they share it); zero elsewhere.
        pause: called between targets; raises to cancel.
    """

    tokens: Tokens
    layer: int
    rows: slice
    after: Tensor
    pause: Callable[[], None]

    @cached_property
    def block(self) -> Block:
        """The block, bound to this image."""
        return self.tokens.block(self.layer)

    @cached_property
    def middle(self) -> Tensor:
        """ds/dY^l [P, R or 1, D] on ``rows``."""
        return self.after if self.block.parallel else through_mlp(self.tokens, self.layer, self.rows, self.after)

    @cached_property
    def heads(self) -> Tensor:
        """G = ds/dO^l [P, H, R, e] on ``rows``; hence ds/dA^l[h, i, j] = <G[h, i], V[h, j]>."""
        if self._plain:
            gradient = scaled(self.block.gamma1, self.middle) @ self.block.attention.out.weight
            read = len(range(*self.rows.indices(self.tokens.count)))
            return self.block.attention.split(gradient).expand(-1, -1, read, -1)
        joined, o = self._replay.joined, self._replay.o
        cotangents = self.middle.expand(-1, *joined.shape)
        return torch.stack([torch.autograd.grad(joined, o, c, retain_graph=True)[0] for c in cotangents])

    @property
    def attention(self) -> Tensor:
        """A^l [H, R, N], the rows of the tokens ``rows``."""
        return self._replay.a.detach()

    @property
    def values(self) -> Tensor:
        """V^l [H, N, e]."""
        return self._replay.v.detach()

    @cached_property
    def normed(self) -> Tensor:
        """ds/dT^l [P, N, D] through the attention: queries, keys, values, and a gate where there is one."""
        root, cotangents = (
            (self._replay.o, self.heads)
            if self._plain
            else (self._replay.joined, self.middle.expand(-1, *self._replay.joined.shape))
        )
        parts: list[Tensor] = []
        for cotangent in cotangents:
            self.pause()
            parts += torch.autograd.grad(root, self._replay.t, cotangent, retain_graph=True)
        return torch.stack(parts)

    @cached_property
    def before(self) -> Tensor:
        """ds/dZ^{l-1} [P, N, D]."""
        z = self.tokens.before(self.layer)
        gradient = self.normed
        if not isinstance(self.block.norm1, nn.Identity):
            gradient = pullback(lambda x: apply(self.block.norm1, x), z, gradient)
        gradient = gradient.clone()
        gradient[:, self.rows] += self._beside_attention
        return gradient

    @property
    def _beside_attention(self) -> Tensor:
        """What reaches Z^{l-1} on ``rows`` past the attention; in a parallel block the MLP's part is there too."""
        if not self.block.parallel:
            return self.middle
        z = self.tokens.before(self.layer)[self.rows]
        return pullback(lambda x: self.block.finish(x, x), z, self.after.expand(-1, len(z), -1))

    @property
    def _plain(self) -> bool:
        """Whether G is one product with W_O."""
        return self.block.attention.inner is None and isinstance(self.block.after1, nn.Identity)

    @cached_property
    def _replay(self) -> _Replay:
        t = self.block.normed(self.tokens.before(self.layer)).detach()
        with torch.enable_grad():
            t.requires_grad_()
            a = self.block.attention.rows(t, self.rows)
            v = self.block.attention.values(t)
            o = a @ v
            joined = o if self._plain else self.block.rejoin(o, t[self.rows])
        return _Replay(t, a, v, o, joined)


@dataclass(frozen=True, slots=True)
class _Replay:
    """One block's attention on a graph: T [N, D] the leaf, A [H, R, N], V [H, N, e], O [H, R, e], and what it adds."""

    t: Tensor
    a: Tensor
    v: Tensor
    o: Tensor
    joined: Tensor


def final_score(tokens: Tokens, aims: Aims) -> FinalScore:
    """The final score of every target, and its gradient with respect to what the readout reads."""
    readout, z = tokens.vit.readout, tokens.after(tokens.depth)
    if readout.pooler is not None:
        return _through_pooler(z, readout, aims)
    scores, after = layer_score(z, readout, aims)
    return FinalScore(scores, readout.rows, after)


def descend(tokens: Tokens, start: FinalScore, down_to: int, tick: Tick) -> Iterator[Passage]:
    """Blocks L, L-1, ..., ``down_to``, each with the gradient of the final score that reaches its output.

    ``for passage in descend(tokens, final_score(tokens, Aims(aims, score)), 1, tick): passage.heads ...``
    A passage holds its block's graph: take what you need and let it go before the next. The input gradient of block
    ``down_to`` is computed only if it is asked for. ``tick`` is called between blocks, and between targets.
    """
    rows, after = start.rows, start.after
    total = tokens.depth - down_to + 1
    for step, layer in enumerate(range(tokens.depth, down_to - 1, -1)):
        tick(step, total)
        passage = Passage(tokens, layer, rows, after, partial(tick, step, total))
        yield passage
        if layer > down_to:
            rows, after = EVERY, passage.before


def _through_pooler(z: Tensor, readout: Readout, aims: Aims) -> FinalScore:
    """The pooler's keys and values on one graph for all targets; what follows its heads once per target."""
    assert readout.pooler is not None  # who asks has seen to it
    with torch.enable_grad():
        leaf = z[readout.rows].detach().requires_grad_()
        k = apply(readout.norm, leaf)
        o = readout.pooler.attended(k)
    scores, gradient = pooler_gradient(k.detach(), readout, aims)
    after = torch.stack([torch.autograd.grad(o, leaf, g, retain_graph=True)[0] for g in gradient])
    return FinalScore(scores, readout.rows, after, gradient)
