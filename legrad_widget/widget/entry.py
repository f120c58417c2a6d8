"""``explore``: the one call that most people make, with sentences for calls that went wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from ..explainer import Model
from . import rules
from .explorer import LeGradWidget
from .rules import shown
from .state import VIEW

_CALL = "explore(image, targets, model=model)"
_OWN = ("fit", "size", "templates", "active", *VIEW)


def explore(
    image: Any = None,
    targets: Any = None,
    *,
    model: Model | str | None = None,
    method: str = "legrad",
    **knobs: Any,
) -> LeGradWidget:
    """The widget on a picture. Without an argument: the built-in model and one of its scenes, offline.

    Args:
        image: Path, PIL image, bytes, array, preprocessed tensor or Scene; None: a built-in scene.
        targets: A prompt, class, vector or Target, or a list of them.
        model: From :func:`legrad_widget.load` or :func:`legrad_widget.wrap`, or a name that ``load`` knows.
        method: A name from :func:`legrad_widget.list_methods`.
        **knobs: The method's knobs; also ``fit`` and ``size`` (how the model sees the picture; see
            ``Model.encode``), ``templates`` (what prompts are read through) and the widget's view: ``layers``,
            ``heads``, ``weights``, ``opacity``, ``colormap``, ``threshold``, ``smooth``, ``active``, ``compare``,
            ``compared``, ``compare_scale``, ``pins``. Where the method has a knob of the same name (GradCAM's
            ``weights``), that is meant.

    Raises:
        TypeError: arguments in another order, or an unknown keyword; the message shows what is right.
        ValueError: the picture, a target, the method or a knob cannot be used.
    """
    _check_order(image, targets, model)
    chosen = rules.method(method)
    _check_keywords(knobs, [knob.name for knob in chosen.knobs])
    model = _model(model)
    if image is None:
        image, targets = _showcase(model, targets)
    turned = {knob.name for knob in chosen.knobs}
    own = {name: knobs.pop(name) for name in _OWN if name in knobs and name not in turned}
    suggestions = _suggestions(model, image)
    return LeGradWidget(
        model,
        image,
        () if targets is None else targets,
        method=method,
        knobs=knobs,
        suggestions=suggestions,
        **own,
    )


def _check_order(image: Any, targets: Any, model: Any) -> None:
    if isinstance(image, Model | nn.Module) or isinstance(targets, Model | nn.Module):
        raise TypeError(f"the model is named and the image comes first: {_CALL}")
    if _is_picture(targets) and not _is_picture(image):
        raise TypeError(f"the image comes first, then the targets: explore(image, {shown(image)})")
    if isinstance(image, str) and targets is None and not Path(image).suffix and not Path(image).exists():
        raise TypeError(f"{shown(image)} is no file; targets come second: explore(image, {shown(image)})")
    if isinstance(model, nn.Module):
        raise TypeError("this module is not wrapped yet: explore(image, targets, model=lw.wrap(module))")
    if model is not None and not isinstance(model, Model | str):
        raise TypeError(f"model comes from lw.load(...) or lw.wrap(module); this is {type(model).__name__}: {_CALL}")


def _is_picture(value: Any) -> bool:
    if isinstance(value, np.ndarray | Tensor):
        return value.ndim > 1
    return isinstance(value, Image.Image | Path | bytes | bytearray) or isinstance(
        getattr(value, "image", None), Image.Image
    )


def _check_keywords(given: Mapping[str, Any], knobs: list[str]) -> None:
    valid = [*knobs, *_OWN]
    for name in given:
        if name not in valid:
            close = difflib.get_close_matches(name, valid, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise TypeError(f"explore() does not know the keyword {name!r}; {hint}It knows {', '.join(valid)}")


def _model(model: Model | str | None) -> Model:
    if isinstance(model, Model):
        return model
    from ..loading import load

    return load("builtin" if model is None else model)


def _showcase(model: Model, targets: Any) -> tuple[Any, Any]:
    """A built-in scene, and what is in it unless the caller knows better."""
    from ..builtin import showcase

    scene = showcase()
    return scene, list(scene.objects) if targets is None and model.takes_text else targets


def _suggestions(model: Model, image: Any) -> list[str]:
    """Prompts to try: what a scene shows, then what the model knows."""
    if not model.takes_text:
        return []
    from ..builtin import Scene

    seen = [*image.objects, image.background] if isinstance(image, Scene) else []
    if model.vocabulary is not None:
        known = list(model.vocabulary.suggest(""))
    else:
        known = list(model.class_names or ("a photo of a cat", "a photo of a dog", "a person", "the sky"))
    return list(dict.fromkeys([*seen, *known]))[:8]
