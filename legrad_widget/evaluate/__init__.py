"""How well maps find what they should, how far they agree, and what the model says when they are followed.

Metrics of arrays are named here. What asks the model lives in modules of its own: :mod:`.perturbation` (deletion,
insertion), :mod:`.randomisation`, :mod:`.adcc`, :mod:`.cost`.
"""

from __future__ import annotations

from .agreement import iou_top, rank_correlation
from .segmentation import Localisation, localisation, min_max

__all__ = ["Localisation", "iou_top", "localisation", "min_max", "rank_correlation"]
