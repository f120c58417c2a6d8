"""What the gallery's page says, read into frozen records. A page may send anything; misfits are refused.

Lists of rows travel as one buffer of little-endian int32: a message in JSON has room for far fewer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from . import rules
from .inspect_studies import STUDIES, Options, read_options
from .message import VERSION
from .rules import Refused, shown

MAX_VISIBLE = 512
MAX_TAG = 64
MAX_NOTE = 2_000
MAX_CORNERS = 500
_BIGGEST = 2**53 - 1

Rows = tuple[int, ...]
"""Positions of samples in the input, from 0."""


@dataclass(frozen=True, slots=True)
class Table:
    """Send every row that is known."""

    client: str
    n: int


@dataclass(frozen=True, slots=True)
class Visible:
    """What the page can see and lacks: pictures and maps of these rows, in this order."""

    client: str
    n: int
    pictures: Rows
    maps: Rows


@dataclass(frozen=True, slots=True)
class Open:
    """Show a sample under the gallery; None: none."""

    client: str
    n: int
    row: int | None


@dataclass(frozen=True, slots=True)
class Select:
    """These samples are selected, and no others."""

    client: str
    n: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Tag:
    """Put a tag on samples, or take it off."""

    client: str
    n: int
    rows: Rows
    tag: str
    on: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Write a note about a sample, in place of the one before."""

    client: str
    n: int
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class Steer:
    """Pause the run, or let it go on."""

    client: str
    n: int
    to: Literal["pause", "run"]


@dataclass(frozen=True, slots=True)
class Flip:
    """Find the smallest set of patches whose removal changes the prediction, or stop looking for it."""

    client: str
    n: int
    row: int
    on: bool


@dataclass(frozen=True, slots=True)
class Mask:
    """A shape is drawn on the open sample's picture: corners (x, y) from 0 to 1; or what was drawn is cleared."""

    client: str
    n: int
    row: int
    how: Literal["replace", "add", "remove", "clear"]
    polygon: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """Show the plain maps of the two classes beside their contrasts, or no longer."""

    client: str
    n: int
    on: bool


@dataclass(frozen=True, slots=True)
class Study:
    """Compute something about all errors, or stop that; see ``inspect_studies``."""

    client: str
    n: int
    what: str
    on: bool
    options: Options


@dataclass(frozen=True, slots=True)
class Draw:
    """Another map over the small pictures."""

    client: str
    n: int
    name: str


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a number counts as high: IoU, saliency coverage, ground truth coverage."""

    client: str
    n: int
    iou: float
    saliency: float
    ground: float


@dataclass(frozen=True, slots=True)
class Leave:
    """Make the gallery one HTML file, with pictures, maps and details of these samples; without a rid: stop that."""

    client: str
    n: int
    rows: Rows
    rid: str


Wish = Table | Visible | Open | Select | Tag | Note | Steer | Flip | Mask | Plain | Study | Draw | Limits | Leave


def is_wish(content: Any) -> bool:
    """Whether this message is for the gallery; all others are the explorer's."""
    return isinstance(content, Mapping) and isinstance(kind := content.get("kind"), str) and kind in _READERS


def read_wish(content: Mapping[str, Any], buffers: Iterable[Any], total: int) -> Wish:
    """The record of a message for the gallery over ``total`` samples.

    Raises:
        Refused: malformed or oversized, or about samples that there are not, in one sentence.
    """
    kind = content["kind"]
    if content.get("v") != VERSION:
        raise Refused(
            f"the page speaks version {shown(content.get('v'))} and the kernel version {VERSION}: "
            "reload the page, and restart the kernel if legrad-widget was updated"
        )
    arrived = tuple(itertools.islice(buffers, 2))
    if len(arrived) != (kind in _WITH_ROWS):
        raise Refused(f"a message of the kind {kind!r} carries {'one buffer' if kind in _WITH_ROWS else 'no buffers'}")
    client = rules.words("client", content.get("client"), 64)
    n = rules.whole("n", content.get("n"), 0, _BIGGEST)
    return _READERS[kind](content, client, n, total, *(read_rows(buffer, total) for buffer in arrived))


def read_rows(buffer: Any, total: int) -> Rows:
    """Rows from a buffer of int32: every one below ``total``, and at most as many."""
    raw = memoryview(buffer).cast("B")
    if raw.nbytes % 4 or raw.nbytes > 4 * total:
        raise Refused(f"rows are at most {total} whole numbers of 4 bytes each; arrived: {raw.nbytes} bytes")
    rows = np.frombuffer(raw, "<i4")
    if rows.size and (rows.min() < 0 or rows.max() >= total):
        raise Refused(f"samples are numbered from 0 to {total - 1}; arrived: {rows.min()} to {rows.max()}")
    return tuple(rows.tolist())


