"""Weights and modules read live from the caller's model, and computed in the dtype of what they are given.

A model that is trained further is explained as it is now. Modules are computed without their hooks; a hook that changes
what the model gives is noticed when the model is wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_RMS_NORMS = ("RMSNorm", "RmsNorm")  # torch's, and timm's own class


def precise(x: Tensor) -> Tensor:
    """``x`` in float32; float64 stays float64."""
    return x if x.dtype == torch.float64 else x.float()


def apply(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in the dtype of ``x``, with the module's live weights.

    LayerNorms, RMS norms and modules without parameters run without their hooks. Another module with parameters runs
    on stand-ins for them, which it holds for that moment.
    """
    if isinstance(module, nn.Identity):
        return x
    if isinstance(module, nn.LayerNorm):
        weight, bias = (None if p is None else p.detach().to(x.dtype) for p in (module.weight, module.bias))
        return F.layer_norm(x, module.normalized_shape, weight, bias, module.eps)
    if type(module).__name__ in _RMS_NORMS:
        norm: Any = module
        scale = None if norm.weight is None else norm.weight.detach().to(x.dtype)
        return F.rms_norm(x, norm.normalized_shape, scale, norm.eps)
    parameters = {name: p.detach().to(x.dtype) for name, p in module.named_parameters()}
    if parameters:
        result: Tensor = call_with(module, parameters, x)
        return result
    output: Tensor = module.forward(x)
    return output


_standing_in: dict[int, Tensor] = {}  # by the id of what stands in the place of a weight now


def call_with(module: nn.Module, substitutes: Mapping[str, Tensor], x: Tensor) -> Any:
    """``module(x)`` with other tensors in the place of some parameters, for this call."""
    own = dict(module.named_parameters())
    places = {id(new): own[name] for name, new in substitutes.items() if name in own}
    _standing_in.update(places)
    try:
        return torch.func.functional_call(module, dict(substitutes), (x,))
    finally:
        for place in places:
            _standing_in.pop(place, None)


def fingerprint(module: nn.Module) -> int:
    """A number that changes when a weight is written or replaced (but not through ``.data``, which PyTorch hides).

    What :func:`call_with` puts in the place of a weight while another thread asks counts as that weight.
    """
    weights = (_standing_in.get(id(p), p) for p in module.parameters())
    return hash(tuple((p.data_ptr(), p._version) for p in weights))


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear map ``x W^T + b`` read live from a module.

    ``rows`` picks a part of a packed weight and of its bias; ``bias_rows`` a part of the bias alone, where only that is
    packed; ``columns`` a part of what the layer reads. Where the bias lives elsewhere, ``bias_of`` is that module
    (``rows`` then picks from the weight alone). ``transposed``: the module holds [in, out].
    """

    module: nn.Module
    weight_name: str = "weight"
    bias_name: str = "bias"
    rows: slice = field(default_factory=lambda: slice(None))
    bias_of: nn.Module | None = None
    transposed: bool = False
    bias_rows: slice | None = None
    columns: slice = field(default_factory=lambda: slice(None))

    @property
    def weight(self) -> Tensor:
        """[out, in] float32 (float64 where the model is); a LayerScale: [out]."""
        weight: Tensor = getattr(self.module, self.weight_name)
        picked = weight.detach()[self.rows]
        return precise(picked.T if self.transposed else picked)[..., self.columns]

    @property
    def bias(self) -> Tensor | None:
        """[out] float32, or None."""
        bias: Tensor | None = getattr(self.bias_of or self.module, self.bias_name, None)
        if bias is None:
            return None
        rows = self.rows if self.bias_of is None and self.bias_rows is None else self.bias_rows or slice(None)
        return precise(bias.detach()[rows])

    def __call__(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out], in the dtype of ``x``."""
        bias = self.bias
        return F.linear(x, self.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def layer_scale(module: nn.Module) -> Affine | None:
    """The gamma of a LayerScale; None where the block has an identity there."""
    return None if isinstance(module, nn.Identity) else Affine(module, "gamma", "")


def pullback(f: Callable[[Tensor], Tensor], x: Tensor, cotangent: Tensor) -> Tensor:
    """J_f(x)^T c of any ``f``: x [*shape], cotangents [P, *shape of f(x) or broadcastable to it] -> [P, *shape].

    ``f`` must take a leading batch dimension. Costs one forward and one backward of f per cotangent.
    """
    with torch.enable_grad():
        leaf = x.detach().expand(len(cotangent), *x.shape).contiguous().requires_grad_()
        y = f(leaf)
        (gradient,) = torch.autograd.grad(y, leaf, cotangent.expand_as(y))
    return gradient
