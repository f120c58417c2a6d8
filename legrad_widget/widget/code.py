"""The lines of Python that make what the widget shows again, without the widget."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from ..builtin import Scene
from ..target import Class, Concept, Contrast, Direction, Text
from .view import drawing, merging

if TYPE_CHECKING:
    from ..explainer import Model
    from .explorer import LeGradWidget

_OVERLAY = {"opacity": 0.65, "colormap": "inferno", "threshold": 0.0}


def code(widget: LeGradWidget) -> str:
    """The lines; see :meth:`LeGradWidget.code`."""
    lines = ["import legrad_widget as lw", "", *_model(widget.model), *_calibration(widget), *_image(widget)]
    options = _arguments({name: value for name, value in _encoding(widget).items() if value is not None})
    lines.append(f"encoding = model.encode(image{options})")
    if _classes_come_first(widget):
        lines.append("encoding.predictions()  # as the widget does: it fixes the last bits of the prompts' vectors")
    lines += _explanation(widget)
    x = widget.explanation
    chosen = merging(widget, x) if x is not None else {}
    look = {name: value for name, value in drawing(widget).items() if value != _OVERLAY[name]}
    merged = _arguments(chosen).removeprefix(", ")
    lines.append(f"heat = x.merged({merged})")
    lines.append(f"picture = x.overlay({_arguments(chosen | look).removeprefix(', ')})")
    return "\n".join(lines) + "\n"


def _source(image: Any) -> str:
    """Python for a picture that can be named: a path or a scene; "" for one that only exists in memory."""
    if isinstance(image, str | os.PathLike):
        return repr(os.fspath(image))
    if isinstance(image, Scene):
        said = f"lw.scene({list(image.objects)!r}, {image.background!r}, seed={image.seed})"
        return f"{said}.image" if _drawn_again(image) else ""
    return ""


def _drawn_again(given: Scene) -> bool:
    """Whether a scene's own account of itself gives the same pixels: its size or source may be another."""
    from ..builtin import scene

    try:
        drawn = scene(list(given.objects), given.background, seed=given.seed).image
    except ValueError:
        return False
    return np.array_equal(np.asarray(drawn), np.asarray(given.image))


def _model(model: Model) -> list[str]:
    """How the model is had again."""
    if model.name != "builtin" and not model.name.startswith(("open_clip:", "timm:")):
        return [f"# model is your own, called {_comment(model.name)} here: what lw.wrap(...) gave you"]
    options: dict[str, Any] = {}
    parameter = next(model.module.parameters())
    if parameter.device.type != "cpu":
        options["device"] = str(parameter.device)
    lines = []
    if parameter.dtype != torch.float32:
        lines = ["import torch", ""]
    dtype = f", dtype={parameter.dtype}" if lines else ""
    return [*lines, f"model = lw.load({model.name!r}{_arguments(options)}{dtype})"]


def _calibration(widget: LeGradWidget) -> list[str]:
    """What the merged map needs to know of the layers, where the model does not come with it."""
    if widget.weights != "reliability" or widget.model.name == "builtin":
        return []
    return ["# calibrate it as you did, for weights='reliability': model.calibrate_layers(images, targets)"]


def _image(widget: LeGradWidget) -> list[str]:
    photo = widget._shown or widget._photo
    if photo is None:
        return ["image = ...  # choose a picture first"]
    if known := _source(widget._sources.get(photo.rev)):
        return [f"image = {known}"]
    size = f"{photo.picture.width} x {photo.picture.height} pixels" if photo.picture is not None else "not read yet"
    if photo.origin:
        return [f"image = ...  # {photo.origin} ({size})"]
    if photo.name:
        return [f"image = {photo.name!r}  # its file ({size}): only the name came from the browser"]
    if isinstance(photo.source, torch.Tensor):
        return ["image = ...  # the preprocessed tensor that you passed"]
    kind = "picture" if isinstance(photo.source, Image.Image) else type(photo.source).__name__
    return [f"image = ...  # the {kind} that you passed ({size})"]


