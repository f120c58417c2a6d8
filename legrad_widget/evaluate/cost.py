"""What an explanation cost where it was made: in seconds, and in forwards of the same model on that machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..explanation import Explanation
from ..models.forward import features_of_pictures

if TYPE_CHECKING:
    from ..explainer import Encoding

RUNS, ENOUGH = 3, 1.0  # the fastest of so many forwards counts; after so many seconds one is enough


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one explanation.

    Attributes:
        seconds: what it took, for each of the targets that were asked together; the picture's own forward is not in it,
            the first reading of a prompt is.
        forward_seconds: what one forward of the model takes on the same picture.
    """

    seconds: float
    forward_seconds: float

    @property
    def forwards(self) -> float:
        """How many forwards it was as long as. Catalogue entries count arithmetic instead: small models differ."""
        return self.seconds / self.forward_seconds


def measured(x: Explanation, encoding: Encoding) -> Cost:
    """The cost of an explanation that was made from ``encoding`` on this machine.

    Cost: up to three forwards, timed now.
    """
    return Cost(float(x.seconds), forward_seconds(encoding))


def forward_seconds(encoding: Encoding) -> float:
    """Seconds of the model's own forward on this picture: the fastest of three, or the first if that is slow.

    Raises:
        StaleEncoding: the model's weights changed.
    """
    vit, taken = encoding.model.vit, list[float]()
    pictures = encoding.image[None]
    while len(taken) < RUNS and sum(taken) < ENOUGH:
        with encoding.model.lock:
            encoding.check_fresh()
            started = time.perf_counter()
            features_of_pictures(vit, pictures).cpu()  # waits for the device
            taken.append(time.perf_counter() - started)
    return min(taken)
