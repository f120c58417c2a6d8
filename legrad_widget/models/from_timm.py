"""timm: ``VisionTransformer`` with class token, average or attention pooling, registers, or distilled."""

from __future__ import annotations

from typing import Any

from torch import nn

from ._timm_tower import class_names, preprocess, readout, tower
from .view import ViT

__all__ = ["build", "class_names", "matches", "preprocess"]


def matches(module: nn.Module) -> bool:
    """Whether this is a timm VisionTransformer, by its parts; whether it behaves like one is checked on noise."""
    parts = ("patch_embed", "blocks", "norm", "fc_norm", "global_pool", "pos_embed", "norm_pre", "pool_include_prefix")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``VisionTransformer`` or ``VisionTransformerDistilled``.

    Raises:
        UnsupportedModel: a pooling or a block that the closed forms do not cover.
    """
    patches = slice(0 if module.pool_include_prefix else module.num_prefix_tokens, None)
    return tower(module, name, readout(module, averaged=patches, pooled=patches))
