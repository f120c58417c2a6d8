"""Misclassified samples: which there are, what spoke for the wrong class, and whether that holds. No Jupyter here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# torch and scikit-learn are imported when an inspection starts.
_HOMES = {
    "inspect": "entry",
    "open_inspection": "opening",
    "Overlay": "evidence",
    "Thresholds": "overlap",
    "Inspection": "inspection",
    "InspectionError": "problem",
    "InspectionWarning": "problem",
    "Problem": "problem",
    "SORT_KEYS": "table",
}  # fmt: skip

__all__ = [
    "SORT_KEYS",
    "Inspection",
    "InspectionError",
    "InspectionWarning",
    "Overlay",
    "Problem",
    "Thresholds",
    "inspect",
    "open_inspection",
]

if TYPE_CHECKING:
    from .entry import inspect
    from .evidence import Overlay
    from .inspection import Inspection
    from .opening import open_inspection
    from .overlap import Thresholds
    from .problem import InspectionError, InspectionWarning, Problem
    from .table import SORT_KEYS


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
