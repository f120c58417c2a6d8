"""Methods that give one map for the whole model: which layer it is labelled with."""

from __future__ import annotations

from ._method import MethodError


def only_layer(layers: tuple[int, ...] | None, layer: int, method: str) -> tuple[int, ...]:
    """``(layer,)``, the label of a single map.

    Raises:
        MethodError: another layer was asked for.
    """
    if layers not in (None, (layer,)):
        raise MethodError(f"{method} gives one map, labelled layer {layer}; leave out layers")
    return (layer,)
