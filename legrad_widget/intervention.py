"""Take patches away, or put others in their place, and ask again: what the model says of the changed image.

Axis letters: M variants of the image, h and w patch rows and columns, E feature width.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from .erasure import background, surroundings
from .models.capture import plain_arithmetic
from .models.forward import batch_size, features_of_pictures, features_of_tokens
from .models.view import ViT
from .target import Aims

if TYPE_CHECKING:
    from .explainer import Encoding

How = Literal["drop", "block", "blur", "mean", "fill", "surroundings"]
Progress = Callable[[int, int], None]
Mask = NDArray[np.bool_]
Painter = Callable[[Mask], Tensor]
"""The model input [3, Hin, Win] with the patches of a mask [h, w] painted over."""
INTERVAL = (0.05, 0.95)  # quantiles over the random masks


class InterventionError(ValueError):
    """The change cannot be made; the message says what was expected, what arrived and what to do."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One target or class before and after.

    Attributes:
        label: what it is called; ``index`` of a class, else None.
        before, after: its probability, over ``probability_of``; None where it has none (a direction, a concept).
        score_before, score_after: of the kind ``score_name``.
        control: its probability (its score where it has none) without each of the k random sets of patches.
    """

    label: str
    index: int | None
    before: float | None
    after: float | None
    probability_of: str
    score_before: float
    score_after: float
    score_name: str
    control: tuple[float, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """5 % and 95 % quantile of ``control``: what equally many random patches do. None without a control."""
        if not self.control:
            return None
        low, high = np.quantile(self.control, INTERVAL)
        return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What the model says of the image without some patches.

    Attributes:
        removed: [h, w] bool. ``how`` they were removed; "paste": by the same patches of another image.
        targets: those that were asked for, in order.
        classes: the likeliest classes before and after, by their probability before; () where the model has none.
        picture: what the model saw, at the size of its input; removed and blocked tokens are shown black.
        input: [3, Hin, Win] the same as the model takes it.
        from_layer: of "block", the 1-based block from which on nothing reads the tokens; else None.
        donor: of "paste" in an inspection, the sample that the patches are of; else None.
    """

    removed: Mask = field(repr=False)
    how: How | Literal["paste"]
    targets: tuple[Moved, ...]
    classes: tuple[Moved, ...]
    picture: Image.Image = field(repr=False)
    input: Tensor = field(repr=False)
    from_layer: int | None = None
    donor: int | None = None


def without(
    encoding: Encoding,
    patches: ArrayLike | Sequence[tuple[int, int]],
    how: How = "drop",
    *,
    targets: Any = (),
    top: int = 5,
    control: int = 0,
    seed: int = 0,
    colour: Sequence[float] = (0.0, 0.0, 0.0),
    from_layer: int | None = None,
    progress: Progress | None = None,
) -> Change:
    """The image without ``patches``: probabilities old and new, beside what equally many random patches do.

    Args:
        encoding: the image.
        patches: bool [h, w], True where a patch is removed; or a list of (row, column).
        how: "drop": the tokens really leave, before block 1 (their keys are masked in every block, which is the same).
            They leave after the position embedding, so all others keep their places; an average or an attention pooler
            goes over the patches that stay; class token and registers always stay. "block": the same from block
            ``from_layer`` on. Up to the block before, the patches act as ever, and what others have read of them by
            then stays read; from that block on their keys are masked, and the readout leaves them out. Their own rows
            are computed on, from the other tokens, but nothing reads them any more: to the answer it is as if the
            tokens were deleted from that block's input, and ``from_layer=1`` is "drop". "blur", "mean",
            "surroundings", "fill": the pixels of the patches become a blur of the picture (11 x 11 pixels, sigma 5),
            its mean colour, the mean of the pixels around them (see :func:`.erasure.surroundings`), or ``colour``, and
            the model's own forward runs on the changed picture.
        targets: one target or a list, as in ``explain``.
        top: how many likeliest classes are followed, those before and those after together.
        control: k random sets of equally many patches, removed the same way.
        seed: of the random sets.
        colour: (red, green, blue) in [0, 1] of "fill".
        from_layer: of "block", from 1 to L; of no other way.
        progress: called with (step, total) between batches; raises to cancel.

    Cost: 2 + k forwards, replayed ("drop"; "block": of its L - l + 1 last blocks alone) or native.

    Raises:
        InterventionError: no patch, every patch ("drop", "block", "surroundings"), patches or a layer that are not
            there. TargetError: as ``explain``. StaleEncoding: the model's weights changed.
    """
    if how not in get_args(How):
        others = "; samples to paste from are those of an inspection: r.without(3, patches, 'paste')"
        raise InterventionError(
            f"how is one of {', '.join(map(repr, get_args(How)))}; arrived: {how!r}{others * (str(how) == 'paste')}"
        )
    removed = marked(patches, encoding.grid)
    if how in _NEED_OTHERS and removed.all():
        raise InterventionError(
            f"all {removed.size} patches are marked: without any there is no picture left to ask about. Leave at least "
            "one, or paint over them: how='blur', 'mean' or 'fill'"
        )
    layer = _checked_layer(from_layer, how, encoding.tokens.depth)
    painted = _painter(encoding, how, colour)
    change = _changed(encoding, removed, how, painted, targets, top, control, seed, progress, layer)
    return replace(change, from_layer=from_layer)


