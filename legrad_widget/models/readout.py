"""How the tokens become one feature vector: class token, mean, or an attention pooler.

Axis letters as in attention.py; E feature width, Q the pooler's one query that is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from .live import Affine, apply
from .mlp import Mlp


@dataclass(frozen=True, slots=True)
class Pooler:
    """Attention pooling by one learned query: ``y = W_O concat_h(A_h V_h) + b_O``, then ``y + mlp(norm(y))`` if any.

    ``query()`` [H, e] is the query that is read, projected, normed and scaled, live. Keys and values are made from the
    normed tokens K [N', D] that the readout hands over; ``own_norm`` is the part of the readout's norm that belongs to
    the pooler itself. With one query no key and no value has to be formed: what multiplies them is projected instead.
    """

    heads: int
    query: Callable[[], Tensor]
    key: Affine
    value: Affine
    out: Affine | None
    key_norm: nn.Module
    norm: nn.Module
    mlp: Mlp | None = None
    own_norm: nn.Module = field(default_factory=nn.Identity)

    def split(self, x: Tensor) -> Tensor:
        """[..., N', H*e] -> [..., H, N', e]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def values(self, k: Tensor) -> Tensor:
        """V [..., H, N', e] of the normed tokens K [..., N', D]."""
        return self.split(self.value(k))

    def rows(self, k: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """A_pool [..., H, N']: how much the query attends to each token; sums to 1. ``keep`` [..., N'] bool."""
        query = self.query().to(k.dtype)
        if isinstance(self.key_norm, nn.Identity):  # q.b_K is the same for every token: softmax does not see it
            logits = torch.einsum("he,hed->hd", query, self._heads(self.key.weight, k)) @ k.mT
        else:
            logits = (apply(self.key_norm, self.split(self.key(k))) @ query[..., None])[..., 0]
        if keep is not None:
            logits = logits.masked_fill(~keep[..., None, :], float("-inf"))
        return logits.softmax(-1)

    def attended(self, k: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """O [..., H, e] = A_pool V."""
        pooled = self.rows(k, keep=keep) @ k  # [..., H, D]
        o = torch.einsum("...hd,hed->...he", pooled, self._heads(self.value.weight, k))
        return o if self.value.bias is None else o + self._heads(self.value.bias, k)

    def toward(self, gradient: Tensor, k: Tensor) -> Tensor:
        """<G_h, V_hj> [..., H, N'] of G [..., H, e] and K [N', D]."""
        product = torch.einsum("...he,hed->...hd", gradient, self._heads(self.value.weight, k)) @ k.mT
        if self.value.bias is None:
            return product
        return product + (gradient * self._heads(self.value.bias, k)).sum(-1, keepdim=True)

    def finish(self, o: Tensor) -> Tensor:
        """The pooled vector [..., D] from O [..., H, e]."""
        y = o.flatten(-2) if self.out is None else self.out(o.flatten(-2))
        return y if self.mlp is None else y + self.mlp(apply(self.norm, y))

    def _heads(self, x: Tensor, k: Tensor) -> Tensor:
        """[H*e, ...] -> [H, e, ...] in the dtype of ``k``."""
        return x.unflatten(0, (self.heads, -1)).to(k.dtype)


@dataclass(frozen=True, slots=True)
class Chain:
    """Linear maps and MLPs one after another, as a projection."""

    steps: tuple[Affine | Mlp, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., E]."""
        for step in self.steps:
            x = step(x)
        return x


@dataclass(frozen=True, slots=True)
class Readout:
    """``project(post_norm(pool(norm(Z))))``.

    kind "cls" reads the tokens ``rows`` and lays them side by side (one class token; two for a distilled model); "mean"
    averages the tokens ``rows``; "attention" pools the tokens ``rows`` with ``pooler``. ``norm`` acts on every token
    before pooling, ``post_norm`` on the pooled vector. ``projection``: an :class:`Affine` [E, D], an :class:`Mlp`, a
    :class:`Chain` of them, another function, or None where the pooled vector is the feature already.
    """

    kind: Literal["cls", "mean", "attention"]
    rows: slice
    norm: nn.Module
    post_norm: nn.Module
    projection: Affine | Callable[[Tensor], Tensor] | None = None
    pooler: Pooler | None = None

    def pool(self, tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """Normed tokens of ``rows`` [..., R, D] -> [..., R*D] ("cls") or [..., D]; ``keep`` [..., R] bool."""
        if self.kind == "cls":
            return tokens.flatten(-2)
        if self.pooler is not None:
            return self.pooler.finish(self.pooler.attended(tokens, keep=keep))
        if keep is None:
            return tokens.mean(-2)
        share = keep.to(tokens.dtype) / keep.sum(-1, keepdim=True)
        return (share[..., None, :] @ tokens)[..., 0, :]

    def project(self, pooled: Tensor) -> Tensor:
        """[..., D] -> [..., E]."""
        return pooled if self.projection is None else self.projection(pooled)

    def tail(self, pooled: Tensor) -> Tensor:
        """Features [..., E] of the pooled vector."""
        return self.project(apply(self.post_norm, pooled))

    def __call__(self, tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """Features [..., E] of the tokens [..., N, D]; ``keep`` [..., N] bool: tokens that take part."""
        kept = None if keep is None else keep[..., self.rows]
        return self.tail(self.pool(apply(self.norm, tokens[..., self.rows, :]), keep=kept))

    def shares(self, tokens: Tensor) -> Tensor:
        """pi [N]: the share of each of the tokens [N, D] in the readout; sums to 1.

        One for a class token, halves for two, equal parts of a mean; a pooler's attention, averaged over its heads.
        """
        pi = torch.zeros(len(tokens), dtype=tokens.dtype, device=tokens.device)
        if self.pooler is not None:
            pi[self.rows] = self.pooler.rows(apply(self.norm, tokens[self.rows])).mean(0)
            return pi
        pi[self.rows] = 1.0
        return pi / pi.sum()
