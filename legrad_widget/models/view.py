"""A Vision Transformer as the methods see it: a frozen record of live references into the caller's model.

Axis letters: L blocks, H heads, N tokens (prefix tokens first, then the patches row by row), D width, e head width,
E feature width, P targets, R query rows.

Weights are read from the caller's modules at every call, so a model that is trained further is explained as it is now.
All arithmetic is float32, whatever the model's own dtype. Modules are computed without their hooks.

A supported block, with Z the block's input and Y the input of its second norm::

    Y = Z + g1 * (W_O concat_h(A_h V_h) + b_O),    A_h = softmax(q_h k_h^T * scale),    q, k, v from T = norm1(Z)
    out = Y + g2 * fc2(inner(fc1(norm2(Y))))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UnsupportedModel(ValueError):
    """The model cannot be explained faithfully; the message says why and what to do."""


def apply(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in the dtype of ``x``, with the module's live weights.

    LayerNorms and modules without parameters run without their hooks. A hook that changes what the module gives is
    noticed when the model is wrapped.
    """
    if isinstance(module, nn.Identity):
        return x
    if isinstance(module, nn.LayerNorm):
        weight, bias = (None if p is None else p.detach().to(x.dtype) for p in (module.weight, module.bias))
        return F.layer_norm(x, module.normalized_shape, weight, bias, module.eps)
    parameters = {name: p.detach().to(x.dtype) for name, p in module.named_parameters()}
    if parameters:
        result: Tensor = torch.func.functional_call(module, parameters, (x,))
        return result
    output: Tensor = module.forward(x)
    return output


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear map ``x W^T + b`` read live from a module; ``rows`` picks a part of a packed weight."""

    module: nn.Module
    weight_name: str = "weight"
    bias_name: str = "bias"
    rows: slice = field(default_factory=lambda: slice(None))

    @property
    def weight(self) -> Tensor:
        """[out, in] float32."""
        weight: Tensor = getattr(self.module, self.weight_name)
        return weight.detach()[self.rows].float()

    @property
    def bias(self) -> Tensor | None:
        """[out] float32, or None."""
        bias: Tensor | None = getattr(self.module, self.bias_name, None)
        return None if bias is None else bias.detach()[self.rows].float()

    def __call__(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return F.linear(x, self.weight, self.bias)


def layer_scale(module: nn.Module) -> Affine | None:
    """The gamma of a LayerScale; None where the block has an identity there."""
    return None if isinstance(module, nn.Identity) else Affine(module, "gamma", "")


@dataclass(frozen=True, slots=True)
class Attention:
    """Multi-head self-attention without an inner norm or gate. q- and k-norm act per head."""

    heads: int
    query: Affine
    key: Affine
    value: Affine
    out: Affine
    scale: float
    query_norm: nn.Module = field(default_factory=nn.Identity)
    key_norm: nn.Module = field(default_factory=nn.Identity)

    def split(self, x: Tensor) -> Tensor:
        """[..., N, H*e] -> [..., H, N, e]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def values(self, t: Tensor) -> Tensor:
        """V [H, N, e] of the normed tokens ``t`` [N, D]."""
        return self.split(self.value(t))

    def rows(self, t: Tensor, queries: slice | list[int]) -> Tensor:
        """Attention rows [H, R, N] of the chosen query tokens; every row sums to 1."""
        q = apply(self.query_norm, self.split(self.query(t[queries]))) * self.scale
        k = apply(self.key_norm, self.split(self.key(t)))
        return (q @ k.transpose(-2, -1)).softmax(-1)


@dataclass(frozen=True, slots=True)
class Mlp:
    """``fc2(inner(fc1(x)))`` with an activation ``inner`` that acts on each number alone (checked when wrapped)."""

    fc1: Affine
    inner: Callable[[Tensor], Tensor]
    fc2: Affine

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.fc2(self.inner(self.fc1(x)))

    def slope(self, hidden: Tensor) -> Tensor:
        """d inner / d hidden [N, hidden]."""
        with torch.enable_grad():
            x = hidden.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.inner(x).sum(), x)
        return slope


def pullback(f: Callable[[Tensor], Tensor], x: Tensor, cotangent: Tensor) -> Tensor:
    """J_f(x)^T c for token-wise ``f``: x [N, a], cotangents [P, N or 1, b] -> [P, N, a]."""
    with torch.enable_grad():
        leaf = x.detach().expand(len(cotangent), *x.shape).contiguous().requires_grad_()
        y = f(leaf)
        (gradient,) = torch.autograd.grad(y, leaf, cotangent.expand_as(y))
    return gradient


