"""Tags and notes out of a table: what somebody wrote in a saved page comes back as the CSV that left it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .marking import checked_tag
from .problem import InspectionError
from .readable import as_text, as_utf8

if TYPE_CHECKING:
    from .inspection import Inspection

HOW = "Export, then Table .csv, in the gallery or in its saved page writes one; so does r.frame.to_csv(path)"
_NEEDED, _MARKS = ("sample", "path"), ("tags", "note")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")  # js/src/inspection/csv.ts puts one apostrophe before what begins like this
_GUARDED_PATH = re.compile(r"\./'*[=+\-@\t\r]")
_PYTHONS = "label_index"  # a column of the frame that the page's table has not: nothing is guarded there
_SAME = 0.01  # probabilities on another device, or in fewer digits, differ by less


@dataclass(frozen=True, slots=True)
class TagsRead:
    """What came of reading tags and notes. ``str()`` says it in a sentence.

    Attributes:
        rows: of the table. ``matched``: how many of them are samples here.
        tagged, noted: the samples whose tags changed, and whose note did.
        kept: the samples whose note here is another one and stays.
        unmatched: by its line in the file, why a row with tags or a note is of no sample here.
    """

    rows: int
    matched: int
    tagged: tuple[int, ...]
    noted: tuple[int, ...]
    kept: tuple[int, ...]
    unmatched: dict[int, str] = field(repr=False)

    def __str__(self) -> str:
        says = [f"Samples here: {self.matched} of {_many(self.rows, 'row')}."]
        if self.tagged or self.noted:
            says.append(f"Tags changed on {_many(len(self.tagged), 'sample')}, notes on {len(self.noted)}.")
        else:
            says.append("Nothing changed.")
        if self.kept:
            says.append(f"Other notes that are here stay ({_listed(self.kept)}); replace=True takes the file's.")
        if self.unmatched:
            line, why = next(iter(self.unmatched.items()))
            rows = _many(len(self.unmatched), "row")
            says.append(f"{rows} with tags or a note could not be placed, see unmatched; line {line}: {why}.")
        return " ".join(says)

    _repr_pretty_ = as_text


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the file: its line, its cells by their columns, and whether the page guarded them."""

    line: int
    cells: dict[str, str]
    guarded: bool

    def text(self, column: str) -> str:
        cell = self.cells.get(column, "")
        return cell[1:] if self.guarded and _GUARDED.match(cell) else cell

    @property
    def paths(self) -> tuple[str, ...]:
        """What its file may be called here; () where it has none."""
        cell = self.cells["path"]
        bare = (cell[2:],) if self.guarded and _GUARDED_PATH.match(cell) else ()
        return (cell, *bare) if cell else ()

    @property
    def number(self) -> int:
        """Of the sample, from 0; -1 where that is no number. Spreadsheets may write "3.0"."""
        found = re.fullmatch(r"(\d+)([.,]0+)?", self.cells["sample"].strip())
        return int(found[1]) if found else -1

    @property
    def tags(self) -> tuple[str, ...]:
        parts = (part.strip() for part in self.text("tags").split(","))
        try:
            return tuple(dict.fromkeys(checked_tag(part) for part in parts if part))
        except InspectionError as error:
            raise InspectionError(f"line {self.line}: {error}") from None

    @property
    def note(self) -> str:
        return self.text("note")


def read_tags(inspection: Inspection, path: str | os.PathLike[str], *, replace: bool = False) -> TagsRead:
    """Take tags and notes out of a CSV file: those that were made in a saved page leave it as its table.

    A row is a sample here if its number and file name are the same; or, where the numbers differ, if exactly one sample
    has that file. Samples without a file (arrays, most Datasets) are the same if number, label and prediction are, and
    the probability of the true class to 0.01. No row is placed by its number alone. Samples that are not in the file
    stay as they are. Either the whole file is taken or, with an error, nothing.

    What the page writes before text that a spreadsheet would run (an apostrophe, "./" before a path) is taken off
    again. Files that a spreadsheet saved with semicolons or tabs are read too, in UTF-8 or UTF-16.

    Args:
        path: of the file, with the columns ``sample``, ``path`` and ``tags`` or ``note``: the table of the gallery or
            of its saved page, or what ``r.frame.to_csv(path)`` wrote.
        replace: False: tags are added to those that are here, and a note is taken where there is none yet, or where it
            begins with the one here. True: samples in the file get its tags and note in the place of theirs, also where
            these are empty; a column that is not in the file changes nothing.

    Returns:
        What changed, and what could not be placed; print it.

    Raises:
        InspectionError: it is no such table, a tag in it cannot be one, it says two things about one sample, or not one
            row is a sample here. OSError: it cannot be read.
    """
    rows = list(_rows(path))
    if not rows:
        raise InspectionError(f"{path} has a head and no rows; {HOW}")
    marks = {name for name in _MARKS if name in rows[0].cells}
    placed, strangers = _placed(inspection, rows)
    if not placed:
        row, why = strangers[0]
        raise InspectionError(
            f"not one of {_many(len(rows), 'row')} of {path} is a sample of this inspection: it is of another one. "
            f"Line {row.line}: {why}"
        )
    said = {at: _agreed(at, found, marks) for at, found in placed.items()}
    unmatched = {row.line: why for row, why in strangers if row.text("tags").strip() or row.note}
    with inspection.lock:
        taken = _take(inspection, said, marks, replace)
        inspection.changed()
    return TagsRead(len(rows), sum(map(len, placed.values())), *taken, unmatched)


