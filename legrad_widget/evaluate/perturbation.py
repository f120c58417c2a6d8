"""Faithfulness on one image: the picture is erased step by step in the order of a map; the model is asked each time.

Two conventions of the literature, one engine:

- Positive and negative perturbation (Chefer et al. 2021; LeGrad, arXiv:2404.03214, section 4.1; methods.md 5.1). Erased
  are 0, 10, ..., 90 % of the pixels of the picture, black before normalisation, highest first (positive: lower is
  better) or lowest first (negative: higher is better). The papers' AUC is 100 times the trapezoid of the *accuracy*
  over 0 ... 0.9, not divided by 0.9, so a perfect score is 90: :attr:`Curve.accuracy_area`. On one image accuracy is 0
  or 1 at each step; their mean over images is the papers' number.
- Deletion and insertion (RISE, arXiv:1806.07421; methods.md 5.6). All of the picture is erased, or put into an erased
  one, highest first. The AUC is the trapezoid of the *probability* over the share of the picture, divided by its range:
  ``|sum - (first + last) / 2| / steps`` for equal steps: :attr:`Curve.area`.

Pixels (of the model input: what a crop left out plays no part, a letterbox's bars do) are ranked on the map upsampled
bilinearly (align_corners=False), so patches are erased in parts. Equal values keep their reading order. Values that are
not numbers count as 0; signed maps are ranked with their sign.

Where papers and code differ. LeGrad's section 10.2 swaps positive and negative; its section 4.1 and the code are
followed. The code prints accuracies at 10 ... 90 % only; the author counts the clean picture too, as here. RISE takes
224 pixels a step, deletes to black and inserts into a blur; the code of ReciproCAM takes 30 steps and black for both,
which is the default here (``fill="blur"`` for RISE's insertion). Ties are arbitrary in the code (topk).

``mode="tokens"`` (ours) removes patches instead of painting over them: their tokens leave before block 1, exactly, as
in TAM. No colour has to be chosen, and no picture is shown that the model never saw the like of. Its curves end with
one patch left: without any there is no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from ..erasure import Fill, background
from ..explanation import Explanation, resample
from ..models.capture import plain_arithmetic
from ..models.forward import batch_size, features_of_pictures, features_of_tokens
from ..target import Aims, Class
from .segmentation import MetricError

if TYPE_CHECKING:
    from ..explainer import Encoding

Order = Literal["most", "least", "random"]
Mode = Literal["pixels", "tokens"]
Progress = Callable[[int, int], None]
Numbers = NDArray[np.float64]
INTERVAL = (0.05, 0.95)  # quantiles over the random orders


@dataclass(frozen=True, eq=False)
class Schedule:
    """What is erased when.

    Attributes:
        sequence: [n] indices of pixels (reading order of the model input) or patches, first erased (inserted) first.
        counts: [S + 1] how many of them have been erased (inserted) at each step.
        image: [3, Hin, Win] the model input; ``behind``: what shows where it is erased.
        mode, insert: as asked.
        patch: height and width of a patch in pixels.
    """

    sequence: NDArray[np.int64]
    counts: NDArray[np.int64]
    image: Tensor
    behind: Tensor
    mode: Mode
    insert: bool
    patch: tuple[int, int]

    @cached_property
    def fractions(self) -> Numbers:
        """[S + 1] share of the picture that has been erased (inserted) at each step."""
        return self.counts / len(self.sequence)

    def erased(self, step: int) -> NDArray[np.bool_]:
        """[n] what is erased at a step, pixels or patches in reading order."""
        gone = np.full(len(self.sequence), self.insert)
        gone[self.sequence[: self.counts[step]]] = not self.insert
        return gone

    def input(self, step: int) -> Tensor:
        """[3, Hin, Win] the picture at a step, normalised; removed tokens show what they would be painted with."""
        height, width = self.image.shape[1:]
        gone = self.erased(step)
        if self.mode == "tokens":
            rows, columns = self.patch
            grid = gone.reshape(height // rows, width // columns)
            gone = grid.repeat(rows, 0).repeat(columns, 1)
        return torch.where(torch.from_numpy(gone.reshape(height, width)), self.behind, self.image)


@dataclass(frozen=True, eq=False)
class Curve:
    """The target's score and probability while the picture is erased, or put in.

    Attributes:
        schedule: what was erased when. ``fractions`` [S] are its shares, as far as the curve goes.
        scores: [S] of the kind ``score_name``.
        probabilities: [S], or None where the target has none (a direction, a concept); ``probability_of``: over what.
        correct: [S] whether the target is the most likely of the model's classes; None where it is no class.
        order, fill, seed: as asked. ``label``: the target's.
    """

    schedule: Schedule = field(repr=False)
    scores: Numbers
    probabilities: Numbers | None
    correct: NDArray[np.bool_] | None
    score_name: str
    probability_of: str
    label: str
    order: Order
    fill: Any
    seed: int
    _view: Callable[[Tensor], Image.Image] = field(repr=False, default=lambda _: Image.new("RGB", (1, 1)))

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def complete(self) -> bool:
        """Whether every step was computed."""
        return len(self) == len(self.schedule.counts)

    @property
    def fractions(self) -> Numbers:
        """[S] share of the picture that has been erased (inserted)."""
        return self.schedule.fractions[: len(self)]

    @property
    def values(self) -> Numbers:
        """[S] what is drawn and integrated: the probabilities, or the scores where there are none."""
        return self.scores if self.probabilities is None else self.probabilities

    @property
    def area(self) -> float:
        """Trapezoid of ``values`` over ``fractions``, divided by their range: the mean height of the curve."""
        return _mean_height(self.fractions, self.values)

    @property
    def score_area(self) -> float:
        """The same of the scores."""
        return _mean_height(self.fractions, self.scores)

    @property
    def accuracy_area(self) -> float | None:
        """The papers' AUC of this image: 100 times the trapezoid of ``correct`` over ``fractions``, not divided."""
        return None if self.correct is None else 100 * float(np.trapezoid(self.correct.astype(float), self.fractions))

    def picture(self, step: int) -> Image.Image:
        """What the model saw at a step, at the size of its input. Removed tokens are painted with ``fill``.

        Raises:
            MetricError: there is no such step.
        """
        if not 0 <= step < len(self.schedule.counts):
            raise MetricError(f"the curve has the steps 0 to {len(self.schedule.counts) - 1}; arrived: {step}")
        return self._view(self.schedule.input(step))


