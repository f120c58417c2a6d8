"""timm: ``VisionTransformerRelPos``: no absolute positions, a bias for every relative one, per block or shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ._timm_parts import Locate
from ._timm_tower import class_names, preprocess, readout, tower
from .attention import Place
from .live import precise
from .view import ViT

__all__ = ["build", "class_names", "matches", "preprocess"]


def matches(module: nn.Module) -> bool:
    """Whether this is a timm VisionTransformerRelPos, by its parts; how it behaves is checked on noise."""
    parts = ("patch_embed", "blocks", "norm", "fc_norm", "global_pool", "shared_rel_pos")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``VisionTransformerRelPos``.

    Raises:
        UnsupportedModel: no pooling, or a block that the closed forms do not cover.
    """
    fixed = "its attention has a bias for the relative positions of this grid alone"
    patches = slice(module.num_prefix_tokens, None)
    reading = readout(module, averaged=patches, pooled=patches)
    return tower(module, name, reading, locate=_biased, fixed_grid=fixed)


def _biased(attention: Any) -> Locate:
    """The block's own bias, made from its live weights; else what the native forward hands to every block."""

    def locate(arguments: Mapping[str, Any]) -> Place:
        shared = arguments.get("shared_rel_pos")
        if attention.rel_pos is not None:
            return Place(bias=lambda rows: precise(attention.rel_pos.get_bias().detach()[0])[:, rows])
        return Place() if shared is None else Place(bias=lambda rows: precise(shared[0])[:, rows])

    return locate
