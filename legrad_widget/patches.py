"""What one patch attends to, and how long the tokens are: numbers that are read off one layer, on demand.

Axis letters: h and w patch rows and columns, p prefix tokens (class token, registers), N tokens, D width, H heads.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .heads import head_at
from .intervention import patch_at
from .models.capture import plain_arithmetic

if TYPE_CHECKING:
    from .explainer import Encoding

Array = NDArray[np.float32]
DEVIATIONS = 6.0  # an outlier token is longer than the median by more than so many median absolute deviations


class LayerError(ValueError):
    """A layer or a token that the model does not have."""


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRow:
    """How one token attends to all others; everything together sums to 1.

    Attributes:
        patches: [h, w]. ``prefix``: [p] to the class token and registers.
        layer, head: which; head None: the mean over all heads. ``query``: (row, column), or a prefix token's number.
    """

    patches: Array = field(repr=False)
    prefix: Array
    layer: int
    head: int | None
    query: tuple[int, int] | int


@dataclass(frozen=True, slots=True, eq=False)
class TokenNorms:
    """How long the tokens are that leave a layer, and which patches stand out.

    Attributes:
        patches: [h, w] Euclidean norms of Z^l. ``prefix``: [p] of the class token and registers.
        threshold: median + 6 times the median absolute deviation of the patches' norms (not scaled to a standard
            deviation). Where more than half of the patches have one and the same norm the deviation is 0, and whatever
            is longer stands out.
        outliers: [h, w] bool, longer than the threshold.
        layer: l.
    """

    patches: Array = field(repr=False)
    prefix: Array
    threshold: float
    outliers: NDArray[np.bool_] = field(repr=False)
    layer: int


def attention(encoding: Encoding, layer: int, head: int | None, patch: tuple[int, int] | int) -> AttentionRow:
    """One row of one layer's attention: what the token of ``patch`` reads. Never all N x N numbers.

    Args:
        encoding: the image.
        layer: from 1. ``head``: from 0, as axis 1 of ``x.heads``; None: the mean over heads.
        patch: (row, column), or the number of a prefix token (0: the class token, where the model has one).

    Cost: the keys of one layer, N D^2 multiplications (under 1/100 of a forward for ViT-B/16), and one query.

    Raises:
        HeadError, LayerError, InterventionError: not there. StaleEncoding: the model's weights changed.
    """
    layer = layer_at(layer, encoding)
    if head is not None:
        layer, head = head_at((layer, head), encoding)
    query = patch_or_prefix(patch, encoding)
    model = encoding.model
    with model.lock, plain_arithmetic(model.vit.device):
        tokens = encoding.tokens
        block = tokens.block(layer)
        t = block.normed(tokens.before(layer))
        rows = block.attention.rows(t, [token_of(query, encoding)])[:, 0]  # [H, N]
        row = rows.mean(0) if head is None else rows[head]
    prefix, patches = apart(row, encoding)
    return AttentionRow(patches, prefix, layer, head, query)


def token_norms(encoding: Encoding, layer: int) -> TokenNorms:
    """The norms of the tokens that leave a layer (from 1): a few very long patch tokens hold no local content.

    Source: Darcet et al., Vision Transformers Need Registers (arXiv:2309.16588). Differs from the paper: its threshold
    is one absolute norm per model (150 for DINOv2); here it follows from this image's own patches.

    Cost: nothing beyond the captured tokens.

    Raises:
        LayerError: no such layer. StaleEncoding: the model's weights changed.
    """
    layer = layer_at(layer, encoding)
    model = encoding.model
    with model.lock, plain_arithmetic(model.vit.device):
        prefix, patches = apart(encoding.tokens.after(layer).norm(dim=-1), encoding)
    middle = np.median(patches.astype(np.float64))
    threshold = float(middle + DEVIATIONS * np.median(np.abs(patches - middle)))
    return TokenNorms(patches, prefix, threshold, patches > threshold, layer)


def layer_at(layer: Any, encoding: Encoding) -> int:
    """A layer's number, checked.

    Raises:
        LayerError: not a whole number, or not there.
    """
    depth = len(encoding.model.vit.blocks)
    try:
        number = operator.index(layer)
    except TypeError:
        raise LayerError(f"a layer is a whole number from 1 to {depth}; arrived: {layer!r}") from None
    if isinstance(layer, bool) or not 1 <= number <= depth:
        raise LayerError(f"layers go from 1 to {depth}; arrived: {layer}")
    return number


def patch_or_prefix(patch: Any, encoding: Encoding) -> tuple[int, int] | int:
    """(row, column), or a prefix token's number, checked.

    Raises:
        LayerError: no such prefix token. InterventionError: no such patch.
    """
    if isinstance(patch, bool) or not hasattr(patch, "__index__"):
        return patch_at(patch, encoding.grid)
    number, prefix = operator.index(patch), encoding.model.vit.prefix
    if not 0 <= number < prefix:
        there = f"numbers from 0 to {prefix - 1}" if prefix else "none in this model"
        raise LayerError(
            f"a single number means a prefix token (class token, registers): {there}; arrived: {number}. A patch is a "
            "pair (row, column)"
        )
    return number


def token_of(query: tuple[int, int] | int, encoding: Encoding) -> int:
    """The token's index among all N."""
    if isinstance(query, int):
        return query
    return encoding.model.vit.prefix + query[0] * encoding.grid[1] + query[1]


def apart(values: Tensor, encoding: Encoding) -> tuple[Array, Array]:
    """Prefix tokens [p] and patches [h, w] of one value per token [N]."""
    array = values.float().cpu().numpy()
    prefix = encoding.model.vit.prefix
    return array[:prefix].copy(), array[prefix:].reshape(encoding.grid).copy()
