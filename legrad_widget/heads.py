"""Which attention heads carry a target: a first-order estimate for all of them at once, and ablations that measure it.

Axis letters: L layers (from 1), H heads (from 0, as axis 1 of ``Explanation.heads``), i query and j key tokens, e head
width. s is the target's score of the whole model, A^l the attention, V^l the values, O^l = A^l V^l.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .method._descent import descend, final_score
from .models.capture import plain_arithmetic
from .models.forward import HeadEdit, features_of_tokens
from .target import Aims

if TYPE_CHECKING:
    from .explainer import Encoding

How = Literal["zero", "mean"]
Progress = Callable[[int, int], None]


class HeadError(ValueError):
    """A head that is not there, or an ablation that cannot be; the message says what can."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadEffects:
    """How much every head adds to a target's score, to first order.

    Attributes:
        values: [L, H] float32, the sum of a head's map over all key tokens.
        maps: [L, H, h, w] float32, signed; ``prefix``: [L, H, p] the same for class and register tokens.
        label: the target's. ``score``: s; ``score_name``: of which kind.
    """

    values: NDArray[np.float32]
    maps: NDArray[np.float32] = field(repr=False)
    prefix: NDArray[np.float32] = field(repr=False)
    label: str
    score: float
    score_name: str

    @property
    def layers(self) -> NDArray[np.float32]:
        """[L] what the heads of a layer add together, to first order: their effects add up."""
        return self.values.sum(1)

    def top(self, count: int = 10) -> list[tuple[int, int]]:
        """The (layer, head) of the largest effects of either sign, largest first."""
        order = np.argsort(-np.abs(self.values), axis=None, kind="stable")[:count]
        return [(int(i) // self.values.shape[1] + 1, int(i) % self.values.shape[1]) for i in order]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A target's score with all heads, and without some."""

    heads: tuple[tuple[int, int], ...]
    how: How
    before: float
    after: float
    label: str
    score_name: str

    @property
    def change(self) -> float:
        """s without the heads - s with them: negative where they speak for the target."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class VerifiedHead:
    """One head: what it adds to the score by the estimate, and as measured by zeroing it (both: s with - s without)."""

    layer: int
    head: int
    estimate: float
    measured: float


def head_effects(encoding: Encoding, target: Any, *, progress: Progress | None = None) -> HeadEffects:
    """Gradient times attention of the final score, for every head at once.

    ``map[l, h, j] = sum_i A^l[h, i, j] ds/dA^l[h, i, j] = <sum_i A^l[h, i, j] G^l[h, i], V^l[h, j]>`` with
    ``G = ds/dO``; its sum over j is ``sum_i <G^l[h, i], O^l[h, i]>``: the first-order estimate of what is lost when the
    head's output is set to zero (Michel et al., arXiv:1905.10650, without their absolute value and mean over data). So
    the picture adds up to the head's number, and the heads' numbers to the layer's.

    Differs from LeGrad: the gradient is that of the score of the whole model, not of each layer's own; it is weighted
    by the attention, and keeps its sign. LeGrad's maps show where a layer reads for the target; they are no measure of
    what the head contributes to the model's answer.

    Cost: about 1.6 forwards for all heads. An attention pooler's own heads are not counted.

    Raises:
        TargetError: as ``explain``. StaleEncoding: the model's weights changed.
    """
    model = encoding.model
    checked = model.target(target)
    with model.lock, plain_arithmetic(model.vit.device):
        tokens = encoding.tokens
        (aim,) = model.aims([checked])
        start = final_score(tokens, Aims([aim]))
        found = [
            torch.einsum("hrn,hre,hne->hn", passage.attention, passage.heads[0], passage.values)
            for passage in descend(tokens, start, 1, progress or _silent)
        ]
    every = torch.stack(found[::-1]).float().cpu().numpy()  # [L, H, N]
    prefix = model.vit.prefix
    return HeadEffects(
        every.sum(-1, dtype=np.float64).astype(np.float32),
        np.ascontiguousarray(every[..., prefix:]).reshape(*every.shape[:2], *encoding.grid),
        every[..., :prefix], checked.label, float(start.scores[0]), _score_name(aim),
    )  # fmt: skip


def ablate(
    encoding: Encoding, heads: Sequence[tuple[int, int]] | tuple[int, int], target: Any, *, how: How = "zero"
) -> Ablation:
    """The target's score when the outputs O of some heads are really taken away, by replaying the model from there.

    Args:
        encoding: the image.
        heads: (layer, head), or several, taken away together: layers from 1, heads from 0 as in ``x.heads``.
        target: as in ``explain``.
        how: "zero": O becomes 0 at every token, before any inner norm, gate or head scale and the output projection,
            whose bias stays. "mean": O becomes its own mean over this image's tokens, so that what the head says of
            each token is lost and what it says of all of them stays. (Not the mean over a data set.)

    Cost: blocks l ... L twice, from the lowest layer l named: with the heads too, so that equal roundings cancel.

    Raises:
        HeadError: no head, or one that is not there. TargetError, StaleEncoding: as ``explain``.
    """
    chosen = _checked(heads, encoding)
    if how not in get_args(How):
        raise HeadError(f"how is one of {', '.join(map(repr, get_args(How)))}; arrived: {how!r}")
    model = encoding.model
    checked = model.target(target)
    with model.lock, plain_arithmetic(model.vit.device):
        (aim,) = model.aims([checked])
        before, after = _pair(encoding, chosen, Aims([aim]), how)
    return Ablation(chosen, how, before, after, checked.label, _score_name(aim))


def verify_heads(
    encoding: Encoding, target: Any, top: int = 10, *, how: How = "zero", progress: Progress | None = None
) -> tuple[VerifiedHead, ...]:
    """The ``top`` heads of largest estimated effect, each ablated alone: estimate beside measurement.

    Cost: :func:`head_effects`, and ``top`` times :func:`ablate`. ``progress(step, total)`` counts the ablations.

    Raises:
        HeadError: ``top`` below 1. TargetError, StaleEncoding: as ``explain``.
    """
    return tuple(verifying(encoding, target, head_effects(encoding, target), top, how=how, progress=progress))


def verifying(
    encoding: Encoding,
    target: Any,
    effects: HeadEffects,
    top: int = 10,
    *,
    how: How = "zero",
    progress: Progress | None = None,
) -> Iterator[VerifiedHead]:
    """The same one by one, largest estimate first, from effects that are there already. Stop where you like."""
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise HeadError(f"top is how many heads are ablated, from 1; arrived: {top!r}")
    heads = effects.top(top)
    for step, (layer, head) in enumerate(heads):
        if progress is not None:
            progress(step, len(heads))
        found = ablate(encoding, (layer, head), target, how=how)
        yield VerifiedHead(layer, head, float(effects.values[layer - 1, head]), -found.change)


def head_at(place: Any, encoding: Encoding) -> tuple[int, int]:
    """(layer, head), checked.

    Raises:
        HeadError: not a pair of whole numbers, or not there.
    """
    vit = encoding.model.vit
    try:
        layer, head = (operator.index(value) for value in place)
    except (TypeError, ValueError):
        raise HeadError(f"a head is a pair (layer, head) of whole numbers; arrived: {place!r}") from None
    depth = len(vit.blocks)
    if not 1 <= layer <= depth or not 0 <= head < vit.blocks[layer - 1].attention.heads:
        raise HeadError(
            f"layers go from 1 to {depth} and heads from 0 to {vit.heads - 1}; arrived: layer {layer}, head {head}"
        )
    return layer, head


def _checked(heads: Any, encoding: Encoding) -> tuple[tuple[int, int], ...]:
    one = isinstance(heads, tuple) and len(heads) == 2 and all(np.ndim(value) == 0 for value in heads)
    if not isinstance(heads, list | tuple | set):
        raise HeadError(f"heads is a list of pairs (layer, head): [(11, 3), (12, 0)]; arrived: {heads!r}")
    places = [heads] if one else list(heads)
    if not places:
        raise HeadError("no head is named; name at least one: heads=[(layer, head)]")
    return tuple(sorted({head_at(place, encoding) for place in places}))


def _pair(encoding: Encoding, chosen: tuple[tuple[int, int], ...], aims: Aims, how: How) -> tuple[float, float]:
    """s with and without the heads."""
    edits = {layer: _edit([head for at, head in chosen if at == layer], how) for layer, _ in chosen}
    features = features_of_tokens(encoding.tokens, edits=edits)
    before, after = aims(features.double()[:, None])[:, 0].tolist()
    return before, after


def _edit(heads: list[int], how: How) -> HeadEdit:
    """O [H, N, e] or [2, H, N, e] -> [2, H, N, e]: untouched, and with these heads taken away."""

    def edit(o: Tensor) -> Tensor:
        both = (o.expand(2, *o.shape) if o.ndim == 3 else o).clone()
        both[1, heads] = both[1, heads].mean(-2, keepdim=True) if how == "mean" else 0.0
        return both

    return edit


def _score_name(aim: Any) -> str:
    return {"cos": "cosine"}.get(aim.default, aim.default)


def _silent(_step: int, _total: int) -> None:
    """Nobody watches."""
