"""A Model from a module the user already has, checked against everything it is given with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .explainer import Model
from .models import family_of, unwrapped, view_of
from .models.capture import lock_of
from .models.preprocess import as_preprocess
from .models.text import TextEncoder, Tokenizer
from .models.view import ViT


def wrap(
    module: nn.Module,
    *,
    tokenizer: Tokenizer | None = None,
    preprocess: Any = None,
    class_names: Iterable[str] | Literal["imagenet"] | None = None,
    head: Any = None,
    name: str | None = None,
) -> Model:
    """A Model from a module the user already has. Nothing is written to it; it is checked once on noise.

    Add hooks that change what the model computes before wrapping, not after: the check sees them then.

    Args:
        module: an open_clip ``CLIP`` with its native ViT, or a timm ``VisionTransformer``.
        tokenizer: for prompts on a CLIP: ``open_clip.get_tokenizer(architecture)``.
        preprocess: dict(mean, std, interpolation) or a torchvision transform, of which these three are taken (the
            geometry is chosen by ``fit`` when encoding); None: read from the model.
        class_names: names of a classifier's outputs, or of the classes a CLIP is asked about by index; "imagenet" for
            timm's ImageNet heads.
        head: for a headless backbone (DINO): ``nn.Linear``, or weight [C, E], or (weight, bias).
        name: how to call the model.

    Raises:
        UnsupportedModel: it cannot be explained faithfully. TypeError, ValueError: an argument does not fit.
    """
    module = unwrapped(module)
    family = family_of(module)
    vit = view_of(module, family, name)
    if head is not None:
        vit = _with_head(vit, head)
    text = None
    if tokenizer is not None:
        if not hasattr(module, "encode_text"):
            raise TypeError(f"{vit.name} has no text tower; leave out tokenizer")
        text = TextEncoder(module, tokenizer, lock_of(vit))
    names = _names(vit, family, class_names)
    return Model(vit, as_preprocess(preprocess, family.preprocess(module)), text, names)


def _with_head(vit: ViT, head: Any) -> ViT:
    if vit.classes is not None:
        raise ValueError(f"{vit.name} has a head of its own; leave out head, or create it headless (num_classes=0)")
    read = _live(vit, head) if isinstance(head, nn.Linear) else _fixed(vit, head)
    weight, bias = read()
    if weight.ndim != 2 or weight.shape[1] != vit.features or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(
            f"head maps the {vit.features} features of {vit.name} linearly: weight [C, {vit.features}], bias [C]; "
            f"arrived: weight {list(weight.shape)}, bias {None if bias is None else list(bias.shape)}"
        )
    if not torch.isfinite(weight).all() or (bias is not None and not torch.isfinite(bias).all()):
        raise ValueError("the head holds NaN or inf; load its weights again")
    return replace(vit, classes=read)


def _live(vit: ViT, linear: nn.Linear) -> Any:
    def classes() -> tuple[Tensor, Tensor | None]:
        bias = None if linear.bias is None else linear.bias.detach().float().to(vit.device)
        return linear.weight.detach().float().to(vit.device), bias

    return classes


def _fixed(vit: ViT, head: Any) -> Any:
    weight, bias = head if isinstance(head, tuple | list) and len(head) == 2 else (head, None)
    try:
        fixed, shift = (
            None if part is None else torch.as_tensor(part).detach().to(vit.device, torch.float32)
            for part in (weight, bias)
        )
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"head is an nn.Linear, a weight [C, E], or (weight, bias); this is {type(head).__name__}"
        ) from None
    return lambda: (fixed, shift)


def _names(vit: ViT, family: ModuleType, class_names: Any) -> tuple[str, ...] | None:
    classes = None if vit.classes is None else len(vit.classes()[0])
    if class_names is None:
        return None if classes is None else tuple(f"class {i}" for i in range(classes))
    if isinstance(class_names, str) and class_names == "imagenet":
        class_names = family.class_names(vit.module) if hasattr(family, "class_names") else None
        if class_names is None:
            raise ValueError(f"{vit.name} has no head of ImageNet's size; pass class_names=[...]")
    if isinstance(class_names, str):
        raise TypeError("class_names is a list of strings, or 'imagenet'")
    try:
        names = tuple(class_names)
    except TypeError:
        raise TypeError(f"class_names is a list of strings; this is {type(class_names).__name__}") from None
    if not all(isinstance(name, str) for name in names):
        raise TypeError("class_names is a list of strings, one per class")
    if not names:
        raise ValueError("class_names is empty; leave it out, or name at least one class")
    if classes is not None and len(names) != classes:
        raise ValueError(f"{vit.name} has {classes} classes; class_names has {len(names)}")
    return tuple(str(name) for name in names)
