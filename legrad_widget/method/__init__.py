"""The methods. A file here that does not start with an underscore is a method, found by existing."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from ._method import Knob, KnobError, Maps, Method, MethodError

__all__ = ["Knob", "KnobError", "Maps", "Method", "MethodError", "catalogue", "find", "list_methods"]

_ORDER = (
    "legrad", "cdam", "tam", "chefercam", "transformer_attribution", "lrp", "partial_lrp", "rollout", "raw_attention",
    "gradcam", "attentioncam", "textspan", "reciprocam",
)  # fmt: skip


@cache
def catalogue() -> dict[str, Method]:
    """Every method by name, LeGrad first, then as the papers group them; one that they do not know comes last."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    names.sort(key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return {name: getattr(importlib.import_module(f"{__name__}.{name}"), name) for name in names}


def find(name: str) -> Method:
    """The method called ``name``; a MethodError with the closest names where there is none."""
    methods = catalogue()
    if not isinstance(name, str):
        raise TypeError(f"a method is named by a string, one of {', '.join(methods)}; this is {type(name).__name__}")
    if name not in methods:
        close = difflib.get_close_matches(name, methods, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MethodError(f"there is no method {name!r}; {hint}The methods are {', '.join(methods)}")
    return methods[name]


def list_methods() -> list[Method]:
    """The catalogue: every method with its name, title, summary, formula, paper, cost, sign, knobs and layer rule.

    ``.card`` is all of it for reading, as Markdown; a notebook shows it where a cell ends with one of them.
    """
    return list(catalogue().values())
