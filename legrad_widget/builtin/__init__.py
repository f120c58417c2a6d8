"""The built-in model and the world that it was trained on: everything offline."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# torch and open_clip are imported when the model is first loaded, not for scenes or words.
_HOMES = {
    "Builtin": "loading",
    "load": "loading",
    "layer_calibration": "loading",
    "translators_file": "loading",
    "EXAMPLES": "examples",
    "example": "examples",
    "showcase": "examples",
    "Scene": "scenes",
    "scene": "scenes",
    "ShortcutWorld": "shortcuts",
    "shortcut_world": "shortcuts",
    "Vocabulary": "vocabulary",
}

__all__ = [
    "EXAMPLES", "Builtin", "Scene", "ShortcutWorld", "Vocabulary", "example", "layer_calibration", "load", "scene",
    "shortcut_world", "showcase", "translators_file",
]  # fmt: skip

if TYPE_CHECKING:
    from .examples import EXAMPLES, example, showcase
    from .loading import Builtin, layer_calibration, load, translators_file
    from .scenes import Scene, scene
    from .shortcuts import ShortcutWorld, shortcut_world
    from .vocabulary import Vocabulary


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
