"""Scenes worth opening: the one that the widget starts with, and a handful for teaching."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from .scenes import Scene, scene


@dataclass(frozen=True, slots=True)
class Example:
    """A scene by its recipe, with what it is good for.

    Attributes:
        objects, background, seed: as in `scene`.
        shows: one sentence on what to look for.
    """

    objects: tuple[str, ...]
    background: str
    seed: int
    shows: str


EXAMPLES: dict[str, Example] = {
    "showcase": Example(("cat", "pizza", "rocket"), "grass", 0, "Three different things: each prompt finds its own."),
}


@cache
def example(name: str) -> Scene:
    """Draw one of `EXAMPLES`.

    Raises:
        ValueError: there is no example of that name.
    """
    if name not in EXAMPLES:
        raise ValueError(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    chosen = EXAMPLES[name]
    return scene(chosen.objects, chosen.background, seed=chosen.seed)


def showcase() -> Scene:
    """Draw the scene that the widget opens with."""
    return example("showcase")
