"""A fitted lens: per layer, one linear map from the pooled token to the final features, by ridge regression.

The raw lens reads a layer with the final norm and projection, which is what LeGrad differentiates. A translator first
learns, from images, how the layer says what the last one will say: it tells whether the information is there, and is
no part of the model or of any map. Axis letters: n images, L layers, D width of the pooled token, E feature width.

    x_l = post_norm(pool(norm(Z^l))), the pooled token as the projection takes it;  y = the image's final features;
    W_l, b_l = argmin sum_i |x_l,i W + b - y_i|^2 + strength * (mean variance of the kept components) * n * |W|^2.

Of x_l only the first min(D, n // 5) principal components are kept, so that every fitted number has five images or
more. ``strength`` is the one of :data:`STRENGTHS` with the least leave-one-out error, in closed form: the residual of
image i over 1 - h_i, with the leverage h_i = 1/n + sum_k u_ik^2 s_k^2 / (s_k^2 + lambda). The components are found
once, on all images that are fitted. The last layer needs no translator: its features are the model's own.

Source: the "tuned lens", Belrose et al. (arXiv:2303.08112). Differs from the paper: fitted to the final features by
least squares in closed form, not to the output distribution by gradient descent; of pooled tokens, not of every token.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .models.capture import Tokens
from .models.live import apply
from .models.view import ViT

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge strengths that are tried, in units of the components' mean variance."""
PER_COMPONENT = 5
"""Images for every principal component that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Translators:
    """One linear map for every layer but the last.

    Attributes:
        weights: [L - 1, D, E] float32; ``offsets``: [L - 1, E].
        images: how many they were fitted on. ``made_for``: fingerprint of the model's weights then.
    """

    weights: Tensor
    offsets: Tensor
    images: int
    made_for: int = 0

    def __call__(self, pooled: Tensor, final: Tensor) -> Tensor:
        """Features [L, E] as every layer says them, from pooled tokens [L - 1, D] and the final features [E]."""
        said = torch.einsum("ld,lde->le", pooled.to(self.weights), self.weights) + self.offsets
        return torch.cat([said.to(final), final[None]])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with 16-bit floats: what they round away is a thousandth of a weight."""
        from safetensors.torch import save_file

        halves = {"weights": self.weights.half(), "offsets": self.offsets.half()}
        held = {name: value.cpu().contiguous() for name, value in halves.items()}
        save_file(held, path, metadata={"format": "pt", "images": str(self.images)})
        Path(path).chmod(0o644)  # safetensors makes it private to its writer

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: str | torch.device = "cpu", *, made_for: int = 0
    ) -> Translators:
        """Read what :meth:`save` wrote, for the model whose fingerprint is ``made_for``."""
        from safetensors import safe_open

        with safe_open(path, "pt", device=str(device)) as opened:
            images = int(opened.metadata()["images"])
            weights, offsets = (opened.get_tensor(name).float() for name in ("weights", "offsets"))
            return cls(weights, offsets, images, made_for)


def pooled_tokens(vit: ViT, tokens: Tokens) -> Tensor:
    """[L - 1, D]: the pooled token of every layer but the last, as the readout's projection takes it."""
    return torch.stack([_pooled(vit, tokens.after(layer)) for layer in range(1, tokens.depth)])


def fitted(pooled: Tensor, final: Tensor, made_for: int = 0) -> Translators:
    """Translators from pooled tokens [n, L - 1, D] of n images to their final features [n, E]."""
    y = final.double().cpu()
    found = [ridge(x, y)[:2] for x in pooled.double().cpu().unbind(1)]
    weights, offsets = (torch.stack(list(part)).float().to(final.device) for part in zip(*found, strict=True))
    return Translators(weights, offsets, len(final), made_for)


def ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    """W [D, E], b [E] and the strength that was chosen, from x [n, D] and y [n, E]; n at least 5."""
    count, width = x.shape
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, v = torch.linalg.svd(x - mean_x, full_matrices=False)
    kept = max(min(width, count // PER_COMPONENT), 1)
    u, s, v = u[:, :kept], s[:kept], v[:kept]
    unit = s.square().mean()
    aims = u.T @ (y - mean_y)

    def error(strength: float) -> float:
        shrink = s.square() / (s.square() + strength * unit)
        leverage = 1 / count + (u.square() * shrink).sum(1)
        residual = y - mean_y - (u * shrink) @ aims
        return float((residual / (1 - leverage)[:, None]).square().sum())

    if not unit > 0:  # every image gives the same token: nothing can be learned from it
        return x.new_zeros(width, y.shape[1]), mean_y, STRENGTHS[-1]
    strength = min(STRENGTHS, key=error)
    weight = (v.T * (s / (s.square() + strength * unit))) @ aims
    return weight, mean_y - mean_x @ weight, strength


def _pooled(vit: ViT, z: Tensor) -> Tensor:
    readout = vit.readout
    return apply(readout.post_norm, readout.pool(apply(readout.norm, z[readout.rows])))
