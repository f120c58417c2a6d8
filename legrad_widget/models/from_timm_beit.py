"""timm: ``Beit`` (BEiT, BEiT v2): a bias for every relative position, per block or shared by all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ._timm_parts import Locate
from ._timm_tower import class_names, preprocess, readout, tower
from .attention import Place, Rows
from .live import precise
from .view import ViT

__all__ = ["build", "class_names", "matches", "preprocess"]


def matches(module: nn.Module) -> bool:
    """Whether this is a timm Beit, by its parts; whether it behaves like one is checked on noise."""
    parts = ("patch_embed", "blocks", "norm", "fc_norm", "global_pool", "pos_embed", "rel_pos_bias")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``Beit``.

    Raises:
        UnsupportedModel: no pooling, or a block that the closed forms do not cover.
    """
    tables = [module.rel_pos_bias, *(getattr(b.attn, "relative_position_bias_table", None) for b in module.blocks)]
    fixed = ""
    if any(table is not None for table in tables):
        fixed = "its attention has a table of relative positions for this grid alone"
    patches = slice(module.num_prefix_tokens, None)
    reading = readout(module, averaged=patches, pooled=patches)
    return tower(module, name, reading, locate=_biased, fixed_grid=fixed)


def _biased(attention: Any) -> Locate:
    def locate(arguments: Mapping[str, Any]) -> Place:
        shared = arguments.get("shared_rel_pos_bias")
        if shared is None and attention.relative_position_bias_table is None:
            return Place()
        return Place(bias=lambda rows: _bias(attention, shared, rows))

    return locate


def _bias(attention: Any, shared: Tensor | None, rows: Rows) -> Tensor:
    """[H, R, N]: the block's own table looked up for these query rows, and what all blocks share."""
    table = attention.relative_position_bias_table
    common = None if shared is None else precise(shared)[:, rows]
    if table is None:
        assert common is not None
        return common
    own = precise(table.detach())[attention.relative_position_index[rows]].movedim(-1, 0)
    return own if common is None else own + common
