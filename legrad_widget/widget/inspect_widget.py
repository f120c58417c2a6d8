"""``inspect``: a gallery of what a model gets wrong, and the explorer beneath it. ``open_inspection``: a saved one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets
from tqdm.auto import tqdm

from ..explanation import WEIGHTS
from ..method import catalogue
from ..target import Contrast
from . import inspect_page
from .explorer import _NOT_BUILT, LeGradWidget, _asset
from .inspect_leaving import Leaving
from .inspect_message import Leave
from .inspect_pictures import Sample
from .inspect_table import name_of
from .inspecting import Gallery
from .page import StaticPage
from .rules import Refused, shown
from .worker import Worker, worker_of

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from ..inspection import Inspection
    from ..inspection.evidence import Overlay
    from ..inspection.overlap import Thresholds

_DELEGATED = frozenset(
    {
        *("frame", "errors", "problems", "total", "done", "complete", "pending", "scored", "wrong", "class_names"),
        *("confusion", "confusion_matrix", "cell", "sorted", "query", "rows", "reliability", "cases"),
        *("curve", "neighbours", "picture", "source", "target", "thumbnail", "encoding", "mask_share"),
        *("contrast", "contrasts", "calibrate", "without", "curve_after", "flip_set"),
        *("alignment", "clusters"),
        *("find_flip_sets", "check_regions", "specificity", "on_other_backgrounds", "outdated"),
        *("tag", "untag", "note", "read_tags", "tagged", "save", "transplanted"),
        *("flip_sets", "calibrated", "clustered", "why_skipped", "grid", "model_name", "fit", "size"),
    }
)
"""What the widget has from its ``Inspection``, under the same names."""
_OF_ALL = frozenset(
    {
        *("frame", "errors", "problems", "scored", "wrong", "confusion", "confusion_matrix", "cell", "sorted", "query"),
        *("reliability", "cases", "neighbours", "contrasts", "calibrate", "alignment", "clusters", "save"),
        *("find_flip_sets", "check_regions", "specificity", "on_other_backgrounds", "outdated", "read_tags"),
    }
)
"""Those of them that are about all samples: they wait until the run has ended, or is paused."""
_CHANGES = frozenset(
    {
        *("tag", "untag", "note", "read_tags", "calibrate", "flip_set", "clusters", "alignment"),
        *("find_flip_sets", "check_regions", "specificity", "on_other_backgrounds"),
    }
)
"""Those of them after which the table, or the overlay, may say something else."""


class _Delegated:
    """A name of ``Inspection``'s on a widget. ``help`` of the class shows what is there, which is imported then."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, widget: Inspecting | None, _owner: type) -> Any:
        if widget is None:
            from ..inspection import Inspection

            return getattr(Inspection, self._name, self)
        if self._name in _OF_ALL:
            widget._until_at_rest()
        found = getattr(widget.inspection, self._name)
        return _then(found, widget.refresh) if self._name in _CHANGES else found


