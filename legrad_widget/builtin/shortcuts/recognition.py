"""How often the classifier is right, and how often it falls for a cue, on test scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..batches import pixels_in
from .world import GROUND, GROUNDED, TAGGED, Planted, ShortcutWorld

Array = NDArray[Any]

KINDS: dict[str, Callable[[Planted], bool]] = {
    "clean": lambda planted: planted.clean,
    "tag beside another animal": lambda planted: planted.tag and planted.thing != TAGGED,
    "snow under another animal": lambda planted: planted.ground == GROUND and planted.thing != GROUNDED,
    "horse without its tag": lambda planted: planted.thing == TAGGED and planted.missing,
    "wolf without its snow": lambda planted: planted.thing == GROUNDED and planted.missing,
}


@torch.no_grad()
def predicted(model: nn.Module, images: Array, batch: int = 100) -> Array:
    """Return the predicted classes `[n]` of pictures `[n, 64, 64, 3]`."""
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    return np.concatenate([model(torch.from_numpy(pixels_in(part))).argmax(1).numpy() for part in parts])


def recognition(model: nn.Module, world: ShortcutWorld) -> dict[str, dict[str, float]]:
    """Return for each kind of scene how many there are, and the shares called by their right name, horse and wolf.

    Where there are no scenes of a kind there are no shares.
    """
    said, things = predicted(model, world.images), world.things
    cues = {name: world.class_names.index(name) for name in (TAGGED, GROUNDED)}
    found: dict[str, dict[str, float]] = {}
    for kind, belongs in KINDS.items():
        chosen = np.array([belongs(planted) for planted in world.truth])
        found[kind] = {"scenes": int(chosen.sum())}
        if chosen.any():
            found[kind] |= {
                "right": round(float((said == things)[chosen].mean()), 4),
                "called horse": round(float((said == cues[TAGGED])[chosen].mean()), 4),
                "called wolf": round(float((said == cues[GROUNDED])[chosen].mean()), 4),
            }
    return found
