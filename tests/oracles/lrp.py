"""LRP, literally: the relevance of what enters each block, summed over channels."""

from __future__ import annotations

import torch
from torch import Tensor

from .relevance import Relevance


def lrp(found: Relevance) -> Tensor:
    """E^l [L, N], signed: row l - 1 is the map at the input of block l."""
    return torch.stack([r.sum(-1) for r in found.before])
