"""LeGrad, literally: eqs. 4-8 of arXiv:2404.03214, one autograd call per layer on the whole N x N attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import explicit


def legrad(
    model: nn.Module, image: Tensor, target: Tensor, *, pool: str, score: str, relu: bool = True, bias: float = 0.0
) -> tuple[Tensor, Tensor]:
    """E^l [L, H, N] per head (mean over rows) and s^l [L], in float64. ``score`` "logit": <f, t> + bias."""
    made = explicit.run(model, image)
    target = target.double()
    maps, scores = [], []
    for a, z in zip(made.attention, made.tokens[1:], strict=True):
        s = _score(_features(made, z, pool, norm=score != "raw"), target, score) + bias
        (gradient,) = torch.autograd.grad(s, a, retain_graph=True)
        maps.append((gradient.clamp(min=0) if relu else gradient).mean(1))
        scores.append(s.detach())
    return torch.stack(maps), torch.stack(scores)


def _features(made: explicit.Run, z: Tensor, pool: str, norm: bool) -> Tensor:
    distilled = hasattr(made.tower, "dist_token")
    if pool == "mean":
        return explicit.projected(made, z.mean(0), norm=norm)
    if not norm:  # eq. 3 read literally: no norm anywhere
        if distilled:
            return torch.cat([z[0], z[1]])
        reads_cls = pool == "cls" or bool(explicit.readout_shares(made)[0] == 1)
        pooled = z[0] if reads_cls else (explicit.readout_shares(made)[:, None] * z).sum(0)
        return explicit.projected(made, pooled, norm=False)
    if pool == "cls" and not distilled:
        return explicit.projected(made, z[0], norm=True)
    return explicit.native_features(made, z)


def _score(f: Tensor, t: Tensor, score: str) -> Tensor:
    return F.cosine_similarity(f, t, dim=0) if score == "cos" else f @ t