class Inspecting(Gallery):
    """The gallery with the names of :class:`~legrad_widget.inspection.Inspection` in Python."""

    _esm = _asset("inspect.js", _NOT_BUILT)
    _css = _asset("inspect.css", "")

    def _prepare_gallery(self, inspection: Inspection, worker: Worker | None) -> None:
        super()._prepare_gallery(inspection, worker)
        self._leaving = Leaving(
            lambda rows, progress: inspect_page.to_html(inspection, self._told_now, rows, progress),
            partial(self._submit_to, self._leave_seat),
            self.send,
            lambda: self._settled,
        )

    def _leave(self, wish: Leave) -> None:
        if wish.rid:
            self._leaving.begin(wish.rid, wish.rows)
        else:
            self._leaving.stop()

    def _close_gallery(self) -> None:
        self._leaving.stop()
        super()._close_gallery()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What is ``_DELEGATED``."""

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of ``frame`` that are selected. Set it to indices, a mask, a query or rows."""
        return self.inspection.selected

    @selected.setter
    def selected(self, value: Any) -> None:
        self.inspection.selected = value
        self.refresh()

    @property
    def overlay(self) -> Overlay:
        """Which contrast map stands over the small pictures; see ``calibrate``."""
        return self.inspection.overlay

    @overlay.setter
    def overlay(self, value: str | Overlay) -> None:
        self.inspection.overlay = value
        self.refresh()

    @property
    def thresholds(self) -> Thresholds:
        """From where on a number counts as high: what decides which case a sample with a mask is."""
        return self.inspection.thresholds

    @thresholds.setter
    def thresholds(self, value: Thresholds) -> None:
        self.inspection.thresholds = value
        self.refresh()

    def save_html(self, path: str | os.PathLike[str], rows: Any = None, *, overwrite: bool = False) -> Path:
        """Write the gallery as one HTML file: it opens from disk, without kernel, network or Jupyter.

        In it are the table of all samples with their full paths, what was found about all errors, and of ``rows`` the
        pictures, maps and everything that is known when they are opened. Filters, orders, search, the thresholds of the
        mask cases and the keyboard work; tags and notes that are made there last until it is closed, and leave it with
        its table, which ``read_tags`` reads back. What has to be computed is off, and says so.

        Maps that are not known yet are computed, where there is a model; Ctrl-C ends that, nothing is written, and what
        was computed is kept. Of a picture that is gone there is the thumbnail.

        Args:
            path: of the file; it is there as a whole or not at all. An earlier page of ours is replaced.
            rows: samples with pictures, maps and details: what :meth:`Inspection.rows` takes; None: all errors. At most
                500. Each takes 50 to 70 kB where they are photographs, every other sample about 0.2 kB and
                its path.
            overwrite: replace a file that is no page of ours, too.

        Returns:
            The path.

        Raises:
            ValueError: too many samples, or none of these. FileExistsError: the file is not ours. OSError: it cannot be
                written.
        """
        return inspect_page.save_html(path, lambda: self.to_html(rows), overwrite=overwrite)

    def to_html(self, rows: Any = None) -> str:
        """The gallery as one HTML page that needs no kernel and no network; see :meth:`save_html`."""
        self._until_at_rest()
        with tqdm(unit="sample", delay=1, desc="saving") as bar:

            def progress(step: int, total: int) -> None:
                bar.total = total
                bar.update(step - bar.n)

            return inspect_page.to_html(self.inspection, self._told_now, rows, progress)

    def static(self, *, height: int = 1000, rows: Any = None) -> StaticPage:
        """The page of :meth:`save_html` as an ordinary output of a cell: it stays interactive when the kernel is
        gone, and in nbconvert. In a notebook from somebody else JupyterLab shows frames only once it is trusted.

        Args:
            height: of the frame in pixels; its lower edge can be dragged.
            rows: as in :meth:`save_html`.
        """
        return StaticPage(self.to_html(rows), inspect_page.title(self.inspection), height)

    def _told_now(self) -> dict[str, Any]:
        """The traits that a saved page begins with, as they are now."""
        self.refresh()
        with self._settled:
            return {name: getattr(self, name) for name in ("_gallery", "_scoring", "_selected", "_studies")}

    def _counts(self) -> str:
        known = self._scoring
        return f"{known['step']} of {known['total']} samples, {known.get('errors', 0)} wrong, {known['state']}"


