"""timm: ``Eva`` (EVA, EVA-02, DINOv3, Perception Encoder): rotary positions, and attention pooling over all tokens."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ._timm_parts import Locate
from ._timm_tower import class_names, preprocess, readout, tower
from .attention import Place, Rows
from .live import precise
from .view import ViT

__all__ = ["build", "class_names", "matches", "preprocess"]


def matches(module: nn.Module) -> bool:
    """Whether this is a timm Eva, by its parts; whether it behaves like one is checked on noise."""
    parts = ("patch_embed", "blocks", "norm", "fc_norm", "global_pool", "pos_embed", "rope", "no_embed_class")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``Eva``.

    Raises:
        UnsupportedModel: a pooling or a block that the closed forms do not cover.
    """
    every, patches = slice(0, None), slice(module.num_prefix_tokens, None)  # a pooler reads the prefix tokens too
    reading = readout(module, averaged=patches, pooled=every)
    fixed = ""
    if module.rope is not None and not module.dynamic_img_size and not hasattr(module.rope, "update_feat_shape"):
        fixed = "its rotary positions are for this grid alone (timm makes it for any with dynamic_img_size=True)"
    return tower(
        module, name, reading, locate=_rotary, positions=lambda grid: _positions(module.rope, grid), fixed_grid=fixed
    )


def _positions(rope: Any, grid: tuple[int, int]) -> dict[str, Tensor]:
    """The buffers of the rotary embedding for another grid, as a copy of it makes them."""
    if rope is None:
        return {}
    twin = copy.deepcopy(rope)
    twin.update_feat_shape(list(grid))
    return {f"rope.{name}": buffer for name, buffer in twin.named_buffers()}


def _rotary(attention: Any) -> Locate:
    """The rotation that the native forward hands to the block: sines and cosines [n, 2e] or, per head, [H, n, 2e]."""

    def locate(arguments: Mapping[str, Any]) -> Place:
        table = arguments.get("rope")
        if table is None:
            return Place()
        prefix, half = attention.num_prefix_tokens, getattr(attention, "rotate_half", False)
        return Place(turn=lambda x, rows: _turned(x, rows, table, prefix, half))

    return locate


def _turned(x: Tensor, rows: Rows, table: Tensor, prefix: int, half: bool) -> Tensor:
    """``x cos + turn(x) sin`` of the tokens ``rows``; prefix tokens stand nowhere and stay as they are."""
    sine, cosine = precise(table).to(x.dtype).chunk(2, -1)
    shape = (*sine.shape[:-2], prefix, sine.shape[-1])
    sine = torch.cat([sine.new_zeros(shape), sine], -2)[..., rows, :]
    cosine = torch.cat([cosine.new_ones(shape), cosine], -2)[..., rows, :]
    if half:  # pairs are (i, i + e/2)
        first, second = x.chunk(2, -1)
        across = torch.cat([-second, first], -1)
    else:  # pairs are (2i, 2i + 1)
        across = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
    return x * cosine + across * sine
