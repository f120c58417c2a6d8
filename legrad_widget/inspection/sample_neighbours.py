"""The neighbours of one sample, and the labels that their neighbours contradict, in an inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .embedding_neighbours import Neighbours, disagreement, nearest
from .problem import InspectionError, whole

if TYPE_CHECKING:
    from .inspection import Inspection


def neighbours(inspection: Inspection, index: int, k: int = 4) -> Neighbours:
    """The ``k`` nearest correct samples of its label and of the class predicted, and the nearest errors of its kind.

    Raises:
        InspectionError: it was skipped, there are no embeddings, or ``k`` is no whole number from 1.
    """
    k = whole(k, "k, how many neighbours are wanted,")
    at, records, scored = inspection.answered(index), inspection.records, inspection.scored
    if not records["embedding"].shape[1]:
        raise InspectionError("there are no embeddings: pass embeddings=[N, E] beside logits, or leave out logits")
    label, predicted = records["label"], records["predicted"]
    other, rival = inspection.pair(at)
    other = rival if other == label[at] else other
    right = scored[label[scored] == predicted[scored]]
    wrong = scored[label[scored] != predicted[scored]]
    same = wrong[(label[wrong] == label[at]) & (predicted[wrong] == predicted[at])]
    groups = (right[label[right] == label[at]], right[label[right] == other], same)
    found = [nearest(records["embedding"], at, group, k) for group in groups]
    first, second, third = (tuple(map(int, places)) for places, _ in found)
    one, two, three = (tuple(map(float, distances)) for _, distances in found)
    names = (inspection.class_names[label[at]], inspection.class_names[other])
    return Neighbours(first, second, third, (one, two, three), names)


def disagreement_of(inspection: Inspection) -> NDArray[np.float64]:
    """[N] see :func:`.embedding_neighbours.disagreement`; nan until :func:`know_disagreement`."""
    found = inspection.disagreement
    return np.full(inspection.total, np.nan) if found is None else found


def know_disagreement(inspection: Inspection) -> None:
    """Compare all labels with their neighbours', once all samples are scored. Seconds for 10 000 samples."""
    scored, records = inspection.scored, inspection.records
    if not inspection.complete or len(scored) < 2 or inspection.disagreement is not None:
        return
    result = np.full(inspection.total, np.nan)
    result[scored] = disagreement(records["embedding"][scored], records["label"][scored])
    with inspection.lock:
        inspection.disagreement = result
        inspection.changed()
