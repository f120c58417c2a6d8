"""What every layer would give if the model ended there, for a batch of pictures in one native forward."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..models.capture import evaluation_mode, lock_of, plain_arithmetic
from ..models.live import precise
from ..models.view import UnsupportedModel, ViT


def layer_features(vit: ViT, images: Tensor) -> Tensor:
    """Features [B, L, E] of the preprocessed images [B, 3, Hin, Win]: each block's output through the model's readout.

    The last layer's are the model's own. Rows that are not finite are left for the caller to find.

    Cost: one native forward of the batch and L readouts; no layer's tokens are kept. The hooks live for this call.

    Raises:
        UnsupportedModel: a block did not run.
    """
    grid = (images.shape[-2] // vit.patch[0], images.shape[-1] // vit.patch[1])
    seen: list[Tensor | None] = [None] * len(vit.blocks)
    thread = threading.get_ident()

    def reading(index: int) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
            if threading.get_ident() == thread:
                seen[index] = vit.readout(precise(output if vit.batch_first else output.transpose(0, 1)))

        return hook

    handles = []
    with lock_of(vit), evaluation_mode(vit.module), plain_arithmetic(vit.device):
        try:
            for index, block in enumerate(vit.blocks):
                handles.append(block.module.register_forward_hook(reading(index)))
            vit.native(images.to(vit.device, vit.dtype), grid)
        finally:
            for handle in handles:
                handle.remove()
    missing = [block.name for block, features in zip(vit.blocks, seen, strict=True) if features is None]
    if missing:
        raise UnsupportedModel(f"the forward of {vit.name} did not run {missing[0]}; every block must run once")
    return torch.stack([features for features in seen if features is not None], 1)
