"""What the model would have said without some patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..intervention import Change, How
from .contrasting import contrast, overlay_of
from .evidence import Overlay
from .flip_set import FlipSet, Goal, lead_of, pruned, smallest_prefix
from .problem import InspectionError
from .progress_bar import with_bar
from .removal import Removal

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]


def without(
    inspection: Inspection, index: int, patches: Any, how: How = "drop", *, control: int = 8, **options: Any
) -> Change:
    """The sample without ``patches``: the likeliest classes old and new, beside what random patches do.

    Arguments, cost and errors as :func:`legrad_widget.intervention.without`; ``control`` random sets of equal size.
    """
    return inspection.encoding(index).without(patches, how, control=control, **options)


@with_bar(" forwards")
def flip_set(
    inspection: Inspection,
    index: int,
    overlay: str | Overlay | None = None,
    *,
    goal: Goal = "other",
    control: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> FlipSet:
    """The smallest set of patches, along the evidence, without which the model answers otherwise.

    The patches are taken in the order of the evidence for the predicted class over the true one: the shortest part of
    that order that changes the answer is found by bisection, then every patch that is not needed is put back. It is
    small where the answer hangs on little; the same number of random patches says how much that means.

    Args:
        overlay: whose evidence orders the patches: a method's name, or an Overlay; None: the inspection's own.
        goal: "other": the answer changes. "true": it becomes the true class (of a sample that is right: the runner-up).
        control: random sets of equal size. seed: of these.
        progress: called with (forwards done, forwards known to be needed) between batches; raises to cancel.

    Cost: about 8 forwards in each of two to four batches, twice the size of the set per round of pruning, ``control``.

    Without a model the one that was saved is given back, with the random sets that were tried then.

    Raises:
        InspectionError: the sample was skipped, an argument cannot be, or logits were given and the model itself says
            something else; or there is no model, and none was saved.
    """
    at = inspection.answered(index)
    if goal not in get_args(Goal):
        raise InspectionError(f"goal is 'other' or 'true'; arrived: {goal!r}")
    if isinstance(control, bool) or not isinstance(control, int | np.integer) or control < 0:
        raise InspectionError(f"control is how many random sets are tried, from 0; arrived: {control!r}")
    predicted, rival = inspection.pair(at)
    chosen = overlay_of(inspection, overlay)
    if inspection.model is None:
        return _saved(inspection, at, chosen, goal)
    ranked = contrast(inspection, at, chosen).difference()
    removal = Removal(inspection.encoding(at), inspection.scores, progress)
    removal.check_answer(inspection, at)

    def lead(removed: NDArray[np.bool_]) -> NDArray[np.float64]:
        return lead_of(removal.logits(removed), predicted, rival, goal)

    order = np.argsort(-ranked.ravel(), kind="stable")
    prefix = smallest_prefix(order, lead)
    removed = np.zeros(len(order), np.bool_)
    removed[order[:prefix]] = True
    after, random_flips = predicted, float("nan")
    if prefix:
        removed = pruned(removed, lead)
        after = int(removal.logits(removed[None])[0].argmax())
        if control:
            random_flips = float((lead(random_sets(removed, int(control), seed)) > 0).mean())
    made = FlipSet(
        removed.reshape(ranked.shape), predicted, after, goal, prefix, random_flips, int(control), removal.forwards,
        chosen, inspection.class_names,
    )  # fmt: skip
    with inspection.lock:
        inspection.flip_sets[at] = made
        inspection.changed()
    return made


def _saved(inspection: Inspection, at: int, overlay: Overlay, goal: Goal) -> FlipSet:
    """The flip set that was found when there was a model."""
    found = inspection.flip_sets.get(at)
    if found is not None and found.goal == goal and found.overlay in (overlay, None):
        return found
    there = ""
    if found is not None:
        along = "" if found.overlay is None or found.overlay == overlay else f" along the map {found.overlay.label}"
        there = f"; r.flip_sets[{at}] is one with goal={found.goal!r}{along}"
    raise InspectionError(
        f"the flip set of sample {at} with goal={goal!r} along the map {overlay.label} was not saved, and there is no "
        f"model to find it: lw.open_inspection(folder, model=model){there}"
    )


def random_sets(removed: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """[count, n] random sets as large as ``removed`` [n]."""
    rng, size = np.random.default_rng(seed), int(removed.sum())
    masks = np.zeros((count, len(removed)), np.bool_)
    for mask in masks:
        mask[rng.choice(len(removed), size, replace=False)] = True
    return masks
