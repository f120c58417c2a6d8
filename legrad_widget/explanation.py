"""An explanation: raw per-layer maps with all that is needed to read them. Needs nothing of ours."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
FLAT = 1e-6  # a map whose range is below this share of its largest magnitude is flat: maps have no scale of their own
Layers = int | slice | Iterable[int] | None
Heads = int | slice | Iterable[int] | Mapping[int, int | slice | Iterable[int] | None] | None
Weights = Literal["paper", "equal", "reliability"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
"""How layers count in a merged map; see :meth:`Explanation.raw`."""


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
    return None if layers is None else _chosen("layers", layers, available, "None: the method's own choice")


def chosen_heads(heads: Heads, layers: Sequence[int], count: int) -> dict[int, tuple[int, ...]] | None:
    """The wanted heads of every layer that has any, ascending and unique; None stays None.

    Args:
        heads: one head number, several, or a slice with both ends included: those heads of all ``layers``. Heads are
            numbered from 0, for head h is ``x.heads[:, h]``; layers from 1, as in ``x.layers``. A mapping
            {layer: heads} chooses for every layer alone (None: all heads of that layer) and leaves out the layers
            that it does not name.
        layers: the block numbers there are, ascending.
        count: the number of heads of a layer.

    Raises:
        ValueError: a layer or head that is not there, or none at all. TypeError: not whole numbers.
    """
    every = range(count)
    if heads is None:
        return None
    if not isinstance(heads, Mapping):
        return dict.fromkeys(layers, _chosen("heads", heads, every, "None: all of them"))
    named = _chosen("layers", heads, layers, "heads=None: all heads of all layers")
    of = {layer: every if heads[layer] is None else heads[layer] for layer in named}
    return {layer: _chosen("heads", wanted, every, "None: all of them") for layer, wanted in of.items()}


def _chosen(what: str, wanted: Any, available: Sequence[int], otherwise: str) -> tuple[int, ...]:
    """The numbers that are wanted of ``what``, ascending and unique; ``otherwise`` says what else could be given."""
    there = _described(available)
    if isinstance(wanted, slice):
        step = 1 if wanted.step is None else wanted.step
        low = available[0] if wanted.start is None else wanted.start
        high = available[-1] if wanted.stop is None else wanted.stop
        if not all(_is_whole(v) for v in (step, low, high)) or step < 1:
            raise ValueError(f"a slice of {what} goes upwards in whole steps, e.g. slice(2, 4); arrived: {wanted}")
        if low < available[0] or high > available[-1]:
            raise ValueError(f"{what} go {there}; arrived: {low} to {high}")
        wanted = range(low, high + 1, step)
    numbers = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for number in numbers:
        if not _is_whole(number):
            raise TypeError(f"{what} are whole numbers and go {there}; arrived: {number!r}")
        if number not in available:
            raise ValueError(f"{what} go {there}; arrived: {int(number)}")
    if not numbers:
        raise ValueError(f"{what} is empty; they go {there} ({otherwise})")
    return tuple(sorted({int(number) for number in numbers}))


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
        reliability: what each layer counts with under ``weights="reliability"``, in [0, 1] and 0 at chance; None: the
            model was not calibrated.
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
    reliability: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for array in (self.maps, self.heads, self.prefix, self.scores):
            if array is not None:
                array.flags.writeable = False

    @property
    def degenerate(self) -> tuple[bool, ...]:
        """Per layer: True where the map is flat and min-max would amplify nothing but rounding."""
        return tuple(is_flat(layer) for layer in self.maps)

    def raw(self, layers: Layers = None, heads: Heads = None, weights: Weights = "paper") -> Array:
        """The chosen layers and heads merged by the method's rule, not normalised: [h, w] float32.

        A layer counts with the mean over its chosen heads, and the result is the mean over the chosen layers of those
        means (LeGrad, eq. 8, for all of them): where layers have different numbers of chosen heads, every layer
        counts once, however many heads it has. Where maps are cumulative (``merge`` "last") the highest chosen layer
        stands alone.

        Args:
            layers, heads: as in :meth:`merged`.
            weights: "paper": the mean of the raw maps, so that a layer counts by the size of its values. "equal":
                every layer's map is divided by its own peak (the largest magnitude) before it is averaged; flat ones
                are left out, and where all are flat the result is zero. One map that stands alone is never divided.
                "reliability": as "equal", and the mean is weighted by r_l / sum r over the chosen layers that are not
                flat, with ``r_l = max(0, 2 AUC_l - 1)`` and 0 where layer l is at chance. AUC_l is how likely the raw
                lens of layer l scores what an image shows above another target of a set: what
                ``model.calibrate_layers`` measures. Where all chosen layers are at chance they count equally. It says
                how well a layer's score knows its target, not where its map lies.
        """
        _, maps = self._contributions(layers, heads, weights)
        return np.asarray(maps.mean(0), dtype=np.float32)

    def merged(self, layers: Layers = None, heads: Heads = None, weights: Weights = "paper") -> Array:
        """The chosen layers and heads merged and normalised: [h, w] in [0, 1] (signed: [-1, 1], zero fixed).

        Zeros where the merged map is flat. :meth:`raw` says what the merged map is.

        Args:
            layers: block numbers as in ``x.layers`` (one, several, or a slice over them, both ends included);
                None for the method's own default.
            heads: None for all. One head number, several, or a slice (both ends included): those heads of every
                chosen layer. Heads are numbered from 0, for head h is ``x.heads[:, h]``. A mapping {layer: heads} for
                any set of cells, e.g. {3: 2, 5: [1, 4], 6: None}; it names its layers itself, so ``layers`` is left
                out.
            weights: "paper", "equal" or "reliability"; see :meth:`raw`.

        Raises:
            ValueError: a layer or head that was not computed, a method without heads, other weights, or
                "reliability" of a model that was not calibrated.
            TypeError: not whole numbers.
        """
        return normalised(self.raw(layers, heads, weights), signed=self.signed)

    def shares(self, layers: Layers = None, heads: Heads = None, weights: Weights = "paper") -> Array:
        """Each layer's share of the mass (sum of magnitudes) that is merged: [L] float32, 0 for those left out.

        The shares sum to 1, or are all 0 where every map is zero. They say where the merged map comes from, not what
        the score depends on. Arguments and errors as in :meth:`merged`.
        """
        positions, maps = self._contributions(layers, heads, weights)
        mass = np.zeros(len(self.layers))
        mass[positions] = np.abs(maps).sum((1, 2))
        return np.asarray(mass / (mass.sum() or 1), dtype=np.float32)

    def floor(self, layers: Layers = None, heads: Heads = None, weights: Weights = "paper") -> float:
        """The floor of the raw merged map: median over peak of its magnitudes, from 0 to 1; nan where all is zero.

        A map that stands out from nothing has a floor near 0; at 0.5 half of the patches have at least half of the
        peak, which min-max normalisation hides. Arguments and errors as in :meth:`merged`.
        """
        size = np.abs(self.raw(layers, heads, weights).astype(np.float64))
        return float(np.median(size) / size.max()) if size.any() else float("nan")

    def heatmap(
        self,
        size: Literal["input", "image"] | tuple[int, int] = "image",
        layers: Layers = None,
        heads: Heads = None,
        weights: Weights = "paper",
    ) -> Array:
        """The merged map, resampled bilinearly (align_corners=False).

        Args:
            size: "input": [Hin, Win] as the model saw it. "image": the whole picture. (H, W): the whole picture at
                that size. Outside the window of a crop the picture was not seen: nan.
            layers, heads, weights: as in :meth:`merged`.
        """
        grid = self.merged(layers, heads, weights)
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
        heads: Heads = None,
        weights: Weights = "paper",
        *,
        size: tuple[int, int] | None = None,
        opacity: float = 0.65,
        colormap: str = "inferno",
        threshold: float = 0.0,
    ) -> Image.Image:
        """The merged map over the picture, as the widget draws it: values interpolated first, then coloured.

        Alpha rises with the value, so that the object stays visible. Signed maps are drawn in RdBu_r, zero clear.

        Args:
            layers, heads, weights: as in :meth:`merged`. size: (height, width), None for the picture's own.
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
        heat = np.nan_to_num(self.heatmap((height, width), layers, heads, weights))
        colours = colormaps["RdBu_r" if self.signed else colormap]((heat + 1) / 2 if self.signed else heat)
        ramp = (np.abs(heat) / 0.85).clip(0, 1)
        alpha = opacity * ramp**2 * (3 - 2 * ramp) * (np.abs(heat) >= threshold)
        base = np.asarray(self.picture.resize((width, height)), dtype=np.float64)
        mixed = base + (255 * colours[..., :3] - base) * alpha[..., None]
        return Image.fromarray(mixed.round().astype(np.uint8))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything into one .npz file: float32 arrays, the picture, and a JSON manifest of all the rest.

        No pickle; ``numpy.load`` opens it without this library. A file that is there is replaced, as a whole.
        Of a Concept only the label is kept.
        """
        from . import explanation_file

        return explanation_file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Explanation:
        """The explanation that :meth:`save` wrote, equal to the bit; a Concept's ``target`` is None.

        Raises:
            ValueError: the file is damaged, newer, or no explanation; the sentence says which.
            FileNotFoundError: no such file.
        """
        from . import explanation_file

        return cls(**explanation_file.read(path))

    def animation(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        seconds: float = 0.65,
        width: int = 480,
        kind: Literal["gif", "webp", "mp4"] | None = None,
        **look: Any,
    ) -> bytes | Path:
        """Playback over depth: each layer's own map over the picture, one after the other, the last one held.

        Args:
            path: a .gif, .webp or .mp4 file, which is replaced; None: its bytes are returned.
            seconds: for one layer. width: in pixels (a .mp4 has even sides: one more where it would be odd).
            kind: "gif", "webp" or "mp4"; None: as the path says, else "gif".
            **look: ``opacity``, ``colormap``, ``threshold`` and ``heads`` as in :meth:`overlay`.

        Raises:
            ValueError: another kind, or a number that cannot be. OSError: the file cannot be written.
            ModuleNotFoundError: a .mp4 without imageio and its ffmpeg (the extra "video").
        """
        from .animation import animation

        return animation(self, path, seconds=seconds, width=width, kind=kind, look=look)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.overlay().save(buffer, "PNG")
        return buffer.getvalue()

    def _contributions(self, layers: Layers, heads: Heads, weights: Weights) -> tuple[list[int], NDArray[np.float64]]:
        """The layers that are averaged: their positions, and what each counts with [n, h, w].

        Where no layer counts, one map of zeros with the position of no layer.
        """
        if weights not in WEIGHTS:
            raise ValueError(f"weights is one of {', '.join(WEIGHTS)}; arrived: {weights!r}")
        if weights == "reliability" and self.reliability is None:
            raise ValueError(
                f"how reliable the layers of {self.model} are is not known; call model.calibrate_layers(images, "
                "targets) and explain again, or use weights='equal'"
            )
        cells = self._cells(layers, heads)
        if self.merge == "last":
            cells = cells[-1:]
        maps = np.stack([self._mean_over_heads(at, chosen) for at, chosen in cells])
        positions = [at for at, _ in cells]
        if weights == "paper" or self.merge == "last":
            return positions, maps
        telling = [not is_flat(layer) for layer in maps]
        if not any(telling):
            return [], np.zeros((1, *maps.shape[1:]))
        maps = maps[telling]
        counting = [at for at, tells in zip(positions, telling, strict=True) if tells]
        maps = maps / np.abs(maps).max((1, 2), keepdims=True)
        return counting, maps if weights == "equal" else maps * self._trust(counting)[:, None, None]

    def _trust(self, positions: list[int]) -> NDArray[np.float64]:
        """What the layers count with by their reliability, with a mean of 1; 1 each where all are at chance."""
        trust = np.array([(self.reliability or ())[at] for at in positions], dtype=np.float64)
        return trust / trust.mean() if trust.any() else np.ones_like(trust)

    def _mean_over_heads(self, at: int, heads: list[int] | None) -> NDArray[np.float64]:
        if heads is None or self.heads is None:
            return self.maps[at].astype(np.float64)
        return np.asarray(self.heads[at, heads].mean(0, dtype=np.float64))

    def _cells(self, layers: Layers, heads: Heads) -> list[tuple[int, list[int] | None]]:
        """Positions in ``maps``, ascending, each with the positions of its heads in ``heads``; None for all."""
        if heads is None:
            return [(at, None) for at in self._positions(layers)]
        if self.heads is None:
            raise ValueError(f"{self.method} has no maps of single heads; leave out heads, or take another method")
        if isinstance(heads, Mapping) and layers is not None:
            raise ValueError(f"a mapping of heads names its layers itself; leave out layers (arrived: {layers!r})")
        count = self.heads.shape[1]
        there = [self.layers[at] for at in self._positions(layers)]
        chosen = chosen_heads(heads, self.layers if isinstance(heads, Mapping) else there, count) or {}
        # All heads of a layer are its map: the mean over them, rounded once less.
        return [
            (self.layers.index(layer), None if len(wanted) == count else list(wanted))
            for layer, wanted in chosen.items()
        ]

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
