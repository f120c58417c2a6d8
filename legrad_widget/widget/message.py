"""Messages from the browser, read into frozen records. A page may send anything; misfits are refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import rules
from .chips import Chip, read_chips, read_templates
from .pins import read_pins
from .rules import Refused, Scope, shown

VERSION = 1
MAX_CHARACTERS = 200_000
MAX_ITEMS = 2_000
MAX_TOOL_ITEMS = 20_000
"""A tool may name every patch of a large grid, two numbers each; a look brings all pins, with their targets."""
MAX_DEPTH = 8
MAX_UPLOAD = 32 * 2**20
MAX_PART = 4 * 2**20
MAX_PARTS = 64
MAX_EXAMPLES = 30
"""Pictures of one concept, as many as the CDAM paper takes."""
_BIGGEST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Hello:
    """A view of the widget has appeared."""

    client: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """The page wants the front end's second file, the one with this hash."""

    client: str
    hash: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop computing."""

    client: str
    n: int


@dataclass(frozen=True, slots=True)
class Look:
    """How the map is shown; no new question. ``view`` holds trait names and values."""

    client: str
    n: int
    view: Mapping[str, Any]
    active: int | None


@dataclass(frozen=True, slots=True)
class Ask:
    """A whole question, with how its answer is to be shown.

    ``compare``: the methods to compare on the active target; ``templates``: what prompts are typed into from now on.
    None: the page says nothing about it.
    """

    client: str
    n: int
    rid: str
    targets: tuple[Chip, ...]
    active: int
    method: str
    knobs: Mapping[str, Any]
    view: Mapping[str, Any]
    compare: tuple[str, ...] | None
    templates: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a picture on its way in."""

    client: str
    n: int
    upload: str
    name: str
    size: int
    part: int
    parts: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Example:
    """One part of picture ``at`` out of ``count`` that make up a concept."""

    client: str
    concept: str
    at: int
    count: int
    file: Part


@dataclass(frozen=True, slots=True)
class Export:
    """The view on the screen, to be kept: ``what`` is "npz", the explanation's file, or "code", the lines of Python."""

    client: str
    n: int
    rid: str
    what: str


@dataclass(frozen=True, slots=True)
class Use:
    """A tool, asked about target ``target`` of the answer ``rev``; the tool "stop" stops the one that runs.

    ``args`` as they came: what fits depends on the picture's grid.
    """

    client: str
    n: int
    rid: str
    rev: int
    target: int
    tool: str
    args: Any


Message = Hello | Fetch | Cancel | Look | Ask | Part | Example | Use | Export


def read(content: Any, buffers: Iterable[Any], scope: Scope) -> Message:
    """The record of a custom message.

    Raises:
        Refused: malformed, oversized or unknown, in one sentence.
    """
    _check_weight(content)
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _READERS:
        raise Refused(f"no message is called {shown(kind)}; the kinds are {', '.join(_READERS)}")
    if content.get("v") != VERSION:
        raise Refused(
            f"the page speaks version {shown(content.get('v'))} and the kernel version {VERSION}: "
            "reload the page, and restart the kernel if legrad-widget was updated"
        )
    arrived = tuple(itertools.islice(buffers, 2))
    carries = kind in ("image", "example")
    if len(arrived) != carries:
        raise Refused(f"a message of the kind {kind!r} carries {'one buffer' if carries else 'no buffers'}")
    return _READERS[kind](content, scope, *arrived)


def read_request(content: Any, scope: Scope) -> Ask:
    """The question in the ``_request`` trait: an ask without its kind."""
    _check_weight(content)
    message = read({**content, "kind": "ask"}, (), scope)
    assert isinstance(message, Ask)
    return message


def read_look(content: Any) -> Look:
    """Which look at the map a write of view traits belongs to, from the ``_look`` trait: that view's sender alone."""
    _check_weight(content)
    return Look(*_sender(content), view={}, active=None)


def read_view(raw: Any, scope: Scope) -> dict[str, Any]:
    """The view traits in ``raw``, checked; names that are not view traits are left out."""
    if not isinstance(raw, Mapping):
        raise Refused(f"view is a dict; arrived: {shown(raw)}")
    checks: dict[str, Callable[[Any], Any]] = {
        "layers": lambda value: rules.layers(value, scope.depth),
        "heads": lambda value: rules.heads(value, scope),
        "weights": lambda value: rules.weights(value, scope),
        "opacity": lambda value: rules.fraction("opacity", value),
        "colormap": rules.colormap,
        "threshold": lambda value: rules.fraction("threshold", value),
        "smooth": lambda value: rules.flag("smooth", value),
        "compare": rules.compare,
        "compared": lambda value: rules.compared(value, scope),
        "compare_scale": rules.compare_scale,
        "pins": lambda value: read_pins(value, scope),
    }
    return {name: check(raw[name]) for name, check in checks.items() if name in raw}


def _client(content: Mapping[str, Any]) -> str:
    return rules.words("client", content.get("client"), 64)


def _sender(content: Mapping[str, Any]) -> tuple[str, int]:
    return _client(content), rules.whole("n", content.get("n"), 0, _BIGGEST)


