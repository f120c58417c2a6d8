"""What the browser shows now, as arguments of an Explanation's methods. No Jupyter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..explanation import Explanation
    from .explorer import LeGradWidget


def merging(widget: LeGradWidget, x: Explanation) -> dict[str, Any]:
    """Arguments of ``x.merged``: the chosen layers or heads as far as ``x`` has them, as the browser merges them."""
    chosen: dict[str, Any] = {}
    cells = _cells(widget.heads, x)
    layers = [layer for layer in widget.layers or () if layer in x.layers]
    if cells:
        chosen["heads"] = cells
    elif layers:
        chosen["layers"] = layers
    if widget.weights != "paper":
        chosen["weights"] = widget.weights
    return chosen


def drawing(widget: LeGradWidget) -> dict[str, Any]:
    """Arguments of ``x.overlay`` beside those of ``x.merged``."""
    return {"opacity": widget.opacity, "colormap": widget.colormap, "threshold": widget.threshold}


def layer_words(x: Explanation, chosen: dict[str, Any]) -> str:
    """The merged layers for reading: "all 6 layers", "layer 3", "2 heads of layers 3, 5"."""
    cells = chosen.get("heads")
    layers = list(cells or chosen.get("layers") or (x.layers if x.default == "all" else x.layers[-1:]))
    names = f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
    if cells:
        count = sum(len(heads) for heads in cells.values())
        return f"{count} head{'s' if count > 1 else ''} of {names}"
    if len(layers) == len(x.layers) > 1 and x.merge == "mean":
        names = f"all {len(layers)} layers"
    return f"up to layer {layers[-1]}" if x.merge == "last" else names


def _cells(heads: dict[int, list[int]] | None, x: Explanation) -> dict[int, list[int]]:
    """The chosen heads that ``x`` has, by layer."""
    if not heads or x.heads is None:
        return {}
    count = x.heads.shape[1]
    there = {layer: [head for head in wanted if head < count] for layer, wanted in heads.items() if layer in x.layers}
    return {layer: wanted for layer, wanted in there.items() if wanted}