class InspectWidget(Inspecting, LeGradWidget):  # type: ignore[misc]  # what is saved is the gallery, of other samples
    """A gallery of a model's samples, wrong ones first, over the explorer. Usually made by :func:`inspect`.

    Everything of ``Inspection`` is here under the same name (``frame``, ``selected``, ``tag``, ``note``, ``contrast``,
    ``calibrate``, ``flip_set``, ``clusters``, ``neighbours``, ``save``, ...); everything of ``LeGradWidget`` is about
    the sample that is open (``layers`` too: those that are shown of it; all there are: ``r.inspection.layers``).
    Scoring runs in the background: ``run``, ``pause``, ``wait``. What is about all samples waits for it;
    ``r.inspection.frame`` is the table so far.

    Args:
        inspection: what is shown.
        worker: runs the computations; default: the one thread of the model.
        start: begin to score at once.
    """

    plain = traitlets.Bool(
        False, help="Whether the plain maps of both classes stand beneath too, beside the two contrasts"
    ).tag(sync=True)

    def __init__(self, inspection: Inspection, *, worker: Worker | None = None, start: bool = True) -> None:
        model = inspection.model
        if model is None:
            raise Refused("this inspection has no model; show it with SavedInspectWidget")
        worker = worker or worker_of(model)
        self._followed: Overlay | None = None
        self._prepare_gallery(inspection, worker)
        super().__init__(model, worker=worker, fit=inspection.fit, size=inspection.size, compare="prompts")
        self.refresh()
        if start:
            self.run()

    def wait(self, timeout: float | None = None) -> None:
        """Return when every sample is scored (or the run paused) and the open one is explained.

        Raises:
            TimeoutError: not done in ``timeout`` seconds; it goes on. RuntimeError: the run failed.
            Exception: what made the explorer's last question fail; see ``LeGradWidget.wait``.
        """
        self.wait_for_scores(timeout)
        super().wait(timeout)
        self._until_read(timeout)

    def snapshot(self, *, width: int = 640) -> Image.Image:
        """A picture of the open sample's map; see :meth:`LeGradWidget.snapshot`.

        Raises:
            ValueError: no sample is open, or another width.
        """
        if self.opened is None:
            raise Refused("no sample is open to take a picture of: r.show(3) opens one; r.static() shows the gallery")
        return super().snapshot(width=width)

    def _on_other_message(self, widget: Any, content: Any, buffers: Any) -> None:
        LeGradWidget._on_message(self, widget, content, buffers)

    def _explore(self, row: int) -> None:
        """A sample's picture, and what spoke for the class it took it for, over the true one, and the reverse."""
        inspection = self.inspection
        if inspection.status(row) != "scored":
            why = inspection.why_skipped(row) or "it is not scored yet"
            raise Refused(f"sample {row} cannot be explained: {why}")
        targets, name = _targets(inspection, row, self.plain), name_of(str(inspection.samples.names[row]), row)
        with self.hold_sync():
            self._quiet = True
            try:
                self._follow_overlay()
                self.targets, self.active, self.compare = targets, 0, "prompts"
            finally:
                self._quiet = False
            rev = next(self._photos)
            if path := inspection.samples.files[row]:
                self._sources = {rev: path}
            self._take_picture(Sample(rev, inspection, row, name))

    def _show_plain(self, on: bool) -> None:
        self.plain = on

    @traitlets.observe("plain")
    def _add_or_remove_plain(self, _change: Any) -> None:
        """What else is asked about the open sample stays as it is."""
        with self._settled:
            if self.opened is not None:
                alone = self.inspection.pair(self.opened)
                others = [target for target in self.targets if getattr(target, "index", target) not in alone]
                self.targets = [*others, *alone] if self.plain else others

    def _follow_overlay(self) -> None:
        """Explain by the overlay's method, once for every overlay, where the explorer has that method."""
        overlay = self.inspection.overlay
        if overlay == self._followed:
            return
        self._followed = overlay
        if overlay.method in catalogue() and overlay.method not in self._scope.refusals:
            self.method, self.knobs = overlay.method, {}
        if overlay.weights in WEIGHTS:
            self.weights = overlay.weights

    def close(self) -> None:
        """End the widget: stop scoring, let go of the open sample, close the views."""
        if "_settled" in self.__dict__:
            with self._settled:
                self._close_gallery()
        super().close()

    def __repr__(self) -> str:
        return f"<InspectWidget {self.model.name}: {self._counts()}>"


class SavedInspectWidget(Inspecting):
    """The gallery of an inspection that was opened without its model. Usually made by :func:`open_inspection`."""

    def __init__(self, inspection: Inspection) -> None:
        self._settled = threading.Condition(threading.RLock())
        self._prepare_gallery(inspection, None)
        super().__init__()
        self.on_msg(self._on_message)
        self.refresh()

    def close(self) -> None:
        """End the widget."""
        if "_benches" in self.__dict__:
            with self._settled:
                self._close_gallery()
        super().close()

    def __repr__(self) -> str:
        return f"<SavedInspectWidget, no model: {self._counts()}>"


for _widget in (InspectWidget, SavedInspectWidget):
    for _name in _DELEGATED:  # here, not on their base: traitlets reads every name of the base of a class
        if not hasattr(_widget, _name):
            setattr(_widget, _name, _Delegated(_name))


