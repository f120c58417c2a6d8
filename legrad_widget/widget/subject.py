"""What a tool is about: one target of an answer, its map by any method, and whom to tell how far it is. No Jupyter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..method import find
from .answer import Answer, Progress
from .comparison import outcome_of
from .memory import Memory
from .worker import Cancelled

if TYPE_CHECKING:
    from ..explainer import Encoding
    from ..explanation import Explanation
    from .question import Question

Data = dict[str, Any]
Found = tuple[str, Data]
"""The tool that the data is shown under, and the data so far."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One target of an answer, and whom to tell how far a tool is; ``progress`` raises to cancel."""

    answer: Answer
    place: int
    memory: Memory
    progress: Progress

    @property
    def encoding(self) -> Encoding:
        """The picture's encoding; Cancelled where it was let go of."""
        if (encoding := self.answer.question.photo.encoding) is None:
            raise Cancelled
        return encoding

    @property
    def target(self) -> Any:
        """As the user wrote it."""
        return self.answer.question.things[self.place]

    def asked(self, method: str | None = None) -> Question:
        """The question about this target alone: of the method that is shown, or of another with its defaults."""
        question = self.answer.question
        if method is not None:
            question = question.by(find(method))  # first: it may compare the targets, and so be about all of them
        return question.about(self.place)

    def map(self, method: str | None = None, progress: Progress | None = None) -> Explanation:
        """The map that is shown, or another method's; a ValueError that says why there is none."""
        if method is None or method == self.answer.question.method.name:
            outcome = self.answer.outcomes[self.place]
            if outcome.explanation is None:
                raise ValueError(outcome.error)
            return outcome.explanation
        return self.remembered(self.asked(method), progress)

    def remembered(self, question: Question, progress: Progress | None = None) -> Explanation:
        """What is remembered or computed now; a ValueError that says why there is nothing."""
        if (known := self.memory.get(question)) is not None:
            return known
        outcome = outcome_of(question, progress or self.progress, self.memory)
        if outcome.explanation is None:
            raise ValueError(outcome.error)
        return outcome.explanation
