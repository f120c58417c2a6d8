"""One HTML file with the inspector's gallery and no kernel: under the same policy as the explorer's page.

Every sample's row of the table is in it, as it travels to a browser. Of some samples, usually the errors, there are
pictures, maps and what is known when they are opened too: that is nearly all of the file's size.
``js/src/inspection/saved.ts`` is the page's kernel; ``page`` puts the file together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import atomic_file
from . import page
from .inspect_detail import Detail, cases_in, detail_of, flip_set_words
from .inspect_mask import against_mask
from .inspect_pictures import Thumbnails, difference, pictures
from .inspect_table import Message, Table, name_of, pack_rows
from .rules import Refused, sentence

if TYPE_CHECKING:
    from ..inspection import Inspection
    from ..inspection.table import SortKey

log = logging.getLogger(__name__)

MOST = 500
"""Samples with pictures and maps in one page: 25 to 35 MB where they are photographs."""
MOST_IN_TABLE = 100_000
"""Samples in the table of one page, about 40 MB."""
WORST = 20
"""Mistakes in the table that is there without scripts."""
HEADING = "Misclassified samples of a vision transformer"
KEPT = "saved page: tags and notes last until it is closed; Export takes them along in the table"
_KEPT = "kept"
NEEDS = "This is a saved page: whatever has to be computed needs Python and the model."

Progress = Callable[[int, int], None]
Rows = NDArray[np.int64]


def to_html(inspection: Inspection, told: Callable[[], dict[str, Any]], rows: Any, progress: Progress) -> str:
    """The page, in ASCII; see :meth:`~legrad_widget.widget.inspect_widget.Inspecting.save_html`.

    Args:
        inspection: what is shown.
        told: gives the gallery's traits as they are once everything is known.
        rows: as :meth:`Inspection.rows` takes them; None: the errors.
        progress: called with (step, total) before each of these samples, and then of those whose small picture is
            seen beside them; raises to cancel.

    Raises:
        Refused: too many samples. FileNotFoundError: the front end is not built.
    """
    from ..inspection import SORT_KEYS

    chosen = chosen_rows(inspection, rows)
    details = _details(inspection, chosen, progress)
    small = _small(inspection, details, progress)
    traits = told()
    state = {
        **traits,
        "_gallery": {**traits["_gallery"], "live": False, "page": True, "sorts": _sorts(inspection, details, traits)},
        "_scoring": {**traits["_scoring"], "state": "idle", "message": KEPT},
        "opened": None,
        "_sample": {},
        "_study": {},
        **_saved(inspection, details, SORT_KEYS),
        "_pictures": small,
    }
    return page.assemble(
        heading=HEADING,
        title=title(inspection),
        instead=_instead(inspection),
        footer=f"Model: {inspection.model_name}. {_contents(inspection, details)}",
        state=state,
        front_end="inspect",
        script="inspect-page",
    )


def save_html(path: str | os.PathLike[str], make: Callable[[], str], *, overwrite: bool) -> Path:
    """Write the page that ``make`` gives; a file that may not be replaced is refused before anything is computed."""
    file = page.free_to_write(path, overwrite=overwrite)
    return atomic_file.write(file, make().encode("ascii"))


def title(inspection: Inspection) -> str:
    """What the page is about, in words."""
    return f"Mistakes of {inspection.model_name}: {len(inspection.wrong)} of {counted(len(inspection.scored))}"


def chosen_rows(inspection: Inspection, rows: Any = None) -> Rows:
    """The samples that pictures, maps and details are kept of.

    Raises:
        Refused: too many, or too many samples at all; the sentence says what to pass.
    """
    if inspection.total > MOST_IN_TABLE:
        raise Refused(
            f"one page has room for the table of {MOST_IN_TABLE} samples, and here are {inspection.total}: inspect a "
            "part of them, or r.save(folder), which lw.open_inspection(folder) shows"
        )
    chosen = inspection.wrong if rows is None else inspection.rows(rows)
    if len(chosen) > MOST:
        raise Refused(
            f"one page has room for the pictures and maps of {MOST} samples, and "
            f"{f'there are {len(chosen)} errors' if rows is None else f'you passed {len(chosen)}'}. Choose fewer: "
            "r.save_html(path, rows=r.sorted('confident_errors', errors_only=True).index[:300]), or select some in the "
            "gallery. All samples are in its table anyway"
        )
    return chosen


# -- what is known of single samples


def _details(inspection: Inspection, rows: Rows, progress: Progress) -> dict[int, Detail]:
    found = {}
    for step, row in enumerate(rows.tolist()):
        progress(step, len(rows))
        found[row] = _detail(inspection, row)
    return _with_cases(inspection, found)


def _with_cases(inspection: Inspection, details: dict[int, Detail]) -> dict[int, Detail]:
    """The same with each map against its mask, where there is one; what was not compared yet is compared now."""
    lacking = [row for row, one in details.items() if one.map is not None and row not in inspection.measured]
    if lacking and (inspection.masks.any or inspection.covers):
        from ..inspection.aligning import compare

        compare(inspection, lacking)
    frame = inspection.frame
    return {
        row: replace(one, cases=cases_in(frame, row), against=against_mask(inspection, row))
        for row, one in details.items()
    }


def _detail(inspection: Inspection, row: int) -> Detail:
    """What the gallery would know of it once it was opened, and a sentence about what is not there."""
    detail = detail_of(inspection, row, lacking="")
    lacks = [detail.needs]
    try:
        detail = replace(detail, map=difference(inspection, row))
    except (ValueError, TypeError, LookupError, OSError) as error:
        log.debug("sample %d has no map in the page", row, exc_info=error)
        if detail.map is None:
            lacks.append(f"Its map is not in this page: {sentence(error)}")
    flip = inspection.flip_sets.get(row)
    if flip is not None and detail.flip_set is None:
        detail = detail.flipping("done", flip_set_words(flip, inspection.class_names, row), flip.patches)
    return replace(detail, needs=" ".join(filter(None, [*lacks, NEEDS])))


# -- what the page's kernel reads


def _saved(inspection: Inspection, details: dict[int, Detail], keys: Mapping[str, SortKey]) -> dict[str, Any]:
    """The table and details; see ``Saved`` in ``js/src/inspection/saved.ts``."""
    table = Table(inspection.total).take(inspection.frame, keys)
    wired = {row: detail.wire for row, detail in details.items()}
    same = _same(list(wired.values()))
    return {
        "_table": [*table, _kept(inspection, details)],
        "_details": {
            row: {name: value for name, value in one.items() if name not in same} for row, one in wired.items()
        },
        "_same": same,
        "_judged": _judged(inspection),
        "_absent": f"This saved page has pictures, maps and details of {counted(len(details))}; this is another one.",
        "_needs": NEEDS,
    }


def _sorts(inspection: Inspection, details: dict[int, Detail], traits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sort menu; where errors are left out it begins with what is there, or nobody would find that among them."""
    menu: list[dict[str, Any]] = traits["_gallery"]["sorts"]
    if not details or all(row in details for row in inspection.wrong.tolist()):
        return menu
    says = "largest loss first; samples without a picture in this page come last"
    first = {"key": _KEPT, "title": "With pictures first", "says": says, "column": _KEPT, "ascending": False}
    return [{**first, "study": ""}, *menu]


