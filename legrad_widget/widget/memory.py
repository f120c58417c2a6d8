"""Explanations that were computed lately: one for each picture, target, method and knobs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .question import Photo, Question

if TYPE_CHECKING:
    from ..explainer import Encoding
    from ..explanation import Explanation

MEMORY = 64 * 2**20


class Memory:
    """Explanations by questions about one target: the least recently used go beyond ``limit`` bytes. Thread-safe."""

    def __init__(self, limit: int = MEMORY) -> None:
        self._known: OrderedDict[Question, Explanation] = OrderedDict()
        self._notes: dict[Question, dict[str, Any]] = {}
        self.verdicts: dict[tuple[str, tuple[Any, ...]], dict[str, Any]] = {}
        """What the randomisation check said of a method with its knobs; whatever the picture, until weights change."""
        self._limit, self._nbytes = limit, 0
        self._guard = threading.Lock()

    def get(self, question: Question) -> Explanation | None:
        """The explanation for an equal question, if it is still here."""
        with self._guard:
            if question in self._known:
                self._known.move_to_end(question)
            return self._known.get(question)

    def add(self, question: Question, explanation: Explanation, encoding: Encoding) -> None:
        """Keep an explanation made from ``encoding``, unless the weights have changed meanwhile; the newest stays."""
        with self._guard:  # whoever forgets all, because the weights have changed, comes before this or after it
            if encoding.stale:
                return
            self._forget(question)
            self._known[question] = explanation
            self._nbytes += nbytes(explanation)
            while len(self._known) > 1 and self._nbytes > self._limit:
                self._forget(next(iter(self._known)))

    def note(self, question: Question, name: str, value: Any) -> None:
        """Keep what was found out about a remembered explanation, for as long as that is remembered; small things."""
        with self._guard:
            if question in self._known:
                self._notes.setdefault(question, {})[name] = value

    def noted(self, question: Question, name: str) -> Any:
        """What was kept under ``name``, or None."""
        with self._guard:
            return self._notes.get(question, {}).get(name)

    @property
    def known(self) -> tuple[tuple[Question, Explanation], ...]:
        """Everything that is remembered, the latest used last."""
        with self._guard:
            return tuple(self._known.items())

    def keep(self, photo: Photo | None) -> None:
        """Forget everything about another picture; None forgets all."""
        with self._guard:
            if photo is None:
                self.verdicts.clear()
            for question in [question for question in self._known if question.photo is not photo]:
                self._forget(question)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays held."""
        return self._nbytes

    def _forget(self, question: Question) -> None:
        self._notes.pop(question, None)
        if question in self._known:
            self._nbytes -= nbytes(self._known.pop(question))


def nbytes(explanation: Explanation) -> int:
    """Bytes of the arrays of an explanation."""
    arrays = (explanation.maps, explanation.heads, explanation.prefix, explanation.scores)
    return sum(array.nbytes for array in arrays if array is not None)
