"""Average Drop, Average Increase, Coherency, Complexity and ADCC: what the model says of the picture times its map.

With x the picture, E its map in [0, 1] at the size of the model input, p the target's probability and x_E = x * E::

    drop       = max(0, p(x) - p(x_E)) / p(x)          increase = [p(x_E) > p(x)]
    coherency  = (pearson(E, map of x_E) + 1) / 2      complexity = mean |E|
    ADCC       = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))          0 where a term has no inverse

Source: Poppi et al., Revisiting the Evaluation of Class Activation Mapping (arXiv:2104.10252); Average Drop and
Increase from Chattopadhay et al., Grad-CAM++ (arXiv:1710.11063). All in [0, 1], not in percent.

Over a data set (:func:`over`) ADCC is the harmonic mean of the averages, as every table of the ViT-ReciproCAM paper has
it; the authors' code averages the ADCC of each image, which is another number (:attr:`Masked.adcc`).

Where paper and code differ. The code multiplies the *normalised* input, so that masked pixels turn into the data set's
mean colour (``space="normalised"``, the default); ReciproCAM's code multiplies the picture (``"picture"``: black). With
a target given, the code compares p of the target with p of the *predicted* class; here both are the target's. Its
coherency is nan for a flat map; here 0, and ``coherent`` is False. The map of x_E is asked for the same target, by the
same method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..explanation import Explanation, is_flat, resample
from ..models.capture import plain_arithmetic
from ..models.forward import features_of_pictures
from .segmentation import MetricError

if TYPE_CHECKING:
    from ..explainer import Encoding

Space = Literal["normalised", "picture"]
Map = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Masked:
    """The measures of one image, or their averages over ``images`` images; all in [0, 1].

    Attributes:
        drop, increase, coherency, complexity: as above; ``increase`` of one image is 0 or 1.
        coherent: False where a map is flat, and coherency is 0 because it is not defined.
    """

    drop: float
    increase: float
    coherency: float
    complexity: float
    coherent: bool = True
    images: int = 1

    @property
    def adcc(self) -> float:
        """The harmonic mean of coherency, 1 - complexity and 1 - drop; 0 where one of them is 0. Higher is better."""
        parts = (self.coherency, 1 - self.complexity, 1 - self.drop)
        return 3 / sum(1 / part for part in parts) if min(parts) > 0 else 0.0


def masked(
    encoding: Encoding, target: Any, method: str = "legrad", *, space: Space = "normalised", **knobs: Any
) -> Masked:
    """All measures of one image, for the map of ``target`` by ``method`` with its ``knobs`` (and ``layers``).

    Cost: two explanations, one encoding and one forward.

    Raises:
        MetricError: a target without a probability. Others as ``explain``.
    """
    model = encoding.model
    checked = model.target(target)
    x = encoding.explain(checked, method, **knobs)
    found = unit_map(x)
    seen = multiplied(encoding, found, space)
    drop, increase = drop_of(encoding, checked, found, space=space)
    again = unit_map(model.encode(seen).explain(checked, method, **knobs))
    alike = coherency(found, again)
    return Masked(drop, float(increase), 0.0 if alike is None else alike, complexity(found), alike is not None)


def over(images: Sequence[Masked]) -> Masked:
    """The averages over images; ``adcc`` of the result is the harmonic mean of the averages.

    Raises:
        MetricError: there are none.
    """
    if not images:
        raise MetricError("there is nothing to average: pass the measures of at least one image")
    drop, increase, alike, complex_ = (
        float(np.mean([getattr(one, name) for one in images]))
        for name in ("drop", "increase", "coherency", "complexity")
    )
    return Masked(drop, increase, alike, complex_, all(one.coherent for one in images), len(images))


def unit_map(x: Explanation) -> Map:
    """E [Hin, Win]: the raw merged map upsampled to the model input, then min-max scaled; zeros where it is flat.

    Of a signed map what speaks for the target is kept, over its maximum.
    """
    raw = x.raw()
    if is_flat(raw):
        return np.zeros(x.input_size)
    large = resample(raw, x.input_size).astype(np.float64)
    if x.signed:
        large = large.clip(0)
        return large / large.max() if large.max() > 0 else large
    return (large - large.min()) / np.ptp(large)


def multiplied(encoding: Encoding, found: ArrayLike, space: Space = "normalised") -> Tensor:
    """x_E [3, Hin, Win], normalised: the picture times the map [Hin, Win].

    Raises:
        MetricError: a map of another shape or outside [0, 1], or an unknown space.
    """
    values = np.asarray(found, np.float64)
    size = tuple(encoding.image.shape[1:])
    if space not in get_args(Space):
        raise MetricError(f"space is one of {', '.join(map(repr, get_args(Space)))}; arrived: {space!r}")
    if values.shape != size or not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise MetricError(
            f"a picture is multiplied by a map [{size[0]}, {size[1]}] in [0, 1], the size of the model input; arrived: "
            f"{list(values.shape)}. unit_map(explanation) makes one"
        )
    factor = torch.from_numpy(values).to(encoding.image)
    if space == "normalised":
        return encoding.image * factor
    preprocess = encoding.model.preprocess
    shift = torch.tensor([m / s for m, s in zip(preprocess.mean, preprocess.std, strict=True)])[:, None, None]
    return (encoding.image + shift) * factor - shift


def drop_of(encoding: Encoding, target: Any, found: ArrayLike, *, space: Space = "normalised") -> tuple[float, bool]:
    """drop in [0, 1] and whether the probability rose, for a map [Hin, Win] in [0, 1] of any origin.

    Cost: two forwards.

    Raises:
        MetricError: a target without a probability, or a map that does not fit.
    """
    model = encoding.model
    checked = model.target(target)
    with model.lock:
        encoding.check_fresh()
        features = features_of_pictures(model.vit, torch.stack([encoding.image, multiplied(encoding, found, space)]))
        with plain_arithmetic(model.vit.device):
            (aim,) = model.aims([checked])
            before, after = (model.support(checked, aim, one).probability for one in features)
    if before is None or after is None:
        raise MetricError(
            f"{checked.label!r} has no probability, so nothing can drop; ask for a class, or for a prompt"
        )
    return (max(0.0, before - after) / before if before > 0 else 0.0), after > before


def coherency(a: ArrayLike, b: ArrayLike) -> float | None:
    """(Pearson's correlation of two maps + 1) / 2; None where one is flat."""
    x, y = (np.asarray(values, np.float64).ravel() for values in (a, b))
    if is_flat(x) or is_flat(y):
        return None
    return float((np.corrcoef(x, y)[0, 1].clip(-1, 1) + 1) / 2)


def complexity(found: ArrayLike) -> float:
    """The mean magnitude of E."""
    return float(np.abs(np.asarray(found, np.float64)).mean())
