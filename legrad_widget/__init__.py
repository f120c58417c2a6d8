"""legrad_widget: explanation maps of Vision Transformers, layer by layer, live in a notebook."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Heavy modules (torch, open_clip, anywidget) are imported when a name is first used.
_HOMES = {
    "load": "loading", "ModelNotAvailable": "loading",
    "wrap": "wrapping", "Model": "explainer", "Encoding": "explainer",
    "Explanation": "explanation", "StaleEncoding": "explainer",
    "Text": "target", "Class": "target", "Concept": "target", "Contrast": "target", "Direction": "target",
    "TargetError": "target",
    "UnsupportedModel": "models.view", "ImageError": "models.preprocess",
    "KnobError": "method", "MethodError": "method",
    "list_methods": "method",
    "scene": "builtin", "Scene": "builtin",
    "explore": "widget", "LeGradWidget": "widget",
    "inspect": "widget", "open_inspection": "widget", "InspectWidget": "widget",
}  # fmt: skip

__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from .builtin import Scene, scene
    from .explainer import Encoding, Model, StaleEncoding
    from .explanation import Explanation
    from .loading import ModelNotAvailable, load
    from .method import KnobError, MethodError, list_methods
    from .models.preprocess import ImageError
    from .models.view import UnsupportedModel
    from .target import Class, Concept, Contrast, Direction, TargetError, Text
    from .widget import InspectWidget, LeGradWidget, explore, inspect, open_inspection
    from .wrapping import wrap


def __getattr__(name: str) -> Any:
    if name == "builtin":  # lw.builtin.shortcut_world() works without another import
        return importlib.import_module(".builtin", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'legrad_widget' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