def _kept(inspection: Inspection, details: dict[int, Detail]) -> Message:
    """The column of that sort key: the loss of the samples whose pictures are in the page."""
    rows = list(details)
    loss = inspection.frame["loss"].loc[rows].to_numpy("<f4", na_value=np.nan)
    return {"kind": "cells", "columns": [[_KEPT, "float32"]], "words": {}}, [pack_rows(rows), loss.tobytes()]


def _judged(inspection: Inspection) -> dict[str, bytes] | None:
    """What decides the cases of the samples that were compared with masks; see ``js/src/inspection/judged.ts``."""
    measured, records = inspection.measured, inspection.records
    if not measured:
        return None
    numbers = [
        [records["predicted"][row] == records["label"][row]]
        + [
            value
            for one in (held.predicted, held.true)
            for value in (one.iou, one.ground_coverage, one.saliency_coverage)
        ]
        for row, held in measured.items()
    ]
    return {"rows": pack_rows(list(measured)), "numbers": np.array(numbers, "<f8").tobytes()}


def _same(wired: list[dict[str, Any]]) -> dict[str, Any]:
    """What all samples have in common."""
    first, *others = wired or [{}]
    return {name: value for name, value in first.items() if all(one[name] == value for one in others)}


def _small(inspection: Inspection, details: dict[int, Detail], progress: Progress) -> Message:
    """The small pictures: also of neighbours, and of what stands for a group of errors."""
    near = {row for detail in details.values() for _, rows in detail.neighbours for row in rows}
    middles = {card.medoid for card in inspection.clustered.cards} if inspection.clustered is not None else set()
    rows = sorted({*details} | near | middles)
    for step, row in enumerate(rows, len(details)):
        progress(step, len(details) + len(rows))
        with suppress(ValueError, TypeError, LookupError, OSError):  # of what cannot be read there is none
            inspection.thumbnail(row)  # which keeps it
    return pictures(rows, Thumbnails(inspection))


# -- what is said without scripts


def _instead(inspection: Inspection) -> str:
    """The essentials as HTML in ASCII: how many, and the worst mistakes as a plain table."""
    said = f"{title(inspection)}. This page is interactive where scripts may run; without them it is this table."
    worst = inspection.sorted("confident_errors", errors_only=True).head(WORST)
    heads = ("sample", "file", "is", "taken for", "sure of it", "tags")
    lines = (
        (row, name_of(one["path"], row), one["label"], one["predicted"], _percent(one["p_pred"]), one["tags"])
        for row, one in zip(worst.index.tolist(), worst.to_dict("records"), strict=True)
    )
    head = "".join(f"<th>{page.text(word)}</th>" for word in heads)
    body = "".join(f"<tr>{''.join(f'<td>{page.text(str(word))}</td>' for word in line)}</tr>\n" for line in lines)
    return f"<p>{page.text(said)}</p>\n<table><caption>The surest mistakes</caption>\n<tr>{head}</tr>\n{body}</table>"


def _percent(share: float) -> str:
    """As the gallery writes it: never 100 % where it is less."""
    return "> 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def _contents(inspection: Inspection, details: dict[int, Detail]) -> str:
    """What is in the page, and what is not."""
    lacking = sum(detail.map is None for detail in details.values())
    parts = [
        f"In the table: {counted(inspection.total)}.",
        f"With pictures, maps and details: {len(details)}.",
        f"Without a map, as it could not be had: {lacking}." if lacking else "",
        f"Not scored yet: {len(inspection.pending)}." if len(inspection.pending) else "",
    ]
    return " ".join(filter(None, parts))


def counted(samples: int) -> str:
    """ "1 sample", "40 samples"."""
    return f"{samples} sample{'' if samples == 1 else 's'}"
