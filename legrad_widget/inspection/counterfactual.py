"""What the model would have said without some patches, or with those of another sample in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..intervention import Change, How, kept_tokens, pasted
from ..models.capture import plain_arithmetic
from ..models.forward import layer_features_of_tokens
from .contrasting import contrast, overlay_of
from .evidence import Overlay
from .flip_set import FlipSet, Goal, lead_of, pruned, smallest_prefix
from .layer_features import layer_features
from .problem import InspectionError, PictureGone
from .progress_bar import with_bar
from .removal import Removal
from .sample_neighbours import neighbours

if TYPE_CHECKING:
    from ..explainer import Encoding
    from .inspection import Inspection

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedCurve:
    """How a sample's two classes stand at every layer once the sample is changed; compare ``r.curve(index)``.

    Attributes:
        layers: 1 ... L.
        true: [L] the label's score. ``predicted``: [L] that of the class predicted of the sample as it was (of a
            correct sample: of the runner-up).
        names: what the two are called.
    """

    layers: tuple[int, ...]
    true: NDArray[np.float32] = field(repr=False)
    predicted: NDArray[np.float32] = field(repr=False)
    names: tuple[str, str]


def without(
    inspection: Inspection,
    index: int,
    patches: Any,
    how: How | Literal["paste"] = "drop",
    *,
    donor: int | None = None,
    control: int = 8,
    **options: Any,
) -> Change:
    """The sample without ``patches``: the likeliest classes old and new, beside what random patches do.

    Args:
        how: as :func:`legrad_widget.intervention.without` has them, or "paste": the patches become those of another
            sample, at the same places of what the model sees of either (its input, after ``fit``).
        donor: of "paste", the number of the sample that is pasted from; None: the nearest of those of the true class
            that are right, by :func:`.sample_neighbours.neighbours`. ``Change.donor`` says which it was.
        control: random sets of equally many patches, removed the same way, or pasted from the same donor.

    Others, and the cost, as :func:`legrad_widget.intervention.without`; "paste" takes one forward more, to encode the
    donor, unless it is one of the two samples that were asked about last.

    Raises:
        InspectionError: the sample was skipped; the donor is not there, is the sample itself or cannot be read; there
            is none to be found; an argument does not belong to "paste". Others as there.
    """
    return changed(inspection, index, inspection.encoding(index), patches, how, donor, control=control, **options)


def changed(
    inspection: Inspection,
    index: int,
    encoding: Encoding,
    patches: Any,
    how: How | Literal["paste"],
    donor: int | None,
    **options: Any,
) -> Change:
    """:func:`without`, of a sample that is encoded already."""
    if how != "paste":
        if donor is not None:
            raise InspectionError(f"donor belongs to how='paste'; arrived: how={how!r}, donor={donor!r}")
        return encoding.without(patches, how, **options)
    if strange := sorted({"colour", "from_layer"} & options.keys()):
        raise InspectionError(f"{strange[0]} belongs to another way than how='paste'; leave it out")
    source = donor_of(inspection, index, donor)
    return replace(pasted(encoding, patches, inspection.encoding(source).image, **options), donor=source)


def curve_after(inspection: Inspection, index: int, change: Change) -> ChangedCurve:
    """The scores of a sample's two classes over the layers after a change: where does what was changed act?

    Every layer's tokens are read as for ``r.curve(index)``, by the model's own final norm and projection. Patches that
    were removed are left out of a mean or an attention pooler at every layer; blocked ones from their layer on, so that
    the curve parts from the old one there.

    Args:
        index: the sample. change: what ``r.without(index, ...)`` gave.

    Cost: one forward, of the blocks from ``from_layer`` on alone where patches are blocked.

    Raises:
        InspectionError: the sample was skipped, its logits were given, or the change is of another size of picture.
        StaleEncoding: the model's weights changed.
    """
    return changed_curve(inspection, index, inspection.encoding(index), change)


def changed_curve(inspection: Inspection, index: int, encoding: Encoding, change: Change) -> ChangedCurve:
    """:func:`curve_after`, of a sample that is encoded already."""
    at = inspection.answered(index)
    if not inspection.layers:
        raise InspectionError("the logits were given, so no layer was seen; inspect without logits= for the curves")
    if not isinstance(change, Change) or change.input.shape != encoding.image.shape:
        raise InspectionError(
            f"a change is what r.without({at}, patches) gives of the same sample: r.curve_after({at}, r.without({at}, "
            f"[(0, 0)])); arrived: {type(change).__name__}"
        )
    vit, tokens = encoding.model.vit, encoding.tokens
    with encoding.model.lock, plain_arithmetic(vit.device):
        encoding.check_fresh()
        if change.how in ("drop", "block"):
            features = layer_features_of_tokens(tokens, kept_tokens(vit, change.removed), change.from_layer or 1)
        else:
            features = layer_features(vit, change.input[None])[0]
        scores = inspection.scores(features)[0].float().cpu().numpy()
    label, rival = int(inspection.records["label"][at]), int(inspection.records["rival"][at])
    names = (inspection.class_names[label], inspection.class_names[rival])
    return ChangedCurve(inspection.layers, scores[:, label], scores[:, rival], names)


def donor_of(inspection: Inspection, index: int, donor: int | None) -> int:
    """The sample that is pasted from.

    Raises:
        InspectionError: none is to be found, or not this one.
    """
    if donor is not None:
        at = inspection.at(donor)
        if at == inspection.at(index):
            raise InspectionError(f"patches are pasted from another sample; sample {at} is this one itself")
        return at
    at = inspection.answered(index)
    try:
        right = neighbours(inspection, at, 1).correct_true
    except InspectionError as error:
        raise InspectionError(f"{error}. Or name the sample to paste from: donor=3") from error
    if not right:
        name = inspection.class_names[inspection.records["label"][at]]
        raise InspectionError(f"no other sample of {name!r} is right; name the sample to paste from: donor=3")
    return right[0]


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

    Without a model, or without the picture, the one that was found before is given back, with the random sets that were
    tried then.

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
    try:
        ranked = contrast(inspection, at, chosen).difference()
        removal = Removal(inspection.encoding(at), inspection.scores, progress)
    except PictureGone:
        if (kept := _kept(inspection, at, chosen, goal)) is None:
            raise
        return kept
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
    kept, found = _kept(inspection, at, overlay, goal), inspection.flip_sets.get(at)
    if kept is not None:
        return kept
    there = ""
    if found is not None:
        along = "" if found.overlay is None or found.overlay == overlay else f" along the map {found.overlay.label}"
        there = f"; r.flip_sets[{at}] is one with goal={found.goal!r}{along}"
    raise InspectionError(
        f"the flip set of sample {at} with goal={goal!r} along the map {overlay.label} was not saved, and there is no "
        f"model to find it: lw.open_inspection(folder, model=model){there}"
    )


def _kept(inspection: Inspection, at: int, overlay: Overlay, goal: Goal) -> FlipSet | None:
    found = inspection.flip_sets.get(at)
    return found if found is not None and found.goal == goal and found.overlay in (overlay, None) else None


def random_sets(removed: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """[count, n] random sets as large as ``removed`` [n]."""
    rng, size = np.random.default_rng(seed), int(removed.sum())
    masks = np.zeros((count, len(removed)), np.bool_)
    for mask in masks:
        mask[rng.choice(len(removed), size, replace=False)] = True
    return masks
