"""What a tool may be asked: one rule per argument. What does not fit is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import rules
from .rules import Refused, Scope, shown

if TYPE_CHECKING:
    from ..explainer import Model

MAX_VERIFIED = 64
MAX_CONTROL = 20
MAX_ORDERS = 5
MAX_SAMPLE = 2**31 - 1
KINDS = ("deletion", "insertion", "positive", "negative")


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a tool may point: ``heads`` of every layer, the patch ``grid``, and what the model can be asked."""

    heads: tuple[int, ...]
    grid: tuple[int, int]
    scope: Scope

    @classmethod
    def of(cls, model: Model, grid: tuple[int, int], scope: Scope) -> Ground:
        """The ground of one picture."""
        return cls(tuple(int(block.attention.heads) for block in model.vit.blocks), grid, scope)


Rule = Callable[[Any, Ground], Any]
REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of a tool; without a ``default`` it must be named."""

    rule: Rule
    default: Any = REQUIRED


def read_args(tool: str, raw: Any, known: Mapping[str, Arg], ground: Ground) -> dict[str, Any]:
    """The arguments of a tool, each checked, in the table's order.

    Raises:
        Refused: an argument that is missing, unknown or does not fit.
    """
    if not isinstance(raw, Mapping):
        raise Refused(f"args is a dict; arrived: {shown(raw)}")
    for name in raw:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise Refused(f"{tool} has no argument {shown(name)}; {takes}")
    for name, arg in known.items():
        if name not in raw and arg.default is REQUIRED:
            raise Refused(f"{tool} needs the argument {name}")
    read = {name: arg.rule(raw[name], ground) if name in raw else arg.default for name, arg in known.items()}
    if "head" in read and read["head"] is not None:
        cell([read["layer"], read["head"]], ground)
    return read


def layer(value: Any, ground: Ground) -> int:
    """A layer's number, from 1."""
    return rules.whole("layer", value, 1, len(ground.heads))


def layer_or_none(value: Any, ground: Ground) -> int | None:
    """A layer's number, from 1; None: of no layer."""
    return None if value is None else layer(value, ground)


def head(value: Any, ground: Ground) -> int | None:
    """A head's number, from 0; None: the mean over the layer's heads."""
    return None if value is None else rules.whole("head", value, 0, max(ground.heads) - 1)


def cell(value: Any, ground: Ground) -> list[int]:
    """[layer, head]: a head that is there."""
    at, number = _pair("a cell is a pair of a layer and a head, e.g. [3, 0]", value)
    at = layer(at, ground)
    return [at, rules.whole(f"a head of layer {at}", number, 0, ground.heads[at - 1] - 1)]


def cells(value: Any, ground: Ground) -> list[list[int]]:
    """Heads, each once, in order."""
    return _several("cells", value, lambda one: cell(one, ground), sum(ground.heads))


def patch(value: Any, ground: Ground) -> list[int]:
    """[row, column] of a patch that is there."""
    row, column = _pair("a patch is a pair of a row and a column, e.g. [0, 0]", value)
    rows, columns = ground.grid
    return [rules.whole("a patch's row", row, 0, rows - 1), rules.whole("a patch's column", column, 0, columns - 1)]


def patch_or_none(value: Any, ground: Ground) -> list[int] | None:
    """A patch; None: all of them."""
    return None if value is None else patch(value, ground)


def patches(value: Any, ground: Ground) -> list[list[int]]:
    """Patches, each once, in order."""
    return _several("patches", value, lambda one: patch(one, ground), ground.grid[0] * ground.grid[1])


def sample_or_none(value: Any, _ground: Ground) -> int | None:
    """A sample's number, from 0; None: of no sample. Whether it is there the inspection knows."""
    return None if value is None else rules.whole("a sample", value, 0, MAX_SAMPLE)


def kinds(value: Any, _ground: Ground) -> list[str]:
    """Which curves, each once."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= len(KINDS):
        raise Refused(f"kinds is a list of curves out of {', '.join(KINDS)}; arrived: {shown(value)}")
    return list(dict.fromkeys(rules.choice("a curve's kind", one, KINDS) for one in value))


def orders(value: Any, _ground: Ground) -> int:
    """How many random orders make the band: none, or at least two."""
    count = rules.whole("random", value, 0, MAX_ORDERS)
    if count == 1:
        raise Refused("random is how many random orders make the band: 0 (no band) or 2 to 5; arrived: 1")
    return count


def method_or_none(value: Any, ground: Ground) -> str | None:
    """A method that this model can have; None: the one that is shown."""
    return None if value is None else rules.compared([value], ground.scope)[0]


def control(value: Any, _ground: Ground) -> str:
    """A prompt to hold the map against; "" is the empty prompt."""
    return "" if isinstance(value, str) and not value.strip() else rules.words("control", value, rules.MAX_PROMPT)


def methods(value: Any, ground: Ground) -> list[str]:
    """Methods that this model can have, at least one, each once."""
    if not isinstance(value, list | tuple) or not value:
        raise Refused(f"methods is a list of method names, e.g. ['legrad', 'rollout']; arrived: {shown(value)}")
    return rules.compared(value, ground.scope)


def whole(name: str, low: int, high: int) -> Rule:
    """A rule for a whole number."""
    return lambda value, _ground: rules.whole(name, value, low, high)


def flag(name: str) -> Rule:
    """A rule for yes or no."""
    return lambda value, _ground: rules.flag(name, value)


def one_of(name: str, choices: tuple[str, ...]) -> Rule:
    """A rule for one of a few words."""
    return lambda value, _ground: rules.choice(name, value, choices)


def _pair(expected: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Refused(f"{expected}; arrived: {shown(value)}")
    return value[0], value[1]


def _several(name: str, value: Any, one: Callable[[Any], list[int]], most: int) -> list[list[int]]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
        arrived = f"{len(value)} of them" if isinstance(value, list | tuple) else shown(value)
        raise Refused(f"{name} is a list of 1 to {most} pairs; arrived: {arrived}")
    return [list(pair) for pair in dict.fromkeys(tuple(one(item)) for item in value)]