def _encoding(widget: LeGradWidget) -> dict[str, Any]:
    return {"fit": widget._fit if widget._fit != "squash" else None, "size": widget._size}


def _classes_come_first(widget: LeGradWidget) -> bool:
    """Whether a prompt is one of the classes that the widget has the model guess among, all encoded in one batch."""
    if not widget.model.takes_text or not widget.model.class_names:
        return False
    prompts = {prompt for written in widget.targets for prompt in _prompts(widget.model.target(written))}
    return not prompts.isdisjoint(widget.model.class_names)


def _prompts(target: Any) -> tuple[str, ...]:
    """What the text tower reads of a target."""
    if isinstance(target, Contrast):
        return _prompts(target.a) + _prompts(target.b)
    if isinstance(target, Text):
        return target.prompts
    return (target.name or "",) if isinstance(target, Class) else (target,) if isinstance(target, str) else ()


def _explanation(widget: LeGradWidget) -> list[str]:
    """The line that explains, with the targets above it that Python alone holds.

    All targets are asked together, as the widget asks them: alone, the last bits of a map may be others.
    """
    if not widget.targets:
        return ["x = ...  # choose a target first"]
    shared = tuple(widget.templates) if len(widget.templates) > 1 else ()  # a long list is written once
    lines = [f"templates = {list(shared)!r}"] if any(map(_reads_through(shared), widget.targets)) else []
    names = []
    for number, written in enumerate(widget.targets):
        said, note = _target(widget.model.target(written), written, shared)
        if note:
            lines.append(f"target_{number} = {said}  # {note}")
            said = f"target_{number}"
        names.append(said)
    many = len(names) > 1
    asked = f"[{', '.join(names)}]" if many else names[0]
    chosen = f"[{widget.active}]" if many else ""
    return [*lines, f"x = encoding.explain({asked}, {widget.method!r}{_arguments(dict(widget.knobs))}){chosen}"]


def _reads_through(templates: tuple[str, ...]) -> Callable[[Any], bool]:
    """Whether a target, or a side of it, has these templates; nothing has none."""

    def reads(target: Any) -> bool:
        if isinstance(target, Contrast):
            return reads(target.a) or reads(target.b)
        return isinstance(target, Text) and bool(templates) and target.templates == templates

    return reads


def _target(target: Any, written: Any, shared: tuple[str, ...] = ()) -> tuple[str, str]:
    """A target as Python, and a note where it cannot stand in the call; ``shared`` templates go by that name."""
    if isinstance(target, Text):
        if target == Text(target.text, control=target.control) and not target.control:
            return repr(target.text), ""
        control = ", control=True" if target.control else ""
        named = "templates" if target.templates == shared else repr(list(target.templates))
        templates = f", templates={named}" if target.templates else ""
        return f"lw.Text({target.text!r}{control}{templates})", ""
    if isinstance(target, Class):
        return (repr(target.index), f"class {_comment(target.name or '')}") if target.name else (repr(target.index), "")
    if isinstance(target, Contrast):
        sides = [_target(side, side, shared) for side in (target.a, target.b)]
        if not any(said == "..." for said, _ in sides):
            return f"lw.Contrast({sides[0][0]}, {sides[1][0]})", ""
        return "...", f"the contrast {_comment(target.label)}: one of its sides is held by Python alone"
    kind = "concept" if isinstance(target, Concept) else "direction" if isinstance(target, Direction) else "target"
    return "...", f"the {kind} {_comment(target.label)} that you made: {type(written).__name__}"


def _arguments(options: dict[str, Any]) -> str:
    """Keyword arguments after other arguments: ", layers=[2, 5]"."""
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _comment(words: str) -> str:
    """Words that stay within their comment, whatever is in them."""
    return repr(words)
