"""The randomisation check: a map that stays the same when the model forgets what it learned does not explain the model.

Source: Adebayo et al., Sanity Checks for Saliency Maps (arXiv:1810.03292), the cascading randomisation: from the last
block downwards one block more at a time. Their measure for ranks is Spearman's correlation of the maps, as here.

Differs from the paper: weights are shuffled within every tensor instead of drawn anew, so each keeps its distribution
(norms keep their scale; a LayerScale stays small) and only the learned arrangement is lost. Tensors of one number, or
whose numbers are all alike, stay what they are. Readout, classifier and text tower are never touched: the target keeps
its meaning. Signed maps are ranked by value; the paper looks at magnitudes too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..explainer import Model
from ..explanation import is_flat
from ..models.capture import plain_arithmetic
from ..wrapping import wrap
from .agreement import rank_correlation
from .segmentation import MetricError

if TYPE_CHECKING:
    from ..explainer import Encoding

Progress = Callable[[int, int], None]
PASSED = 0.5  # a map that still agrees by this much with that of a model whose blocks know nothing has failed


@dataclass(frozen=True, slots=True)
class Sanity:
    """How a method's map changes while the model is randomised from the last block downwards.

    Attributes:
        blocks: how many blocks were randomised so far, ascending. ``correlations``: Spearman's with the map of the
            intact model, one for each; nan where a map is flat.
        method, label: of what. ``seed``: of the shuffling.
    """

    blocks: tuple[int, ...]
    correlations: tuple[float, ...]
    method: str
    label: str
    seed: int

    @property
    def passed(self) -> bool:
        """Whether the map with most blocks randomised has a correlation below 0.5, or is flat.

        The bound is a convention of this package; the curve says more.
        """
        return not self.correlations[-1] >= PASSED


def randomised(model: Model, blocks: int, *, seed: int = 0) -> Model:
    """A copy of ``model`` whose last ``blocks`` blocks have their weights shuffled; the original is not touched.

    Args:
        model: any. blocks: from 0 to all of them. seed: the same seed shuffles a block the same way, however many are.

    Cost: a copy of the model's weights, and one forward (the copy is checked like any wrapped model).

    Raises:
        MetricError: so many blocks are not there.
    """
    _check(blocks, model)
    made = _copied(model)
    for layer in range(len(made.vit.blocks), len(made.vit.blocks) - blocks, -1):
        _shuffle(made.vit.blocks[layer - 1].module, seed, layer)
    return made


def sanity(
    encoding: Encoding,
    target: Any,
    method: str = "legrad",
    *,
    blocks: tuple[int, ...] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **knobs: Any,
) -> Sanity:
    """Explain the same image and target while the copy's blocks are randomised, and compare the merged raw maps.

    Args:
        encoding: the image. target, method, knobs (and ``layers``): as in ``explain``.
        blocks: how many last blocks; each number from 0 to L. None: 1, 2, ..., L. 0 is the copy untouched.
        seed: of the shuffling.
        progress: called with (step, total) between the steps and within a slow method's; raises to cancel, which loses
            nothing but the copy.

    Cost: one copy of the weights, and an encoding and explanation for each number of blocks.

    Raises:
        MetricError: so many blocks are not there, or none named; the map of the intact model is flat. Others as
            ``explain``.
    """
    *_, found = growing(encoding, target, method, blocks=blocks, seed=seed, progress=progress, **knobs)
    return found


def growing(
    encoding: Encoding,
    target: Any,
    method: str = "legrad",
    *,
    blocks: tuple[int, ...] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **knobs: Any,
) -> Iterator[Sanity]:
    """The same step by step: each result holds one number of blocks more than the last. Stop where you like."""
    model = encoding.model
    depth = len(model.vit.blocks)
    wanted = tuple(range(1, depth + 1)) if blocks is None else tuple(sorted(set(blocks)))
    if not wanted:
        raise MetricError(f"name how many blocks are randomised, each from 0 to {depth}; blocks is empty")
    for count in wanted:
        _check(count, model)
    checked = model.target(target)
    done = 0

    def tick(_step: int = 0, _total: int = 0) -> None:
        if progress is not None:
            progress(done, len(wanted))

    intact = encoding.explain(checked, method, progress=tick, **knobs)
    if is_flat(intact.raw()):
        raise MetricError(f"the map of {intact.label!r} is flat, so no other can agree with it; choose another target")
    made, shuffled = _copied(model), 0
    found = Sanity((), (), method, intact.label, seed)
    for count in wanted:
        tick()
        for layer in range(depth - shuffled, depth - count, -1):
            _shuffle(made.vit.blocks[layer - 1].module, seed, layer)
        shuffled = count
        changed = made.encode(encoding.image).explain(checked, method, progress=tick, **knobs)
        agreement = rank_correlation(intact.raw(), changed.raw())
        found = replace(found, blocks=(*found.blocks, count), correlations=(*found.correlations, agreement))
        done += 1
        yield found


def _check(blocks: Any, model: Model) -> None:
    depth = len(model.vit.blocks)
    if isinstance(blocks, bool) or not isinstance(blocks, int | np.integer) or not 0 <= blocks <= depth:
        raise MetricError(f"blocks is how many of the last blocks are randomised, 0 to {depth}; arrived: {blocks!r}")


def _copied(model: Model) -> Model:
    """A model of its own weights, asked in the same words: text tower and a head that was handed over are shared."""
    with model.lock, plain_arithmetic(model.vit.device):  # copied in inference mode, weights could not be shuffled
        made = wrap(copy.deepcopy(model.module), preprocess=model.preprocess, name=f"{model.name} (randomised)")
    vit = made.vit
    if vit.classes is None and model.vit.classes is not None:
        vit = replace(vit, classes=model.vit.classes)
    return Model(vit, model.preprocess, model.text, model.class_names, model.vocabulary, model.support_threshold)


def _shuffle(block: nn.Module, seed: int, layer: int) -> None:
    generator = torch.Generator(device="cpu").manual_seed(seed * 10_007 + layer)
    with torch.no_grad():
        for parameter in block.parameters():
            order = torch.randperm(parameter.numel(), generator=generator, device="cpu")
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
