"""LeGrad, literally: eqs. 3-8 of arXiv:2404.03214, by plain autograd on the library's own float64 forward.

A layer's score reads the output of its block through the library's own tail; the gradient is taken with respect to the
whole attention matrix: the block's own, or an attention pooler's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import native

_FINAL_NORMS = ("ln_post", "norm", "fc_norm")


def legrad(
    model: nn.Module,
    image: Tensor,
    target: Tensor,
    *,
    pool: str = "native",
    score: str = "cos",
    relu: bool = True,
    bias: float = 0.0,
    attention: str = "native",
    final_norms: bool = True,
) -> tuple[Tensor, Tensor]:
    """E^l [L, H, N] per head and s^l [L]. ``score`` "logit": <f, t> + bias; "raw": <f, t> without the final norms."""
    made = native.record(model, image)
    if score == "raw" or not final_norms:
        without_final_norms(made.model)
    maps, scores = [], []
    for own, z in zip(made.attention, made.after, strict=False):  # a pooler's attention of the forward is left over
        pooled = native.Recording(made.model)
        with native.explicit_attention(pooled), torch.enable_grad():
            s = _score(features(made.model, pooled_from(z, pool)), target.double(), score) + bias
        of_pooler = attention == "native" and bool(pooled.attention)
        a = pooled.attention[-1] if of_pooler else own
        (gradient,) = torch.autograd.grad(s, a, retain_graph=True)
        maps.append(_of_pooler(gradient, z, relu) if of_pooler else _mean_row(gradient, relu))
        scores.append(s.detach())
    return torch.stack(maps), torch.stack(scores)


def of_the_final_score(made: native.Recording, s: Tensor, depth: int, *, relu: bool = True) -> Tensor:
    """The ablation: E^l [L, H, N] with the final score s differentiated with respect to every A^l."""
    gradients = torch.autograd.grad(s, made.attention[:depth], retain_graph=True)
    return torch.stack([_mean_row(gradient, relu) for gradient in gradients])


def _mean_row(gradient: Tensor, relu: bool) -> Tensor:
    """The mean over all N query rows [H, N] of a gradient [H, N, N]."""
    return (gradient.clamp(min=0) if relu else gradient).mean(1)


def _of_pooler(gradient: Tensor, z: Tensor, relu: bool) -> Tensor:
    """A pooler's gradient [H, Q, N'] reaches the score through the first of its queries alone; prefix tokens that it
    does not read are 0."""
    assert not gradient[:, 1:].any()
    row = gradient[:, 0].clamp(min=0) if relu else gradient[:, 0]
    return torch.cat([row.new_zeros(len(row), len(z) - row.shape[1]), row], 1)


def pooled_from(z: Tensor, pool: str) -> Tensor:
    """Tokens that make the library's own class-token or average pooling read what ``pool`` says."""
    if pool == "native":
        return z
    return (z.mean(0) if pool == "mean" else z[0]).expand_as(z)


def features(model: nn.Module, z: Tensor) -> Tensor:
    """The library's own image vector [E] of tokens z [N, D]; of a classifier, what its head reads."""
    tower = getattr(model, "visual", model)
    if hasattr(tower, "proj") or hasattr(tower, "trunk"):
        return native.tail(model, z).flatten()  # an open_clip pooler in parallel leaves its one query as an axis
    z = tower.norm(z[None])
    if hasattr(tower, "dist_token"):
        return torch.cat([z[0, 0], z[0, 1]])
    return tower.forward_head(z, pre_logits=True)[0]


def without_final_norms(model: nn.Module) -> None:
    """Eq. 3 read literally: nothing between a block's output and the pooling or projection."""
    tower = getattr(model, "visual", model)
    trunk = getattr(tower, "trunk", tower)
    for name in _FINAL_NORMS:
        if hasattr(trunk, name):
            setattr(trunk, name, nn.Identity())


def _score(f: Tensor, t: Tensor, score: str) -> Tensor:
    return F.cosine_similarity(f, t, dim=0) if score == "cos" else f @ t
