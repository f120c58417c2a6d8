"""Sprite sheets: the committed pictures that every scene is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Sheet:
    """The sprites of one picture source."""

    name: str
    use: str  # "train", "validation" or "test"
    monochrome: bool
    pixels: Array  # [n, tile, tile, 4] uint8, straight alpha
    nouns: tuple[str, ...]  # [n]

    @property
    def tile(self) -> int:
        """Width and height of a sprite in pixels."""
        return self.pixels.shape[1]

    def indices(self, noun: str) -> list[int]:
        """Return the positions of a noun's sprites; empty when this source has none."""
        return [index for index, name in enumerate(self.nouns) if name == noun]


def sheet_names(use: str | None = None) -> tuple[str, ...]:
    """Return the names of the sheets that are present, optionally those of one use."""
    names = sorted(path.stem for path in ASSETS.glob("*.json") if path.with_suffix(".webp").exists())
    return tuple(name for name in names if use is None or _about(name)["use"] == use)


def _about(name: str) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))
    return about


@cache
def sheet(name: str) -> Sheet:
    """Read one sheet.

    Raises:
        ValueError: the sheet does not exist, or is not part of this installation.
    """
    if name not in sheet_names():
        raise ValueError(
            f"no sprite sheet {name!r} is installed here, only: {', '.join(sheet_names())}. "
            "The installed package carries the one it needs to draw scenes; a source checkout has all of them."
        )
    about = _about(name)
    tile, columns, count = about["tile"], about["columns"], len(about["sprites"])
    with Image.open(ASSETS / f"{name}.webp") as picture:
        grid = np.asarray(picture.convert("RGBA"))
    grid = grid.reshape(grid.shape[0] // tile, tile, columns, tile, 4).swapaxes(1, 2).reshape(-1, tile, tile, 4)[:count]
    grid = np.ascontiguousarray(grid)
    grid.setflags(write=False)
    nouns = tuple(noun for noun, _ in about["sprites"])
    return Sheet(name, about["use"], about["monochrome"], grid, nouns)
