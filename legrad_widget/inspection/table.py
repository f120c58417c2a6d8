"""The table of all samples, its sort keys, and the confusion of classes. pandas is imported when it is first needed.

Columns, in order (not applicable: empty, or NaN):

- ``path``, ``label``, ``predicted`` (names), ``label_index``, ``predicted_index`` (numbers), ``status``,
  ``problem`` (why a sample is skipped, in a sentence), ``correct``. A label that was given is there of samples too that
  are skipped or pending; one that comes with its picture once that is scored
- ``p_true``, ``p_pred``, ``loss``, ``margin`` (p_true - the largest other probability; below 0: wrong),
  ``entropy``, ``rank_true``, ``rival``: see :func:`~legrad_widget.inspection.scoring.record_type`
- of errors ``flip_layer``, ``flip`` (the same as it should be read: "3", or "<= 3" where the lens is weak),
  ``flip_kind``, ``lost_after``: see :mod:`~legrad_widget.inspection.lens_curve`
- ``disagreement``: share of the 10 nearest neighbours with another label, once all samples are scored
- after ``alignment()``: ``case_predicted``, ``case_true`` and the numbers of
  :class:`~legrad_widget.inspection.overlap.Alignment` for the evidence for the predicted class, with
  ``outside_mask``, the share of its floor-removed mass that lies outside the mask
- after ``flip_set(i)`` or ``find_flip_sets()``: ``flip_size``, the patches of the smallest flip set that was found; 0:
  none
- after ``specificity()``: ``specificity``, 1 - r of the plain maps of the predicted and the true class
- after ``on_other_backgrounds()``: ``background_changes``, the share of other backgrounds on which the answer changes
- after ``clusters()``: ``cluster``, from 1
- ``tags`` (", " between them), ``note``

The columns after ``alignment()``, ``flip_set(i)`` and ``clusters()`` are of the map that was asked then; they do not
change with the overlay, and ``r.outdated`` says in words where that is another one now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .curves import flips_of
from .outdated import warn_if_outdated
from .problem import SKIPPED, InspectionError
from .readable import as_utf8
from .sample_neighbours import disagreement_of

if TYPE_CHECKING:
    import pandas as pd

    from .inspection import Inspection


@dataclass(frozen=True, slots=True)
class SortKey:
    """One way to sort samples.

    Attributes:
        column: of the frame. ``ascending``: the smallest first. ``says``: what comes first, in words.
        where: a query that keeps the rows that it is about, or "".
    """

    column: str
    ascending: bool
    says: str
    where: str = ""


INDEX = "sample"
"""What the index of the frame is called."""
_WRONG = "correct == False"
SORT_KEYS: dict[str, SortKey] = {
    "loss": SortKey("loss", False, "what the model finds hardest to believe"),
    "margin": SortKey("margin", True, "the widest wrong margin"),
    "confident_errors": SortKey("p_pred", False, "wrong and sure of it", _WRONG),
    "near_misses": SortKey("margin", False, "the true class was second, by the least", f"{_WRONG} and rank_true == 2"),
    "late_losers": SortKey("lost_after", False, "the true class led until late", f"{_WRONG} and lost_after > 0"),
    "entropy": SortKey("entropy", False, "least decided"),
    "outside_mask": SortKey("outside_mask", False, "evidence outside the mask", "outside_mask == outside_mask"),
    "flip_set": SortKey("flip_size", True, "the answer that hangs on the fewest patches", "flip_size > 0"),
    "specificity": SortKey(
        "specificity", False, "plain maps that depend most on the class", "specificity == specificity"
    ),
    "backgrounds": SortKey(
        "background_changes",
        False,
        "the answer that changes most on other backgrounds",
        "background_changes == background_changes",
    ),
    "label_noise": SortKey("disagreement", False, "the label that its neighbours contradict"),
    "cluster": SortKey("cluster", True, "errors of one kind together", "cluster > 0"),
}


_SOURCES = {
    "flip_size": "find_flip_sets()",
    "specificity": "specificity()",
    "background_changes": "on_other_backgrounds()",
    "cluster": "clusters()",
    "outside_mask": "alignment()",
}
_UNKNOWN_WITH_LOGITS = {
    "late_losers": "needs the scores of every layer, and the logits were given: inspect without logits=",
    "label_noise": "needs the embeddings of all samples: run() to the end, or pass embeddings= beside logits=",
}
_FILLED_BY = {
    "cluster": "clusters",
    "specificity": "specificity",
    "outside_mask": "cases",
    "background_changes": "backgrounds",
}
"""What of ``outdated`` is about a column."""


def frame(inspection: Inspection) -> pd.DataFrame:
    """One row per sample; see above."""
    import pandas as pd

    count, scored = inspection.total, inspection.scored
    records, names = inspection.records, np.array([*inspection.class_names, ""], object)
    known = np.zeros(count, np.bool_)
    known[scored] = True
    predicted, label = np.where(known, records["predicted"], -1), np.where(known, records["label"], inspection.given)
    columns: dict[str, Any] = {
        "path": [as_utf8(name) for name in inspection.samples.names],
        "label": names[label],
        "predicted": names[predicted],
        "label_index": _whole(label, label >= 0),
        "predicted_index": _whole(predicted, known),
        "status": [inspection.status(i) for i in range(count)],
        "problem": _problems(inspection),
        "correct": pd.array(np.where(known, label == predicted, False), "boolean"),
    }
    columns["correct"][~known] = pd.NA
    for name in ("p_true", "p_pred", "loss", "margin", "entropy"):
        columns[name] = np.where(known, records[name], np.nan)
    columns["rank_true"] = _whole(records["rank"], known)
    columns["rival"] = names[np.where(known, records["rival"], -1)]
    columns |= _flip_columns(inspection)
    columns["disagreement"] = disagreement_of(inspection)
    columns |= inspection.late_columns()
    columns["tags"] = [", ".join(inspection.tags.get(i, ())) for i in range(count)]
    columns["note"] = [inspection.notes.get(i, "") for i in range(count)]
    return pd.DataFrame(columns, index=pd.RangeIndex(count, name=INDEX))


def _problems(inspection: Inspection) -> list[str]:
    """Why each sample is skipped; "" of those that are not."""
    says = [""] * inspection.total
    for one in inspection.found:
        if one.kind in SKIPPED and not says[one.index]:
            says[one.index] = as_utf8(one.says)
    return says


def _whole(values: NDArray[Any], known: NDArray[np.bool_]) -> Any:
    """Whole numbers with gaps."""
    import pandas as pd

    made = pd.array(np.asarray(values, np.int64), "Int64")
    made[~known] = pd.NA
    return made


def whole_column(values: dict[int, int], count: int) -> Any:
    """Whole numbers by sample; empty where there is none."""
    rows, known = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    rows[list(values)], known[list(values)] = list(values.values()), True
    return _whole(rows, known)


def number_column(values: dict[int, float], count: int) -> NDArray[np.float64]:
    """Numbers by sample; nan where there is none."""
    rows = np.full(count, np.nan)
    rows[list(values)] = list(values.values())
    return rows


def _flip_columns(inspection: Inspection) -> dict[str, Any]:
    wrong, count = inspection.wrong, inspection.total
    found = flips_of(inspection, wrong)
    layer, lost = np.zeros(count, np.int64), np.zeros(count, np.int64)
    text, kind = np.full(count, "", object), np.full(count, "", object)
    there = np.zeros(count, np.bool_)
    if inspection.layers:
        layer[wrong], lost[wrong], there[wrong] = found.layer, found.lost_after, True
        kind[wrong] = np.array(found.kind, object)
        text[wrong] = [f"<= {l}" if m else str(l) for l, m in zip(found.layer, found.at_most, strict=True)]  # noqa: E741
    return {
        "flip_layer": _whole(layer, there),
        "flip": text,
        "flip_kind": kind,
        "lost_after": _whole(lost, there),
    }


def problems(inspection: Inspection) -> pd.DataFrame:
    """What was skipped or left out: sample, path, kind and one sentence each, in the order of the samples."""
    import pandas as pd

    rows = [
        (one.index, as_utf8(one.name), one.kind, one.says)
        for one in sorted(inspection.found, key=lambda one: one.index)
    ]
    return pd.DataFrame(rows, columns=["sample", "path", "kind", "says"])


def confusion(inspection: Inspection, *, errors_only: bool = True) -> pd.DataFrame:
    """Which class was taken for which: true, predicted, count and share of the samples of that label; most first."""
    import pandas as pd

    scored = inspection.wrong if errors_only else inspection.scored
    labels = inspection.records["label"]
    size = np.bincount(labels[inspection.scored], minlength=len(inspection.class_names))
    pairs = np.stack([labels[scored], inspection.records["predicted"][scored]], 1)
    cells, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = np.array(inspection.class_names, object)
    true, predicted, counts = cells[order, 0], cells[order, 1], counts[order]
    columns = {"true": names[true], "predicted": names[predicted], "count": counts, "share": counts / size[true]}
    return pd.DataFrame(columns)


def confusion_matrix(inspection: Inspection) -> pd.DataFrame:
    """Counts [C, C], a row per true class and a column per predicted one, of the classes that occur."""
    import pandas as pd

    scored = inspection.scored
    label, predicted = inspection.records["label"][scored], inspection.records["predicted"][scored]
    there = np.unique(np.concatenate([label, predicted]))
    counts = np.zeros((len(there), len(there)), np.int64)
    np.add.at(counts, (np.searchsorted(there, label), np.searchsorted(there, predicted)), 1)
    names = [inspection.class_names[index] for index in there]
    return pd.DataFrame(counts, pd.Index(names, name="true"), pd.Index(names, name="predicted"))


def cell(inspection: Inspection, true: Any = None, predicted: Any = None) -> NDArray[np.int64]:
    """The samples of one cell of the confusion, of a row (``predicted=None``) or of a column (``true=None``).

    Args:
        true, predicted: names or numbers of classes.

    Raises:
        InspectionError: there is no such class.
    """
    found = inspection.scored
    for field, value in (("label", true), ("predicted", predicted)):
        if value is not None:
            found = found[inspection.records[field][found] == inspection.labels.index(value)]
    return found


def sorted_by(inspection: Inspection, key: str, *, errors_only: bool = False) -> pd.DataFrame:
    """The frame, sorted by one of :data:`SORT_KEYS`, with the rows that the key is about.

    Warns (InspectionWarning) where what it sorts by is of another map than the overlay of now; see ``outdated``.

    Raises:
        InspectionError: there is no such key, or what it needs was not computed yet.
    """
    if not isinstance(key, str) or key not in SORT_KEYS:
        raise InspectionError(f"samples are sorted by {', '.join(map(repr, SORT_KEYS))}; arrived: {key!r}")
    chosen, rows = SORT_KEYS[key], inspection.frame
    if chosen.column not in rows:
        raise InspectionError(f"{key!r} needs {_SOURCES[chosen.column]} first: it fills the column {chosen.column!r}")
    if key in _UNKNOWN_WITH_LOGITS and rows[chosen.column].isna().all() and len(inspection.scored):
        raise InspectionError(f"{key!r} {_UNKNOWN_WITH_LOGITS[key]}")
    if chosen.column in _FILLED_BY:
        warn_if_outdated(inspection, _FILLED_BY[chosen.column])
    rows = rows[rows["status"] == "scored"]
    rows = rows.loc[inspection.wrong] if errors_only else rows
    rows = rows.query(chosen.where) if chosen.where else rows
    return rows.sort_values(chosen.column, ascending=chosen.ascending, kind="stable")


def query(inspection: Inspection, expression: str) -> pd.DataFrame:
    """Rows of the frame by a pandas query: ``r.query("label == 'wolf' and p_pred > 0.9")``.

    Raises:
        InspectionError: it cannot be read; the sentence says where.
    """
    rows = inspection.frame
    try:
        found = rows.query(expression)
    except Exception as error:  # pandas raises almost anything here
        raise InspectionError(
            f"the query {expression!r} cannot be used ({error}); it compares columns: {', '.join(rows.columns)}"
        ) from error
    if found.ndim != 2:
        raise InspectionError(f"the query {expression!r} is a number, not a choice of rows; compare something")
    return found
