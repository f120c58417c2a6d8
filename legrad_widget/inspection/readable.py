"""Text that can be read: what a cell shows of an answer, and names of files in tables."""

from __future__ import annotations

from typing import Any


def as_text(answer: Any, printer: Any, _cycle: bool) -> None:
    """IPython's ``_repr_pretty_`` of a class whose ``str()`` is for people; ``repr()`` keeps every field."""
    printer.text(str(answer))


def as_utf8(name: str) -> str:
    """A file's name as text: what of it is no UTF-8 stands as an escape, for no table can hold it otherwise."""
    return name.encode("utf-8", "backslashreplace").decode()
