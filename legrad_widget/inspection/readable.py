"""What a cell of a notebook shows of an answer: the sentences of ``str()`` rather than every field."""

from __future__ import annotations

from typing import Any


def as_text(answer: Any, printer: Any, _cycle: bool) -> None:
    """IPython's ``_repr_pretty_`` of a class whose ``str()`` is for people; ``repr()`` keeps every field."""
    printer.text(str(answer))
