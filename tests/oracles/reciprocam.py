"""ViT-ReciproCAM, literally: eqs. 2-4 of arXiv:2310.02588, the library's own forward in float64 once per mask."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import native

GAUSSIAN = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).double() / 16


def masks(grid: tuple[int, int], prefix: int, kernel: str, cls: bool) -> Tensor:
    """M [n, N]: one row per patch, around it the kernel, 1 at the prefix tokens (0 at a class token left out)."""
    height, width = grid
    made = []
    for row in range(height):
        for column in range(width):
            patches = torch.zeros(height, width).double()
            if kernel == "dirac":
                patches[row, column] = 1
            else:
                for i in range(height):
                    for j in range(width):
                        if abs(i - row) <= 1 and abs(j - column) <= 1:
                            patches[i, j] = GAUSSIAN[1 + i - row, 1 + j - column]
            kept = torch.ones(prefix).double()
            if not cls:
                kept[0] = 0
            made.append(torch.cat([kept, patches.flatten()]))
    return torch.stack(made)


def reciprocam(
    model: nn.Module, image: Tensor, score: Callable[[Tensor], Tensor], made: Tensor, *, site: str, residual: str | None
) -> Tensor:
    """score(output) [n], one native forward for each of the masks ``made`` [n, N]."""
    model = copy.deepcopy(model).double().eval()
    tower = getattr(model, "visual", model)
    block = native.blocks_of(tower)[-1]
    if site == "pooler":
        return torch.stack([_forward(tower, image, score, _pooler_hook(tower, mask)) for mask in made])
    seen: list[Tensor] = []
    attention = block.attn
    _forward(tower, image, score, [(attention, lambda _m, args: seen.append(args[0]))])
    values = []
    for mask in made:
        hooks: list[Any] = []
        if site == "block" or residual == "masked":
            hooks.append((block, lambda _m, args, mask=mask: (args[0] * mask[:, None], *args[1:])))
        if site == "norm":
            hooks.append((attention, lambda _m, args, mask=mask: _same(seen[0] * mask[:, None], args)))
        values.append(_forward(tower, image, score, hooks))
    return torch.stack(values)


def _same(t: Tensor, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``t`` in place of every argument that was the attention's input: open_clip passes it as query, key and value."""
    return tuple(t if isinstance(arg, Tensor) and arg.shape == t.shape else arg for arg in args)


def _pooler_hook(tower: Any, mask: Tensor) -> list[Any]:
    """What an attention pooler reads: the output of its ln_k (CoCa), or its input (timm)."""
    trunk = getattr(tower, "trunk", tower)
    pooler = getattr(trunk, "attn_pool_contrastive", None) or trunk.attn_pool
    module = pooler.ln_k if hasattr(pooler, "ln_k") else pooler

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] * mask[-args[0].shape[1] :, None], *args[1:])

    def after(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output * mask[-output.shape[1] :, None]

    return [(module, after, True)] if module is not pooler else [(module, before)]


def _forward(tower: Any, image: Tensor, score: Callable[[Tensor], Tensor], hooks: list[Any]) -> Tensor:
    handles = [
        module.register_forward_hook(hook) if after else module.register_forward_pre_hook(hook)
        for module, hook, after in ((*entry, False)[:3] for entry in hooks)
    ]
    with torch.no_grad():
        output = tower(image.double()[None])
    for handle in handles:
        handle.remove()
    output = output[0] if isinstance(output, tuple) else output
    return score(output.flatten(0, -2)[0])
