"""What is wrong with one sample, and the error for input that cannot be inspected at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["unreadable", "label", "not finite", "mask", "map", "duplicate"]
# One bad item is never fatal, and a Dataset or a decoder may raise anything for it (cv2.error, struct.error, the
# AttributeError of a picture that is None). It is listed with the error's name, so that a bug is told from a bad file.
UNREADABLE = Exception
SKIPPED: tuple[Kind, ...] = ("unreadable", "label", "not finite")


class InspectionError(ValueError):
    """It cannot be inspected; the message says what was expected, what arrived and what to do."""


class InspectionWarning(UserWarning):
    """Something goes on without a part of what was wanted, or otherwise than it may have been meant."""


class PictureGone(InspectionError):
    """The picture of one sample cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One sample that was skipped, or of which something was left out.

    Attributes:
        index: which sample. ``name``: its path, or what it is called.
        kind: "unreadable", "label" or "not finite": the sample is skipped. "mask", "map": only its mask, or
            its evidence, is left out. "duplicate": it is there twice, and counts twice.
        says: one sentence.
    """

    index: int
    name: str
    kind: Kind
    says: str


def whole(value: Any, what: str, low: int = 1) -> int:
    """A whole number, checked.

    Raises:
        InspectionError: it is none, or below ``low``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise InspectionError(f"{what} is a whole number from {low}; arrived: {value!r}")
    return int(value)
