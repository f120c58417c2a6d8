"""Running in the foreground: a progress bar, and an interruption that loses nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from .problem import InspectionWarning

if TYPE_CHECKING:
    from .inspection import Inspection

Progress = Callable[[int, int], None]


def run(inspection: Inspection, progress: Progress | bool = True) -> None:
    """See :meth:`Inspection.run`."""
    told = progress if callable(progress) else None
    bar = tqdm(total=inspection.total, initial=inspection.done, unit="image", disable=progress is not True)
    try:
        for _ in inspection.stream():
            bar.update(inspection.done - bar.n)
            if told is not None:
                told(inspection.done, inspection.total)
    except KeyboardInterrupt:
        warnings.warn(
            f"stopped after {inspection.done} of {inspection.total} samples; run() goes on from there",
            InspectionWarning,
            stacklevel=3,
        )
    finally:
        bar.close()