@dataclass(frozen=True, eq=False)
class Band:
    """What random orders give: the curve that a map must beat.

    Attributes:
        fractions: [S]. ``mean``, ``low``, ``high``: [S] of the curves' values; low and high are the 5 % and 95 %
            quantiles over the orders (interpolated linearly).
        curves: one per order.
    """

    fractions: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers
    curves: tuple[Curve, ...] = field(repr=False)

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Band:
        """The band of finished curves that differ in their random order alone.

        Raises:
            MetricError: fewer than two, an unfinished one, or curves of other steps.
        """
        if len(curves) < 2:
            raise MetricError(f"a band needs at least two random orders; arrived: {len(curves)}")
        if any(not curve.complete or not np.array_equal(curve.fractions, curves[0].fractions) for curve in curves):
            raise MetricError("a band is made of finished curves with the same steps; finish them, or leave them out")
        values = np.stack([curve.values for curve in curves])
        low, high = np.quantile(values, INTERVAL, axis=0)
        return cls(curves[0].fractions, values.mean(0), low, high, tuple(curves))

    @property
    def areas(self) -> Numbers:
        """[k] the areas of the curves."""
        return np.array([curve.area for curve in self.curves])

    def height(self, upto: float = 1.0) -> float:
        """Mean height of ``mean`` over the shares 0 to ``upto``: the area that random order gives.

        A random order read backwards is one as well. So what deletion gives in random order insertion gives too (to one
        pixel at each step), and negative perturbation what positive one does: one band serves both.

        Raises:
            MetricError: the band does not reach so far.
        """
        if not 0 < upto <= self.fractions[-1] + 1e-9:
            raise MetricError(f"the band reaches from 0 to {self.fractions[-1]:g} of the picture; arrived: {upto!r}")
        inside = self.fractions < upto - 1e-9
        x = np.append(self.fractions[inside], upto)
        return _mean_height(x, np.append(self.mean[inside], np.interp(upto, self.fractions, self.mean)))


