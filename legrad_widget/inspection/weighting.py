"""Three ways for layers to count in a merged map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..explanation import Layers, chosen_layers, is_flat
from .problem import InspectionError

Weights = Literal["paper", "equal", "floor"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


def merged(
    maps: NDArray[Any],
    layers: Sequence[int],
    weights: Weights = "paper",
    *,
    chosen: Layers = None,
    merge: Literal["mean", "last"] = "mean",
    default: Literal["all", "last"] = "all",
) -> NDArray[np.float32]:
    """Maps [L, h, w] of the blocks ``layers`` as one [h, w], not normalised, sign kept.

    Args:
        weights: "paper": the mean of the raw maps; a layer counts by the size of its values. "equal": every map is
            divided by its largest magnitude first; flat ones are left out. "floor": of every map the median of its
            magnitudes is taken away first, and what does not reach it is 0; a layer counts by what stands out of it.
        chosen: block numbers; None: as ``default`` says. merge: "last" takes the highest chosen layer alone, as it is.

    Raises:
        InspectionError: other weights. ValueError: a layer that is not there.
    """
    if weights not in WEIGHTS:
        raise InspectionError(f"weights is one of {', '.join(map(repr, WEIGHTS))}; arrived: {weights!r}")
    wanted = chosen_layers(chosen, layers) or (tuple(layers) if default == "all" else (layers[-1],))
    if merge == "last":
        return np.asarray(maps[list(layers).index(wanted[-1])], np.float32)
    picked = np.asarray(maps, np.float64)[[list(layers).index(layer) for layer in wanted]]
    if weights == "equal":
        telling = [one / np.abs(one).max() for one in picked if not is_flat(one)]
        picked = np.stack(telling) if telling else np.zeros((1, *picked.shape[1:]))
    elif weights == "floor":
        picked = np.stack([without_floor(one) for one in picked])
    return np.asarray(picked.mean(0), np.float32)


def without_floor(values: NDArray[Any]) -> NDArray[np.float64]:
    """A map less the median of its magnitudes, sign kept; 0 where it does not reach that."""
    size = np.abs(np.asarray(values, np.float64))
    return np.asarray(np.sign(values) * np.clip(size - np.median(size), 0, None))
