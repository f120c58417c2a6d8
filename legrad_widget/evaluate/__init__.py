"""How well maps find what they should: metrics, pure arrays in and numbers out."""

from __future__ import annotations

from .segmentation import Localisation, localisation, min_max

__all__ = ["Localisation", "localisation", "min_max"]
