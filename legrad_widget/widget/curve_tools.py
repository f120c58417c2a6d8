"""Tools that erase the picture in the order of a map, or put it in: of one map, or of several methods' maps at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluate import perturbation
from ..evaluate.perturbation import Band, Curve
from .answer import Progress
from .wire import number, numbers

if TYPE_CHECKING:
    from ..explanation import Explanation
    from .subject import Data, Found, Subject

PLANS: Mapping[str, dict[str, Any]] = {
    "deletion": {"steps": 30, "upto": 1.0},
    "insertion": {"steps": 30, "upto": 1.0, "insert": True},
    "positive": {"steps": 9, "upto": 0.9, "order": "most"},
    "negative": {"steps": 9, "upto": 0.9, "order": "least"},
}
"""The curves, as the functions of these names in ``evaluate.perturbation`` draw them."""


def curves(about: Subject, args: Data) -> Iterator[Found]:
    """The score while the picture is erased in the order of a map; a band of random orders beside the first curve."""
    kinds, mode, count = args["kinds"], args["mode"], args["random"]
    plans = [PLANS[kind] for kind in kinds] + [_random(PLANS[kinds[0]], seed) for seed in range(count)]
    total = sum(map(_length, plans))
    found = about.map(args["method"], lambda *_: about.progress(0, total))
    drawn: list[Curve] = []
    for plan in plans:
        done = sum(map(len, drawn))
        for curve in _growing(about, None if plan.get("order") == "random" else found, mode, plan, done, total):
            now = [*drawn, curve]
            whole = done + len(curve) == total
            yield (
                "curves",
                {
                    "curves": [
                        _curve(kind, found.method, one) for kind, one in zip(kinds, now[: len(kinds)], strict=False)
                    ],
                    "band": _band(kinds[0], now[len(kinds) :]) if whole else None,
                    "of": _of(now[0]),
                },
            )
        drawn = now


def faithfulness(about: Subject, args: Data) -> Iterator[Found]:
    """The curves of several methods' maps of this target, and the band of random orders that all have to beat.

    Every curve says by ``digest`` which map it is of, so it can be shown beside that map whatever is asked later, and
    beside no other. Finished curves are remembered as long as their maps are. A method without a map has a sentence.
    """
    board = _Board(about, args)
    about.encoding.check_fresh()
    for kind in board.kinds:
        for method in board.methods:
            yield from board.draw(kind, method)
        if kind == board.kinds[0]:
            yield from board.draw_band()


class _Board:
    """What is known of several methods' curves, as far as they are drawn."""

    def __init__(self, about: Subject, args: Data) -> None:
        self.kinds, self.methods, self._mode = args["kinds"], args["methods"], args["mode"]
        self._about, self._count = about, args["random"]
        whole = any(PLANS[kind]["upto"] == 1 for kind in self.kinds)
        self._chance = "deletion" if whole else "positive"  # its band serves the other kinds too: see Band.height
        self._total = sum(_length(PLANS[kind]) for kind in self.kinds) * len(self.methods)
        self._total += self._count * _length(PLANS[self._chance])
        self._done = 0
        self._maps: dict[str, Explanation] = {}
        self._errors: dict[str, str] = {}
        self._curves: dict[tuple[str, str], Data] = {}
        self._band: Band | None = None
        self._of = ""

    def draw(self, kind: str, method: str) -> Iterator[Found]:
        """One curve, batch by batch."""
        about, done = self._about, self._done
        self._done += _length(PLANS[kind])
        found = self._map(method, done)
        if found is None:
            return
        question, name = about.asked(method), f"{kind} {self._mode}"
        known = about.memory.noted(question, name)
        if known is not None:
            self._curves[kind, method], self._of = known
            about.progress(self._done, self._total)
            yield self._found()
            return
        for curve in _growing(about, found, self._mode, PLANS[kind], done, self._total):
            self._curves[kind, method] = _curve(kind, method, curve) | {"digest": digest(found)}
            self._of = _of(curve)
            yield self._found()
        about.memory.note(question, name, (self._curves[kind, method], self._of))

    def draw_band(self) -> Iterator[Found]:
        """The random orders; the band is there when all are drawn."""
        about, plan, drawn = self._about, PLANS[self._chance], list[Curve]()
        question, name = about.asked(self.methods[0]), f"{self._count} in random order {self._mode} {self._chance}"
        self._band = about.memory.noted(question, name)
        for seed in range(0 if self._band else self._count):
            for curve in _growing(about, None, self._mode, _random(plan, seed), self._done, self._total):
                drawn[seed:] = [curve]
                yield self._found()
            self._done += _length(plan)
        if drawn:
            self._band = Band.of(drawn)
            about.memory.note(question, name, replace(self._band, curves=()))
        if self._band is not None:
            yield self._found()

    def _map(self, method: str, done: int) -> Explanation | None:
        """The method's map; None where there is none, and a sentence says why."""
        if method in self._errors:
            return None
        if method not in self._maps:
            try:
                self._maps[method] = self._about.map(method, lambda *_: self._about.progress(done, self._total))
            except ValueError as error:
                self._errors[method] = str(error)
        return self._maps.get(method)

    def _found(self) -> Found:
        question, band = self._about.answer.question, self._band
        return "faithfulness", {
            "image_rev": question.photo.rev,
            "about": question.chips[self._about.place].wire,
            "curves": list(self._curves.values()),
            "errors": dict(self._errors),
            "band": None if band is None else _wired(self._chance, band),
            "chance": {} if band is None else {kind: number(band.height(PLANS[kind]["upto"])) for kind in self.kinds},
            "of": self._of,
        }


def digest(x: Explanation) -> int:
    """A number that tells this explanation's raw maps from any others: CRC-32 of their float32 bytes."""
    return zlib.crc32(np.ascontiguousarray(x.maps, dtype="<f4").tobytes())


def _length(plan: Mapping[str, Any]) -> int:
    return int(plan["steps"]) + 1


def _random(plan: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**plan, "order": "random", "seed": seed}


def _growing(
    about: Subject, found: Explanation | None, mode: Any, plan: Mapping[str, Any], done: int, total: int
) -> Iterator[Curve]:
    """A curve that begins at step ``done`` of ``total``, batch by batch."""
    progress: Progress = lambda step, _: about.progress(done + step, total)  # noqa: E731
    return perturbation.growing(about.encoding, about.target, found, mode=mode, progress=progress, **plan)


def _of(curve: Curve) -> str:
    return curve.probability_of or curve.score_name


def _curve(kind: str, method: str, curve: Curve) -> Data:
    return {
        "kind": kind,
        "method": method,
        "fractions": numbers(curve.fractions),
        "values": numbers(curve.values),
        "area": number(curve.area) if curve.complete else None,
    }


def _band(kind: str, drawn: list[Curve]) -> Data | None:
    return _wired(kind, Band.of(drawn)) if drawn else None


def _wired(kind: str, band: Band) -> Data:
    """What random orders give."""
    return {
        "kind": kind,
        "fractions": numbers(band.fractions),
        "low": numbers(band.low),
        "mean": numbers(band.mean),
        "high": numbers(band.high),
    }
