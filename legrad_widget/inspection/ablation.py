"""Exact token ablation of a sample's contrast: what TAM gives, with the model free for others between two batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..method import find
from ..method.tam import ablated
from ..models.capture import Tokens, plain_arithmetic
from ..models.forward import features_of_tokens
from ..target import Aims, Class, Contrast

if TYPE_CHECKING:
    from .inspection import Inspection


def ablation(
    inspection: Inspection, at: int, coarse: int | None = None, between: Callable[[], None] = lambda: None
) -> NDArray[np.float64]:
    """[h, w] what the contrast of the predicted class over its rival loses with each patch alone: TAM, to the bit.

    Args:
        coarse: as the knob of ``tam``. between: called before every batch of forwards, while nothing is locked: it may
            wait there for whoever uses the model meanwhile, or raise to cancel.

    Raises:
        KnobError: another ``coarse``. TargetError: the two classes are the same to the model. PictureGone.
    """
    find("tam").checked({"coarse": coarse})
    encoding = inspection.encoding(at)
    model, tokens = encoding.model, encoding.tokens
    predicted, rival = (Class(one) for one in inspection.pair(at))

    def forward(tokens: Tokens, *, keep: Tensor, tick: Callable[[int, int], None]) -> Tensor:
        between()
        with model.lock:
            return features_of_tokens(tokens, keep=keep, tick=tick)

    with plain_arithmetic(model.vit.device):  # of this thread alone
        with model.lock:
            aims = Aims(model.aims([model.target(Contrast(predicted, rival))]))
        drops = ablated(tokens, aims, lambda _step, _total: None, coarse=coarse, forward=forward)
    return drops[0].float().double().reshape(encoding.grid).cpu().numpy()
