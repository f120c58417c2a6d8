"""What spoke for the predicted class over its rival, and the other way round: two maps per layer from one question."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..explainer import Encoding
from ..explanation import Layers
from ..method import find
from ..target import Class, Contrast
from .problem import InspectionError
from .readable import as_text
from .weighting import WEIGHTS, Weights, merged

Array = NDArray[np.float32]
ATTENTION_GRADIENT = "attention_gradient"


@dataclass(frozen=True, slots=True)
class Overlay:
    """A way to draw evidence: a method, and how its layers count.

    Attributes:
        method: "attention_gradient" (attention times the gradient of the final score), or a name of the catalogue.
        weights: "paper", "equal" or "floor"; see :func:`legrad_widget.inspection.weighting.merged`.
    """

    method: str = ATTENTION_GRADIENT
    weights: Weights = "paper"

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise InspectionError(f"weights is one of {', '.join(map(repr, WEIGHTS))}; arrived: {self.weights!r}")
        if self.method != ATTENTION_GRADIENT:
            find(self.method)  # says what there is

    @property
    def label(self) -> str:
        """How it is called in a table."""
        return self.method if self.weights == "paper" else f"{self.method}, {self.weights}"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The contrast of two classes on one sample.

    Attributes:
        predicted: [L, h, w] float32, raw: evidence for the predicted class over the true one (of a correct sample: over
            the runner-up, which then stands in the place of the true class). Signed maps keep their sign.
        true: [L, h, w] the reverse: evidence for the true class over the predicted one; signed maps are negated.
        layers: 1-based block numbers. ``signed``: whether the sign means for or against.
        overlay: how it was asked for. ``merge``, ``default``: how the method merges layers.
        names: of the predicted class and of the other; () where they are not known.
    """

    predicted: Array = field(repr=False)
    true: Array = field(repr=False)
    layers: tuple[int, ...]
    signed: bool
    overlay: Overlay
    merge: Literal["mean", "last"] = "mean"
    default: Literal["all", "last"] = "all"
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        first, second = self.names or ("the predicted class", "the true one")
        depth, rows, columns = self.predicted.shape
        size = f"{depth} layer{'s' * (depth != 1)} of {rows} x {columns} patches"
        kind = "signed, below 0 against" if self.signed else "not signed"
        return (
            f"What spoke for {first} over {second}, and the reverse, by {self.overlay.label}: {size}, {kind}.\n"
            f".merged(): two maps [h, w], for {first} and for {second}; .difference(): one of the two, with sign; "
            ".predicted, .true: every layer."
        )

    _repr_pretty_ = as_text

    def merged(self, weights: Weights | None = None, layers: Layers = None) -> tuple[Array, Array]:
        """(for the predicted class, for the true one), both [h, w], not negative, not normalised."""
        if self.signed:
            map_ = self.difference(weights, layers)
            return np.maximum(map_, 0), np.maximum(-map_, 0)
        first, second = (self._merge(maps, weights, layers) for maps in (self.predicted, self.true))
        return np.maximum(first, 0), np.maximum(second, 0)

    def difference(self, weights: Weights | None = None, layers: Layers = None) -> Array:
        """[h, w] what ranks the patches from "for the predicted class" to "for the true one": with sign."""
        if self.signed:
            return self._merge(self.predicted, weights, layers)
        return self._merge(self.predicted, weights, layers) - self._merge(self.true, weights, layers)

    def _merge(self, maps: Array, weights: Weights | None, layers: Layers) -> Array:
        how = weights or self.overlay.weights
        return merged(maps, self.layers, how, chosen=layers, merge=self.merge, default=self.default)

    def to_bytes(self) -> bytes:
        """A line of JSON and the raw values; see :meth:`from_bytes`. The weights are no part of it."""
        maps = self.predicted[None] if self.signed else np.stack([self.predicted, self.true])
        head = {"layers": self.layers, "shape": maps.shape, "signed": self.signed, "merge": self.merge}
        return json.dumps({**head, "default": self.default}).encode() + b"\n" + maps.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, held: bytes, overlay: Overlay) -> Evidence:
        """What :meth:`to_bytes` wrote, to be drawn as ``overlay`` says."""
        head, _, values = held.partition(b"\n")
        said: dict[str, Any] = json.loads(head)
        maps = np.frombuffer(values, "<f4").reshape(said["shape"]).astype(np.float32)
        other = -maps[0] if said["signed"] else maps[1]
        return cls(maps[0], other, tuple(said["layers"]), said["signed"], overlay, said["merge"], said["default"])


def evidence(encoding: Encoding, predicted: int, rival: int, overlay: Overlay) -> Evidence:
    """Evidence for class ``predicted`` over class ``rival`` and the reverse, per layer.

    A method that keeps the positive part (LeGrad's ``relu``) is asked for both directions at once: they are the two
    parts of one gradient. One that keeps the sign is asked once. "attention_gradient" is the signed map of
    :func:`legrad_widget.heads.head_effects` for the difference of the two final scores, summed over heads: over all
    layers and tokens (class and register tokens too) it adds up to the first-order effect of the attention heads.

    Raises:
        MethodError: not defined for this model. TargetError: the two classes are the same to the model.
    """
    contrast = Contrast(Class(predicted), Class(rival))
    if overlay.method == ATTENTION_GRADIENT:
        maps = encoding.head_effects(contrast).maps.sum(1)
        return Evidence(maps, -maps, tuple(range(1, len(maps) + 1)), True, overlay)
    method = find(overlay.method)
    if method.signed:
        x = encoding.explain(contrast, overlay.method)
        return Evidence(x.maps, -x.maps, x.layers, x.signed, overlay, x.merge, x.default)
    reverse = Contrast(Class(rival), Class(predicted))
    together = [[contrast], [reverse]] if method.together else [[contrast, reverse]]
    x, y = (one for part in together for one in encoding.explain(part, overlay.method))
    return Evidence(x.maps, y.maps, x.layers, x.signed, overlay, x.merge, x.default)
