"""Layer-wise relevance propagation: the rules, in two sets that are never mixed.

Relevance R of an operation's output becomes relevance of its inputs. With z(a, b) = a / (b + 1e-9), 0 where b = 0:

    operation           "ours"                                            "orig"
    y = x W^T + b       R_j = sum_i c_ij z(R_i, sum_j' c_ij'), with       two such terms, each over its own sum:
                        c_ij = x_j w_ij where that is positive            x, w both positive; both negative
    y = a + b           a z(R, y), scaled to the sum |A|/(|A|+|B|) sum R  a z(R, y)
                        (A, B: the sums of both terms before)
    O = A V, D = Q K^T  R_A = 1/2 A * (S V^T), R_V = 1/2 V * (A^T S), S = z(R, O)                       in both sets
    a * b               R / 2 to each (a gated MLP)                                                     in both sets
    mean over tokens    R_i = x_i / n z(R, mean x)                                                      in both sets
    softmax, activation, norm, LayerScale, head scale, rotation, position bias: R as it is              in both sets

"ours" keeps the total (1 after every block); "orig" counts a linear map twice where both signs occur, and explodes
where a sum nearly cancels. Both sets are those of the code of Chefer et al. 2021 (arXiv:2012.09838), with alpha = 1.
That code knows no gated MLP, LayerScale, inner norm, rotation or pooler: what happens there is our choice.

Everything is computed in float64: the same rules in float32 miss by up to 4e-3 of a map's maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..models.live import Affine, apply
from ..models.mlp import Gated, Mlp

EPSILON = 1e-9
RuleSet = Literal["ours", "orig"]


def divide(a: Tensor, b: Tensor) -> Tensor:
    """a / (b + 1e-9), and 0 where b is 0."""
    shifted = b + EPSILON
    return torch.where(b == 0, 0.0, a / torch.where(shifted == 0, EPSILON, shifted))


def linear_shared(x: Tensor, weight: Tensor, r: Tensor) -> Tensor:
    """ "ours": R [..., in] of x [..., in] from R [..., out]; all positive products of an output share one sum."""
    signs = [(x.clamp_min(0), weight.clamp_min(0)), (x.clamp_max(0), weight.clamp_max(0))]
    s = divide(r, signs[0][0] @ signs[0][1].T + signs[1][0] @ signs[1][1].T)
    return signs[0][0] * (s @ signs[0][1]) + signs[1][0] * (s @ signs[1][1])


def linear_separate(x: Tensor, weight: Tensor, r: Tensor) -> Tensor:
    """ "orig": products of two positive and of two negative numbers each hand down all of R: it doubles."""
    signs = [(x.clamp_min(0), weight.clamp_min(0)), (x.clamp_max(0), weight.clamp_max(0))]
    return sum((part * (divide(r, part @ w.T) @ w) for part, w in signs), torch.zeros_like(x))


def add_plain(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """ "orig": R of both terms of a + b in proportion to their values."""
    s = divide(r, a + b)
    return a * s, b * s


def add_rescaled(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """ "ours": the same, each scaled so that both totals have the sign of R's and add up to it."""
    parts = add_plain(a, b, r)
    sums = [part.sum() for part in parts]
    sizes = sums[0].abs() + sums[1].abs()
    first, second = (p * divide(divide(t.abs(), sizes) * r.sum(), t) for p, t in zip(parts, sums, strict=True))
    return first, second


def product(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """R of both factors of the matrix product a [..., I, K] @ b [..., K, J] from R [..., I, J]: half to each."""
    s = divide(r, a @ b)
    return 0.5 * a * (s @ b.transpose(-2, -1)), 0.5 * b * (a.transpose(-2, -1) @ s)


def mean(x: Tensor, r: Tensor) -> Tensor:
    """R [n, D] of the tokens x [n, D] from R [D] of their mean, in proportion to their values."""
    return x / len(x) * divide(r, x.mean(0))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in which the two sets differ. ``pause`` is called before every linear map; it raises to cancel."""

    linear: Callable[[Tensor, Tensor, Tensor], Tensor]
    add: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    pause: Callable[[], None] = lambda: None

    def through(self, affine: Affine, x: Tensor, r: Tensor) -> Tensor:
        """R of the input ``x`` of a linear map; its bias gets none."""
        self.pause()
        return self.linear(x, affine.weight.to(x.dtype), r)

    def through_mlp(self, mlp: Mlp | Gated, x: Tensor, r: Tensor) -> Tensor:
        """R of the MLP's input x [..., D] from R of its output."""
        if isinstance(mlp, Gated):
            hidden = mlp.act(mlp.gate(x)) * mlp.up(x)
            half = self.through(mlp.fc2, apply(mlp.norm, hidden), r) / 2
            return self.through(mlp.gate, x, half) + self.through(mlp.up, x, half)
        hidden = mlp.act(mlp.fc1(x))
        return self.through(mlp.fc1, x, self.through(mlp.fc2, apply(mlp.norm, hidden), r))


RULES: dict[RuleSet, Rules] = {
    "ours": Rules(linear_shared, add_rescaled),
    "orig": Rules(linear_separate, add_plain),
}