def pasted(
    encoding: Encoding,
    patches: ArrayLike | Sequence[tuple[int, int]],
    other: Tensor,
    *,
    targets: Any = (),
    top: int = 5,
    control: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Change:
    """The image with ``patches`` of another one in the place of its own; see :func:`without`.

    Args:
        other: [3, Hin, Win] float32, the input that the model has of the other image (``Encoding.image``), as large as
            this one's. The k random sets of patches of the control are taken from it too.

    Cost: 2 + k native forwards.

    Raises:
        InterventionError: the other image has another size. Others as :func:`without`.
    """
    if other.shape != encoding.image.shape:
        raise InterventionError(
            f"patches are taken from an image whose input is {list(encoding.image.shape)}, as large as this one's; "
            f"arrived: {list(other.shape)}. Encode both with the same size"
        )
    removed = marked(patches, encoding.grid)
    painted = partial(_over, encoding, other)
    return _changed(encoding, removed, "paste", painted, targets, top, control, seed, progress)


_NEED_OTHERS = ("drop", "block", "surroundings")
_FILLS: dict[str, Literal["black", "mean", "blur"]] = {
    "drop": "black",
    "block": "black",
    "mean": "mean",
    "blur": "blur",
}


def _changed(
    encoding: Encoding, removed: Mask, how: How | Literal["paste"], painted: Painter, targets: Any, top: int,
    control: int, seed: int, progress: Progress | None, from_layer: int = 1,
) -> Change:  # fmt: skip
    """What the model says of the image as it is, without the patches, and without each random set of them."""
    model = encoding.model
    asked = list(targets) if isinstance(targets, list | tuple) else [targets]
    checked = [model.target(target) for target in asked]
    masks = np.stack([np.zeros_like(removed), removed, *_random_masks(removed, control, seed)])
    with model.lock:
        encoding.check_fresh()
        if how in ("drop", "block"):
            parts = _features_of_the_rest(encoding, masks, from_layer, progress or _silent)
        else:
            parts = _features_of_painted(encoding, masks, painted, progress or _silent)
        features = torch.cat([*parts])
        with plain_arithmetic(model.vit.device):
            moved = tuple(_of_target(encoding, target, features) for target in checked)
            classes = _of_classes(encoding, features, top)
    after = painted(removed)
    return Change(removed, how, moved, classes, model.preprocess.tensor_view(after).picture, after)


def _checked_layer(layer: Any, how: How, depth: int) -> int:
    if how != "block":
        if layer is not None:
            raise InterventionError(f"from_layer belongs to how='block'; arrived: how={how!r}, from_layer={layer!r}")
        return 1
    if isinstance(layer, bool) or not isinstance(layer, int | np.integer) or not 1 <= layer <= depth:
        raise InterventionError(
            f"how='block' needs from_layer, the layer from which on the patches are blocked, from 1 (as 'drop') to "
            f"{depth}; arrived: {layer!r}"
        )
    return int(layer)


def marked(patches: Any, grid: tuple[int, int]) -> Mask:
    """Patches as bool [h, w], from such a mask or from a list of (row, column).

    Raises:
        InterventionError: another shape, a patch that is not there, or none at all.
    """
    array = np.asarray(patches)
    if array.dtype == np.bool_:
        if array.shape != grid:
            raise InterventionError(
                f"a mask of patches is bool [{grid[0]}, {grid[1]}], one value per patch; arrived: {list(array.shape)}"
            )
        mask = array.copy()
    else:
        mask = np.zeros(grid, np.bool_)
        for place in patches if isinstance(patches, list | tuple | np.ndarray | set) else [patches]:
            mask[patch_at(place, grid)] = True
    if not mask.any():
        raise InterventionError("no patch is marked; mark at least one: a mask [h, w], or a list of (row, column)")
    return mask


def patch_at(place: Any, grid: tuple[int, int]) -> tuple[int, int]:
    """(row, column) of one patch, checked.

    Raises:
        InterventionError: not a pair of whole numbers, or outside the grid.
    """
    try:
        row, column = (operator.index(value) for value in place)
    except (TypeError, ValueError):
        raise InterventionError(f"a patch is a pair (row, column) of whole numbers; arrived: {place!r}") from None
    if not (0 <= row < grid[0] and 0 <= column < grid[1]):
        raise InterventionError(
            f"patch rows go from 0 to {grid[0] - 1} and columns from 0 to {grid[1] - 1}; arrived: ({row}, {column})"
        )
    return row, column


def _random_masks(removed: Mask, count: int, seed: int) -> Iterator[Mask]:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
        raise InterventionError(f"control is how many random sets of patches are tried, from 0; arrived: {count!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InterventionError(f"seed is a whole number from 0; arrived: {seed!r}")
    rng = np.random.default_rng(seed)
    for _ in range(count):
        mask = np.zeros(removed.size, np.bool_)
        mask[rng.choice(removed.size, int(removed.sum()), replace=False)] = True
        yield mask.reshape(removed.shape)


def _normalisation(encoding: Encoding) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return encoding.model.preprocess.mean, encoding.model.preprocess.std


def _painter(encoding: Encoding, how: How, colour: Sequence[float]) -> Painter:
    if how == "surroundings":
        return partial(_from_surroundings, encoding)
    fill = colour if how == "fill" else _FILLS[how]
    return partial(_over, encoding, background(encoding.image, fill, *_normalisation(encoding)))


def _over(encoding: Encoding, behind: Tensor, removed: Mask) -> Tensor:
    """The model input [3, Hin, Win] with ``behind`` of the same shape in the patches ``removed``."""
    return torch.where(torch.from_numpy(_pixels(encoding, removed)), behind, encoding.image)


def _from_surroundings(encoding: Encoding, removed: Mask) -> Tensor:
    return torch.from_numpy(surroundings(encoding.image.numpy(), _pixels(encoding, removed))).to(encoding.image)


def _pixels(encoding: Encoding, patches: Mask) -> Mask:
    """[Hin, Win] of a patch mask [h, w]."""
    rows, columns = encoding.model.vit.patch
    return patches.repeat(rows, 0).repeat(columns, 1)


def _features_of_the_rest(encoding: Encoding, masks: Mask, from_layer: int, progress: Progress) -> Iterator[Tensor]:
    """Features [.., E] of the tokens without those of each of the patch masks [M, h, w], batch by batch."""
    vit = encoding.model.vit
    for part in _batches(encoding, masks, progress):
        yield features_of_tokens(encoding.tokens, keep=kept_tokens(vit, part), from_layer=from_layer)


def kept_tokens(vit: ViT, removed: Mask) -> Tensor:
    """[..., N] bool, the tokens that stay without the patches ``removed`` [..., h, w]: class token and registers do."""
    stays = torch.from_numpy(~removed.reshape(*removed.shape[:-2], -1)).to(vit.device)
    return torch.cat([stays.new_ones(*stays.shape[:-1], vit.prefix), stays], -1)


def _features_of_painted(encoding: Encoding, masks: Mask, painted: Painter, progress: Progress) -> Iterator[Tensor]:
    """Features [.., E] of the picture with the patches of each of the masks [M, h, w] painted over, batch by batch."""
    for part in _batches(encoding, masks, progress):
        yield features_of_pictures(encoding.model.vit, torch.stack([painted(mask) for mask in part]))


def _batches(encoding: Encoding, masks: Mask, progress: Progress) -> Iterator[Mask]:
    size = batch_size(encoding.model.vit, encoding.grid)
    for start in range(0, len(masks), size):
        progress(start, len(masks))
        yield masks[start : start + size]


def _of_target(encoding: Encoding, target: Any, features: Tensor) -> Moved:
    """A target before, after and under control, from features [2 + k, E]."""
    model = encoding.model
    (aim,) = model.aims([target])
    scores = Aims([aim])(features[:, None])[:, 0].tolist()
    said = [model.support(target, aim, one) for one in features]
    chances = [one.probability for one in said]
    control = [score if chance is None else chance for score, chance in zip(scores[2:], chances[2:], strict=True)]
    return Moved(
        target.label, getattr(target, "index", None), chances[0], chances[1], said[0].probability_of, scores[0],
        scores[1], {"cos": "cosine"}.get(aim.default, aim.default), tuple(control),
    )  # fmt: skip


def _of_classes(encoding: Encoding, features: Tensor, top: int) -> tuple[Moved, ...]:
    """The likeliest classes before and after."""
    model = encoding.model
    found = [model.class_logits(one) for one in features]
    if (
        found[0] is None
        or model.class_names is None
        or top < 1
        or (len(model.class_names) < 2 and not model.is_sigmoid)
    ):
        return ()
    logits = torch.stack([one for one in found if one is not None])
    chances = logits.sigmoid() if model.is_sigmoid else logits.softmax(-1)
    indices = {int(i) for row in chances[:2] for i in row.topk(min(top, len(row))).indices}
    return tuple(
        Moved(
            model.class_names[i], i, float(chances[0, i]), float(chances[1, i]), encoding.predictions_of,
            float(logits[0, i]), float(logits[1, i]), "logit", tuple(chances[2:, i].tolist()),
        )
        for i in sorted(indices, key=lambda i: -float(chances[0, i]))
    )  # fmt: skip


def _silent(_step: int, _total: int) -> None:
    """Nobody watches."""
