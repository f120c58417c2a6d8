"""A method on a tiny model, in the dtype that is asked for: its bare maps beside what an oracle needs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import legrad_widget as lw
from legrad_widget.correction import Correction
from legrad_widget.method import Maps, find
from legrad_widget.models.capture import plain_arithmetic
from tests import specimens

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
FAMILIES = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
# Every readout and several block shapes; the others differ in how the tokens are made.
SHAPES = {
    name: FAMILIES[name]
    for name in (
        "clip", "clip-layerscale", "clip-tok-norm-after", "clip-avg-norm-before", "clip-avg-norm-after", "clip-wide",
        "timm", "timm-registers", "timm-layerscale-qknorm", "timm-token-fc-norm", "timm-gap-norm-before",
        "timm-gap-norm-after", "timm-gap-prefix", "timm-gap-no-cls", "timm-no-qkv-bias", "deit-distilled",
        *specimens.POOLED, *specimens.BLOCKS, *specimens.EVA, "beit", "beit-both-token", "relpos-post-norm",
        *specimens.COCA, *specimens.CUSTOM, "siglip-linear", "timm-tower-head-linear",
    )
}  # fmt: skip
IN_FLOAT32 = (
    "clip", "clip-avg-norm-before", "deit-distilled", "timm-gap-norm-after", "timm-map-prefix", "coca", "timm-parallel"
)  # fmt: skip
# Something mixes or scales the heads before the output projection.
MIXED_HEADS = (
    "clip-custom-norms", "clip-custom-all", "timm-inner-norms", "timm-gated-attention", "eva02-clip",
    "eva-rope-fused-inner",
)  # fmt: skip
CASES = [
    *(pytest.param(name, torch.float64, id=name) for name in SHAPES),
    *(pytest.param(name, torch.float32, id=f"{name}-float32") for name in IN_FLOAT32),
]


class Ran:
    """One specimen wrapped in ``dtype`` with one picture encoded; ``directions`` [P, E] are its targets."""

    def __init__(
        self, module: nn.Module, dtype: torch.dtype = torch.float64, *, size: Any = None, targets: int = 2
    ) -> None:
        self.module = copy.deepcopy(module).to(dtype)
        self.model = lw.wrap(self.module)
        self.encoding = self.model.encode(specimens.picture(), size=size)
        self.image, self.tokens, self.vit = self.encoding.image, self.encoding.tokens, self.model.vit
        self.directions = [torch.tensor(d) for d in specimens.directions(self.vit.features, targets)]

    @property
    def targets(self) -> list[Any]:
        """Two classes, or the directions of a model that has none."""
        return [3, 5] if self.model.kind == "classifier" else self.directions

    def native_score(self, target: Any, score: str | None = None) -> Callable[[Tensor], Tensor]:
        """The target's score as a function of the native output: ``score`` (None: logit of a class, else dot)."""
        if isinstance(target, int):
            return lambda output: output[target]
        t, (scale, offset) = target.double(), self.model.logit_form()
        if score in (None, "dot"):
            return lambda output: output.flatten() @ t
        if score == "cos":
            return lambda output: F.cosine_similarity(output.flatten(), t, dim=0)
        return lambda output: scale * F.cosine_similarity(output.flatten(), t, dim=0) + offset

    def __call__(
        self, method: str, targets: Sequence[Any] | None = None, layers: tuple[int, ...] | None = None, **knobs: Any
    ) -> Maps:
        """The method's maps of the targets (None: ``directions``), as it returns them."""
        chosen = find(method)
        assert chosen.refuses(self.vit) is None
        asked = [self.model.target(t) for t in (self.directions if targets is None else targets)]
        settings, _ = Correction.taken_from(chosen.checked(knobs))
        with plain_arithmetic(self.vit.device):
            aims = self.model.aims(asked)
            return chosen.run(self.tokens, aims, layers, lambda step, total: None, **settings)


def assert_close(
    ours: Tensor, oracle: Tensor, dtype: torch.dtype = torch.float64, *, summands: Tensor | None = None
) -> None:
    """Equal to the dtype's tolerance, in units of the oracle's largest value: the map's own scale.

    Where a map is what is left of larger numbers that cancel, ``summands`` are these numbers, and give the scale.
    """
    assert ours.dtype == dtype
    assert ours.shape == oracle.shape
    largest = float((oracle if summands is None else summands).detach().abs().max())
    np.testing.assert_allclose(ours.detach().numpy(), oracle.detach().numpy(), rtol=0, atol=TOLERANCE[dtype] * largest)