@dataclass(frozen=True, slots=True)
class Block:
    """One pre-norm transformer block."""

    name: str
    module: nn.Module
    norm1: nn.Module
    attention: Attention
    norm2: nn.Module
    mlp: Mlp
    gamma1: Affine | None = None
    gamma2: Affine | None = None

    def normed(self, z: Tensor) -> Tensor:
        """T = norm1(Z), what the attention reads [N, D]."""
        return apply(self.norm1, z)

    def middle(self, z: Tensor) -> Tensor:
        """Y [N, D] from the block's input Z [N, D]."""
        t = self.normed(z)
        heads = self.attention.rows(t, slice(None)) @ self.attention.values(t)
        return z + self.scaled(self.gamma1, self.attention.out(heads.transpose(-3, -2).flatten(-2)))

    def hidden(self, y: Tensor) -> Tensor:
        """The MLP's hidden units before the activation [N, hidden], from Y."""
        return self.mlp.fc1(apply(self.norm2, y))

    def finish(self, y: Tensor) -> Tensor:
        """The block's output [N, D] from Y [N, D]."""
        return y + self.scaled(self.gamma2, self.mlp(apply(self.norm2, y)))

    @staticmethod
    def scaled(gamma: Affine | None, x: Tensor) -> Tensor:
        """LayerScale, or ``x`` itself where the block has none."""
        return x if gamma is None else x * gamma.weight


@dataclass(frozen=True, slots=True)
class Readout:
    """How the tokens become one feature vector: ``project(post_norm(pool(norm(Z))))``.

    kind "cls" reads the tokens ``rows`` and lays them side by side (one class token; two for a distilled model);
    kind "mean" averages the tokens ``rows``. ``norm`` acts on every token before pooling, ``post_norm`` on the
    pooled vector. ``weight()`` [E, D] projects; None where the pooled vector is the feature already.
    """

    kind: Literal["cls", "mean"]
    rows: slice
    norm: nn.Module
    post_norm: nn.Module
    weight: Callable[[], Tensor] | None = None

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens of ``rows`` [..., R, D], normed or not -> [..., R*D] ("cls") or [..., D] ("mean")."""
        return tokens.flatten(-2) if self.kind == "cls" else tokens.mean(-2)

    def project(self, pooled: Tensor) -> Tensor:
        """[..., D] -> [..., E]."""
        return pooled if self.weight is None else pooled @ self.weight().T

    def __call__(self, tokens: Tensor) -> Tensor:
        """Features [E] of the tokens [N, D]."""
        return self.project(apply(self.post_norm, self.pool(apply(self.norm, tokens[self.rows]))))

    def shares(self, count: int) -> Tensor:
        """pi [N]: the share of each of ``count`` tokens in the readout; sums to 1."""
        pi = torch.zeros(count, dtype=torch.float32, device="cpu")
        pi[self.rows] = 1.0
        return pi / pi.sum()


@dataclass(frozen=True, slots=True, eq=False)
class ViT:
    """A vision tower: blocks, readout, grid, and the native forward that is never re-implemented.

    ``prefix`` counts the tokens before the patches; ``has_cls`` says whether token 0 is a class token.
    ``native(images, grid)`` runs the model's own forward on [1, 3, Hin, Win] (for another grid than ``grid`` with an
    interpolated position embedding for that call alone) and returns features, or logits where the model has a head.
    ``classes()`` gives a classifier's directions [C, E] and bias [C]; None where there are no classes.
    ``batch_first`` is False where the blocks see [N, B, D].
    """

    name: str
    module: nn.Module
    blocks: tuple[Block, ...]
    readout: Readout
    prefix: int
    has_cls: bool
    grid: tuple[int, int]
    patch: tuple[int, int]
    features: int
    native: Callable[[Tensor, tuple[int, int]], Tensor]
    batch_first: bool = True
    classes: Callable[[], tuple[Tensor, Tensor | None]] | None = None

    @property
    def heads(self) -> int:
        """H of the last block."""
        return self.blocks[-1].attention.heads

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the native model input in pixels."""
        return self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the native forward expects of its images: its patch embedding's."""
        convolutions = (m.weight.dtype for m in self.module.modules() if isinstance(m, nn.Conv2d))
        return next(convolutions, next(self.module.parameters()).dtype)
