"""A small classifier that learned two shortcuts, and the world that shows them up: everything planted, so known."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# torch and timm are imported when the classifier is loaded, not for scenes.
_HOMES = {
    "CLASSES": "world",
    "Planted": "world",
    "ShortcutWorld": "world",
    "shortcut_world": "world",
    "load_classifier": "loading",
    "manifest": "loading",
    "story": "loading",
}

__all__ = ["CLASSES", "Planted", "ShortcutWorld", "load_classifier", "manifest", "shortcut_world", "story"]

if TYPE_CHECKING:
    from .loading import load_classifier, manifest, story
    from .world import CLASSES, Planted, ShortcutWorld, shortcut_world


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
