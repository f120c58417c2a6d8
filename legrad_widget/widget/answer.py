"""From a question to its answer: one encoding per picture, one explain call for all targets. No Jupyter."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..method import Method
from . import wire
from .chips import Chip, ClassChip
from .wire import Outcome

if TYPE_CHECKING:
    from ..explainer import Encoding, Model
    from ..explanation import Explanation
    from ..models.preprocess import Fit
    from ..support import Prediction

Progress = Callable[[int, int], None]
MEMORY = 64 * 2**20


@dataclass(eq=False, slots=True)
class Photo:
    """A picture that was set or sent, as it came; the worker reads and encodes it, once."""

    rev: int
    source: Any
    name: str = ""
    picture: Image.Image | None = None
    encoding: Encoding | None = None
    wired: dict[str, Any] = field(default_factory=dict)  # as the browser knows it
    predictions: tuple[Prediction, ...] = ()
    predictions_of: str = ""

    @property
    def stale(self) -> bool:
        """Whether the model was trained further since; what is remembered is of another model then."""
        return self.encoding is not None and self.encoding.stale

    def encoded(self, model: Model, fit: Fit, size: Any) -> Encoding:
        """The encoding and what the model takes the picture for; made once, and again after a change of weights."""
        if self.encoding is None or self.stale:
            encoding = model.encode(self.source, fit=fit, size=size)
            self.predictions = tuple(encoding.predictions(k=5))
            self.predictions_of = encoding.predictions_of if self.predictions else ""
            self.picture = encoding.picture
            self.source = self.picture if isinstance(self.source, bytes) else self.source
            self.wired = wire.image(encoding.picture, encoding.window, rev=self.rev, name=self.name)
            self.encoding = encoding
        return self.encoding


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that an answer depends on. Equal questions have equal answers.

    ``suggest`` asks a classifier without a target for the class that it sees.
    """

    photo: Photo
    chips: tuple[Chip, ...]
    things: tuple[Any, ...] = field(compare=False)
    method: Method
    knobs: tuple[tuple[str, Any], ...]
    suggest: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What became of every target of a question, in order."""

    question: Question
    outcomes: tuple[Outcome, ...]
    grid: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays it holds."""
        found = (outcome.explanation for outcome in self.outcomes if outcome.explanation is not None)
        arrays = (array for x in found for array in (x.maps, x.heads, x.prefix, x.scores))
        return sum(array.nbytes for array in arrays if array is not None)


def answer(model: Model, question: Question, progress: Progress, *, fit: Fit, size: Any) -> Answer:
    """Compute. A target that cannot be used gets its sentence, and the others their maps.

    Raises:
        Exception: the picture, the method, a knob or every target cannot be used; what ``progress`` raises.
    """
    encoding = question.photo.encoded(model, fit, size)
    if question.suggest and not question.chips and question.photo.predictions:
        first = question.photo.predictions[0]
        question = replace(question, chips=(ClassChip(first.index, first.name),), things=(first.index,), suggest=False)
    outcomes = _outcomes(model, encoding, question, progress) if question.things else []
    grid = (int(encoding.grid[0]), int(encoding.grid[1]))
    return Answer(question, tuple(outcomes), grid)


def _outcomes(model: Model, encoding: Encoding, question: Question, progress: Progress) -> list[Outcome]:
    knobs = dict(question.knobs)

    def explain(targets: list[Any]) -> list[Explanation]:
        return list(encoding.explain(targets, method=question.method.name, progress=progress, **knobs))

    outcomes: dict[int, Outcome] = {}
    errors: list[Exception] = []

    def fail(place: int, error: Exception) -> None:
        errors.append(error)
        outcomes[place] = Outcome(error=str(error))

    usable: dict[int, Any] = {}
    for place, thing in enumerate(question.things):
        try:
            usable[place] = model.target(thing)
        except (ValueError, TypeError) as error:
            fail(place, error)
    try:
        found = explain(list(usable.values())) if usable else []
        outcomes |= {place: Outcome(x) for place, x in zip(usable, found, strict=True)}
    except (ValueError, TypeError) as together:
        if len(question.things) == 1:
            raise
        errors.insert(0, together)
        for place, target in usable.items():
            try:
                outcomes[place] = Outcome(explain([target])[0])
            except (ValueError, TypeError) as error:
                fail(place, error)
    if all(outcome.explanation is None for outcome in outcomes.values()):
        raise errors[0]
    return [outcomes[place] for place in range(len(question.things))]


class Answers:
    """Recent answers by question: the least recently used go beyond ``limit`` bytes. Thread-safe."""

    def __init__(self, limit: int = MEMORY) -> None:
        self._known: OrderedDict[Question, Answer] = OrderedDict()
        self._limit = limit
        self._guard = threading.Lock()

    def get(self, question: Question) -> Answer | None:
        """The answer to an equal question, if it is still here."""
        with self._guard:
            if question in self._known:
                self._known.move_to_end(question)
            return self._known.get(question)

    def add(self, given: Answer) -> None:
        """Keep an answer; the newest one always stays."""
        with self._guard:
            self._known[given.question] = given
            while len(self._known) > 1 and self.nbytes > self._limit:
                self._known.popitem(last=False)

    def keep(self, photo: Photo | None) -> None:
        """Forget every answer about another picture; None forgets all."""
        with self._guard:
            for question in [question for question in self._known if question.photo is not photo]:
                del self._known[question]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays held."""
        return sum(known.nbytes for known in self._known.values())


def first_error(given: Answer) -> str:
    """The first sentence about a target that failed, or ""."""
    for number, (outcome, chip) in enumerate(zip(given.outcomes, given.question.chips, strict=True)):
        if outcome.error:
            return f"target {number} ({_name(chip)}): {outcome.error}"
    return ""


def _name(chip: Chip) -> str:
    known = chip.wire
    return repr(known.get("text") or known.get("name") or known.get("label") or known.get("index"))
