"""Targets on the wire. The browser shows a row of chips; each stands for what the user asked for in Python.

A chip is a prompt, a class, a key, or a contrast of two of them: vectors and other objects that a browser cannot make
stay in Python, held under a key that the browser hands back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..target import MAX_TEMPLATES, Class, Concept, Contrast, Text
from . import rules
from .rules import Refused, shown

MAX_HELD = 256
MAX_CONCEPTS = 40
"""Concepts that are held: their pictures take up to 24 MB each."""
MAX_LABEL = 200


@dataclass(frozen=True, slots=True)
class TextChip:
    """A prompt, alone or in templates whose vectors are averaged."""

    text: str
    templates: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How it is called."""
        return self.text

    @property
    def wire(self) -> dict[str, Any]:
        """As the browser knows it."""
        return {"kind": "text", "text": self.text} | ({"templates": [*self.templates]} if self.templates else {})


@dataclass(frozen=True, slots=True)
class ClassChip:
    """A class of the model; the name is for people."""

    index: int
    name: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """How it is called."""
        return self.name or f"class {self.index}"

    @property
    def wire(self) -> dict[str, Any]:
        """As the browser knows it."""
        return {"kind": "class", "index": self.index, "name": self.name}


@dataclass(frozen=True, slots=True)
class HeldChip:
    """An object that stays in Python."""

    key: str
    label: str = field(default="", compare=False)

    @property
    def wire(self) -> dict[str, Any]:
        """As the browser knows it."""
        return {"kind": "held", "key": self.key, "label": self.label}


Side = TextChip | ClassChip | HeldChip


@dataclass(frozen=True, slots=True)
class ContrastChip:
    """One of the others rather than another."""

    a: Side
    b: Side

    @property
    def label(self) -> str:
        """How it is called."""
        return f"{self.a.label} over {self.b.label}"

    @property
    def wire(self) -> dict[str, Any]:
        """As the browser knows it; the label is for people."""
        return {"kind": "contrast", "a": self.a.wire, "b": self.b.wire, "label": self.label}


Chip = Side | ContrastChip


class Held:
    """The objects behind the keys, at most ``limit`` of them; the least recently used one is let go."""

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._things: OrderedDict[str, object] = OrderedDict()
        self._limit, self._made = limit, 0

    def key_of(self, thing: object) -> str:
        """The key of ``thing``: the same one for the same object."""
        for key, known in self._things.items():
            if known is thing:
                self._things.move_to_end(key)
                return key
        self._made += 1
        key = f"v{self._made}"
        self._things[key] = thing
        if len(self._things) > self._limit:
            self._things.popitem(last=False)
        concepts = [known for known, held in self._things.items() if isinstance(held, Concept)]
        for oldest in concepts[:-MAX_CONCEPTS]:
            del self._things[oldest]
        return key

    def __getitem__(self, key: str) -> object:
        if key not in self._things:
            raise Refused(f"no target is held under {shown(key)} any more; set it again from Python")
        self._things.move_to_end(key)
        return self._things[key]


def chip_of(target: Any, held: Held) -> Chip:
    """The chip of a target that the model has resolved (``Model.target``)."""
    if isinstance(target, Contrast):
        return ContrastChip(_side_of(target.a, held), _side_of(target.b, held))
    return _side_of(target, held)


def _side_of(target: Any, held: Held) -> Side:
    if isinstance(target, Text) and not target.control:
        return TextChip(target.text, tuple(target.templates))
    if isinstance(target, Class) and target.index is not None:
        return ClassChip(target.index, target.name or "")
    return HeldChip(held.key_of(target), str(target.label)[:MAX_LABEL])


def thing_of(chip: Chip, held: Held) -> Any:
    """What a user would write in Python for this chip: a str, an int, a Text or Contrast, or the held object.

    Raises:
        Refused: an object that is no longer held, two sides that are the same.
    """
    if isinstance(chip, TextChip):
        return Text(chip.text, templates=chip.templates) if chip.templates else chip.text
    if isinstance(chip, ClassChip):
        return chip.index
    if isinstance(chip, HeldChip):
        return held[chip.key]
    try:
        return Contrast(thing_of(chip.a, held), thing_of(chip.b, held))
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None


def read_through(thing: Any, templates: Sequence[str], *, bare: bool = False) -> Any:
    """A target with its prompts put into ``templates``; with none of them a prompt is read as it is typed.

    Controls, and what is no prompt, stay as they are; so does a ``Text`` where only ``bare`` strings are meant.

    Raises:
        TargetError: a filled template is too long, or two sides of a contrast are the same then.
    """
    if isinstance(thing, Contrast):
        return Contrast(*(read_through(side, templates, bare=bare) for side in (thing.a, thing.b)))
    if isinstance(thing, Text) and not (bare or thing.control):
        thing = thing.text
    return Text(thing, templates=tuple(templates)) if isinstance(thing, str) and templates else thing


def read_chips(raw: Any, class_names: tuple[str, ...] | None) -> tuple[Chip, ...]:
    """The chips that a browser sent.

    Raises:
        Refused: not a list of at most 32 wire targets, a blank or overlong prompt, a template that cannot be filled, an
            unknown class, a contrast of contrasts or of equals.
    """
    if not isinstance(raw, list | tuple):
        raise Refused(f"targets is a list; arrived: {shown(raw)}")
    if len(raw) > rules.MAX_TARGETS:
        raise Refused(f"{len(raw)} targets are too many: at most {rules.MAX_TARGETS} are compared at once")
    return tuple(_read_chip(item, class_names) for item in raw)


def _read_chip(raw: Any, class_names: tuple[str, ...] | None) -> Chip:
    if _kind(raw) != "contrast":
        return _read_side(raw, class_names, "'text', 'class', 'held' or 'contrast'")
    a, b = (_read_side(raw.get(name), class_names, "'text', 'class' or 'held' in a contrast") for name in "ab")
    if a == b:
        raise Refused(f"nothing sets {shown(a.label)} apart from itself; a contrast needs two different targets")
    return ContrastChip(a, b)


def _read_side(raw: Any, class_names: tuple[str, ...] | None, kinds: str) -> Side:
    kind = _kind(raw)
    if kind == "text":
        text = rules.prompt(raw.get("text"))
        return TextChip(text, read_templates(raw.get("templates", ()), text))
    if kind == "class":
        if not class_names:
            raise Refused("this model has no classes: type a prompt instead")
        index = rules.whole("a class index", raw.get("index"), 0, len(class_names) - 1)
        return ClassChip(index, class_names[index])
    if kind == "held":
        return HeldChip(rules.words("a target's key", raw.get("key"), 16), str(raw.get("label", ""))[:MAX_LABEL])
    raise Refused(f"a target has the kind {kinds}; arrived: {shown(kind)}")


def _kind(raw: Any) -> Any:
    return raw.get("kind") if isinstance(raw, Mapping) else None


def read_templates(raw: Any, text: str = "word") -> tuple[str, ...]:
    """Templates for ``text``, each checked.

    Raises:
        Refused: no list of sentences with one {} each, too many, or too long with the text in them.
    """
    if not isinstance(raw, list | tuple):
        raise Refused(f"templates is a list of sentences, e.g. ['a photo of a {{}}']; arrived: {shown(raw)}")
    try:
        target = Text(text, templates=raw[: MAX_TEMPLATES + 1])
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    return tuple(rules.words("a template", template, rules.MAX_PROMPT) for template in target.templates)
