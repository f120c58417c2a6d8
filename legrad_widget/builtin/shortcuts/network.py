"""The classifier that learns the shortcuts: a stock timm VisionTransformer, small."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

from ..network import MEAN, STD
from .world import CLASSES, PATCH, PIXELS

WIDTH, LAYERS, HEADS = 96, 6, 3
ARCHITECTURE = "vit_tiny_patch16_224"  # whose sizes are all replaced


def configuration() -> dict[str, Any]:
    """Return the keyword arguments of `timm.create_model`."""
    sizes = dict(img_size=PIXELS, patch_size=PATCH, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS)
    seen = dict(input_size=(3, PIXELS, PIXELS), mean=MEAN, std=STD, interpolation="bicubic")
    return dict(**sizes, num_classes=len(CLASSES), pretrained_cfg_overlay=seen)


def new_classifier(seed: int = 0) -> nn.Module:
    """Return a freshly initialised classifier; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = timm.create_model(ARCHITECTURE, pretrained=False, **configuration())
    return model