def _hello(content: Mapping[str, Any], _scope: Scope) -> Hello:
    return Hello(_client(content))


def _fetch(content: Mapping[str, Any], _scope: Scope) -> Fetch:
    return Fetch(_client(content), rules.words("hash", content.get("hash"), 64))


def _cancel(content: Mapping[str, Any], _scope: Scope) -> Cancel:
    return Cancel(*_sender(content))


def _look(content: Mapping[str, Any], scope: Scope) -> Look:
    active = content.get("active")
    if active is not None:
        active = rules.whole("active", active, 0, rules.MAX_TARGETS)
    return Look(*_sender(content), read_view(content.get("view", {}), scope), active)


def _ask(content: Mapping[str, Any], scope: Scope) -> Ask:
    client, n = _sender(content)
    rid = _rid(content, f"{client}.{n}")
    method = rules.method(content.get("method"))
    return Ask(
        client,
        n,
        rid,
        targets=read_chips(content.get("targets"), scope.class_names),
        active=rules.whole("active", content.get("active", 0), 0, rules.MAX_TARGETS),
        method=method.name,
        knobs=rules.knobs(content.get("knobs", {}), method),
        view=read_view(content.get("view", {}), scope),
        compare=tuple(rules.compared(content["compare"], scope)) if "compare" in content else None,
        templates=read_templates(content["templates"]) if "templates" in content else None,
    )


def _use(content: Mapping[str, Any], _scope: Scope) -> Use:
    client, n = _sender(content)
    return Use(
        client,
        n,
        _rid(content, f"{client}.t{n}"),
        rev=rules.whole("rev", content.get("rev"), 0, _BIGGEST),
        target=rules.whole("target", content.get("target"), 0, rules.MAX_TARGETS),
        tool=rules.words("tool", content.get("tool"), 64),
        args=content.get("args"),
    )


def _export(content: Mapping[str, Any], _scope: Scope) -> Export:
    client, n = _sender(content)
    return Export(
        client, n, _rid(content, f"{client}.t{n}"), rules.choice("what", content.get("what"), ("npz", "code"))
    )


def _rid(content: Mapping[str, Any], expected: str) -> str:
    rid = content.get("rid")
    if rid != expected:
        raise Refused(f"rid is the client and n with a point between, {expected}; arrived: {shown(rid)}")
    return expected


def _part(content: Mapping[str, Any], _scope: Scope, data: Any) -> Part:
    size = content.get("size")
    if isinstance(size, int) and size > MAX_UPLOAD:
        raise Refused(
            f"the file has {size / 2**20:.0f} MB; at most {MAX_UPLOAD // 2**20} MB are taken: make it smaller"
        )
    if size == 0:
        raise Refused("the file is empty (0 bytes)")
    raw = memoryview(data).cast("B")
    if raw.nbytes > MAX_PART:
        raise Refused(f"one part carries at most {MAX_PART // 2**20} MB; arrived: {raw.nbytes} bytes")
    parts = rules.whole("parts", content.get("parts"), 1, MAX_PARTS)
    return Part(
        *_sender(content),
        upload=rules.words("upload", content.get("upload"), 64),
        name=str(content.get("name", ""))[:200],
        size=rules.whole("size", size, 1, MAX_UPLOAD),
        part=rules.whole("part", content.get("part"), 0, parts - 1),
        parts=parts,
        data=raw.tobytes(),
    )


def _example(content: Mapping[str, Any], scope: Scope, data: Any) -> Example:
    count = content.get("count")
    if isinstance(count, int) and count > MAX_EXAMPLES:
        raise Refused(f"{count} pictures are too many: a concept is made of at most {MAX_EXAMPLES}. Choose fewer")
    count = rules.whole("count", count, 1, MAX_EXAMPLES)
    return Example(
        _client(content),
        concept=rules.words("concept", content.get("concept"), 64),
        at=rules.whole("at", content.get("at"), 0, count - 1),
        count=count,
        file=_part(content, scope, data),
    )


_READERS: dict[str, Callable[..., Message]] = {
    "hello": _hello,
    "live": _fetch,
    "cancel": _cancel,
    "view": _look,
    "ask": _ask,
    "image": _part,
    "example": _example,
    "tool": _use,
    "export": _export,
}


def _check_weight(content: Any) -> None:
    """Refuse what is too big before looking any closer; never walks further than the limits."""
    if not isinstance(content, Mapping):
        raise Refused(f"a message is an object; arrived: {shown(content)}")
    most = MAX_TOOL_ITEMS if content.get("kind") in ("tool", "view") else MAX_ITEMS
    characters = items = 0
    level: Sequence[Any] = [content]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            items += 1
            if isinstance(value, str):
                characters += len(value)
            elif isinstance(value, Mapping):
                inner += itertools.islice(itertools.chain.from_iterable(value.items()), most + 1)
            elif isinstance(value, list | tuple):
                inner += value[: most + 1]
            if items + len(inner) > most or characters > MAX_CHARACTERS:
                raise Refused(f"the message is too big: at most {most} values and {MAX_CHARACTERS} characters")
        if not inner:
            return
        level = inner
    raise Refused(f"the message is nested deeper than {MAX_DEPTH} levels")
