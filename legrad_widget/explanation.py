"""An explanation: raw per-layer maps with all that is needed to read them. Imports nothing of ours."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
FLAT = 1e-6  # a map whose range is below this share of its largest magnitude is flat: maps have no scale of their own
Layers = int | slice | Iterable[int] | None


def is_flat(values: NDArray[Any]) -> bool:
    """Whether a map says nothing: its range is zero, or rounding noise beside its magnitude."""
    top = float(np.abs(values).max(initial=0))
    return float(np.ptp(values)) <= FLAT * top


def normalised(values: NDArray[Any], *, signed: bool) -> Array:
    """Min-max to [0, 1]; signed maps over their largest magnitude to [-1, 1], zero fixed. Flat maps give zeros."""
    values = np.asarray(values, dtype=np.float64)
    if is_flat(values):
        return np.zeros(values.shape, np.float32)
    scaled = values / np.abs(values).max() if signed else (values - values.min()) / np.ptp(values)
    return scaled.astype(np.float32)


def chosen_layers(layers: Layers, available: Sequence[int]) -> tuple[int, ...] | None:
    """The wanted layers among those there are, ascending and unique; None stays None.

    Args:
        layers: one block number, several, or a slice over block numbers with both ends included.
        available: the block numbers there are, ascending.

    Raises:
        ValueError: a layer that is not there, or no layer at all. TypeError: not whole numbers.
    """
    if layers is None:
        return None
    there = _described(available)
    if isinstance(layers, slice):
        step = 1 if layers.step is None else layers.step
        low = available[0] if layers.start is None else layers.start
        high = available[-1] if layers.stop is None else layers.stop
        if not all(_is_whole(v) for v in (step, low, high)) or step < 1:
            raise ValueError(f"a slice of layers goes upwards in whole steps, e.g. slice(2, 4); arrived: {layers}")
        if low < available[0] or high > available[-1]:
            raise ValueError(f"layers go {there}; arrived: {low} to {high}")
        layers = range(low, high + 1, step)
    wanted = [layers] if isinstance(layers, str) or not isinstance(layers, Iterable) else list(layers)
    for layer in wanted:
        if not _is_whole(layer):
            raise TypeError(f"layers are whole numbers and go {there}; arrived: {layer!r}")
        if layer not in available:
            raise ValueError(f"layers go {there}; arrived: {int(layer)}")
    if not wanted:
        raise ValueError(f"layers is empty; they go {there} (None: the method's own choice)")
    return tuple(sorted({int(layer) for layer in wanted}))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _described(available: Sequence[int]) -> str:
    if list(available) == list(range(available[0], available[-1] + 1)):
        return f"from {available[0]} to {available[-1]}"
    return f"over {', '.join(map(str, available))}"


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What a method says about one target on one image.

    Attributes:
        maps: [L, h, w] float32, raw (not normalised, sign kept); ``maps[i]`` belongs to block ``layers[i]``.
        heads: [L, H, h, w] float32, or None; where a method averages heads their mean over axis 1 is ``maps``.
        prefix: [L, p] float32, the same for class and register tokens, or None where the model has none.
        layers: 1-based block numbers.
        scores: [L] float32, the layer scores s^l that were differentiated; nan where the method has none.
        score: the target's score for the whole model; ``score_name`` says of which kind ("cosine", "logit", "dot").
        probability: of the target for the whole model, or None; ``probability_of`` says over what.
        supported: whether the image supports the target at all; None where that is not known.
        note: a sentence the reader should see, or "".
        signed: whether the sign of a value means for or against.
        degenerate: per layer, whether its map is flat.
        window: (left, top, right, bottom) of what the model saw, in pixels of the picture.
        picture: the upright RGB picture; ``input_size``: (height, width) of the model input.
        merge, default: how layers are merged and which ones when none are named, as the method states.
        method, knobs, model, label, seconds: how it was made.
    """

    maps: Array
    heads: Array | None
    prefix: Array | None
    layers: tuple[int, ...]
    scores: Array
    score: float
    score_name: str
    probability: float | None
    probability_of: str
    supported: bool | None
    note: str
    signed: bool
    window: tuple[float, float, float, float]
    picture: Image.Image
    input_size: tuple[int, int]
    merge: Literal["mean", "last"]
    default: Literal["all", "last"]
    method: str
    knobs: Mapping[str, Any]
    model: str
    target: Any
    label: str
    seconds: float

    def __post_init__(self) -> None:
        for array in (self.maps, self.heads, self.prefix, self.scores):
            if array is not None:
                array.flags.writeable = False

    @property
    def degenerate(self) -> tuple[bool, ...]:
        """Per layer: True where the map is flat and min-max would amplify nothing but rounding."""
        return tuple(is_flat(layer) for layer in self.maps)

    def raw(self, layers: Layers = None) -> Array:
        """The chosen layers merged by the method's rule, not normalised: [h, w] float32."""
        chosen = self._positions(layers)
        merged = self.maps[chosen[-1]] if self.merge == "last" else self.maps[chosen].mean(0, dtype=np.float64)
        return np.asarray(merged, dtype=np.float32)

    def merged(self, layers: Layers = None) -> Array:
        """The chosen layers merged and normalised: [h, w] in [0, 1] (signed: [-1, 1], zero fixed); zeros where flat.

        Args:
            layers: block numbers as in ``x.layers`` (one, several, or a slice over them, both ends included);
                None for the method's own default.

        Raises:
            ValueError: a layer that was not computed. TypeError: not whole numbers.
        """
        return normalised(self.raw(layers), signed=self.signed)

    def heatmap(
        self,
        size: Literal["input", "image"] | tuple[int, int] = "image",
        layers: Layers = None,
    ) -> Array:
        """The merged map, resampled bilinearly (align_corners=False).

        Args:
            size: "input": [Hin, Win] as the model saw it. "image": the whole picture. (H, W): the whole picture at
                that size. Outside the window of a crop the picture was not seen: nan.
        """
        grid = self.merged(layers)
        if isinstance(size, str):
            if size == "input":
                return resample(grid, self.input_size)
            if size != "image":
                raise ValueError(f"size is 'input', 'image' or (height, width); arrived: {size!r}")
            width, height = self.picture.size
        else:
            height, width = _pair(size)
        left, top, right, bottom = self.window
        across, down = width / self.picture.width, height / self.picture.height
        return resample(grid, (height, width), (left * across, top * down, right * across, bottom * down))

    def overlay(
        self,
        layers: Layers = None,
        *,
        size: tuple[int, int] | None = None,
        opacity: float = 0.65,
        colormap: str = "inferno",
        threshold: float = 0.0,
    ) -> Image.Image:
        """The merged map over the picture, as the widget draws it: values interpolated first, then coloured.

        Alpha rises with the value, so that the object stays visible. Signed maps are drawn in RdBu_r, zero clear.

        Args:
            layers: as in :meth:`merged`. size: (height, width), None for the picture's own.
            opacity: alpha of the largest value. colormap: a matplotlib name. threshold: smaller values are not drawn.

        Raises:
            ValueError: a size, opacity, threshold or colour map that cannot be.
        """
        from matplotlib import colormaps

        for name, value in (("opacity", opacity), ("threshold", threshold)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a number from 0 to 1; arrived: {value!r}")
        if colormap not in colormaps:
            raise ValueError(f"matplotlib has no colour map {colormap!r}; use 'inferno', 'viridis', 'cividis', ...")
        height, width = (self.picture.height, self.picture.width) if size is None else _pair(size)
        heat = np.nan_to_num(self.heatmap((height, width), layers))
        colours = colormaps["RdBu_r" if self.signed else colormap]((heat + 1) / 2 if self.signed else heat)
        ramp = (np.abs(heat) / 0.85).clip(0, 1)
        alpha = opacity * ramp**2 * (3 - 2 * ramp) * (np.abs(heat) >= threshold)
        base = np.asarray(self.picture.resize((width, height)), dtype=np.float64)
        mixed = base + (255 * colours[..., :3] - base) * alpha[..., None]
        return Image.fromarray(mixed.round().astype(np.uint8))

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.overlay().save(buffer, "PNG")
        return buffer.getvalue()

    def _positions(self, layers: Layers) -> list[int]:
        """Indices into ``maps``, ascending."""
        chosen = chosen_layers(layers, self.layers)
        if chosen is None:
            return list(range(len(self.layers))) if self.default == "all" else [len(self.layers) - 1]
        return [self.layers.index(layer) for layer in chosen]

    def __repr__(self) -> str:
        chance = "" if self.probability is None else f", p = {self.probability:.2g} ({self.probability_of})"
        layers = f"{len(self.layers)} layer{'s' if len(self.layers) > 1 else ''}"
        grid = "x".join(map(str, self.maps.shape[1:]))
        score = f"{self.score_name} {self.score:.3g}{chance}"
        return f"<Explanation of {self.label!r} by {self.method}: {layers}, {grid} patches, {score}>"


def _pair(size: Any) -> tuple[int, int]:
    try:
        height, width = (operator.index(v) for v in size)
    except (TypeError, ValueError):
        raise ValueError(f"size is 'input', 'image' or (height, width); arrived: {size!r}") from None
    if height < 1 or width < 1:
        raise ValueError(f"a heat map has at least 1 x 1 pixels; arrived: {height} x {width}")
    return height, width


def resample(grid: Array, size: tuple[int, int], window: tuple[float, float, float, float] | None = None) -> Array:
    """Bilinear resampling of a patch grid [h, w] to ``size`` (height, width), align_corners=False, edges clamped.

    ``window`` places the grid inside the output in output pixels (left, top, right, bottom); outside it: nan. Without
    one the grid fills the output, and the result is torch's ``interpolate(mode="bilinear", align_corners=False)``.
    """
    left, top, right, bottom = window or (0.0, 0.0, float(size[1]), float(size[0]))
    rows = _weights(size[0], top, bottom, grid.shape[0])
    columns = _weights(size[1], left, right, grid.shape[1])
    return np.asarray(rows @ grid.astype(np.float64) @ columns.T, dtype=np.float32)


def _weights(count: int, start: float, stop: float, patches: int) -> NDArray[np.float64]:
    """[count, patches] interpolation weights of the pixel centres; nan rows outside [start, stop]."""
    centres = np.arange(count) + 0.5
    position = ((centres - start) / (stop - start) * patches - 0.5).clip(0, patches - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, patches - 1)
    weights = np.zeros((count, patches))
    np.add.at(weights, (np.arange(count), lower), 1 - (position - lower))
    np.add.at(weights, (np.arange(count), upper), position - lower)
    weights[(centres < start) | (centres > stop)] = np.nan
    return weights
