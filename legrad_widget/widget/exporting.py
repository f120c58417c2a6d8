"""The present view as a file: what the menu of the browser gives, from Python, and what only Python has of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import atomic_file, explanation_file
from .code import code
from .rules import Refused, sentence
from .snapshot import drawn, png, svg
from .view import drawing

if TYPE_CHECKING:
    from ..explanation import Explanation
    from .explorer import LeGradWidget


def _film(widget: LeGradWidget, kind: Any) -> bytes:
    film = drawn(widget).animation(kind=kind, **drawing(widget))
    assert isinstance(film, bytes)  # no path was given
    return film


KINDS: Mapping[str, Callable[[LeGradWidget], bytes]] = {
    ".png": png,
    ".svg": lambda widget: svg(widget).encode(),
    ".npz": lambda widget: explanation_file.packed(drawn(widget)),
    ".py": lambda widget: code(widget).encode(),
    ".html": lambda widget: widget.to_html().encode("ascii"),
    ".gif": lambda widget: _film(widget, "gif"),
    ".webp": lambda widget: _film(widget, "webp"),
    ".mp4": lambda widget: _film(widget, "mp4"),
}
"""What is written, by the file's ending."""


def export(widget: LeGradWidget, path: str | os.PathLike[str]) -> Path:
    """Write the file; see :meth:`LeGradWidget.export`."""
    file = Path(path).expanduser()
    make = KINDS.get(file.suffix.lower())
    if make is None:
        raise Refused(f"the ending says what is written: {', '.join(KINDS)}; arrived: {file.name!r}")
    return atomic_file.write(file, make(widget))


def handed_over(widget: LeGradWidget, what: str) -> tuple[dict[str, Any], list[bytes]]:
    """What a page asked for with a message of the kind "export": the answer's parts, and its buffers."""
    try:
        x: Explanation = drawn(widget)
        if what == "code":
            return {"text": code(widget)}, []
        return {}, [explanation_file.packed(x)]
    except (ValueError, TypeError, OSError) as error:
        return {"message": sentence(error)}, []
