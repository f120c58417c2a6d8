"""Position embeddings for another grid, as a new tensor for one call; the parameter is never written."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resampled(embedding: Tensor, old: tuple[int, int], new: tuple[int, int], *, prefix: int) -> Tensor:
    """Bicubic, antialiased resampling [..., prefix + old, D] -> [..., prefix + new, D]; the prefix stays."""
    head, patches = embedding[..., :prefix, :], embedding[..., prefix:, :]
    planes = patches.reshape(1, *old, -1).permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, size=new, mode="bicubic", antialias=True, align_corners=False)
    grown = planes.permute(0, 2, 3, 1).reshape(*embedding.shape[:-2], new[0] * new[1], -1)
    return torch.cat([head, grown.to(embedding.dtype)], dim=-2)
