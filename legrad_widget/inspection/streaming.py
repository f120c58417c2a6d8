"""Phase 1: every sample through the model once, batch by batch, with what is known already taken from the cache."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.forward import batch_size
from ..models.live import fingerprint
from ..models.view import ViT
from .identity import bias_of, digest, digest_of_model
from .problem import SKIPPED, UNREADABLE, InspectionError, InspectionWarning, Problem
from .reading import Read, read, says, thumbnail, view
from .sample_neighbours import know_disagreement
from .scoring import record_type, records_of, score_images

if TYPE_CHECKING:
    from .inspection import Inspection

Indices = NDArray[np.int64]
LARGEST = 256  # samples in one batch


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One sample's answer: its record, its picture's digest, and a thumbnail."""

    index: int
    record: np.void
    digest: bytes
    thumbnail: bytes


def stream(inspection: Inspection) -> Iterator[Indices]:
    """Score what is still pending, in order; after each batch the indices that are done now, skipped ones included.

    Stop where you like: what was yielded is kept, here and in the cache, and the next call goes on from there.

    Raises:
        InspectionError: not one of the samples can be used; said once all were looked at.
    """
    model = inspection.needs_model("score samples")
    pending = inspection.pending
    spec = specification(inspection, anew=True) if len(pending) else b""
    size = inspection.batch or _batch(model.vit, inspection.grid)
    for start in range(0, len(pending), size):
        part = pending[start : start + size]
        for scored in _scored(inspection, spec, part):
            inspection.keep(scored)
        know_disagreement(inspection)
        yield part
    know_disagreement(inspection)  # where it was interrupted the last time
    if inspection.complete and not len(inspection.scored):
        first = next(one for one in inspection.found if one.kind in SKIPPED)
        raise InspectionError(
            f"not one of the {inspection.total} samples can be used; sample {first.index}"
            f"{f' ({first.name})' if first.name else ''}: {first.says}"
        )


