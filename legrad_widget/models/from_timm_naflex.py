"""timm: ``NaFlexVit`` on ordinary pictures: patches of any grid, with learned, factorized or rotary positions."""

from __future__ import annotations

from typing import Any

from torch import nn

from ._timm_parts import block
from ._timm_rotary import rotary
from ._timm_tower import class_names, classes, features, preprocess, readout, title
from .view import UnsupportedModel, ViT

__all__ = ["build", "class_names", "matches", "preprocess"]
_SIDE = 224  # where the model's configuration names no size


def matches(module: nn.Module) -> bool:
    """Whether this is a timm NaFlexVit, by its parts; whether it behaves like one is checked on noise."""
    parts = ("embeds", "blocks", "norm", "fc_norm", "global_pool", "rope", "pool_include_prefix")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``NaFlexVit`` that is given [1, 3, H, W], not packed patches.

    Raises:
        UnsupportedModel: another pooling, or a block that the closed forms do not cover.
    """
    embeds = module.embeds
    if embeds.in_chans != 3:
        raise UnsupportedModel(f"this timm model reads {embeds.in_chans} channels; RGB is supported")
    patches = slice(0 if module.pool_include_prefix else module.num_prefix_tokens, None)
    reading = readout(module, averaged=patches, pooled=patches)
    height, width = embeds.patch_size
    # Not the grid that its positions are stored on, which is that of the largest pictures (RADIO: 128 x 128 patches).
    _, rows, columns = (getattr(module, "pretrained_cfg", None) or {}).get("input_size") or (3, _SIDE, _SIDE)
    return ViT(
        name=name or title(module),
        module=module,
        blocks=tuple(block(b, f"blocks.{i}", rotary(getattr(b, "attn", None))) for i, b in enumerate(module.blocks)),
        readout=reading,
        prefix=module.num_prefix_tokens,
        has_cls=embeds.cls_token is not None,
        grid=(rows // height, columns // width),
        patch=(height, width),
        features=features(module, reading),
        native=lambda images, _: module(images),
        classes=classes(module),
    )
