"""timm: ``VisionTransformer`` with class token, average or attention pooling, registers, or distilled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ._timm_parts import block, pooler
from .live import Affine
from .position import resampled
from .preprocess import Preprocess
from .readout import Readout
from .view import UnsupportedModel, ViT


def matches(module: nn.Module) -> bool:
    """Whether this is a timm VisionTransformer, by its parts; whether it behaves like one is checked on noise."""
    parts = ("patch_embed", "blocks", "norm", "fc_norm", "global_pool", "pos_embed", "norm_pre", "pool_include_prefix")
    return all(hasattr(module, name) for name in parts)


def build(module: Any, name: str | None = None) -> ViT:
    """The view of a timm ``VisionTransformer`` or ``VisionTransformerDistilled``.

    Raises:
        UnsupportedModel: a pooling or a block that the closed forms do not cover.
    """
    _check_patches(module.patch_embed)
    distilled = hasattr(module, "dist_token")
    readout = _readout(module, distilled)
    return ViT(
        name=name or f"timm {_architecture(module)}",
        module=module,
        blocks=tuple(block(b, f"blocks.{i}") for i, b in enumerate(module.blocks)),
        readout=readout,
        prefix=module.num_prefix_tokens,
        has_cls=module.cls_token is not None,
        grid=tuple(module.patch_embed.grid_size),
        patch=tuple(module.patch_embed.patch_size),
        features=_features(module, readout),
        native=lambda images, grid: _native(module, images, grid),
        classes=_classes(module, distilled),
    )


def _readout(module: Any, distilled: bool) -> Readout:
    patches = slice(0 if module.pool_include_prefix else module.num_prefix_tokens, None)
    pool = getattr(module, "attn_pool", None)
    if pool is not None:
        return Readout("attention", patches, module.norm, module.fc_norm, pooler=pooler(pool))
    if distilled:
        return Readout("cls", slice(0, 2), module.norm, nn.Identity())
    if module.global_pool == "token":
        return Readout("cls", slice(0, 1), module.norm, module.fc_norm)
    if module.global_pool == "avg":
        return Readout("mean", patches, module.norm, module.fc_norm)
    raise UnsupportedModel(f"this timm model pools with {module.global_pool!r}; 'token', 'avg' and 'map' are supported")


def _features(module: Any, readout: Readout) -> int:
    if readout.kind == "attention":
        return int(module.attn_pool.out_features)
    return int(module.embed_dim) * (readout.rows.stop if readout.kind == "cls" else 1)


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


def _check_patches(patch_embed: Any) -> None:
    projection: Any = getattr(patch_embed, "proj", None)
    size = tuple(getattr(patch_embed, "patch_size", ()))
    plain = isinstance(projection, nn.Conv2d) and projection.kernel_size == projection.stride == size
    if not plain or projection.in_channels != 3:
        raise UnsupportedModel(
            f"this timm model makes its tokens with {type(patch_embed).__name__}; patches of an RGB picture by one "
            "convolution are supported"
        )


def _architecture(module: Any) -> str:
    return (getattr(module, "pretrained_cfg", None) or {}).get("architecture") or type(module).__name__


def _classes(module: Any, distilled: bool) -> Callable[[], tuple[Tensor, Tensor | None]] | None:
    if not isinstance(module.head, nn.Linear):
        return None
    if not distilled:
        return lambda: (Affine(module.head).weight, Affine(module.head).bias)

    def halves() -> tuple[Tensor, Tensor | None]:
        first, second = Affine(module.head), Affine(module.head_dist)
        bias = None if first.bias is None or second.bias is None else (first.bias + second.bias) / 2
        return torch.cat([first.weight, second.weight], -1) / 2, bias

    return halves


def _native(module: Any, images: Tensor, grid: tuple[int, int]) -> Tensor:
    own, substitute = tuple(module.patch_embed.grid_size), {}
    if grid != own and module.pos_embed is not None and not module.dynamic_img_size:
        prefix = 0 if module.no_embed_class else module.num_prefix_tokens
        substitute["pos_embed"] = resampled(module.pos_embed.detach(), own, grid, prefix=prefix)
    with _any_size(module.patch_embed):
        output: Tensor = torch.func.functional_call(module, substitute, (images,)) if substitute else module(images)
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
