"""One target under several methods, side by side: what is finished, and what is still to come. No Jupyter."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..method import Method
from . import wire
from .answer import Progress, explained
from .memory import Memory
from .question import Question
from .rules import sentence
from .wire import Outcome
from .worker import Cancelled

if TYPE_CHECKING:
    from ..explanation import Explanation

log = logging.getLogger(__name__)

_TRAINED = "the model's weights changed while methods were compared; ask again to compare them anew"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Questions about one target, one for each method, with the outcomes of those that are finished, by method."""

    questions: tuple[Question, ...]
    grid: tuple[int, int]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[Question, ...]:
        """What is still to come, in the order asked for."""
        return tuple(question for question in self.questions if question.method.name not in self.outcomes)

    @property
    def upcoming(self) -> Question | None:
        """What comes next: cheap methods first."""
        return min(self.pending, key=_slow, default=None)

    @property
    def progress(self) -> str:
        """What is being done, for people."""
        question = self.upcoming
        if question is None:
            return ""
        return f"comparing {question.method.title} ({len(self.outcomes) + 1} of {len(self.questions)})"

    @property
    def explanations(self) -> dict[str, Explanation]:
        """What is finished and did not fail, by method, in the order asked for."""
        found = {question.method.name: self.outcomes.get(question.method.name) for question in self.questions}
        return {name: end.explanation for name, end in found.items() if end is not None and end.explanation is not None}

    @property
    def first_error(self) -> str:
        """The first sentence about a method that failed, or ""."""
        failed = ((question.method.title, self.outcomes.get(question.method.name)) for question in self.questions)
        return next((f"{title} could not be compared: {end.error}" for title, end in failed if end and end.error), "")

    def wired(self, rid: str | None, rev: int) -> dict[str, Any]:
        """As the browser knows it."""
        panes = [
            (question.method.name, dict(question.knobs), self.outcomes[question.method.name])
            for question in self.questions
            if question.method.name in self.outcomes
        ]
        first = self.questions[0]
        return wire.comparison(
            first.chips[0],
            panes,
            pending=[question.method.name for question in self.pending],
            grid=self.grid,
            rid=rid,
            rev=rev,
            image_rev=first.photo.rev,
        )

    def finished(self, question: Question, outcome: Outcome) -> Comparison:
        """The same with one more outcome."""
        return replace(self, outcomes={**self.outcomes, question.method.name: outcome})

    def recalling(self, memory: Memory) -> Comparison:
        """The same with everything that is remembered."""
        known = {question.method.name: memory.get(question) for question in self.pending}
        return replace(self, outcomes={**self.outcomes, **{name: Outcome(x) for name, x in known.items() if x}})


def _slow(question: Question) -> bool:
    return question.method.slow


def beside(question: Question, place: int, methods: Sequence[Method]) -> tuple[Question, ...]:
    """The questions that a comparison asks about the target at ``place``; () where there is no such target.

    The method of ``question`` keeps its knobs, the others run with their defaults.
    """
    if place >= len(question.chips):
        return ()
    return tuple(question.by(method).about(place) for method in methods)


def outcome_of(question: Question, progress: Progress, memory: Memory) -> Outcome:
    """Compute one method on its own; whatever goes wrong is a sentence.

    Raises:
        Cancelled: ``progress`` did, or the picture is not encoded any more.
    """
    encoding = question.photo.encoding
    if encoding is None:
        raise Cancelled
    try:
        if encoding.stale:
            return Outcome(error=_TRAINED)
        found = explained(encoding, question, list(question.things), progress)[0]
    except Cancelled:
        raise
    except BaseException as error:  # one method must not end the others
        if not isinstance(error, ValueError | TypeError):
            log.error("comparing %s failed", question.method.name, exc_info=error)
        return Outcome(error=sentence(error))
    memory.add(question, found, encoding)
    return Outcome(found)
