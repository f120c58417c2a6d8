"""The library's own last attention, its input made a leaf: a pooler's, or the last block's. Float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import native

Score = Callable[[Tensor], Tensor]


class Last:
    """One forward, then ``score(output)`` differentiated.

    ``inputs`` T [N', D] feeds the attention alone; ``attention`` A [H, R, N'], ``heads`` O [H, R, e] and ``values``
    V [H, N', e] lie between T and ``score``; ``query_rows`` are the rows of A that can matter.
    """

    def __init__(self, model: nn.Module, image: Tensor, score: Score, *, pooler: bool):
        tower = getattr(model, "visual", model)
        tower = getattr(tower, "trunk", tower)
        block = native.blocks_of(tower)[-1]
        parallel = not pooler and not hasattr(block, "attn")
        module = pooler_module(tower) if pooler else block.in_proj if parallel else block.attn
        seen: list[Tensor] = []
        handles = [module.register_forward_pre_hook(_leaf(seen), with_kwargs=True)]
        if parallel:
            handles.append(module.register_forward_hook(_without_mlp(block.in_split[0])))
        made = native.record(model, image)
        for handle in handles:
            handle.remove()
        depth = len(made.before)
        self.model, self.count = made.model, len(made.before[0])
        which = -1 if pooler else depth - 1
        self.attention, self.heads, self.values = made.attention[which], made.heads[which], made.values[which]
        self.leaf, self.score = seen[0], score(made.output)
        self.query_rows = slice(0, 1) if pooler else slice(0, None)
        self.after = made.after[-1]

    @property
    def inputs(self) -> Tensor:
        return self.leaf.squeeze().detach()

    def gradient(self, root: Tensor, of: Tensor, cotangent: Tensor | None = None) -> Tensor:
        (found,) = torch.autograd.grad(root, of, cotangent, retain_graph=True)
        return found

    def placed(self, values: Tensor) -> Tensor:
        """[..., N'] -> [..., N]: the keys are the last tokens."""
        return torch.cat([values.new_zeros(*values.shape[:-1], self.count - values.shape[-1]), values], -1)


def pooler_module(tower: Any) -> nn.Module:
    """The module that takes the pooled tokens, normed, as its keys."""
    if getattr(tower, "attn_pool_contrastive", None) is not None:
        return tower.attn_pool_contrastive.attn
    pooler = tower.attn_pool
    return pooler.attn if isinstance(getattr(pooler, "attn", None), nn.Module) else pooler


def _leaf(seen: list[Tensor]) -> Any:
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        t = args[1] if len(args) > 1 and isinstance(args[1], Tensor) else args[0]  # what keys are made from
        seen.append(t.detach().requires_grad_())

        def swapped(x: Any) -> Any:
            return seen[-1] if x is t else x

        return tuple(map(swapped, args)), {name: swapped(x) for name, x in kwargs.items()}

    return hook


def _without_mlp(width: int) -> Any:
    """A parallel block's one projection also feeds its MLP, which is no part of the attention."""

    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return torch.cat([output[..., :width].detach(), output[..., width:]], -1)

    return hook
