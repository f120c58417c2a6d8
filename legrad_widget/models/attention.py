"""Multi-head self-attention as the methods see it.

Axis letters: H heads, N tokens, R query rows, D width, e head width.

    A_h = softmax(scale * q_h k_h^T + bias),    O_h = A_h v_h,    output = W_O inner(concat_h O_h) + b_O

q- and k-norm act per head, rotary positions turn q and k, grouped keys and values are repeated for every query head;
``inner`` is a norm, a head scale or a gate on the concatenated heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from .live import Affine, apply

Rows = slice | list[int]
EVERY = slice(None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tokens of one image stand.

    ``turn(x [..., H, R, e], rows)`` rotates the queries or keys of the tokens ``rows``; ``bias(rows)`` [H or 1, R, N]
    is added to the logits of these query rows.
    """

    turn: Callable[[Tensor, Rows], Tensor] | None = None
    bias: Callable[[Rows], Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """Multi-head self-attention.

    Attributes:
        heads: H, query heads. ``groups`` of them share one key and value head.
        scale: what multiplies the queries; a number, or a tensor [H, 1, 1] read live.
        query_norm, key_norm: act on every head's vector [..., e].
        inner: ``(concatenated heads [..., R, H*e], T [..., R, D]) -> [..., R, H*e]`` before the output projection.
        locate: what the block was called with (by argument name) -> :class:`Place`; None where position plays no part.
        place: of the image at hand; bound by :meth:`at`.
    """

    heads: int
    query: Affine
    key: Affine
    value: Affine
    out: Affine
    scale: float | Callable[[], Tensor]
    query_norm: nn.Module = field(default_factory=nn.Identity)
    key_norm: nn.Module = field(default_factory=nn.Identity)
    groups: int = 1
    inner: Callable[[Tensor, Tensor], Tensor] | None = None
    locate: Callable[[Mapping[str, Any]], Place] | None = None
    place: Place = Place()

    def at(self, arguments: Mapping[str, Any]) -> Attention:
        """This attention for one image, from what the native forward called its block with."""
        return self if self.locate is None else replace(self, place=self.locate(arguments))

    def split(self, x: Tensor) -> Tensor:
        """[..., N, H*e] -> [..., H, N, e]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def values(self, t: Tensor) -> Tensor:
        """V [..., H, N, e] of the normed tokens ``t`` [..., N, D]."""
        return self._shared(self.value(t))

    def keys(self, t: Tensor) -> Tensor:
        """K [..., H, N, e], normed and turned."""
        return self._turned(apply(self.key_norm, self._shared(self.key(t))), EVERY)

    def queries(self, t: Tensor, rows: Rows = EVERY) -> Tensor:
        """Q [..., H, R, e] of the tokens ``rows``, normed, turned and scaled."""
        q = self._turned(apply(self.query_norm, self.split(self.query(t[..., rows, :]))), rows)
        return q * (self.scale().to(q.dtype) if callable(self.scale) else self.scale)

    def rows(self, t: Tensor, rows: Rows = EVERY, *, keep: Tensor | None = None) -> Tensor:
        """Attention rows A [..., H, R, N] of the chosen query tokens; every row sums to 1.

        ``keep`` [..., N] bool: tokens that are False are not attended to.
        """
        logits = self.queries(t, rows) @ self.keys(t).transpose(-2, -1)
        if self.place.bias is not None:
            logits = logits + self.place.bias(rows).to(logits.dtype)
        if keep is not None:
            logits = logits.masked_fill(~keep[..., None, None, :], float("-inf"))
        return logits.softmax(-1)

    def join(self, o: Tensor, t: Tensor) -> Tensor:
        """The output [..., R, D] of the heads' O [..., H, R, e]; ``t`` [..., R, D]: the same tokens' inputs."""
        heads = o.transpose(-3, -2).flatten(-2)
        return self.out(heads if self.inner is None else self.inner(heads, t))

    def _shared(self, x: Tensor) -> Tensor:
        """[..., N, H/groups*e] -> [..., H, N, e], every key or value head repeated for its group."""
        x = x.unflatten(-1, (self.heads // self.groups, -1)).transpose(-3, -2)
        return x if self.groups == 1 else x.repeat_interleave(self.groups, dim=-3)

    def _turned(self, x: Tensor, rows: Rows) -> Tensor:
        return x if self.place.turn is None else self.place.turn(x, rows)
