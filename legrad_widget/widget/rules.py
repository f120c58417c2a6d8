"""What the widget's public state may be: one rule per trait, the same for Python and for the browser.

A rule takes what arrived and returns the value to keep, or raises :class:`Refused` with a sentence.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..explanation import WEIGHTS, chosen_heads, chosen_layers
from ..method import Method, find, list_methods

if TYPE_CHECKING:
    from ..explainer import Model

MAX_TARGETS = 32
MAX_PROMPT = 1000
COLORMAPS = ("inferno", "viridis", "cividis", "magma", "gray")
COMPARE = ("off", "methods", "prompts")
COMPARE_SCALES = ("own", "row", "shared")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one widget's model can be asked.

    Attributes:
        depth: its number of layers.
        heads: the largest number of heads of a layer, or of its attention pooler.
        model: itself; it may be calibrated later.
        class_names: of its classes, if it has any.
        refusals: by method, why this model cannot have it; a method that it can have is not here.
        usual: the methods that are compared when none are named: those that it can have and that are not slow.
    """

    depth: int
    class_names: tuple[str, ...] | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    usual: tuple[str, ...] = ()
    heads: int = 1
    model: Model | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, model: Model) -> Scope:
        """The scope of a model."""
        said = {method.name: method.refuses(model.vit) for method in list_methods()}
        refusals = {name: reason for name, reason in said.items() if reason is not None}
        usual = tuple(method.name for method in list_methods() if not (method.name in refusals or method.slow))
        pooler = model.vit.readout.pooler
        heads = max(model.vit.heads, pooler.heads if pooler is not None else 0)
        return cls(len(model.vit.blocks), model.class_names, refusals, usual, heads, model)


class Refused(ValueError):
    """What arrived cannot be used; the message says what was expected, what arrived and what to do."""


def shown(value: object) -> str:
    """``value`` for a sentence: never longer than about forty characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 40
    return short.repr(value)


def fraction(name: str, value: Any) -> float:
    """A number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise Refused(f"{name} is a number from 0 to 1; arrived: {shown(value)}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False, nothing that is merely truthy."""
    if not isinstance(value, bool):
        raise Refused(f"{name} is True or False; arrived: {shown(value)}")
    return value


def sentence(error: BaseException) -> str:
    """What an error says: ours is a sentence already; another one's first line comes with its type."""
    said = str(error).strip() or type(error).__name__
    return said if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {said.splitlines()[0]}"


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise Refused(f"{name} is one of {', '.join(choices)}; arrived: {shown(value)}")
    return value


def colormap(value: Any) -> str:
    """The name of a colour map."""
    return choice("colormap", value, COLORMAPS)


def compare(value: Any) -> str:
    """What stands side by side."""
    return choice("compare", value, COMPARE)


def compare_scale(value: Any) -> str:
    """How maps that stand side by side are scaled."""
    return choice("compare_scale", value, COMPARE_SCALES)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise Refused(f"{name} is a whole number from {low} to {high}; arrived: {shown(value)}")
    return int(value)


def words(name: str, value: Any, longest: int) -> str:
    """A string of 1 to ``longest`` characters that can be written as UTF-8."""
    if not isinstance(value, str):
        raise Refused(f"{name} is a string; arrived: {shown(value)}")
    if not 1 <= len(value) <= longest:
        raise Refused(f"{name} has 1 to {longest} characters; arrived: {len(value)} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(f"{name} holds half a character (a lone surrogate) and cannot be encoded") from None
    return value


def prompt(value: Any) -> str:
    """A prompt that is not blank and not endless."""
    text = words("a prompt", value, MAX_PROMPT)
    if not text.strip():
        raise Refused("the prompt is blank: type what to look for, e.g. 'a photo of a cat'")
    return text


def layers(value: Any, depth: int) -> list[int] | None:
    """Sorted 1-based layers from an int, ints, or a slice with both ends included; None: the default."""
    try:
        chosen = chosen_layers(value, range(1, depth + 1))
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    return None if chosen is None else list(chosen)


def heads(value: Any, scope: Scope) -> dict[int, list[int]] | None:
    """Heads by layer, from what ``Explanation.merged`` takes or from (layer, head) pairs; None: all."""
    try:
        chosen = chosen_heads(_by_layer(value), range(1, scope.depth + 1), scope.heads)
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    return None if chosen is None else {layer: list(numbers) for layer, numbers in chosen.items()}


def _by_layer(value: Any) -> Any:
    """Pairs as a mapping; anything else as it is."""
    if not isinstance(value, list | tuple) or not any(isinstance(item, list | tuple) for item in value):
        return value
    cells: dict[Any, list[Any]] = {}
    for item in value:
        if not isinstance(item, list | tuple) or len(item) != 2 or isinstance(item[0], list | tuple | dict):
            raise Refused(f"a cell is a pair of a layer and a head, e.g. [3, 0]; arrived: {shown(item)}")
        cells.setdefault(item[0], []).append(item[1])
    return cells


def cells(heads: Mapping[int, list[int]] | None) -> list[list[int]] | None:
    """Heads by layer as [layer, head] pairs: the keys of an object in JSON would be strings."""
    return None if heads is None else [[layer, head] for layer, numbers in heads.items() for head in numbers]


def weights(value: Any, scope: Scope | None = None) -> str:
    """How layers count in a merged map; with a scope: of its model's."""
    chosen = choice("weights", value, WEIGHTS)
    if chosen == "reliability" and scope and scope.model and scope.model.layer_reliability is None:
        raise Refused(
            f"how reliable the layers of {scope.model.name} are is not known; call model.calibrate_layers(images, "
            "targets) first, or use weights 'equal'"
        )
    return chosen


def method(value: Any) -> Method:
    """The catalogue entry called ``value``."""
    try:
        return find(value)
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None


def knobs(value: Any, of: Method) -> dict[str, Any]:
    """The knobs of ``of`` that differ from their defaults, in the catalogue's order."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise Refused(f"knobs is a dict of names and values; arrived: {shown(value)}")
    try:
        full = of.checked(value)
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    for name, chosen in full.items():
        if isinstance(chosen, str):
            words(name, chosen, MAX_PROMPT)
    return {knob.name: full[knob.name] for knob in of.knobs if full[knob.name] != knob.default}


def compared(value: Any, scope: Scope) -> list[str]:
    """Names of methods that this model can have, in their order, each once."""
    if not isinstance(value, list | tuple):
        raise Refused(f"compared is a list of method names, e.g. ['legrad', 'rollout']; arrived: {shown(value)}")
    names = list(dict.fromkeys(method(name).name for name in value))
    for name in names:
        if name in scope.refusals:
            raise Refused(f"{name} cannot be compared here: {scope.refusals[name]}")
    return names
