"""How few patches every error hangs on: the smallest flip sets of many samples, found once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..target import TargetError
from .contrasting import key_of, overlay_of, surest_first
from .counterfactual import flip_set
from .evidence import Overlay
from .flip_set import FlipSet, Goal
from .identity import digest
from .problem import PictureGone, Problem
from .progress_bar import with_bar
from .removal import OtherAnswer

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection

Progress = Callable[[int, int], None]
CONTROL = 8


@with_bar(" samples")
def find_flip_sets(
    inspection: Inspection,
    rows: Any = None,
    overlay: str | Overlay | None = None,
    *,
    goal: Goal = "other",
    control: int = CONTROL,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The smallest flip sets of many samples: which answers hang on few patches. Fills the column ``flip_size``.

    What was found before along the same map, with the same goal and number of random sets, is taken as it is, from
    memory or from the cache on disk: stop whenever you like, and the next call goes on from there.

    Args:
        rows: as :meth:`Inspection.rows` takes them; None: all errors, the surest first.
        overlay, goal, control, seed: as in :func:`~legrad_widget.inspection.counterfactual.flip_set`.
        progress: called with (step, total) of what is still to be found, before each and between its forwards; raises
            to cancel.

    Returns:
        One row per sample: ``size`` (0: no set was found along this map), ``share`` of the picture, ``after`` (the
        class it is then), ``random_flips`` (share of as many random patches that change the answer too).

    Cost: per sample about 60 forwards without some patches on average, most of them where an answer hangs on many, and
    one to encode it; what was found before costs nothing.

    Raises:
        InspectionError: some are still to be found, and there is no model; or an argument cannot be.
    """
    import pandas as pd

    chosen = overlay_of(inspection, overlay)
    wanted = surest_first(inspection) if rows is None else [inspection.answered(at) for at in inspection.rows(rows)]
    missing = [at for at in wanted if not _known(inspection, at, chosen, goal, control)]
    if missing:
        inspection.needs_model(
            f"find flip sets of {len(missing)} of {len(wanted)} samples (those found are in r.flip_sets)"
        )
    for step, at in enumerate(missing):
        if progress is not None:
            progress(step, len(missing))
        _find(inspection, at, chosen, goal, control, seed, _within(progress, step, len(missing)))
    there = {at: inspection.flip_sets[at] for at in wanted if _known(inspection, at, chosen, goal, control)}
    names = inspection.class_names
    table = {
        at: {"size": one.size, "share": one.share, "after": names[one.after], "random_flips": one.random_flips}
        for at, one in there.items()
    }
    columns = ["size", "share", "after", "random_flips"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("sample")


def _within(progress: Progress | None, step: int, total: int) -> Progress | None:
    """Between the forwards of one sample: how far the whole is, not how far that one is."""
    return None if progress is None else lambda _done, _needed: progress(step, total)


def _known(inspection: Inspection, at: int, overlay: Overlay, goal: Goal, control: int) -> bool:
    found = inspection.flip_sets.get(at)
    return found is not None and (found.overlay, found.goal, found.control) == (overlay, goal, control)


def _find(
    inspection: Inspection, at: int, overlay: Overlay, goal: Goal, control: int, seed: int, progress: Progress | None
) -> None:
    """One of them, from the cache or computed and put there; where it cannot be, it is listed among the problems."""
    try:
        key = digest(key_of(inspection, at, overlay), overlay.weights, goal, control, seed)
        held = inspection.cache.get("flip", [key]).get(key)
        if held is None:
            found = flip_set(inspection, at, overlay, goal=goal, control=control, seed=seed, progress=progress)
            inspection.cache.put("flip", {key: to_bytes(found)})
            return
        with inspection.lock:
            inspection.flip_sets[at] = replace(from_bytes(held), names=inspection.class_names)
            inspection.changed()
    except (PictureGone, TargetError, OtherAnswer) as error:
        told = Problem(at, inspection.samples.names[at], "map", str(error))
        if told not in inspection.found:
            inspection.keep(told)


def to_bytes(found: FlipSet) -> bytes:
    """As JSON; see :func:`from_bytes`. The names of the classes are no part of it."""
    said = {field.name: getattr(found, field.name) for field in fields(FlipSet) if field.name != "names"}
    random_flips = None if np.isnan(found.random_flips) else found.random_flips
    overlay = None if found.overlay is None else asdict(found.overlay)
    said |= {"removed": found.removed.tolist(), "random_flips": random_flips, "overlay": overlay}
    return json.dumps(said).encode()


def from_bytes(held: bytes) -> FlipSet:
    """What :func:`to_bytes` wrote."""
    said: dict[str, Any] = json.loads(held)
    overlay = None if said["overlay"] is None else Overlay(**said["overlay"])
    random_flips = float("nan") if said["random_flips"] is None else said["random_flips"]
    return FlipSet(**said | {"removed": np.array(said["removed"]), "random_flips": random_flips, "overlay": overlay})


@dataclass(frozen=True, slots=True)
class Fragility:
    """The flip sets of the errors by one map in four numbers.

    Attributes:
        asked: errors that were searched along it. ``found``: of how many there is a flip set.
        median: patches, of those found; nan for none. ``random``: mean share of as many random patches that change the
            answer too.
    """

    asked: int
    found: int
    median: float
    random: float


def fragility(inspection: Inspection, overlay: Overlay | None = None) -> Fragility:
    """Sum up what is known of the errors' flip sets along one map; None: the inspection's own."""
    chosen = overlay or inspection.overlay
    known = [inspection.flip_sets.get(at) for at in inspection.wrong.tolist()]
    asked = [one for one in known if one is not None and one.overlay == chosen]
    found = [one for one in asked if one.found]
    random = [one.random_flips for one in found if not np.isnan(one.random_flips)]
    return Fragility(
        len(asked), len(found),
        float(np.median([one.size for one in found])) if found else float("nan"),
        float(np.mean(random)) if random else float("nan"),
    )  # fmt: skip
