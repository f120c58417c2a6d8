"""The token-wise half of a block: linear, activation, linear, with or without a gate or a norm in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .live import Affine, apply


@dataclass(frozen=True, slots=True)
class Mlp:
    """``fc2(norm(act(fc1(x))))``; ``act`` acts on each number alone (checked when wrapped)."""

    fc1: Affine
    act: Callable[[Tensor], Tensor]
    fc2: Affine
    norm: nn.Module = field(default_factory=nn.Identity)

    @property
    def elementwise(self) -> bool:
        """Whether nothing between the two linear maps mixes hidden units."""
        return isinstance(self.norm, nn.Identity)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.fc2(apply(self.norm, self.act(self.fc1(x))))

    def slope(self, x: Tensor) -> Tensor:
        """d act / d hidden [..., hidden] at the MLP's input x [..., D]."""
        hidden = self.fc1(x)
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.act(leaf).sum(), leaf)
        return slope


@dataclass(frozen=True, slots=True)
class Gated:
    """A gated MLP (SwiGLU): ``fc2(norm(act(gate(x)) * up(x)))``."""

    gate: Affine
    up: Affine
    act: Callable[[Tensor], Tensor]
    fc2: Affine
    norm: nn.Module = field(default_factory=nn.Identity)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.fc2(apply(self.norm, self.act(self.gate(x)) * self.up(x)))