def _rows(path: str | os.PathLike[str]) -> Iterator[_Row]:
    text = _decoded(Path(path).expanduser())
    delimiter, head = _head(text, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for cells in reader:
            if not any(cells):
                continue
            if any(cells[len(head) :]):
                raise InspectionError(
                    f"line {reader.line_num} of {path} has {len(cells)} cells and the head {len(head)}: a cell with a "
                    "comma in it needs quotes around it"
                )
            filled = [*cells, *[""] * (len(head) - len(cells))]
            yield _Row(reader.line_num, dict(zip(head, filled, strict=False)), _PYTHONS not in head)
    except csv.Error as error:
        raise InspectionError(f"line {reader.line_num} of {path} is no CSV: {error}") from None


def _decoded(file: Path) -> str:
    data = file.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise InspectionError(
            f"{file} is no text in UTF-8; if a spreadsheet saved it, save it again as 'CSV UTF-8'"
        ) from None
    if "\0" in text:
        raise InspectionError(f"{file} is no table but some other kind of file; {HOW}")
    return text


def _head(text: str, path: Any) -> tuple[str, list[str]]:
    """What stands between the cells, and the columns."""
    heads = {delimiter: _cells(text, delimiter) for delimiter in ",;\t"}
    fitting = [one for one, head in heads.items() if {*_NEEDED} <= {*head} and {*_MARKS} & {*head}]
    if not fitting:
        head = max(heads.values(), key=len)
        raise InspectionError(
            f"tags are read from a table with the columns sample, path, and tags or note; the first line of {path} has "
            f"{', '.join(head)[:200] or 'nothing'}. {HOW}"
        )
    delimiter, head = fitting[0], heads[fitting[0]]
    twice = [name for name in (*_NEEDED, *_MARKS) if head.count(name) > 1]
    if twice:
        raise InspectionError(f"the column {twice[0]} is in {path} {head.count(twice[0])} times; keep one")
    return delimiter, head


def _cells(text: str, delimiter: str) -> list[str]:
    """Of the first line."""
    try:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])]
    except csv.Error:
        return []


# -- which sample a row is


def _placed(inspection: Inspection, rows: list[_Row]) -> tuple[dict[int, list[_Row]], list[tuple[_Row, str]]]:
    """Rows by the sample that they are, and those that are none, each with why."""
    names = [as_utf8(name) for name in inspection.samples.names]
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(name, []).append(at)
    found: dict[int, list[_Row]] = {}
    strangers = []
    for row in rows:
        at, why = _by_file(row, names, places) if row.paths else _by_answer(inspection, row, names)
        if at < 0:
            strangers.append((row, why))
        else:
            found.setdefault(at, []).append(row)
    return found, strangers


def _by_file(row: _Row, names: list[str], places: dict[str, list[int]]) -> tuple[int, str]:
    if 0 <= row.number < len(names) and names[row.number] in row.paths:
        return row.number, ""
    there = [at for path in row.paths for at in places.get(path, ())]
    if len(there) == 1:
        return there[0], ""
    if not there:
        return -1, f"no sample here has the file {row.paths[0]}"
    return (
        -1,
        f"{len(there)} samples here have the file {row.paths[0]}, and sample {row.cells['sample']} is none of them",
    )


def _by_answer(inspection: Inspection, row: _Row, names: list[str]) -> tuple[int, str]:
    at = row.number
    if not 0 <= at < len(names):
        return (
            -1,
            f"samples here go from 0 to {len(names) - 1}, and it is sample {row.cells['sample'][:40] or '(none)'}",
        )
    if names[at]:
        return -1, f"it names no file, and sample {at} here is {names[at]}"
    if inspection.status(at) != "scored":
        return -1, f"it names no file, and sample {at} here has no answer to compare with"
    record, classes = inspection.records[at], inspection.class_names
    if [row.text("label"), row.text("predicted")] != [classes[record["label"]], classes[record["predicted"]]]:
        return -1, f"it names no file, and label or prediction of sample {at} here are others"
    sure = _number(row.cells.get("p_true", ""))
    if not abs(sure - float(record["p_true"])) <= _SAME and not np.isnan(sure):
        return -1, f"it names no file, and sample {at} here has another p_true ({record['p_true']:.3f}, not {sure:.3f})"
    return at, ""


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return float("nan")


# -- what is taken


def _agreed(at: int, rows: list[_Row], marks: set[str]) -> tuple[tuple[str, ...], str]:
    """Tags and note of one sample, whose rows must not contradict one another."""
    said = {(row.tags, row.note): row.line for row in rows}
    if len(said) > 1:
        first, second, *_ = said.values()
        raise InspectionError(
            f"lines {first} and {second} are both of sample {at}, with other {' or '.join(sorted(marks))}; keep one"
        )
    return next(iter(said))


def _take(
    inspection: Inspection, said: dict[int, tuple[tuple[str, ...], str]], marks: set[str], replace: bool
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The samples whose tags changed, whose note did, and whose note stays although the file's is another."""
    tagged, noted, kept = [], [], []
    for at, (tags, note) in sorted(said.items()):
        had, wrote = inspection.tags.get(at, ()), inspection.notes.get(at, "")
        wanted = tags if replace else tuple(dict.fromkeys((*had, *tags)))
        if "tags" in marks and wanted != had:
            inspection.tags[at] = wanted
            tagged.append(at)
        if "note" not in marks or note == wrote or not (note or replace):
            continue
        if replace or note.startswith(wrote):
            inspection.notes[at] = note
            noted.append(at)
        else:
            kept.append(at)
    return tuple(tagged), tuple(noted), tuple(kept)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(rows: tuple[int, ...], most: int = 5) -> str:
    return f"sample{'s' * (len(rows) != 1)} {', '.join(map(str, rows[:most]))}{', ...' * (len(rows) > most)}"
