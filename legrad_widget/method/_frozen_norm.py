"""A norm with its statistics held fixed is linear: what a sum of terms becomes can be told term by term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.live import apply

_EXACT = 1e-4  # of the output's length; float32 reaches 1e-6


@dataclass(frozen=True, slots=True)
class FrozenNorm:
    """``gain * (x - centre) / spread + shift`` with centre and spread as they were for the tokens x [..., D].

    ``gain``, ``shift`` [D]; ``spread``, ``centre`` [...]. ``centred``: a LayerNorm; else an RMSNorm, or no norm at all.
    """

    gain: Tensor
    shift: Tensor
    spread: Tensor
    centre: Tensor
    centred: bool

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.gain * (x - self.centre[..., None]) / self.spread[..., None] + self.shift


def freeze(norm: nn.Module, x: Tensor) -> FrozenNorm | None:
    """``norm`` as it acts on x [..., D]; None where it is neither a LayerNorm nor an RMSNorm, whatever its class."""
    one, zero = torch.ones_like(x[..., 0]), torch.zeros_like(x[..., 0])
    if isinstance(norm, nn.Identity):
        return FrozenNorm(torch.ones_like(x[..., 0, :]), torch.zeros_like(x[..., 0, :]), one, zero, centred=False)
    eps = getattr(norm, "eps", None)
    if not isinstance(eps, float):
        return None
    gain, shift = (_parameter(norm, name, fill, x) for name, fill in (("weight", 1.0), ("bias", 0.0)))
    native, found = apply(norm, x), []
    for centred, centre in ((True, x.mean(-1)), (False, zero)):
        spread = ((x - centre[..., None]).square().mean(-1) + eps).sqrt()
        candidate = FrozenNorm(gain, shift, spread, centre, centred)
        found.append((float((candidate(x) - native).norm() / native.norm().clamp_min(1e-30)), candidate))
    distance, closest = min(found, key=lambda pair: pair[0])
    return closest if distance <= _EXACT else None


def _parameter(norm: nn.Module, name: str, fill: float, x: Tensor) -> Tensor:
    held: Tensor | None = getattr(norm, name, None)
    return torch.full_like(x[..., 0, :], fill) if held is None else held.detach().to(x.dtype)
