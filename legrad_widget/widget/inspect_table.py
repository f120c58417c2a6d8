"""The table of an inspection as the gallery's page knows it, and what is new about it since the page was told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from ..inspection.table import SortKey

CHUNK = 2_000
"""Rows in one message."""

WHOLE = {
    "true": "label_index",
    "predicted": "predicted_index",
    "error": "error",
    "rank_true": "rank_true",
    "flip_layer": "flip_layer",
    "lost_after": "lost_after",
    "flip_size": "flip_size",
    "cluster": "cluster",
}
"""Columns of whole numbers by their names on the wire; -1 where there is none."""
REAL = (
    *("p_true", "p_pred", "loss", "margin", "entropy", "disagreement", "outside_mask", "specificity"),
    "background_changes",
    *("iou", "ground_coverage", "saliency_coverage"),
)
"""Columns of numbers; nan where there is none."""
WORDS = ("path", "status", "problem", "tags", "note", "rival", "flip", "flip_kind", "case_predicted", "case_true")
"""Columns of text; "" where there is none."""

Message = tuple[dict[str, Any], list[bytes]]
"""A custom message and its buffers."""


@dataclass(slots=True)
class Table:
    """What the page was told about each of ``total`` samples: nothing at first."""

    total: int
    numbers: dict[str, NDArray[Any]] = field(default_factory=dict)
    words: dict[str, NDArray[Any]] = field(default_factory=dict)

    def take(self, frame: pd.DataFrame, keys: Mapping[str, SortKey]) -> list[Message]:
        """Remember ``frame``, and the messages that say what is new in it: only rows and columns that changed."""
        numbers, words = _numbers(frame) | _by_keys(frame, keys), _words(frame)
        numbers |= {name: _emptied(old) for name, old in self.numbers.items() if name not in numbers}
        words |= {name: _emptied(old) for name, old in self.words.items() if name not in words}
        news = {name: _changed(self.numbers.get(name), new) for name, new in numbers.items()}
        news |= {name: _changed(self.words.get(name), new) for name, new in words.items()}
        self.numbers, self.words = numbers, words
        changed = [name for name, at in news.items() if at.any()]
        if not changed:
            return []
        rows = np.flatnonzero(np.logical_or.reduce([news[name] for name in changed]))
        return self._messages(rows, changed)

    def whole(self) -> list[Message]:
        """The messages that tell a page that knows nothing."""
        known = self.numbers | self.words
        return self._messages(np.arange(self.total), [name for name in known if _changed(None, known[name]).any()])

    def _messages(self, rows: NDArray[Any], names: Sequence[str]) -> list[Message]:
        if not names:
            return []
        return [self._message(rows[at : at + CHUNK], names) for at in range(0, len(rows), CHUNK)]

    def _message(self, rows: NDArray[Any], names: Sequence[str]) -> Message:
        numbers = [name for name in names if name in self.numbers]
        content = {
            "kind": "cells",
            "columns": [[name, "int32" if name in WHOLE else "float32"] for name in numbers],
            "words": {name: self.words[name][rows].tolist() for name in names if name in self.words},
        }
        return content, [pack_rows(rows), *(self.numbers[name][rows].tobytes() for name in numbers)]


def pack_rows(rows: Sequence[int] | NDArray[Any]) -> bytes:
    """Rows as little-endian int32."""
    return np.asarray(rows, dtype="<i4").tobytes()


def _changed(before: NDArray[Any] | None, now: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a column says something else than it did; nan is nan."""
    if before is None:
        return now != "" if now.dtype == object else ~(np.isnan(now) if now.dtype.kind == "f" else now == -1)
    differs = np.asarray(before != now, dtype=bool)
    return differs & ~(np.isnan(before) & np.isnan(now)) if now.dtype.kind == "f" else differs


def _emptied(column: NDArray[Any]) -> NDArray[Any]:
    """A column of which nothing is left."""
    return np.full_like(column, {"f": np.nan, "O": ""}.get(column.dtype.kind, -1))


def _numbers(frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    scored = (frame["status"] == "scored").to_numpy()
    wrong = frame["correct"].fillna(True).to_numpy(dtype=bool)
    known: dict[str, NDArray[Any]] = {"error": np.where(scored, ~wrong, -1).astype("<i4")}
    for name, column in WHOLE.items():
        if column in frame:
            known[name] = frame[column].fillna(-1).to_numpy(dtype="<i4")
    known["true"] = np.where(scored, known["true"], -1).astype("<i4")  # by which the page counts answers
    for name in REAL:
        if name in frame:
            known[name] = frame[name].to_numpy(dtype="<f4", na_value=np.nan)
    return known


def _by_keys(frame: pd.DataFrame, keys: Mapping[str, SortKey]) -> dict[str, NDArray[Any]]:
    """What samples are sorted by, where a sort key is about some of them alone: nan for all others."""
    known = {}
    for name, key in keys.items():
        if key.where and key.column in frame:
            meant = np.isin(frame.index, frame.query(key.where).index)
            values = frame[key.column].to_numpy(dtype="<f4", na_value=np.nan)
            known[_BY + name] = np.where(meant, values, np.float32("nan"))
    return known


def _words(frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    words = {name: frame[name].fillna("").astype(str).to_numpy(dtype=object) for name in WORDS if name in frame}
    words["name"] = np.array([name_of(str(path), row) for row, path in enumerate(frame["path"])], dtype=object)
    return words


def name_of(path: str, row: int) -> str:
    """How a sample is called: its file's name, or its number."""
    return re.split(r"[\\/]", path)[-1] or f"sample {row}"


_BY = "by_"
SORTS: Mapping[str, str] = {
    "loss": "Largest loss",
    "margin": "Furthest from right",
    "confident_errors": "Sure but wrong",
    "near_misses": "Nearly right",
    "late_losers": "Lost late",
    "entropy": "Undecided",
    "outside_mask": "Looks elsewhere",
    "specificity": "Maps that know the class",
    "flip_set": "Fragile: few patches decide",
    "backgrounds": "Changes with its background",
    "label_noise": "Label may be wrong",
    "cluster": "By group",
}
"""What the sort menu calls the sort keys."""
FILTERS: Mapping[str, str] = {
    "flip_kind": "How it was lost",
    "case_predicted": "Case",
    "case_true": "Case of the true class",
    "tags": "Tag",
    "cluster": "Group",
    "status": "Status",
}
"""Columns whose values the gallery can be narrowed to, and what they are called."""
STUDIED = ("outside_mask", "specificity", "flip_size", "background_changes", "case_predicted", "case_true", "cluster")
"""Columns that are filled for all errors by a computation, and before it for single samples: the page says how many."""


def sorts(keys: Mapping[str, SortKey]) -> list[dict[str, Any]]:
    """The sort menu."""
    wired = {column: name for name, column in WHOLE.items()} | {name: name for name in REAL}
    return [
        {
            "key": name,
            "title": SORTS.get(name, name.replace("_", " ").capitalize()),
            "says": key.says,
            "column": _BY + name if key.where else wired[key.column],
            "ascending": key.ascending,
            "study": key.column if key.column in STUDIED else "",
        }
        for name, key in keys.items()
        if key.where or key.column in wired
    ]


def filters() -> list[dict[str, Any]]:
    """The menus that narrow the gallery; ``names``: what values are called there."""
    from ..inspection.overlap import MEANINGS

    return [
        {
            "column": column,
            "title": title,
            "study": column if column in STUDIED else "",
            "names": dict(MEANINGS) if column.startswith("case_") else {},
        }
        for column, title in FILTERS.items()
    ]
