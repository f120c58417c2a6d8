"""Views of vision towers: one ``from_*.py`` per family, found by existing, each checked against the native forward."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from .verify import verify
from .view import UnsupportedModel, ViT

__all__ = ["UnsupportedModel", "ViT", "families", "family_of", "unwrapped", "view_of"]


@cache
def families() -> tuple[ModuleType, ...]:
    """Every family module: each has ``matches(module)``, ``build(module, name)`` and ``preprocess(module)``."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name.startswith("from_"))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


def unwrapped(module: Any) -> nn.Module:
    """The plain module behind ``torch.compile`` and ``DataParallel``.

    Raises:
        TypeError: not a module.
        UnsupportedModel: a scripted or traced model, whose blocks cannot be watched.
    """
    if isinstance(module, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        raise UnsupportedModel("a scripted or traced model hides its blocks; pass the model it was made from")
    if not isinstance(module, nn.Module):
        raise TypeError(
            "a model is a torch.nn.Module, e.g. from timm.create_model or open_clip.create_model; "
            f"this is {type(module).__name__}"
        )
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return unwrapped(module.module)
    if type(module).__name__ == "OptimizedModule":
        return unwrapped(module._orig_mod)
    return module


def family_of(module: nn.Module) -> ModuleType:
    """The family module that can view ``module``; an UnsupportedModel sentence where there is none."""
    for family in families():
        if family.matches(module):
            return family
    raise UnsupportedModel(
        f"{type(module).__name__} cannot be explained: {_why_not(module)}. Supported are open_clip's CLIP, CoCa and "
        "SigLIP with a vision transformer, and timm's VisionTransformer, Eva (EVA-02, DINOv3, Perception Encoder), "
        "Beit, VisionTransformerRelPos and NaFlexVit"
    )


# What a part of this name tells about the models that have it.
_TELLING = {
    "window_size": "its attention is windowed, so there is no single attention map over patches",
    "ws": "its attention is windowed, so there is no single attention map over patches",
    "proj_l": "its heads mix their attention maps with one another, so that no head has a map of its own",
    "gating_param": "its attention is blended with a map of positions, and its class token comes later",
    "local_mp": "it attends across channels, so there is no attention map over patches",
    "sr_ratio": "its attention has fewer keys than patches, so there is no attention map over patches",
    "attn_in": "it attends inside every patch as well as across patches",
    "fusion": "it runs several streams of patches of different sizes side by side",
}


def _why_not(module: nn.Module) -> str:
    for part, reason in _TELLING.items():
        if any(getattr(m, part, None) is not None for m in module.modules()):
            return reason
    tower = getattr(module, "visual", module)
    if isinstance(getattr(tower, "blocks", None), nn.Module):
        return "this family is not supported yet"
    if any(isinstance(m, nn.BatchNorm2d) for m in module.modules()):
        return "it is convolutional, so there is no attention map over patches"
    return "it has no sequence of transformer blocks over patch tokens"


def view_of(module: nn.Module, family: ModuleType, name: str | None = None) -> ViT:
    """The verified view of an unwrapped module of this family."""
    if any(p.is_meta for p in module.parameters()):
        raise UnsupportedModel("the model has no weights yet (meta device); load them first")
    if any(p.is_inference() for p in module.parameters()):
        raise UnsupportedModel("the model was made inside torch.inference_mode(); make it outside, or copy.deepcopy it")
    vit: ViT = family.build(module, name)
    verify(vit)
    return vit
