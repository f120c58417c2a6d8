"""Background correction: patches that a prompt which names nothing lights up too are background, for any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .explanation import Explanation
from .method._method import CORRECTION, KnobError

Order = Literal["before_norm", "after_norm"]


@dataclass(frozen=True, slots=True)
class Correction:
    """LeGrad (arXiv:2404.03214), eq. 12: ``E^s := 0 where E^empty > threshold``, for every target s.

    E^empty is the method's own map of ``prompt``, with the same knobs and layers, merged by the method's rule over the
    layers computed and normalised as it would be shown: min-max to [0, 1], signed maps over their largest magnitude
    with zero fixed. Where it is flat nothing is background. The raw maps of every layer and head change; the values of
    prefix tokens do not.

    order "before_norm": background becomes 0 in the raw maps, which are normalised afterwards, as the reference code
    does. "after_norm": eq. 12 as it is written, on normalised maps, where 0 stands for the lowest value: background
    takes every layer's value at the patch where the target's merged map is lowest. So layers still merge by their mean.
    When the largest value of all was background, the shown map is stretched to 1 again; the paper's is not. Signed maps
    keep their zero when they are normalised: there both orders are one.

    Differs from the paper and the reference code: any method and model with prompts, any prompt (the paper writes "a
    photo of", the code "a photo of a"), off unless asked for (the code: always on for SigLIP, and only there).
    Cost: one more target.
    """

    prompt: str
    threshold: float
    order: Order

    @classmethod
    def taken_from(cls, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Correction | None]:
        """The method's own settings, and the correction that was asked for beside them.

        Raises:
            KnobError: a threshold or an order without a prompt.
        """
        own = dict(settings)
        prompt, threshold, order = (own.pop(knob.name, knob.default) for knob in CORRECTION)
        if prompt is not None:
            return own, cls(prompt, threshold, order)
        for knob in CORRECTION:
            if settings.get(knob.name, knob.default) != knob.default:
                raise KnobError(
                    f"{knob.name} plays no part without a correction; name its prompt, e.g. correction='a photo of', "
                    f"or leave out {knob.name}"
                )
        return own, None

    def __call__(self, explanations: Sequence[Explanation], empty: Explanation) -> list[Explanation]:
        """The explanations without what belongs to the background of ``empty``, the explanation of the prompt.

        Raises:
            KnobError: order "after_norm" on signed maps, whose zero stays zero in either order.
        """
        if empty.signed and self.order == "after_norm":
            raise KnobError(
                f"these maps of {empty.method} are signed, and zero stays zero in either order; leave out "
                "correction_order"
            )
        background = empty.merged() > self.threshold
        return [self._corrected(x, background) for x in explanations]

    def _corrected(self, x: Explanation, background: NDArray[np.bool_]) -> Explanation:
        maps = self._without(x.maps, background, x)
        heads = None if x.heads is None else self._without(x.heads, background, x)
        asked = {"correction": self.prompt, "correction_threshold": self.threshold, "correction_order": self.order}
        return replace(x, maps=maps, heads=heads, knobs={**x.knobs, **asked})

    def _without(self, maps: NDArray[np.float32], background: NDArray[np.bool_], x: Explanation) -> Any:
        """``maps`` [..., h, w] with the background's values replaced."""
        value: Any = 0.0
        if self.order == "after_norm":
            row, column = np.unravel_index(np.argmin(x.raw()), background.shape)
            value = maps[..., row, column, None, None]
        return np.where(background, value, maps).astype(np.float32)
