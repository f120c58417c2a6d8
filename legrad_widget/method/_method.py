"""What a method is: a pure function over captured tokens, with its catalogue entry read from its own signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from torch import Tensor

from ..models.view import ViT


class KnobError(ValueError):
    """A knob is unknown or has a value that it cannot take; the message lists what is possible."""


class MethodError(ValueError):
    """The method is unknown, or not defined for this model; the message says what to use instead."""


Tick = Callable[[int, int], None]  # (step, total); raises to cancel


@dataclass(frozen=True, slots=True)
class Maps:
    """What a method returns for P targets.

    ``tokens`` [P, L, H or 1, N] holds one value for every token, prefix tokens included; ``scores`` [P, L] the layer
    scores that were differentiated, None where the method has none; ``ran`` the knobs that a preset stood for.
    """

    tokens: Tensor
    layers: tuple[int, ...]
    scores: Tensor | None
    has_heads: bool
    signed: bool
    ran: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Knob:
    """One knob of a method, read from its signature: ``Annotated[int | None, "what it does", (low, high)]``.

    ``kind`` is "bool", "choice", "number" or "text"; ``optional``: None is possible; ``low`` and ``high`` bound a
    number (None: no bound), ``integer`` says that it is whole.
    """

    name: str
    kind: Literal["bool", "choice", "number", "text"]
    default: Any
    choices: tuple[Any, ...] = ()
    help: str = ""
    optional: bool = False
    integer: bool = False
    low: float | None = None
    high: float | None = None

    def check(self, value: Any) -> None:
        """Raise a KnobError unless ``value`` is possible."""
        if value is None and self.optional:
            return
        if self.kind == "choice":
            if any(value is c or (type(value) is type(c) and value == c) for c in self.choices):
                return
            raise KnobError(f"{self.name} is one of {', '.join(map(repr, self.choices))}; arrived: {value!r}")
        if not self._fits(value):
            raise KnobError(f"{self.name} is {self._expected()}; arrived: {value!r}")

    def _fits(self, value: Any) -> bool:
        if self.kind == "bool":
            return isinstance(value, bool | np.bool_)
        if self.kind == "text":
            return isinstance(value, str)
        whole = isinstance(value, int | np.integer)
        if isinstance(value, bool) or not (whole or (isinstance(value, float | np.floating) and not self.integer)):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def _expected(self) -> str:
        if self.kind == "bool":
            return "True or False"
        kind = "a string" if self.kind == "text" else "a whole number" if self.integer else "a number"
        ends = [f"{word} {end:g}" for word, end in (("from", self.low), ("to", self.high)) if end is not None]
        return " ".join([kind, *ends]) + (" or None" if self.optional else "")


_READOUTS = {"cls": "a class token", "mean": "an average", "attention": "an attention pooler"}


def _always(_vit: ViT) -> None:
    """Defined for every model of the readouts."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method's catalogue entry. ``run(tokens, aims, layers, tick, **knobs) -> Maps``.

    ``merge`` "mean": the merged map is the mean of the raw maps over the chosen layers; "last": maps are cumulative,
    merged is the map of the highest chosen layer. ``default``: the layers merged when the user names none.
    ``readouts``: the kinds of readout it is defined for ("cls", "mean", "attention"); ``undefined(vit)`` names any
    other reason why not, or None; ``refuses(vit)`` says either in one sentence. ``slow``: one target costs more than
    about two forwards. ``together``: targets asked together are compared with each other, so a list of them is never
    split and no answer is remembered for one of them alone. ``shows`` says in words how the map is to be read, and
    ``formula`` what it is: lines of plain text, the formula first, then what its letters stand for. ``card`` has all of
    it for people, as Markdown.
    """

    name: str
    title: str
    summary: str
    shows: str
    formula: str
    paper: str
    cost: str
    signed: bool
    class_discriminative: bool
    merge: Literal["mean", "last"]
    default: Literal["all", "last"]
    readouts: tuple[str, ...]
    knobs: tuple[Knob, ...]
    run: Callable[..., Maps]
    slow: bool = False
    undefined: Callable[[ViT], str | None] = _always
    instead: str = "legrad"
    together: bool = False

    def refuses(self, vit: ViT) -> str | None:
        """Why this method is not defined for a model, or None."""
        if vit.readout.kind not in self.readouts:
            kinds = " and ".join(_READOUTS[kind] for kind in self.readouts)
            return (
                f"{self.title} is defined for models that read their tokens by {kinds}; {vit.name} reads them by "
                f"{_READOUTS[vit.readout.kind]}. Use {self.instead!r} instead"
            )
        return self.undefined(vit)

    @property
    def card(self) -> str:
        """About this method, as Markdown: what the map shows, formula, paper, cost, and what it is defined for."""
        kinds = ", ".join(_READOUTS[kind] for kind in self.readouts)
        traits = [
            "signed" if self.signed else "never below zero with its defaults",
            "tells targets apart" if self.class_discriminative else "the same for every target",
            f"defined for models that read their tokens by {kinds}",
        ]
        knobs = [f"- `{knob.name}` = {knob.default!r}: {knob.help}" for knob in self.knobs]
        parts = [
            f"### {self.title} (`{self.name}`)", self.summary, self.shows, f"```text\n{self.formula}\n```",
            f"**Paper** {self.paper}", f"**Cost** {self.cost}", "; ".join(traits), "\n".join(knobs),
        ]  # fmt: skip
        return "\n\n".join(parts) + "\n"

    def _repr_markdown_(self) -> str:
        return self.card

    def checked(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """``knobs`` with the defaults filled in, after checking names and values."""
        known = {knob.name: knob for knob in self.knobs}
        unknown = sorted(set(knobs) - set(known))
        if unknown:
            takes = f"its knobs are {', '.join(known)}" if known else "it has no knobs"
            raise KnobError(f"{self.name} does not know the knob {unknown[0]!r}; {takes}")
        for name, value in knobs.items():
            known[name].check(value)
        return {name: knobs.get(name, knob.default) for name, knob in known.items()}


def method(
    *,
    title: str,
    summary: str,
    shows: str,
    formula: str,
    paper: str,
    cost: str,
    signed: bool = False,
    class_discriminative: bool = True,
    merge: Literal["mean", "last"] = "mean",
    default: Literal["all", "last"] = "all",
    readouts: tuple[str, ...] = ("cls", "mean"),
    slow: bool = False,
    undefined: Callable[[ViT], str | None] = _always,
    instead: str = "legrad",
    together: bool = False,
) -> Callable[[Callable[..., Maps]], Method]:
    """Turn a function ``f(tokens, aims, layers, tick, *, knob=...)`` into a Method called like the function."""

    def wrap(run: Callable[..., Maps]) -> Method:
        return Method(
            run.__name__, title, summary, shows, formula, paper, cost, signed, class_discriminative, merge, default,
            readouts, (*_knobs(run), *(CORRECTION[:2] if signed else CORRECTION)), run, slow, undefined, instead,
            together,
        )  # fmt: skip

    return wrap


def _knobs(run: Callable[..., Any]) -> tuple[Knob, ...]:
    hints = get_type_hints(run, include_extras=True)
    parameters = inspect.signature(run).parameters.values()
    return tuple(_knob(p.name, hints[p.name], p.default) for p in parameters if p.kind is p.KEYWORD_ONLY)


def _knob(name: str, hint: Any, default: Any) -> Knob:
    note, low, high = "", None, None
    if get_origin(hint) is Annotated:
        hint, note, *bounds = get_args(hint)
        low, high = bounds[0] if bounds else (None, None)
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = type(None) in parts
    choices = tuple(
        value
        for part in parts
        for value in (get_args(part) if get_origin(part) is Literal else [None] if part is type(None) else [])
    )
    if any(get_origin(part) is Literal for part in parts):
        return Knob(name, "choice", default, choices, note, optional)
    kind: dict[Any, Literal["bool", "number", "text"]] = {bool: "bool", int: "number", float: "number", str: "text"}
    return Knob(name, kind[parts[0]], default, (), note, optional, parts[0] is int, low, high)


def _correction(
    *,
    correction: Annotated[str | None, "background correction: a prompt that names nothing, e.g. 'a photo of'"] = None,
    correction_threshold: Annotated[
        float, "patches where the map of that prompt, normalised, is above this are background", (0.0, 1.0)
    ] = 0.8,
    correction_order: Annotated[
        Literal["before_norm", "after_norm"], "background becomes 0 before the map is normalised, or its lowest value"
    ] = "before_norm",
) -> None:
    """What every method takes beside its own knobs; carried out on its maps, not by the method itself.

    Signed maps are normalised with zero fixed: there the order makes no difference, and such methods do not have it.
    """


CORRECTION = _knobs(_correction)