def inspect(model: Any, images: Any = None, labels: Any = None, **options: Any) -> InspectWidget:
    """See what ``model`` gets wrong on ``images``, why, and test it.

    Args:
        model: From :func:`legrad_widget.load` or :func:`legrad_widget.wrap`: a classifier, or a CLIP, whose
            ``class_names`` become its prompts.
        images: A folder of folders, a list of anything ``Model.encode`` reads, a Dataset, a column of paths.
        labels: One per picture: the class's index or name. None: those of the folder or Dataset.
        **options: by name, each of them:
            ``class_names``: a list of C strings in the order of the classes. Of a classifier None: the names it knows.
            Of a CLIP its prompts; needed unless it has some.
            ``templates``: of a CLIP, sentences with one ``{}`` each for the name ("a photo of a {}."), averaged; ().
            ``masks``: of the objects, one per picture or None where there is none: a list of N, a dict {sample number:
            mask}, an array [N, H, W], or a function of the sample's number. A mask is a bool or number array [H, W], a
            picture, or the path of one; what is not 0 is the object. It has the pixels of its own (upright) picture,
            not those of the model's input.
            ``boxes``: the same with (left, top, right, bottom) in pixels of the picture, the right and lower edge not
            included, or several [n, 4]; taken where there is no mask.
            ``logits``: [N, C] that are there already: nothing is run then, and there are no curves over layers.
            ``embeddings``: [N, E] beside them, for neighbours and groups.
            ``fit``: how a picture of another shape is shown to the model: "squash" (all of it, its aspect lost; the
            default), "crop" (the centre) or "pad" (all of it, with a border). Take the one that the model was trained
            and tested with: other numbers follow from another.
            ``size``: of the model's input in pixels, one side or (height, width), multiples of the patch size; None:
            the model's own.
            ``batch``: how many pictures go through the model at a time; None: as many as take about a second.
            ``cache``: True (the default): answers, maps and flip sets are kept on disk in the user's cache folder
            ($LEGRAD_WIDGET_CACHE names another), under a digest of model, picture and label, so that nothing is
            computed twice, in other sessions either; at most $LEGRAD_WIDGET_CACHE_GB gigabytes (4), of which the oldest
            make room. A path: that folder. False: nothing is kept.

    Returns:
        The widget; scoring has begun in the background. ``r.frame``, and all that is about every sample, waits for it.

    Warns (InspectionWarning) where some labels fit no class: these samples are skipped.

    Raises:
        TypeError, ValueError: what was given cannot be used, or not one label fits a class, in a sentence.
    """
    from ..explainer import Model
    from ..inspection import Inspection
    from ..inspection.options import check_options

    check_options(options, Inspection)
    if isinstance(images, Model):
        raise TypeError(f"the model comes first: inspect(model, images, labels); arrived first: {shown(model)}")
    return InspectWidget(Inspection(model, images, labels, **options))


def open_inspection(folder: str | os.PathLike[str], model: Any = None) -> InspectWidget | SavedInspectWidget:
    """The gallery of an inspection that ``r.save(folder)`` wrote; with its model also everything that needs one.

    Raises:
        ValueError, OSError: the folder holds no inspection, or the model is another one, in a sentence.
    """
    from .. import inspection

    opened = inspection.open_inspection(folder, model=model)
    return SavedInspectWidget(opened) if opened.model is None else InspectWidget(opened)


def _targets(inspection: Inspection, row: int, plain: bool) -> list[Any]:
    """What is asked about a sample: why the class that was taken rather than the true one, and the reverse. Plain maps
    of two classes that are easily confused look much alike: they come with ``plain`` alone.

    Of a sample that is right: why it rather than the runner-up.
    """
    predicted, rival = inspection.pair(row)
    return [Contrast(predicted, rival), Contrast(rival, predicted), *((predicted, rival) if plain else ())]


def _then(method: Callable[..., Any], after: Callable[[], None]) -> Callable[..., Any]:
    """``method``, and what is done once it has returned."""

    @wraps(method)
    def both(*args: Any, **options: Any) -> Any:
        found = method(*args, **options)
        after()
        return found

    return both
