"""A Model from a module the user already has, checked against everything it is given with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .explainer import Model
from .models import family_of, unwrapped, view_of
from .models.preprocess import as_preprocess
from .models.text import TextEncoder, Tokenizer
from .models.view import ViT


def wrap(
    module: nn.Module,
    *,
    tokenizer: Tokenizer | None = None,
    preprocess: Any = None,
    class_names: Sequence[str] | None = None,
    head: Any = None,
    name: str | None = None,
) -> Model:
    """A Model from a module the user already has. Nothing is written to it; it is checked once on noise.

    Args:
        module: an open_clip ``CLIP`` with its native ViT, or a timm ``VisionTransformer``.
        tokenizer: for prompts on a CLIP: ``open_clip.get_tokenizer(architecture)``.
        preprocess: dict(mean, std, interpolation) or a torchvision transform; None: read from the model.
        class_names: names of a classifier's outputs, or of the classes a CLIP is asked about by index.
        head: for a headless backbone (DINO): ``nn.Linear``, or weight [C, E], or (weight, bias).
        name: how to call the model.

    Raises:
        UnsupportedModel: it cannot be explained faithfully. TypeError, ValueError: an argument does not fit.
    """
    module = unwrapped(module)
    vit = view_of(module, name)
    family = family_of(module)
    if head is not None:
        vit = _with_head(vit, head)
    if class_names is None and vit.classes is not None:
        names = getattr(family, "class_names", lambda module: None)(module) if head is None else None
        class_names = names or [f"class {i}" for i in range(len(vit.classes()[0]))]
    _check_names(vit, class_names)
    text = None
    if tokenizer is not None:
        if not hasattr(module, "encode_text"):
            raise TypeError(f"{vit.name} has no text tower; leave out tokenizer")
        text = TextEncoder(module, tokenizer)
    return Model(
        vit,
        as_preprocess(preprocess, family.preprocess(module)),
        text=text,
        class_names=None if class_names is None else tuple(class_names),
    )


def _with_head(vit: ViT, head: Any) -> ViT:
    if vit.classes is not None:
        raise ValueError(
            f"{vit.name} has a head of its own; leave out head, or create it headless (timm: num_classes=0)"
        )
    if isinstance(head, nn.Linear):
        linear = head

        def classes() -> tuple[Tensor, Tensor | None]:
            bias = None if linear.bias is None else linear.bias.detach().float().to(vit.device)
            return linear.weight.detach().float().to(vit.device), bias
    else:
        weight, bias = head if isinstance(head, tuple | list) and len(head) == 2 else (head, None)
        fixed = torch.as_tensor(weight, dtype=torch.float32).to(vit.device)
        shift = None if bias is None else torch.as_tensor(bias, dtype=torch.float32).to(vit.device)

        def classes() -> tuple[Tensor, Tensor | None]:
            return fixed, shift

    weight, bias = classes()
    if weight.ndim != 2 or weight.shape[1] != vit.features or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(
            f"head maps the {vit.features} features of {vit.name} linearly: weight [C, {vit.features}], bias [C]; "
            f"arrived: weight {list(weight.shape)}, bias {None if bias is None else list(bias.shape)}"
        )
    return replace(vit, classes=classes)


def _check_names(vit: ViT, class_names: Sequence[str] | None) -> None:
    if class_names is None:
        return
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise TypeError("class_names is a list of strings, one per class")
    if vit.classes is not None and len(class_names) != len(vit.classes()[0]):
        raise ValueError(f"{vit.name} has {len(vit.classes()[0])} classes; class_names has {len(class_names)}")
    if not class_names:
        raise ValueError("class_names is empty; leave it out, or name at least one class")
