"""The smallest set of patches without which the answer changes: bisection along an order, then pruning.

Pure search: ``lead(removed [M, n]) -> [M]`` says by how much the answer has changed (above 0: changed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .readable import as_text

if TYPE_CHECKING:
    from .evidence import Overlay

Goal = Literal["other", "true"]
Lead = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
PROBES = 8  # sets that are tried at a time while bisecting


@dataclass(frozen=True, slots=True, eq=False)
class FlipSet:
    """What was found.

    Attributes:
        removed: [h, w] bool, the patches without which the answer changes; none where ``found`` is False. No patch of
            the set can be put back without the old answer coming back with it.
        before, after: the predicted class with all patches and without these (numbers; equal where nothing was found).
        goal: "other": any other class counts. "true": only the true class does.
        prefix: how many patches of the order it took, before those that were not needed were put back; 0: no prefix of
            the order changed the answer.
        random_flips: the share of ``control`` random sets of equal size that change the answer too; nan without any.
        forwards: how often the model was asked.
        overlay: whose evidence ordered the patches; None: not known (saved by an earlier version).
        names: of the classes; () where they are not known. ``str()`` says in a sentence what was found.
    """

    removed: NDArray[np.bool_] = field(repr=False)
    before: int
    after: int
    goal: Goal
    prefix: int
    random_flips: float
    control: int
    forwards: int
    overlay: Overlay | None = None
    names: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        before, after = (self.names[one] if self.names else f"class {one}" for one in (self.before, self.after))
        along = "" if self.overlay is None else f" along the map {self.overlay.label}"
        if not self.found:
            return f"No set of patches{along} changes {before} ({self.forwards} forwards)."
        size = f"{self.size} patch{'es' * (self.size != 1)} ({self.share:.1%} of the picture)"
        says = f"Without {size}{along}, {before} becomes {after}"
        if self.control:
            says += f"; as many random ones change the answer in {self.random_flips:.0%} of {self.control} tries"
        return f"{says}.\n(row, column): {', '.join(map(str, self.patches))}"

    _repr_pretty_ = as_text

    @property
    def found(self) -> bool:
        """Whether there is such a set along this order."""
        return self.prefix > 0

    @property
    def size(self) -> int:
        """How many patches; 0 where nothing was found."""
        return int(self.removed.sum())

    @property
    def share(self) -> float:
        """Of the picture."""
        return float(self.removed.mean())

    @property
    def patches(self) -> list[tuple[int, int]]:
        """(row, column) of each, in reading order."""
        return [(int(row), int(column)) for row, column in np.argwhere(self.removed)]


def smallest_prefix(order: NDArray[np.int64], lead: Lead) -> int:
    """How many patches of ``order`` [n], from the first, change the answer; 0: none of those tried did.

    Eight lengths are tried at a time, spread evenly in proportion at first, then evenly between the last that did not
    and the first that did. One patch always stays. The answer need not change monotonely along the order, so a shorter
    prefix than the one found may exist; all lengths up to it that were tried did not change the answer.
    """
    low, high = 0, len(order)
    most = len(order) - 1
    lengths = _spread(np.geomspace(1, most, PROBES)) if most > PROBES else list(range(1, most + 1))
    while lengths:
        changed = np.flatnonzero(lead(np.stack([_prefix(order, length) for length in lengths])) > 0)
        if not len(changed):
            if high == len(order):
                return 0
            low = lengths[-1]
        else:
            low = lengths[changed[0] - 1] if changed[0] else low
            high = lengths[changed[0]]
        lengths = _spread(np.linspace(low + 1, high - 1, PROBES)) if high - low > 1 else []
    return high


def _spread(lengths: NDArray[np.float64]) -> list[int]:
    return sorted({round(float(length)) for length in lengths})


def pruned(removed: NDArray[np.bool_], lead: Lead) -> NDArray[np.bool_]:
    """A subset of the patches ``removed`` [n] that changes the answer still, and of which no single one can go back.

    In each round every patch is put back alone; of those that may go back, as many go back together as the answer
    allows, the least missed first.
    """
    current = removed.copy()
    while current.sum() > 1:
        places = np.flatnonzero(current)
        leads = lead(np.stack([_without(current, [place]) for place in places]))
        free = places[np.argsort(-leads, kind="stable")][: int((leads > 0).sum())]
        if not len(free):
            break
        together = np.stack([_without(current, free[: count + 1]) for count in range(min(len(free), len(places) - 1))])
        still = np.flatnonzero(lead(together) > 0)
        current = together[still[-1]] if len(still) else _without(current, free[:1])  # found to change the answer above
    return current


def _prefix(order: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    mask = np.zeros(len(order), np.bool_)
    mask[order[:length]] = True
    return mask


def _without(mask: NDArray[np.bool_], places: NDArray[np.int64] | list[np.int64]) -> NDArray[np.bool_]:
    changed = mask.copy()
    changed[places] = False
    return changed


def lead_of(logits: NDArray[np.float64], predicted: int, true: int, goal: Goal) -> NDArray[np.float64]:
    """[M] by how much the answer has changed: the best wanted class's logit less the best of the others'."""
    wanted = np.zeros(logits.shape[1], np.bool_)
    wanted[true] = True
    if goal == "other":
        wanted[:] = True
        wanted[predicted] = False
    return np.asarray(logits[:, wanted].max(1) - logits[:, ~wanted].max(1))