def perturbation(
    encoding: Encoding,
    target: Any,
    map: Explanation | ArrayLike | None,  # noqa: A002 - the word of the field
    *,
    order: Order = "most",
    mode: Mode = "pixels",
    insert: bool = False,
    steps: int = 9,
    upto: float = 0.9,
    fill: Fill | Sequence[float] = "black",
    seed: int = 0,
    progress: Progress | None = None,
    after: Curve | None = None,
) -> Curve:
    """Erase the picture in the order of ``map`` (or put it in), and ask for ``target`` at every step.

    Args:
        encoding: the image.
        target: whose score is followed; the map may be another target's (papers: the predicted class's map, while the
            accuracy is that of the label).
        map: an Explanation (merged by its method's rule, raw), a patch grid [h, w], or pixels [Hin, Win]; of pixels,
            ``mode="tokens"`` takes each patch's mean. None for a random order.
        order: "most": highest first. "least": lowest first. "random": in the order of a seeded random map [h, w], which
            is treated as any other map.
        mode: "pixels": painted over with ``fill``. "tokens": patches really removed, by key masks.
        insert: the other way round: from the erased picture to the whole.
        steps, upto: shares 0, upto / steps, ..., upto of the picture. Of patches a whole number is taken, rounded down,
            and one always stays.
        fill: "black", "mean" (of this picture), "blur" (11 x 11 pixels, sigma 5) or a colour (r, g, b) in [0, 1].
        seed: of order "random".
        progress: called with (step, total) between batches; raises to cancel.
        after: an unfinished curve of :func:`growing` with the same question; what it holds is not computed again.

    Cost: one native forward per step ("pixels"), in batches; a replayed one ("tokens").

    Raises:
        MetricError: a map of another shape, or an argument that cannot be. TargetError: as in ``explain``.
        StaleEncoding: the model's weights changed.
    """
    *_, curve = growing(
        encoding, target, map, order=order, mode=mode, insert=insert, steps=steps, upto=upto, fill=fill, seed=seed,
        progress=progress, after=after,
    )  # fmt: skip
    return curve


def growing(
    encoding: Encoding,
    target: Any,
    map: Explanation | ArrayLike | None,  # noqa: A002
    *,
    order: Order = "most",
    mode: Mode = "pixels",
    insert: bool = False,
    steps: int = 9,
    upto: float = 0.9,
    fill: Fill | Sequence[float] = "black",
    seed: int = 0,
    progress: Progress | None = None,
    after: Curve | None = None,
) -> Iterator[Curve]:
    """The same, batch by batch: each curve holds one batch of steps more than the last. Stop where you like.

    The model is locked for one batch at a time, so others may ask it between two curves.
    """
    _check(order, mode, steps, upto)
    schedule = _schedule(encoding, map, order, mode, insert, steps, upto, fill, seed)
    model = encoding.model
    checked = model.target(target)
    with plain_arithmetic(model.vit.device):
        (aim,) = model.aims([checked])
    curve = Curve(
        schedule, np.empty(0), None, None, {"cos": "cosine"}.get(aim.default, aim.default), "", checked.label, order,
        fill, seed, lambda seen: model.preprocess.tensor_view(seen).picture,
    )  # fmt: skip
    if after is not None:
        curve = _continued(curve, after)
    if after is not None and after.complete:
        yield curve
    size, total = batch_size(model.vit, encoding.grid), len(schedule.counts)
    while not curve.complete:
        if progress is not None:
            progress(len(curve), total)
        features = _features(encoding, schedule, range(len(curve), min(len(curve) + size, total)), progress, total)
        curve = _longer(curve, encoding, checked, aim, features)
        yield curve


