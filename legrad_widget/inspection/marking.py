"""Choosing rows, and marking them with tags and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .problem import InspectionError
from .table import INDEX, query

if TYPE_CHECKING:
    from .inspection import Inspection

LONGEST = 80  # characters of a tag
_BOOLEAN = ("bool", "boolean")


def rows(inspection: Inspection, where: Any = None) -> NDArray[np.int64]:
    """Numbers of samples, ascending and unique.

    Args:
        where: None: the selected ones. A query of the frame's columns (str), rows of the frame, a mask of N booleans,
            a number, or a list of numbers. A mask made of the frame's columns (``r.sorted("loss").loss > 5``) goes by
            its index, whatever its order and however many samples it is about.

    Raises:
        InspectionError: it chooses no samples that are there.
    """
    if where is None:
        return inspection.selected.index.to_numpy(np.int64)
    if isinstance(where, str):
        where = query(inspection, where)
    if hasattr(where, "columns"):
        where = _of_table(where)
    elif hasattr(where, "iloc") and where.dtype.name in _BOOLEAN:
        where = where.index[where.to_numpy(bool, na_value=False)]
    try:
        values = np.atleast_1d(np.asarray(where))
        if values.dtype.name in _BOOLEAN:
            return _of_mask(inspection, values)
        values = values if values.size else values.astype(np.int64)
        found = np.unique(values.astype(np.int64, casting="safe" if values.dtype != object else "unsafe"))
    except (TypeError, ValueError):
        raise InspectionError(
            f"rows are a query, rows of the frame, a mask of {inspection.total} booleans or a list of sample numbers; "
            f"arrived: {where!r:.80}"
        ) from None
    if len(found) and not 0 <= found[0] <= found[-1] < inspection.total:
        raise InspectionError(f"samples go from 0 to {inspection.total - 1}; arrived: {found[0]} to {found[-1]}")
    return found


def _of_table(rows: Any) -> Any:
    """The samples of rows of the frame, from the index or, where that was reset, the column of its name."""
    if len(rows.columns) and all(kind.name in _BOOLEAN for kind in rows.dtypes):
        raise InspectionError("a table of booleans chooses no rows; pass one column of it, or r.frame[condition]")
    if rows.index.name == INDEX:
        return rows.index
    if INDEX in rows.columns:
        return rows[INDEX]
    raise InspectionError(
        f"rows of the frame are known by its index {INDEX!r}, which these have lost (by merge, say): "
        "r.frame.reset_index() keeps it as a column"
    )


def _of_mask(inspection: Inspection, mask: NDArray[Any]) -> NDArray[np.int64]:
    if mask.shape != (inspection.total,):
        raise InspectionError(f"a mask has one boolean per sample, {inspection.total}; arrived: {list(mask.shape)}")
    return np.flatnonzero(mask.astype(np.bool_))


def tag(inspection: Inspection, name: str, where: Any = None) -> None:
    """Give samples a tag; those that have it keep it.

    Args:
        name: without a comma, at most 80 characters. where: as in :func:`rows`; None: the selected samples.

    Raises:
        InspectionError: another name, or no sample at all.
    """
    name = checked_tag(name)
    found = rows(inspection, where)
    if not len(found):
        raise InspectionError(f"no sample is chosen for the tag {name!r}: set r.selected, or say where=")
    with inspection.lock:
        for index in found.tolist():
            inspection.tags[index] = tuple(dict.fromkeys((*inspection.tags.get(index, ()), name)))
        inspection.changed()


def untag(inspection: Inspection, name: str, where: Any = None) -> None:
    """Take a tag away from samples that have it; arguments as in :func:`tag`."""
    name = checked_tag(name)
    found = rows(inspection, where).tolist()
    with inspection.lock:
        for index in found:
            inspection.tags[index] = tuple(one for one in inspection.tags.get(index, ()) if one != name)
        inspection.changed()


def tagged(inspection: Inspection, name: str) -> NDArray[np.int64]:
    """The samples with a tag."""
    return np.array(sorted(index for index, tags in inspection.tags.items() if name in tags), np.int64)


def note(inspection: Inspection, index: int, text: str) -> None:
    """Write a note to one sample in the place of the one that is there; "" removes it."""
    if not isinstance(text, str):
        raise TypeError(f"a note is a string: r.note(3, 'cut off'); this is {type(text).__name__}")
    with inspection.lock:
        inspection.notes[inspection.at(index)] = text
        inspection.changed()


def checked_tag(name: Any) -> str:
    """A tag without blanks around it.

    Raises:
        InspectionError: it is none.
    """
    if not isinstance(name, str) or not name.strip() or "," in name or len(name) > LONGEST:
        raise InspectionError(
            f"a tag is a word or a few, without a comma, at most {LONGEST} letters; arrived: {name!r}"
        )
    return name.strip()
