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
    "showcase": Example(("cat", "pizza", "rocket"), "grass", 3, "Three different things: each prompt finds its own."),
    "fruit": Example(("apple", "banana", "grapes"), "wood", 2, "Three of a kind, and a name for each of them."),
    "round": Example(("pizza", "clock", "football"), "bricks", 0, "Two round things: shape alone does not tell."),
    "big cats": Example(
        ("lion", "tiger", "elephant"), "sand", 0, "A lion and a tiger share much, and their maps do too."
    ),
    "look-alikes": Example(("dog", "wolf"), "snow", 3, "A dog and a wolf are easily mixed up, by the model too."),
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
