"""Pinned views: what was asked, and which layers and heads were merged, in a form that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..method import find
from . import rules
from .chips import read_chips
from .rules import Refused, Scope, shown

MAX_PINS = 12
DEFAULTS: Mapping[str, Any] = {
    "targets": [],
    "active": 0,
    "method": "legrad",
    "knobs": {},
    "layers": None,
    "heads": None,
    "weights": "paper",
}
"""The parts of a pin: traits of the widget, by their names, with what a part is where it is left out."""


def read_pins(raw: Any, scope: Scope, chip: Callable[[Any], Any] = lambda target: target) -> tuple[dict[str, Any], ...]:
    """Pins in their one form: targets as the browser knows them, heads as [layer, head] pairs, every part there.

    A target that stays in Python is named by its key alone, and may be gone when the pin is shown again.

    Args:
        raw: a list of dicts; parts that are left out have their defaults.
        scope: what the model can be asked.
        chip: makes the browser's form of a target that has another one.

    Raises:
        Refused: not a list of at most 12 views, or a view that cannot be; the sentence says which pin and why.
    """
    if not isinstance(raw, list | tuple):
        raise Refused(f"pins is a list of views, each a dict with {', '.join(DEFAULTS)}; arrived: {shown(raw)}")
    if len(raw) > MAX_PINS:
        raise Refused(f"{len(raw)} pins are too many: at most {MAX_PINS} views are kept, take one away first")
    return tuple(_read_pin(number, pin, scope, chip) for number, pin in enumerate(raw, 1))


def _read_pin(number: int, raw: Any, scope: Scope, chip: Callable[[Any], Any]) -> dict[str, Any]:
    try:
        if not isinstance(raw, Mapping):
            raise Refused(f"a view is a dict with {', '.join(DEFAULTS)}; arrived: {shown(raw)}")
        if unknown := [name for name in raw if name not in DEFAULTS]:
            raise Refused(f"a view has no {shown(unknown[0])}; it has {', '.join(DEFAULTS)}")
        return _checked({**DEFAULTS, **raw}, scope, chip)
    except (ValueError, TypeError) as error:
        raise Refused(f"pin {number}: {error}") from None


def _checked(pin: Mapping[str, Any], scope: Scope, chip: Callable[[Any], Any]) -> dict[str, Any]:
    given = pin["targets"]
    targets = read_chips(
        [chip(target) for target in given] if isinstance(given, list | tuple) else given, scope.class_names
    )
    if not targets:
        raise Refused("a view without targets shows no map: name what it is about in targets")
    method = rules.method(pin["method"])
    return {
        "targets": [target.wire for target in targets],
        "active": rules.whole("active", pin["active"], 0, len(targets) - 1),
        "method": method.name,
        "knobs": rules.knobs(pin["knobs"], find(method.name)),
        "layers": rules.layers(pin["layers"], scope.depth),
        "heads": rules.cells(rules.heads(pin["heads"], scope)),
        "weights": rules.weights(pin["weights"], scope),
    }
