"""timm: ``Eva`` (EVA, EVA-02, DINOv3, Perception Encoder): rotary positions, and attention pooling over all tokens."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from ._timm_rotary import rotary
from ._timm_tower import class_names, preprocess, readout, tower
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
        module, name, reading, locate=rotary, positions=lambda grid: _positions(module.rope, grid), fixed_grid=fixed
    )


def _positions(rope: Any, grid: tuple[int, int]) -> dict[str, Tensor]:
    """The buffers of the rotary embedding for another grid, as a copy of it makes them."""
    if rope is None:
        return {}
    twin = copy.deepcopy(rope)
    twin.update_feat_shape(list(grid))
    return {f"rope.{name}": buffer for name, buffer in twin.named_buffers()}