def _batch(vit: ViT, grid: tuple[int, int]) -> int:
    """So many that a batch takes about a second or less: whoever waits for the model gets a turn between batches."""
    fits = batch_size(vit, grid)
    return min(LARGEST, fits if vit.device.type != "cpu" else max(1, fits // 4))


def specification(inspection: Inspection, *, anew: bool = False) -> bytes:
    """The digest of all that an answer depends on beside picture and label; made anew where weights changed.

    Args:
        anew: look at every weight, not only at PyTorch's count of writes, which ``.data`` goes past.

    Raises:
        InspectionError: the weights changed since the first answer.
    """
    model = inspection.needs_model("score samples")
    with model.lock:  # for the time of a forward a module is not itself: its size check is off, its positions swapped
        vectors = inspection.scores.vectors()
        mark = (fingerprint(model.module), digest(vectors, bias_of(model)))
        if anew or inspection.asked is None or inspection.asked[0] != mark:
            made = digest(digest_of_model(model, vectors), inspection.fit, inspection.size, str(model.vit.dtype))
            if inspection.asked is not None and inspection.asked[1] != made:
                raise InspectionError("the model's weights changed since the inspection began; inspect it anew")
            inspection.asked = (mark, made)
        return inspection.asked[1]


def _scored(inspection: Inspection, spec: bytes, part: Indices) -> list[Scored | Problem]:
    """The answers for a few samples: from the cache, or computed and put there."""
    results: list[Scored | Problem] = []
    found: list[Read] = []
    for index in part:
        one = read(inspection.samples, int(index), inspection.labels)
        (results if isinstance(one, Problem) else found).append(one)  # type: ignore[arg-type]
    keys = [digest(spec, one.digest, one.label) for one in found]
    layout = inspection.records.dtype
    known = inspection.cache.get("score", keys)
    new = {key: one for key, one in zip(keys, found, strict=True) if key not in known}  # the same picture once
    computed, problems = _computed(inspection, new)
    specification(inspection)  # the answers of weights that changed meanwhile are not kept as those of the old ones
    inspection.cache.put("score", computed)
    known |= computed
    for key, one in zip(keys, found, strict=True):
        if key in known:
            record = np.frombuffer(known[key], layout, 1)[0]
            results.append(Scored(one.index, record, one.digest, known[key][layout.itemsize :]))
        else:
            kind, says = problems[key]
            results.append(Problem(one.index, inspection.samples.names[one.index], kind, says))
    return results


def _computed(inspection: Inspection, new: dict[bytes, Read]) -> tuple[dict[bytes, bytes], dict[bytes, Any]]:
    """Record and thumbnail of each new picture as bytes, and what is wrong with the others."""
    views, problems = {}, {}
    for key, one in new.items():
        try:
            seen = view(inspection.needs_model("score samples"), one.image, inspection.fit, inspection.size)
            views[key] = (seen.tensor, seen.picture.size, thumbnail(seen.picture))
        except UNREADABLE as error:
            problems[key] = ("unreadable", says(error))
    if not views:
        return {}, problems
    labels = np.array([new[key].label for key in views])
    records, finite = score_images(inspection.scores, torch.stack([seen[0] for seen in views.values()]), labels)
    made = {}
    for (key, (_, size, small)), record, good in zip(views.items(), records, finite, strict=True):
        record["size"] = size
        if good:
            made[key] = record.tobytes() + small
        else:
            problems[key] = ("not finite", "the model's answer is NaN or infinite")
    return made, problems


def precomputed(inspection: Inspection, logits: Any, embeddings: Any) -> list[Scored | Problem]:
    """Answers from logits [N, C] that the caller has already, with embeddings [N, E] or without; nothing is decoded.

    Warns (InspectionWarning) where they look like probabilities: a softmax is taken of them.

    Raises:
        InspectionError: other shapes.
    """
    names, count = inspection.class_names, inspection.total
    values = _matrix(logits, "logits", count)
    if values.shape[1] != len(names):
        raise InspectionError(
            f"logits are [{count}, {len(names)}], one column per class; arrived: {list(values.shape)}"
        )
    if _like_probabilities(values):
        warnings.warn(
            "the logits look like probabilities (every row adds up to 1), and a softmax is taken of them, which "
            "flattens them: pass what the model says before its softmax, or np.log(probabilities)",
            InspectionWarning,
            stacklevel=4,
        )
    vectors = None if embeddings is None else _matrix(embeddings, "embeddings", count)
    results: list[Scored | Problem] = []
    labels, rows = [], []
    for index in range(count):
        try:
            labels.append(inspection.labels.index(inspection.samples.label(index)))
            rows.append(index)
        except InspectionError as error:
            results.append(Problem(index, inspection.samples.names[index], "label", str(error)))
        except UNREADABLE as error:
            results.append(Problem(index, inspection.samples.names[index], "unreadable", says(error)))
    if not rows:
        return results
    of = None if vectors is None else vectors[rows]
    records, finite = records_of(values[rows], np.array(labels), None, of)
    for index, record, good in zip(rows, records, finite, strict=True):
        bad = Problem(
            index, inspection.samples.names[index], "not finite", "its logits or embedding are NaN or infinite"
        )
        results.append(Scored(index, record, b"", b"") if good else bad)
    return results


def _like_probabilities(logits: NDArray[np.float64]) -> bool:
    rows = logits[np.isfinite(logits).all(1)]
    return len(rows) > 0 and bool((rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-3))


def _matrix(values: Any, what: str, count: int) -> NDArray[np.float64]:
    try:
        array = values.detach().cpu().double().numpy() if hasattr(values, "detach") else np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InspectionError(f"{what} are numbers, one row per picture; arrived: {values!r:.80}") from None
    if array.ndim != 2 or len(array) != count:
        raise InspectionError(f"{what} have one row per picture, {count} in all; arrived: {list(array.shape)}")
    return np.asarray(array)


def layout_of(inspection: Inspection, embeddings: Any = None, *, answered: bool = False) -> np.dtype[Any]:
    """The layout of the records: of precomputed answers there are no layers.

    Raises:
        InspectionError: embeddings of another shape.
    """
    classes = len(inspection.class_names)
    if answered:
        width = 0 if embeddings is None else _matrix(embeddings, "embeddings", inspection.total).shape[1]
        return record_type(0, width, classes)
    vit = inspection.needs_model("score samples").vit
    return record_type(len(vit.blocks), vit.features, classes)
