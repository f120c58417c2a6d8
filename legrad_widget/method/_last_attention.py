"""The last attention before the score, a pooler's or the last block's, and the final score's gradient at its heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..models.capture import Tokens
from ..models.live import apply
from ..models.readout import Pooler
from ..target import Aims
from ._descent import FinalScore, Passage, descend, final_score
from ._method import Tick

NONE = slice(0, 0)


@dataclass(frozen=True)
class LastAttention:
    """O = A V with everything that it is made from.

    Axis letters: N' tokens that serve as keys, R query rows, D, H, e, P as everywhere.

    Attributes:
        scores: the final score s [P].
        gradient: G = ds/dO [P, H, R, e]; hence ds/dA[h, i, j] = <G[h, i], V[h, j]>.
        inputs: T [N', D], what queries, keys and values are made from.
        queries, keys, values: T -> [H, R or N', e].
        rows: A [H, R, N'].
        read: which tokens the R query rows are; none where the query is a pooler's own.
        columns: which of the image's N tokens the N' keys are.
        passage: the last block on the way down; None for a pooler.
    """

    scores: Tensor
    gradient: Tensor
    inputs: Tensor
    queries: Callable[[Tensor], Tensor]
    keys: Callable[[Tensor], Tensor]
    values: Callable[[Tensor], Tensor]
    rows: Tensor
    read: slice
    columns: slice
    passage: Passage | None = None

    def placed(self, maps: Tensor, count: int) -> Tensor:
        """[..., N'] -> [..., N]: zero for tokens that are not keys."""
        whole = maps.new_zeros(*maps.shape[:-1], count)
        whole[..., self.columns] = maps
        return whole


def last_attention(tokens: Tokens, aims: Aims, tick: Tick, *, pooler: bool) -> LastAttention:
    """The pooler's attention (``pooler``; the readout must have one), or the last block's on the rows that are read."""
    start = final_score(tokens, aims)
    if pooler:
        tick(0, 1)
        return _of_pooler(tokens, start)
    return _of_block(start, next(descend(tokens, start, tokens.depth, tick)))


def _of_block(start: FinalScore, passage: Passage) -> LastAttention:
    attention, read = passage.block.attention, passage.rows
    t = passage.block.normed(passage.tokens.before(passage.layer))
    return LastAttention(
        start.scores, passage.heads, t, lambda x: attention.queries(x, read), attention.keys, attention.values,
        attention.rows(t, read), read, slice(0, None), passage,
    )  # fmt: skip


def _of_pooler(tokens: Tokens, start: FinalScore) -> LastAttention:
    readout = tokens.vit.readout
    pooler, gradient = readout.pooler, start.pooler
    assert pooler is not None  # who asks has seen to it
    assert gradient is not None
    t = apply(readout.norm, tokens.after(tokens.depth)[readout.rows])
    return LastAttention(
        start.scores, gradient[:, :, None], t, lambda x: pooler.query().to(x.dtype)[:, None],
        lambda x: _keys(pooler, x), pooler.values, pooler.rows(t)[:, None], NONE, readout.rows,
    )  # fmt: skip


def _keys(pooler: Pooler, t: Tensor) -> Tensor:
    return apply(pooler.key_norm, pooler.split(pooler.key(t)))