def _row(content: Mapping[str, Any], total: int) -> int:
    return rules.whole("row", content.get("row"), 0, total - 1)


def _visible(content: Mapping[str, Any], client: str, n: int, _total: int, rows: Rows) -> Visible:
    if len(rows) > MAX_VISIBLE:
        raise Refused(f"a page sees at most {MAX_VISIBLE} samples at once; arrived: {len(rows)}")
    first = rules.whole("pictures", content.get("pictures"), 0, len(rows))
    return Visible(client, n, rows[:first], rows[first:])


def _open(content: Mapping[str, Any], client: str, n: int, total: int) -> Open:
    return Open(client, n, None if content.get("row") is None else _row(content, total))


def _tag(content: Mapping[str, Any], client: str, n: int, _total: int, rows: Rows) -> Tag:
    tag = rules.words("tag", content.get("tag"), MAX_TAG).strip()
    if "," in tag:
        raise Refused("a tag has no comma in it: commas stand between tags")
    return Tag(client, n, rows, tag, rules.flag("on", content.get("on")))


def _note(content: Mapping[str, Any], client: str, n: int, total: int) -> Note:
    text = content.get("text")
    if not isinstance(text, str) or len(text) > MAX_NOTE:
        raise Refused(f"a note is text of at most {MAX_NOTE} characters; arrived: {shown(text)}")
    return Note(client, n, _row(content, total), text)


def _steer(content: Mapping[str, Any], client: str, n: int, _total: int) -> Steer:
    to = content.get("to")
    if to == "pause" or to == "run":
        return Steer(client, n, to)
    raise Refused(f"a run is told to 'pause' or to 'run'; arrived: {shown(to)}")


def _mask(content: Mapping[str, Any], client: str, n: int, total: int) -> Mask:
    how = content.get("how")
    if how != "replace" and how != "add" and how != "remove" and how != "clear":
        raise Refused(f"a mask is drawn to 'replace', 'add' or 'remove', or is 'clear'; arrived: {shown(how)}")
    corners = content.get("polygon")
    fewest, most = (0, 0) if how == "clear" else (3, MAX_CORNERS)
    if not isinstance(corners, list | tuple) or not fewest <= len(corners) <= most:
        many = len(corners) if isinstance(corners, list | tuple) else shown(corners)
        raise Refused(f"a shape to {how} has {fewest} to {most} corners; arrived: {many}")
    return Mask(client, n, _row(content, total), how, tuple(_corner(corner) for corner in corners))


def _corner(raw: Any) -> tuple[float, float]:
    if not isinstance(raw, list | tuple) or len(raw) != 2:
        raise Refused(f"a corner is (x, y) in fractions of the picture; arrived: {shown(raw)}")
    return rules.fraction("x", raw[0]), rules.fraction("y", raw[1])


def _study(content: Mapping[str, Any], client: str, n: int, _total: int) -> Study:
    what = rules.choice("what", content.get("what"), tuple(STUDIES))
    return Study(client, n, what, rules.flag("on", content.get("on")), read_options(content))


def _limits(content: Mapping[str, Any], client: str, n: int, _total: int) -> Limits:
    iou, saliency, ground = (rules.fraction(name, content.get(name)) for name in ("iou", "saliency", "ground"))
    return Limits(client, n, iou, saliency, ground)


def _leave(content: Mapping[str, Any], client: str, n: int, _total: int, rows: Rows) -> Leave:
    rid = content.get("rid")
    return Leave(client, n, rows, rules.words("rid", rid, 128) if rid != "" else "")


_READERS: dict[str, Callable[..., Wish]] = {
    "table": lambda content, client, n, total: Table(client, n),
    "visible": _visible,
    "open": _open,
    "select": lambda content, client, n, total, rows: Select(client, n, rows),
    "tag": _tag,
    "note": _note,
    "steer": _steer,
    "flip": lambda content, client, n, total: Flip(
        client, n, _row(content, total), rules.flag("on", content.get("on", True))
    ),
    "mask": _mask,
    "plain": lambda content, client, n, total: Plain(client, n, rules.flag("on", content.get("on"))),
    "study": _study,
    "draw": lambda content, client, n, total: Draw(client, n, rules.words("name", content.get("name"), 64)),
    "thresholds": _limits,
    "page": _leave,
}
_WITH_ROWS = frozenset({"visible", "select", "tag", "page"})
