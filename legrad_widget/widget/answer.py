"""From a question to its answer: one encoding per picture, one explain call for all new targets. No Jupyter."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..lens import LayerRanks, both_ranks
from ..support import EVERYDAY
from ..target import Text
from .chips import Chip
from .memory import Memory
from .question import Question
from .wire import Outcome

if TYPE_CHECKING:
    from ..explainer import Encoding, Model
    from ..explanation import Explanation
    from ..models.preprocess import Fit

Progress = Callable[[int, int], None]
MAX_RANKS = 256
"""Targets of one picture whose ranks are remembered."""
MAX_NAMES = 200
"""Class names that a prompt is ranked with: each costs 0.08 ms with every new prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What became of every target of a question, in order."""

    question: Question
    outcomes: tuple[Outcome, ...]
    grid: tuple[int, int]


def recalled(question: Question, memory: Memory) -> Answer | None:
    """The answer, where every target of it is remembered and the picture is encoded."""
    photo, encoding = question.photo, question.photo.encoding
    if encoding is None or photo.calibration is not encoding.model.layer_reliability:
        return None
    question = question.suggested()
    known = [memory.get(question.about(place)) for place in range(len(question.chips))]
    outcomes = tuple(
        Outcome(_as_calibrated(x, encoding.model), ranks=photo.ranks.get(chip))
        for x, chip in zip(known, question.chips, strict=True)
        if x
    )
    return Answer(question, outcomes, _grid(encoding)) if len(outcomes) == len(known) else None


def _as_calibrated(x: Explanation, model: Model) -> Explanation:
    """An explanation that may have been made before the model was calibrated, with what layers count with now."""
    reliability = model.reliability_of(x.layers)
    return x if x.reliability == reliability else replace(x, reliability=reliability)


def answer(
    model: Model, question: Question, progress: Progress, memory: Memory, *, fit: Fit, size: Any = None
) -> Answer:
    """Compute what is not remembered. A target that cannot be used gets its sentence, and the others their maps.

    Raises:
        Exception: the picture, the method, a knob or every target cannot be used; what ``progress`` raises.
    """
    photo = question.photo
    encoding = photo.encoded(model, fit, size)
    if photo.calibration is not model.layer_reliability:
        photo.calibration, photo.ranks = model.layer_reliability, {}
    question = question.suggested()
    outcomes = _outcomes(model, encoding, question, progress, memory) if question.chips else []
    return Answer(question, tuple(outcomes), _grid(encoding))


def explained(encoding: Encoding, question: Question, targets: list[Any], progress: Progress) -> list[Explanation]:
    """Explanations of ``targets`` by the question's method and knobs; raises what ``Encoding.explain`` does."""
    return list(encoding.explain(targets, method=question.method.name, progress=progress, **dict(question.knobs)))


def _outcomes(
    model: Model, encoding: Encoding, question: Question, progress: Progress, memory: Memory
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    errors: list[Exception] = []

    def fail(place: int, error: Exception) -> None:
        errors.append(error)
        outcomes[place] = Outcome(error=str(error))

    usable: dict[int, Any] = {}
    known = [memory.get(question.about(place)) for place in range(len(question.things))]
    if question.method.together and None in known:
        known = [None] * len(known)  # they are compared with each other: all or none
    for place, thing in enumerate(question.things):
        try:
            target = model.target(thing)
        except (ValueError, TypeError) as error:
            fail(place, error)
            continue
        if (found := known[place]) is not None:
            outcomes[place] = Outcome(_as_calibrated(found, model), ranks=_ranks(encoding, question, place, target))
        else:
            usable[place] = target
    for place, new in _together_or_alone(encoding, question, usable, progress).items():
        if isinstance(new, Exception):
            fail(place, new)
        else:
            outcomes[place] = Outcome(new, ranks=_ranks(encoding, question, place, usable[place]))
            memory.add(question.about(place), new, encoding)
    if all(outcome.explanation is None for outcome in outcomes.values()):
        raise errors[0]
    return [outcomes[place] for place in range(len(question.chips))]


def _together_or_alone(
    encoding: Encoding, question: Question, usable: dict[int, Any], progress: Progress
) -> dict[int, Explanation | Exception]:
    """All targets in one pass; where that fails, each alone, so that the one at fault is known."""
    if not usable:
        return {}
    try:
        together = explained(encoding, question, list(usable.values()), progress)
        return dict(zip(usable, together, strict=True))
    except (ValueError, TypeError) as error:
        if len(usable) == 1:
            return dict.fromkeys(usable, error)
    found: dict[int, Explanation | Exception] = {}
    for place, target in usable.items():
        try:
            found[place] = explained(encoding, question, [target], progress)[0]
        except (ValueError, TypeError) as error:
            found[place] = error
    return found


def _ranks(encoding: Encoding, question: Question, place: int, target: Any) -> LayerRanks | None:
    """Where a target stands at every layer; None where nothing is there to rank it with.

    A prompt is ranked with what the text tower has read already: the names of the model's classes that it does not
    say, or everyday prompts where the model has no classes, or very many. The same prompt of all other classes, as
    ``layer_ranks`` has it, would be a text forward for each of them with every new prompt; of a bare class name it is
    the same.
    """
    known, chip = question.photo.ranks, question.chips[place]
    if chip not in known:
        while len(known) >= MAX_RANKS:
            del known[next(iter(known))]
        known[chip] = _ranked(encoding, target)
    return known[chip]


def _ranked(encoding: Encoding, target: Any) -> LayerRanks | None:
    try:
        if not isinstance(target, Text):
            return both_ranks(encoding, target)
        others, words = _beside(target, encoding.model.class_names or ())
        return replace(both_ranks(encoding, target, among=[Text(prompt) for prompt in others]), among=words)
    except (ValueError, TypeError):  # a direction, a concept, a contrast, a single class
        return None


def _beside(target: Text, names: tuple[str, ...]) -> tuple[list[str], str]:
    """The prompts that a prompt is ranked with, and what they are in words."""
    others = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", target.text)]
    if 0 < len(others) <= MAX_NAMES:
        return others, f"the names of {len(others)} {'other ' if len(others) < len(names) else ''}classes"
    everyday = [prompt for prompt in EVERYDAY if prompt != target.text][: len(EVERYDAY) - 1]  # as many for each
    return everyday, f"{len(everyday)} everyday prompts"


def _grid(encoding: Encoding) -> tuple[int, int]:
    return int(encoding.grid[0]), int(encoding.grid[1])


def first_error(given: Answer) -> str:
    """The first sentence about a target that failed, or ""."""
    for number, (outcome, chip) in enumerate(zip(given.outcomes, given.question.chips, strict=True)):
        if outcome.error:
            return f"target {number} ({_name(chip)}): {outcome.error}"
    return ""


def _name(chip: Chip) -> str:
    known = chip.wire
    return repr(known.get("text") or known.get("name") or known.get("label") or known.get("index"))
