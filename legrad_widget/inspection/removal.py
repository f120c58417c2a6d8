"""The classes' logits of one picture without some of its patches, many sets of patches at a time.

Patches leave before block 1, exactly, as in TAM: their keys are masked in every block and in the readout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..explainer import Encoding
from ..models.capture import plain_arithmetic
from ..models.forward import batch_size, features_of_tokens
from .classes import ClassScores
from .problem import InspectionError

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]
Masks = NDArray[np.bool_]


class OtherAnswer(InspectionError):
    """The logits that were given say something else than the model: what would change its answer is no question."""


class Removal:
    """Asks again and again about one picture; ``forwards`` counts how often."""

    def __init__(self, encoding: Encoding, scores: ClassScores, progress: Progress | None = None):
        self._scores, self._progress = scores, progress
        self._vit, self._tokens = encoding.model.vit, encoding.tokens
        self._batch = batch_size(self._vit, encoding.grid)
        self.patches = encoding.grid[0] * encoding.grid[1]
        self.forwards = 0

    def logits(self, removed: Masks) -> NDArray[np.float64]:
        """[M, C] without the patches ``removed`` [M, n]; at least one patch of each must stay."""
        parts = []
        for start in range(0, len(removed), self._batch):
            if self._progress is not None:
                self._progress(self.forwards, self.forwards + len(removed) - start)
            part = torch.from_numpy(~removed[start : start + self._batch]).to(self._vit.device)
            keep = torch.cat([part.new_ones(len(part), self._vit.prefix), part], 1)
            with self._scores.model.lock, plain_arithmetic(self._vit.device):
                parts.append(self._scores(features_of_tokens(self._tokens, keep=keep))[1].double().cpu().numpy())
            self.forwards += len(part)
        return np.concatenate(parts)

    def check_answer(self, inspection: Inspection, at: int) -> None:
        """Where the logits were given, ask the model once whether it says the same.

        Raises:
            OtherAnswer: it does not.
        """
        if inspection.layers:
            return
        says, given = int(self.logits(np.zeros((1, self.patches), np.bool_))[0].argmax()), inspection.pair(at)[0]
        if says != given:
            names = inspection.class_names
            raise OtherAnswer(
                f"the given logits say {names[given]!r} of sample {at}, and the model itself {names[says]!r}: there is "
                "no answer of the model's to change. Leave out logits=, or pass those of this model"
            )
