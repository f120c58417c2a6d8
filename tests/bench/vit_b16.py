"""The model that costs are measured on: open_clip's ViT-B/16 with random weights, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import legrad_widget as lw


@cache
def clip() -> torch.nn.Module:
    """A whole open_clip.CLIP in eval mode."""
    import logging

    import open_clip

    logging.getLogger().setLevel(logging.ERROR)  # it warns that the weights are random: they are meant to be
    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-16", pretrained=None, load_weights=False).eval()


@cache
def model() -> lw.Model:
    return lw.wrap(clip())


@cache
def image() -> torch.Tensor:
    return torch.randn(3, 224, 224, generator=torch.Generator().manual_seed(0))


def prompts(count: int) -> list[np.ndarray]:
    """Directions in place of prompts: the text tower is not what is measured."""
    return list(np.random.default_rng(0).standard_normal((count, 512)).astype(np.float32))


def plain_forward() -> torch.Tensor:
    with torch.no_grad():
        return clip().encode_image(image()[None])


@contextmanager
def countable():
    """PyTorch's fused attention kernel has no FLOP formula; the same arithmetic unfused has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def flops(run: Callable[[], Any]) -> int:
    with countable(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()
