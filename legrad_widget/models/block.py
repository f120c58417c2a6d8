"""One transformer block as the methods see it.

With Z the block's input, T what the attention reads and Y what the second half starts from::

    T = norm1(Z)
    Y = Z + g1 * after1(attention(T))
    out = Y + g2 * after2(MLP(norm2(Y)))          (parallel blocks: MLP(norm2(Z)))

Pre-norm blocks have identities for ``after1`` and ``after2``; post-norm blocks have them for ``norm1`` and ``norm2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from .attention import EVERY, Attention, Rows
from .live import Affine, apply
from .mlp import Gated, Mlp


@dataclass(frozen=True, slots=True)
class Block:
    """One block. ``middle_at``: the module whose input is Y in the native forward; None where no module sees it."""

    name: str
    module: nn.Module
    norm1: nn.Module
    attention: Attention
    norm2: nn.Module
    mlp: Mlp | Gated
    gamma1: Affine | None = None
    gamma2: Affine | None = None
    after1: nn.Module = field(default_factory=nn.Identity)
    after2: nn.Module = field(default_factory=nn.Identity)
    parallel: bool = False
    middle_at: nn.Module | None = None

    def at(self, arguments: Mapping[str, Any]) -> Block:
        """This block for one image, from what the native forward called it with."""
        attention = self.attention.at(arguments)
        return self if attention is self.attention else replace(self, attention=attention)

    def normed(self, z: Tensor) -> Tensor:
        """T [..., N, D], what the attention reads."""
        return apply(self.norm1, z)

    def rejoin(self, o: Tensor, t: Tensor) -> Tensor:
        """What the attention adds to the tokens [..., R, D], from O [..., H, R, e] and the same tokens' T."""
        return scaled(self.gamma1, apply(self.after1, self.attention.join(o, t)))

    def attend(self, t: Tensor, rows: Rows = EVERY, *, keep: Tensor | None = None) -> Tensor:
        """What the attention adds to the tokens ``rows`` [..., R, D], from T of all tokens [..., N, D]."""
        o = self.attention.rows(t, rows, keep=keep) @ self.attention.values(t)
        return self.rejoin(o, t[..., rows, :])

    def middle(self, z: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """Y [..., N, D] from the block's input Z."""
        return z + self.attend(self.normed(z), keep=keep)

    def finish(self, y: Tensor, z: Tensor) -> Tensor:
        """The block's output [..., R, D] from Y and Z of the same tokens."""
        return y + scaled(self.gamma2, apply(self.after2, self.mlp(apply(self.norm2, z if self.parallel else y))))

    def __call__(self, z: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """The block's output [..., N, D] from its input."""
        return self.finish(self.middle(z, keep=keep), z)


def scaled(gamma: Affine | None, x: Tensor) -> Tensor:
    """LayerScale, or ``x`` itself where the block has none."""
    return x if gamma is None else x * gamma.weight.to(x.dtype)