def deletion(encoding: Encoding, target: Any, map: Any, *, steps: int = 30, **options: Any) -> Curve:  # noqa: A002
    """Delete the picture, highest first, until nothing is left: a faithful map's curve falls early; lower is better.

    ``options``: mode, fill, progress, ... as in :func:`perturbation`.
    """
    return perturbation(encoding, target, map, steps=steps, upto=1.0, **options)


def insertion(encoding: Encoding, target: Any, map: Any, *, steps: int = 30, **options: Any) -> Curve:  # noqa: A002
    """Put the picture into an erased one, highest first: a faithful map's curve rises early; higher is better.

    ``options``: mode, fill (RISE: "blur"), progress, ... as in :func:`perturbation`.
    """
    return perturbation(encoding, target, map, insert=True, steps=steps, upto=1.0, **options)


def positive(encoding: Encoding, target: Any, map: Any, **options: Any) -> Curve:  # noqa: A002
    """Positive perturbation: 0, 10, ..., 90 % of the pixels black, highest first; lower is better."""
    return perturbation(encoding, target, map, order="most", **options)


def negative(encoding: Encoding, target: Any, map: Any, **options: Any) -> Curve:  # noqa: A002
    """Negative perturbation: 0, 10, ..., 90 % of the pixels black, lowest first; higher is better."""
    return perturbation(encoding, target, map, order="least", **options)


def random_band(
    encoding: Encoding, target: Any, *, count: int = 10, seed: int = 0, progress: Progress | None = None, **options: Any
) -> Band:
    """The curves of ``count`` random orders (seeds ``seed``, ``seed + 1``, ...): their mean and interval.

    ``options``: mode, insert, steps, upto, fill: those of the curve that is compared. Cost: ``count`` curves.

    Raises:
        MetricError: fewer than two orders, or as in :func:`perturbation`.
    """
    if count < 2:
        raise MetricError(f"a band needs at least two random orders; arrived: {count}")
    curves = []
    for index in range(count):
        tick = None if progress is None else _shifted(progress, index, count)
        curves.append(
            perturbation(encoding, target, None, **{**options, "order": "random"}, seed=seed + index, progress=tick)
        )
    return Band.of(curves)


def _shifted(progress: Progress, index: int, count: int) -> Progress:
    return lambda step, total: progress(index * total + step, count * total)


def _mean_height(x: Numbers, y: Numbers) -> float:
    if len(x) < 2 or x[-1] == x[0]:
        return float(y.mean()) if len(y) else float("nan")
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def _check(order: Any, mode: Any, steps: Any, upto: Any) -> None:
    for name, value, choices in (("order", order, get_args(Order)), ("mode", mode, get_args(Mode))):
        if value not in choices:
            raise MetricError(f"{name} is one of {', '.join(map(repr, choices))}; arrived: {value!r}")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise MetricError(f"steps is a whole number from 1; arrived: {steps!r}")
    if not 0 < upto <= 1:
        raise MetricError(f"upto is the largest share of the picture, above 0 and up to 1; arrived: {upto!r}")


def _schedule(
    encoding: Encoding,
    found: Any,
    order: Order,
    mode: Mode,
    insert: bool,
    steps: int,
    upto: float,
    fill: Any,
    seed: int,
) -> Schedule:
    vit, image, preprocess = encoding.model.vit, encoding.image, encoding.model.preprocess
    if order == "random":
        found = np.random.default_rng(seed).random(encoding.grid)
    values = ranked(found, encoding.grid, tuple(image.shape[1:]), mode)
    sequence = np.argsort(values if order == "least" else -values, kind="stable")
    n = len(sequence)
    counts = np.array([int(upto * step * n / steps + 1e-9) for step in range(steps + 1)])
    if mode == "tokens":  # one patch always stays
        counts = counts.clip(1, None) if insert else counts.clip(None, n - 1)
    behind = background(image, fill, preprocess.mean, preprocess.std)
    return Schedule(sequence, counts, image, behind, mode, insert, vit.patch)


