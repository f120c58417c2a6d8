"""Inspection: a model's answers on labelled samples, and every question about its errors. Complete without a widget."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..explainer import Encoding, Model
from ..models.preprocess import Fit
from ..target import Class
from . import (
    aligning,
    backgrounds,
    calibration,
    class_specificity,
    cluster_cards,
    contrasting,
    counterfactual,
    curves,
    fragility,
    marking,
    outdated,
    reading_tags,
    sample_mask,
    sample_neighbours,
    storage,
    streaming,
    table,
)
from .cache import Cache, opened
from .classes import ClassScores, chooser
from .evidence import Overlay
from .flip_set import FlipSet
from .foreground import Progress, run
from .labels import Labels, check, of_dataset, of_folders
from .mask_sources import Masks, masks_of
from .overlap import Thresholds
from .problem import SKIPPED, InspectionError, Problem, whole
from .reading import thumbnail
from .reopening import encoded, raw
from .reopening import picture as reopened
from .samples import Samples, samples_of

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Indices = NDArray[np.int64]
Status = Literal["pending", "scored", "unreadable", "label", "not finite"]
STATUSES: tuple[Status, ...] = ("pending", "scored", "unreadable", "label", "not finite")
_ENCODINGS = 2  # held at a time


class Inspection:
    """A model's answers on labelled samples; made by :func:`legrad_widget.inspect`.

    Samples are named by their number i, from 0. Rows of :attr:`frame` are samples. The arguments are those of
    :func:`legrad_widget.inspect`, which says what each may be.

    Attributes:
        model: the model, choosing among ``class_names``; None where it was opened without one.
        samples, labels, masks: what is inspected. ``fit``, ``size``: how pictures are shown to the model.
        records: [N] the answers, laid out as :func:`~legrad_widget.inspection.scoring.record_type` says; valid where
            ``status`` is "scored".
        flip_sets: the latest of each sample. ``clustered``, ``calibrated``, ``transplanted`` (of
            :meth:`on_other_backgrounds`): the latest, or None.
    """

    def __init__(
        self,
        model: Model,
        images: Any,
        labels: Any = None,
        *,
        class_names: Iterable[str] | None = None,
        masks: Any = None,
        boxes: Any = None,
        logits: Any = None,
        embeddings: Any = None,
        templates: Sequence[str] = (),
        fit: Fit = "squash",
        size: int | tuple[int, int] | None = None,
        batch: int | None = None,
        cache: bool | str | os.PathLike[str] = True,
    ):
        if fit not in get_args(Fit):
            raise InspectionError(f"fit is one of {', '.join(map(repr, get_args(Fit)))}; arrived: {fit!r}")
        templates = templates if isinstance(templates, str) else tuple(templates)
        chosen = chooser(model, class_names, templates)
        samples = samples_of(images, labels)
        self._begin(chosen, samples, tuple(chosen.class_names or ()), fit, _size(chosen, size))
        if labels is None and samples.labels is not None and isinstance(images, str | os.PathLike):
            self.samples = replace(samples, labels=of_folders(samples.labels, self.labels))
        else:
            self.samples = replace(samples, classes=of_dataset(samples.classes, self.labels))
        if samples.labels is not None:  # else each comes with its picture, and is known once that is read
            check(map(self.samples.label, range(len(samples))), self.labels)
        self.templates = templates
        self.batch = whole(batch, "batch") if batch is not None else None
        self.masks = masks_of(masks, boxes, samples)
        self.cache = opened(cache)
        answered = logits is not None
        if embeddings is not None and not answered:
            raise InspectionError("embeddings go with the logits of the same pictures: pass logits=... too")
        self.records = np.zeros(len(samples), streaming.layout_of(self, embeddings, answered=answered))
        if answered:
            for one in streaming.precomputed(self, logits, embeddings):
                self.keep(one)
            sample_neighbours.know_disagreement(self)
        self._note_duplicates()

    def _begin(
        self, model: Model | None, samples: Samples, names: tuple[str, ...], fit: Fit, size: tuple[int, int]
    ) -> None:
        """The state of an inspection that knows nothing yet."""
        count = len(samples)
        self.model, self.samples, self.class_names, self.fit, self.size = model, samples, names, fit, size
        self.templates, self.batch = (), None
        self.labels: Labels = Labels(names)
        self.masks, self.cache = Masks(), Cache(None)
        self.lock, self._encoding = threading.RLock(), threading.RLock()
        self.digests = np.zeros((count, 16), np.uint8)
        self.small: list[bytes] = [b""] * count
        self.found: list[Problem] = []
        self.tags: dict[int, tuple[str, ...]] = {}
        self.notes: dict[int, str] = {}
        self._overlay, self._thresholds = Overlay(), Thresholds()
        self.maps = contrasting.Held()
        self.covers: dict[int, NDArray[np.float64]] = {}
        self.measured: dict[int, aligning.Measured] = {}
        self.flip_sets: dict[int, FlipSet] = {}
        self.specificities: dict[int, class_specificity.Specific] = {}
        self.clustered: cluster_cards.Clusters | None = None
        self.calibrated: calibration.Calibration | None = None
        self.transplanted: backgrounds.OnOtherBackgrounds | None = None
        self.disagreement: NDArray[np.float64] | None = None
        self.asked: tuple[Any, bytes] | None = None
        self.model_name = "" if model is None else model.name
        self.version = 0
        self._status = np.zeros(count, np.uint8)
        self._chosen: Indices = np.empty(0, np.int64)
        self._encodings: OrderedDict[int, Encoding] = OrderedDict()
        self._derived: dict[str, tuple[int, Any]] = {}
        self._frame: tuple[tuple[int, Thresholds], pd.DataFrame] | None = None

    # ------------------------------------------------------------ phase 1

    stream = streaming.stream

    def run(self, progress: Progress | bool = True) -> Inspection:
        """Score everything that is pending, in the foreground; Ctrl-C stops it, and the next call goes on from there.

        Args:
            progress: True: a progress bar. False: none. Or a function called with (done, total) between batches; an
                exception raised there stops it and is passed on; what was computed is kept.

        Raises:
            InspectionError: not one of the samples can be used.
        """
        run(self, progress)
        return self

    def keep(self, one: streaming.Scored | Problem) -> None:
        """Take one sample's answer, or what is wrong with it."""
        with self.lock:
            if isinstance(one, Problem):
                self.found.append(one)
                if one.kind in STATUSES:
                    self._status[one.index] = STATUSES.index(one.kind)
            else:
                self.records[one.index] = one.record
                self.digests[one.index] = np.frombuffer(one.digest or bytes(16), np.uint8)
                self.small[one.index] = one.thumbnail
                self._status[one.index] = STATUSES.index("scored")
            self.changed()

    def changed(self) -> None:
        """The table is no longer current."""
        self.version += 1

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What follows from the answers so far, made once until there are more."""
        held, done = self._derived.get(name), self.done
        if held is None or held[0] != done:
            held = self._derived[name] = (done, make())
        return cast(T, held[1])

    def late_columns(self) -> dict[str, Any]:
        """Columns of the table that are there once something was asked."""
        columns = aligning.case_columns(self)
        if self.flip_sets:
            sizes = {at: found.size for at, found in self.flip_sets.items()}
            columns["flip_size"] = table.whole_column(sizes, self.total)
        if self.specificities:
            columns["specificity"] = table.number_column(
                {at: found.value for at, found in self.specificities.items()}, self.total
            )
        if self.transplanted is not None:
            columns["background_changes"] = backgrounds.changes_column(self.transplanted.known, self.total)
        if self.clustered is not None:
            columns["cluster"] = cluster_cards.cluster_column(self, self.clustered.cards)
        return columns

    @property
    def total(self) -> int:
        """N."""
        return len(self.samples)

    @property
    def done(self) -> int:
        """How many samples are scored or skipped."""
        return int((self._status > 0).sum())

    @property
    def complete(self) -> bool:
        """Whether nothing is pending."""
        return self.done == self.total

    @property
    def pending(self) -> Indices:
        """Samples that are neither scored nor skipped."""
        return np.flatnonzero(self._status == 0)

    @property
    def scored(self) -> Indices:
        """Samples that the model has answered."""
        return np.flatnonzero(self._status == STATUSES.index("scored"))

    @property
    def wrong(self) -> Indices:
        """Samples that the model got wrong: those scored whose predicted class is not their label."""
        found = self.scored
        return found[self.records["predicted"][found] != self.records["label"][found]]

    @property
    def overlay(self) -> Overlay:
        """Which evidence is shown where none is named; :meth:`calibrate` chooses it by measurement. Set it to an
        ``Overlay``, or to the name of a method.

        Raises:
            InspectionError: neither. MethodError: there is no such method.
        """
        return self._overlay

    @overlay.setter
    def overlay(self, value: str | Overlay) -> None:
        if not isinstance(value, str | Overlay):
            raise InspectionError(f"overlay is the name of a method or an Overlay(method, weights); arrived: {value!r}")
        self._overlay = contrasting.overlay_of(self, value)

    @property
    def thresholds(self) -> Thresholds:
        """Of the eight cases; set them as you like, nothing is computed again."""
        return self._thresholds

    @thresholds.setter
    def thresholds(self, value: Thresholds) -> None:
        if not isinstance(value, Thresholds):
            raise InspectionError(
                "thresholds are legrad_widget.inspection.Thresholds(iou=0.5, saliency=0.5, ground=0.5); "
                f"arrived: {value!r}"
            )
        self._thresholds = value

    def status(self, index: int) -> Status:
        """What became of a sample."""
        return STATUSES[self._status[self.at(index)]]

    def why_skipped(self, index: int) -> str:
        """What is wrong with a sample that was skipped, in a sentence; "" of all others."""
        at = self.at(index)
        return next((one.says for one in self.found if one.index == at and one.kind in SKIPPED), "")

    # ------------------------------------------------------------ tables

    @property
    def frame(self) -> pd.DataFrame:
        """One row per sample, indexed by its number; see :mod:`legrad_widget.inspection.table` for the columns."""
        with self.lock:
            current = (self.version, self.thresholds)
            if self._frame is None or self._frame[0] != current:
                self._frame = (current, table.frame(self))
            return self._frame[1].copy()

    @property
    def errors(self) -> pd.DataFrame:
        """The rows of :attr:`frame` that the model got wrong."""
        return self.frame.loc[self.wrong]

    problems = property(table.problems)
    confusion = table.confusion
    confusion_matrix = table.confusion_matrix
    cell = table.cell
    sorted = table.sorted_by
    query = table.query

    # ------------------------------------------------------------ one sample

    curve = curves.curve
    reliability = property(curves.reliability_of)
    neighbours = sample_neighbours.neighbours
    contrast = contrasting.contrast
    contrasts = contrasting.contrasts
    without = counterfactual.without
    curve_after = counterfactual.curve_after
    flip_set = counterfactual.flip_set
    mask_share = sample_mask.mask_share
    draw_mask = sample_mask.draw_mask

    def picture(self, index: int) -> Image.Image:
        """The upright RGB picture.

        Raises:
            InspectionError: it cannot be read any more; the sentence says why.
        """
        return reopened(self, self.at(index))

    def source(self, index: int) -> Any:
        """What ``encode`` is given of a sample.

        Raises:
            InspectionError: it cannot be read any more.
        """
        return raw(self, self.at(index))

    def target(self, class_: int | str) -> Class:
        """A class, by number or name, as a target of :attr:`model`."""
        index = self.labels.index(class_)
        return Class(index, self.class_names[index])

    def thumbnail(self, index: int) -> bytes:
        """A JPEG of at most 96 x 96 pixels."""
        at = self.at(index)
        if not self.small[at]:
            self.small[at] = thumbnail(self.picture(at))
        return self.small[at]

    def encoding(self, index: int) -> Encoding:
        """The sample encoded, as the model sees it here; the last two are held.

        Raises:
            InspectionError: its picture is gone or changed, the model's weights changed, or there is no model.
        """
        at = self.at(index)
        streaming.specification(
            self
        )  # says so where the weights changed: tables and pictures would not be of one model
        with self._encoding:  # not the lock of the table: that one is never held while the model runs
            if at not in self._encodings:
                self._encodings[at] = encoded(self, at)
                while len(self._encodings) > _ENCODINGS:
                    self._encodings.popitem(last=False)
            self._encodings.move_to_end(at)
            return self._encodings[at]

    # ------------------------------------------------------------ all errors

    calibrate = calibration.calibrate
    alignment = aligning.align
    cases = aligning.count_cases
    clusters = cluster_cards.clusters
    check_regions = cluster_cards.check_regions
    find_flip_sets = fragility.find_flip_sets
    specificity = class_specificity.specificity
    on_other_backgrounds = backgrounds.on_other_backgrounds
    outdated = property(outdated.outdated)

    # ------------------------------------------------------------ marks, and out

    tag = marking.tag
    untag = marking.untag
    note = marking.note
    read_tags = reading_tags.read_tags
    tagged = marking.tagged
    rows = marking.rows
    save = storage.save

    @property
    def selected(self) -> pd.DataFrame:
        """The selected rows of :attr:`frame`. Set it to anything that :meth:`rows` takes."""
        return self.frame.loc[self._chosen]

    @selected.setter
    def selected(self, where: Any) -> None:
        self._chosen = self.rows(where)

    # ------------------------------------------------------------ what it is made of

    @cached_property
    def given(self) -> Indices:
        """[N] the classes of the labels that were given; -1 where one comes with its picture, or names no class."""
        known = self.samples.labels is not None
        labels = map(self.samples.label, range(self.total)) if known else [None] * self.total
        return np.array(self.labels.indices(labels), np.int64)

    @cached_property
    def scores(self) -> ClassScores:
        """The scores of all classes from features."""
        return ClassScores(self.needs_model("score samples"))

    @property
    def grid(self) -> tuple[int, int]:
        """Patch rows and columns."""
        patch = self.needs_model("cut a picture into patches").vit.patch
        return self.size[0] // patch[0], self.size[1] // patch[1]

    @property
    def layers(self) -> tuple[int, ...]:
        """1 ... L of the lens curves; () where the logits were given."""
        return tuple(range(1, self.records["lens_true"].shape[1] + 1))

    def needs_model(self, what: str) -> Model:
        """The model.

        Raises:
            InspectionError: it was opened without one.
        """
        if self.model is None:
            raise InspectionError(f"to {what} the model is needed: lw.open_inspection(folder, model=model)")
        return self.model

    def at(self, index: Any) -> int:
        """A sample's number, checked.

        Raises:
            InspectionError: there is no such sample. TypeError: no whole number.
        """
        number = whole(index, "a sample's number", low=0)
        if number >= self.total:
            raise InspectionError(f"samples go from 0 to {self.total - 1}; arrived: {number}")
        return number

    def answered(self, index: Any) -> int:
        """The number of a sample that the model has answered, checked.

        Raises:
            InspectionError: it was skipped, or is still pending.
        """
        at = self.at(index)
        if (status := self.status(at)) != "scored":
            why = "run() has not come to it yet" if status == "pending" else f"it was skipped: {self.why_skipped(at)}"
            raise InspectionError(f"there is no answer on sample {at}: {why}")
        return at

    def pair(self, index: int) -> tuple[int, int]:
        """(predicted class, rival) of a sample: of an error the rival is its label, else the runner-up."""
        record = self.records[index]
        predicted, label = int(record["predicted"]), int(record["label"])
        return predicted, int(record["rival"]) if predicted == label else label

    def _note_duplicates(self) -> None:
        first: dict[str, int] = {}
        for index, name in enumerate(self.samples.names):
            if name and first.setdefault(name, index) != index:
                says = f"the same file as sample {first[name]}; it counts twice"
                self.found.append(Problem(index, name, "duplicate", says))

    def __len__(self) -> int:
        return self.total

    def __repr__(self) -> str:
        scored, wrong, skipped = len(self.scored), len(self.wrong), int((self._status > 1).sum())
        model = self.model_name if self.model is not None else f"{self.model_name} (saved)"
        parts = [f"{wrong} of {scored} samples wrong ({wrong / scored:.1%})" if scored else "nothing scored yet"]
        parts += [f"{skipped} skipped (see problems)"] * bool(skipped)
        parts += [f"{self.total - self.done} pending (run() goes on)"] * (not self.complete)
        old = outdated.outdated(self)
        parts += [f"of an earlier state: {', '.join(old)} (see outdated)"] * bool(old)
        return f"<Inspection of {model}, {len(self.class_names)} classes: {', '.join(parts)}>"


def _size(model: Model, size: Any) -> tuple[int, int]:
    return model._size(size)  # as encode(size=...) is checked
