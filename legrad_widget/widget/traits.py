"""Traits with one rule each, and the targets trait: what the user wrote in Python, chips on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import traitlets

from ..target import Class, Contrast, Direction, Text, sides_of
from . import rules
from .chips import Chip, Held, chip_of, read_through
from .rules import Refused


class InvalidValue(traitlets.TraitError, ValueError):
    """A trait was set to something that it cannot be; the trait keeps its value."""


class Checked(traitlets.TraitType[Any, Any]):
    """A trait with a rule: ``rule(widget, value) -> value`` raises a ValueError or TypeError otherwise."""

    def __init__(self, default: Any, rule: Callable[[Any, Any], Any], **kwargs: Any) -> None:
        super().__init__(default, **kwargs)
        self._rule = rule

    def validate(self, obj: Any, value: Any) -> Any:
        """The value to keep; an InvalidValue that says what is wrong with it otherwise."""
        try:
            return self._rule(obj, value)
        except (ValueError, TypeError) as error:
            raise InvalidValue(str(error)) from error


class Targets(tuple[Any, ...]):
    """Targets as the user wrote them, with their chips. A tuple: to change one, set them anew."""

    chips: tuple[Chip, ...]
    held: Held | None

    def __new__(cls, things: Iterable[Any] = (), chips: Iterable[Chip] = (), held: Held | None = None) -> Targets:
        """``things`` as the user wrote them, their ``chips``, and where objects are ``held``."""
        self = super().__new__(cls, things)
        self.chips, self.held = tuple(chips), held
        return self

    @property
    def wire(self) -> list[dict[str, Any]]:
        """As the browser knows them."""
        return [chip.wire for chip in self.chips]


def read_targets(value: Any, resolve: Callable[[Any], Any], held: Held, templates: Sequence[str] = ()) -> Targets:
    """Targets from Python: one target, or a list of them.

    Args:
        value: str, int, vector, Target, or a list of these.
        resolve: ``Model.target``.
        held: Where objects are kept that a browser cannot make.
        templates: What bare strings are read through.

    Raises:
        ValueError, TypeError: one of them cannot be used, in a sentence.
    """
    if isinstance(value, Targets) and value.held is held:
        return value
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) > rules.MAX_TARGETS:
        raise Refused(f"{len(values)} targets are too many: at most {rules.MAX_TARGETS} are compared at once")
    if templates:
        values = [read_through(item, templates, bare=True) for item in values]
    resolved = [resolve(item) for item in values]
    for side in (side for target in resolved for side in sides_of(target) if isinstance(side, Text)):
        for words in filter(None, (side.text, *side.templates)):
            rules.words("a prompt", words, rules.MAX_PROMPT)
    kept = (
        item if isinstance(item, str | int | Text | Class | Direction | Contrast) else target
        for item, target in zip(values, resolved, strict=True)
    )
    return Targets(kept, (chip_of(target, held) for target in resolved), held)
