"""How well maps find what they should, and how far they agree: metrics, pure arrays in and numbers out."""

from __future__ import annotations

from .agreement import iou_top, rank_correlation
from .segmentation import Localisation, localisation, min_max

__all__ = ["Localisation", "iou_top", "localisation", "min_max", "rank_correlation"]
