"""What timm's families share around their blocks: patches, positions for another grid, the head, the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ._timm_parts import Locate, block, pooler
from .live import Affine, call_with
from .position import resampled
from .preprocess import Preprocess
from .readout import Readout
from .view import UnsupportedModel, ViT


def tower(
    module: Any,
    name: str | None,
    reading: Readout,
    *,
    locate: Callable[[Any], Locate | None] = lambda _: None,
    positions: Callable[[tuple[int, int]], dict[str, Tensor]] = lambda _: {},
    fixed_grid: str = "",
) -> ViT:
    """The view of a timm tower of patch embedding, blocks, norm, pooling and head.

    ``locate`` gives for each block's attention how to tell where its tokens stand; ``positions`` the parameters and
    buffers, by name, that stand in for the model's own while it sees another grid.

    Raises:
        UnsupportedModel: no plain patches, or a block that the closed forms do not cover.
    """
    _check_patches(module.patch_embed)
    return ViT(
        name=name or title(module),
        module=module,
        blocks=tuple(block(b, f"blocks.{i}", locate(getattr(b, "attn", None))) for i, b in enumerate(module.blocks)),
        readout=reading,
        prefix=module.num_prefix_tokens,
        has_cls=module.cls_token is not None,
        grid=tuple(module.patch_embed.grid_size),
        patch=tuple(module.patch_embed.patch_size),
        features=features(module, reading),
        native=lambda images, grid: _native(module, images, grid, positions),
        classes=classes(module),
        fixed_grid=fixed_grid,
    )


def readout(module: Any, *, averaged: slice, pooled: slice) -> Readout:
    """How a timm tower reads its tokens; ``averaged`` and ``pooled``: which of them a mean or a pooler takes.

    Raises:
        UnsupportedModel: another pooling than by class token, mean or a learned query.
    """
    if getattr(module, "attn_pool", None) is not None:
        return Readout("attention", pooled, module.norm, module.fc_norm, pooler=pooler(module.attn_pool))
    if hasattr(module, "dist_token"):
        return Readout("cls", slice(0, 2), module.norm, nn.Identity())
    if module.global_pool == "token":
        return Readout("cls", slice(0, 1), module.norm, module.fc_norm)
    if module.global_pool == "avg":
        return Readout("mean", averaged, module.norm, module.fc_norm)
    raise UnsupportedModel(f"this timm model pools with {module.global_pool!r}; 'token', 'avg' and 'map' are supported")


def preprocess(module: Any) -> Preprocess:
    """Mean, std and resampling from the model's pretrained configuration."""
    config = getattr(module, "pretrained_cfg", None) or {}
    default = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    mean, std = config.get("mean") or default.mean, config.get("std") or default.std
    return Preprocess(tuple(mean), tuple(std), config.get("interpolation") or "bicubic")


def class_names(module: Any) -> tuple[str, ...] | None:
    """ImageNet's names in timm's order, for a head of ImageNet's size (1k, 12k, 21k, 22k); None for another size."""
    from timm.data import ImageNetInfo, infer_imagenet_subset  # type: ignore[attr-defined]

    subset = infer_imagenet_subset(module)
    if subset is None:
        return None
    names = ImageNetInfo(subset).label_descriptions()
    return tuple(names) if len(names) == module.num_classes else None


def title(module: Any) -> str:
    """How a timm model is called."""
    return f"timm {(getattr(module, 'pretrained_cfg', None) or {}).get('architecture') or type(module).__name__}"


def _check_patches(patch_embed: Any) -> None:
    projection: Any = getattr(patch_embed, "proj", None)
    size = tuple(getattr(patch_embed, "patch_size", ()))
    plain = isinstance(projection, nn.Conv2d) and projection.kernel_size == projection.stride == size
    if not plain or projection.in_channels != 3:
        raise UnsupportedModel(
            f"this timm model makes its tokens with {type(patch_embed).__name__}; patches of an RGB picture by one "
            "convolution are supported"
        )
    if patch_embed.grid_size is None:
        raise UnsupportedModel("this timm model has no input size of its own; create it with img_size=")


def features(module: Any, reading: Readout) -> int:
    """E: the width of what the head reads."""
    if reading.kind == "attention":
        return int(module.attn_pool.out_features)
    return int(module.embed_dim) * (reading.rows.stop if reading.kind == "cls" else 1)


def classes(module: Any) -> Callable[[], tuple[Tensor, Tensor | None]] | None:
    """The live weight [C, E] and bias [C] of a linear head; None without one."""
    if not isinstance(module.head, nn.Linear):
        return None
    if not hasattr(module, "head_dist"):
        return lambda: (Affine(module.head).weight, Affine(module.head).bias)

    def halves() -> tuple[Tensor, Tensor | None]:
        """A distilled model gives the mean of two heads, each on a token of its own."""
        first, second = Affine(module.head), Affine(module.head_dist)
        bias = None if first.bias is None or second.bias is None else (first.bias + second.bias) / 2
        return torch.cat([first.weight, second.weight], -1) / 2, bias

    return halves


def _native(
    module: Any, images: Tensor, grid: tuple[int, int], positions: Callable[[tuple[int, int]], dict[str, Tensor]]
) -> Tensor:
    own, substitute = tuple(module.patch_embed.grid_size), {}
    if grid != own and not getattr(module, "dynamic_img_size", False):
        substitute = positions(grid)
        if (position := getattr(module, "pos_embed", None)) is not None:
            prefix = 0 if getattr(module, "no_embed_class", False) else module.num_prefix_tokens
            substitute["pos_embed"] = resampled(position.detach(), own, grid, prefix=prefix)
    with _any_size(module.patch_embed):
        output: Tensor = call_with(module, substitute, images) if substitute else module(images)
    return output


@contextmanager
def _any_size(patch_embed: Any) -> Iterator[None]:
    """timm's own size check lifted for one call."""
    strict = patch_embed.strict_img_size
    patch_embed.strict_img_size = False
    try:
        yield
    finally:
        patch_embed.strict_img_size = strict
