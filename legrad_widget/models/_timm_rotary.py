"""Rotary positions as timm's families hand them to their blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ._timm_parts import Locate
from .attention import Place, Rows
from .live import precise


def rotary(attention: Any) -> Locate | None:
    """The rotation that the native forward hands to the block: sines and cosines [n, 2e] or, per head, [H, n, 2e].

    None for an attention that takes no rotation.
    """
    if not hasattr(attention, "num_prefix_tokens"):
        return None

    def locate(arguments: Mapping[str, Any]) -> Place:
        table = arguments.get("rope")
        if table is None:
            return Place()
        prefix, half = attention.num_prefix_tokens, getattr(attention, "rotate_half", False)
        return Place(turn=lambda x, rows: _turned(x, rows, table, prefix, half))

    return locate


def _turned(x: Tensor, rows: Rows, table: Tensor, prefix: int, half: bool) -> Tensor:
    """``x cos + turn(x) sin`` of the tokens ``rows``; prefix tokens stand nowhere and stay as they are."""
    sine, cosine = precise(table).to(x.dtype).chunk(2, -1)
    shape = (*sine.shape[:-2], prefix, sine.shape[-1])
    sine = torch.cat([sine.new_zeros(shape), sine], -2)[..., rows, :]
    cosine = torch.cat([cosine.new_ones(shape), cosine], -2)[..., rows, :]
    if half:  # pairs are (i, i + e/2)
        first, second = x.chunk(2, -1)
        across = torch.cat([-second, first], -1)
    else:  # pairs are (2i, 2i + 1)
        across = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
    return x * cosine + across * sine