def ranked(found: Any, grid: tuple[int, int], size: tuple[int, ...], mode: Mode) -> Numbers:
    """The map's values [n] of every pixel of the model input, or of every patch, in reading order.

    Raises:
        MetricError: no map, or one of another shape.
    """
    if found is None:
        raise MetricError("a map is needed to order the picture by; pass one, or order='random'")
    values = np.asarray(found.raw() if isinstance(found, Explanation) else found, np.float64)
    if values.shape not in (grid, size):
        raise MetricError(
            f"the map is a patch grid [{grid[0]}, {grid[1]}] or [{size[0]}, {size[1]}] pixels of the model input; "
            f"arrived: {list(values.shape)}. Explain this encoding, or pass x.raw()"
        )
    values = np.nan_to_num(values, nan=0.0)
    if mode == "tokens" and values.shape != grid:
        values = values.reshape(grid[0], size[0] // grid[0], grid[1], size[1] // grid[1]).mean((1, 3))
    elif mode == "pixels" and values.shape != size:
        values = resample(values, (size[0], size[1])).astype(np.float64)  # type: ignore[arg-type]
    return values.ravel()


def _features(encoding: Encoding, schedule: Schedule, steps: range, progress: Progress | None, total: int) -> Tensor:
    """Features [M, E] of the picture at some steps."""
    vit = encoding.model.vit
    with encoding.model.lock:
        encoding.check_fresh()
        if schedule.mode == "pixels":
            return features_of_pictures(vit, torch.stack([schedule.input(step) for step in steps]))
        patches = torch.from_numpy(np.stack([~schedule.erased(step) for step in steps])).to(vit.device)
        keep = torch.cat([patches.new_ones(len(patches), vit.prefix), patches], 1)

        def tick(_block: int, _blocks: int) -> None:
            if progress is not None:
                progress(steps.start, total)

        return features_of_tokens(encoding.tokens, keep=keep, tick=tick)


def _longer(curve: Curve, encoding: Encoding, target: Any, aim: Any, features: Tensor) -> Curve:
    """The curve with the steps of these features [M, E] added."""
    model = encoding.model
    with model.lock, plain_arithmetic(model.vit.device):
        scores = Aims([aim])(features[:, None])[:, 0].double().cpu().numpy()
        said = [model.support(target, aim, one) for one in features]
        correct = None
        if isinstance(target, Class):
            correct = np.array([int(logits.argmax()) == target.index for logits in _class_logits(model, features)])
    chances = None if said[0].probability is None else np.array([float(one.probability or 0.0) for one in said])
    return replace(
        curve,
        scores=np.concatenate([curve.scores, scores]),
        probabilities=_joined(curve.probabilities, chances),
        correct=_joined(curve.correct, correct),
        probability_of=said[0].probability_of,
    )


def _class_logits(model: Any, features: Tensor) -> list[Tensor]:
    return [model.class_logits(one) for one in features]


def _joined(first: Any, second: Any) -> Any:
    return second if first is None or second is None else np.concatenate([first, second])


def _continued(asked: Curve, after: Curve) -> Curve:
    """``after``, if it is the beginning of what is asked."""
    ours, theirs = asked.schedule, after.schedule
    same = (
        (asked.label, asked.score_name, ours.mode, ours.insert)
        == (after.label, after.score_name, theirs.mode, theirs.insert)
        and np.array_equal(ours.sequence, theirs.sequence)
        and np.array_equal(ours.counts, theirs.counts)
        and torch.equal(ours.image, theirs.image)
        and torch.equal(ours.behind, theirs.behind)
    )
    if not same:
        raise MetricError(
            "the unfinished curve answers another question (image, target, map, order, steps or fill differ); leave "
            "out after, or ask the same"
        )
    return after
