"""Heads taken out of the library's own float64 forward: each attention call's output is edited where it is made."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import native


def without_heads(model: nn.Module, image: Tensor, heads: Collection[tuple[int, int]], how: str = "zero") -> Tensor:
    """The native output with O of the heads (layer from 1, head from 0) zeroed, or replaced by its mean over tokens."""
    model = copy.deepcopy(model).double().eval()
    tower = getattr(model, "visual", model)
    calls = 0
    with native.explicit_attention(native.Recording(model)), torch.enable_grad():  # without a graph torch fuses it all
        plain = F.scaled_dot_product_attention

        def attend(*args: Any, **kwargs: Any) -> Tensor:
            nonlocal calls
            calls += 1
            o = plain(*args, **kwargs).clone()
            by_head = o.reshape(-1, *o.shape[-2:])
            for layer, head in heads:
                if layer == calls:
                    by_head[head] = by_head[head].mean(0) if how == "mean" else 0.0
            return by_head.reshape(o.shape)

        with mock.patch.object(F, "scaled_dot_product_attention", attend):
            output = tower(image.double()[None])
    assert calls >= max(layer for layer, _ in heads)
    output = output[0] if isinstance(output, tuple) else output
    return output.detach().flatten(0, -2)[0]


def without_slice(model: nn.Module, image: Tensor, layer: int, head: int) -> Tensor:
    """timm: the native output with the head's slice of what the output projection reads zeroed by a hook."""
    model = copy.deepcopy(model).double().eval()
    attention = native.blocks_of(model)[layer - 1].attn

    def cut(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        read = args[0].clone()
        width = read.shape[-1] // attention.num_heads
        read[..., head * width : (head + 1) * width] = 0
        return (read,)

    attention.proj.register_forward_pre_hook(cut)
    with torch.no_grad():
        return model(image.double()[None])[0]
