"""The widget: a picture, prompts, and one map per layer of a vision transformer, live in a notebook.

Threads. Messages from the browser arrive on the kernel's main thread or on a subshell's; Python code sets traits on
the main thread; answers are published by the model's worker. Traits change under one lock (``state.py``), which is
also the condition that :meth:`LeGradWidget.wait` sleeps on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from PIL import Image
from torch import Tensor

from ..builtin import Scene
from ..explainer import Model
from ..method import list_methods
from ..models.preprocess import Fit, picture
from . import exporting, page, pins, wire
from .chips import read_chips
from .code import code
from .listening import Listening
from .question import Photo
from .rules import Refused, shown
from .snapshot import snapshot
from .state import PUBLIC, VIEW
from .worker import Worker, worker_of

if TYPE_CHECKING:
    from ..explanation import Explanation

_STATIC = Path(__file__).parent.parent / "static"
_NOT_BUILT = """
export default { render({ el }) {
  el.textContent = "The front end of legrad_widget is not built. In the project's folder run: make demo"
    + " (or: cd js && npm ci && npm run build), then restart the kernel.";
} };
"""


def _asset(name: str, otherwise: str) -> Path | str:
    """The bundle's text; its path where anywidget is to watch it (ANYWIDGET_HMR=1).

    For a path anywidget connects every widget to the file for good: no widget, nor its model, would ever be freed.
    """
    file = _STATIC / name
    if not file.is_file():
        return otherwise
    return file if os.environ.get("ANYWIDGET_HMR") == "1" else file.read_text(encoding="utf-8") + "\n"


class LeGradWidget(Listening):
    """See what a vision transformer looks at, layer by layer. Usually made by :func:`explore`.

    Set ``targets``, ``templates``, ``active``, ``method``, ``knobs``, ``layers``, ``heads``, ``weights``, ``opacity``,
    ``colormap``, ``threshold``, ``smooth``, ``compare``, ``compared``, ``compare_scale``, ``pins`` and ``image`` from
    Python, or in the browser. A new picture, target, method or knob is computed by a background thread; :meth:`wait`
    waits for it, :attr:`explanation` is the answer, and with ``compare="methods"`` :attr:`comparison` holds the active
    target under every method of ``compared``. Several changes under ``with w.hold_trait_notifications():`` are one
    question.

    Args:
        model: From :func:`legrad_widget.load` or :func:`legrad_widget.wrap`.
        image: Anything that ``Model.encode`` takes.
        targets: A prompt, class, vector or Target, or a list of them. A classifier without any is asked for
            the class that it sees.
        method, knobs: A method from the catalogue and its knobs.
        templates: Sentences with one {} each that prompts are read through, averaged.
        fit, size: How the model sees the picture; see ``Model.encode``.
        suggestions: Prompts that the prompt box offers.
        worker: Runs the computations; default: the one thread of this model.
        view: Initial values of the other traits.

    Raises:
        ValueError, TypeError: an argument cannot be used, in a sentence.
    """

    _esm = _asset("widget.js", _NOT_BUILT)
    _css = _asset("widget.css", "")

    def __init__(
        self,
        model: Model,
        image: Any = None,
        targets: Any = (),
        *,
        method: str = "legrad",
        knobs: Mapping[str, Any] | None = None,
        templates: Sequence[str] = (),
        fit: Fit = "squash",
        size: int | tuple[int, int] | None = None,
        suggestions: Sequence[str] = (),
        worker: Worker | None = None,
        **view: Any,
    ) -> None:
        if unknown := set(view) - set(VIEW) - {"active"}:
            raise TypeError(f"LeGradWidget has no trait {min(unknown)!r}; it has {', '.join(PUBLIC)}")
        if fit not in get_args(Fit):
            raise Refused(f"fit is one of {', '.join(get_args(Fit))}; arrived: {shown(fit)}")
        self._prepare(model, fit, size)
        self._sources: dict[int, Any] = {}  # by the rev of its Photo, where a picture comes from: for code()
        # What can be refused comes before the comm opens, so that a refusal leaves no widget behind.
        self.templates = templates
        self.targets, self.method, self.knobs = targets, method, knobs or {}
        for name, value in view.items():
            setattr(self, name, value)
        if image is not None:
            self._photo = self._photo_of(image)
        self._catalogue = wire.catalogue(list_methods(), model.vit)
        self._model = wire.model_info(model, suggestions)
        worker = worker or worker_of(model)
        self._seat, self._tool_seat = worker.seat(), worker.seat()
        super().__init__()
        self._listen()
        self._quiet = False
        if self._photo is not None:
            self._ask()

    @property
    def image(self) -> Image.Image | None:
        """The picture, upright RGB. Set it to anything that ``Model.encode`` takes; the targets stay."""
        photo = self._photo
        if photo is not None and photo.picture is None:
            photo = self._shown  # not read yet
        return photo.picture if photo is not None else None

    @image.setter
    def image(self, value: Any) -> None:
        self._take_picture(self._photo_of(value))

    @property
    def explanations(self) -> tuple[Explanation | None, ...]:
        """The answers in the targets' order; None for one that cannot be used, () until they are there."""
        with self._settled:
            known = self._answer
            if known is None or known.question != self._question():
                return ()
            return tuple(outcome.explanation for outcome in known.outcomes)

    @property
    def explanation(self) -> Explanation | None:
        """The answer for the active target; None while it is not there. ``wait()`` first in a script."""
        found = self.explanations
        return found[self.active] if self.active < len(found) else None

    @property
    def comparison(self) -> dict[str, Explanation]:
        """The active target under each method that is compared, as far as they are finished: by method, in order.

        {} unless ``compare`` is "methods". The compared methods run with their defaults, the one that is ``method``
        with ``knobs``. A method that failed is not here; its pane and ``status.message`` say why.
        """
        with self._settled:
            known = self._compared
            if known is None or known.questions != self._beside(self._question()):
                return {}
            return known.explanations

    def to_html(self, *, history: bool = False) -> str:
        """The live widget as one HTML page that needs no kernel and no network; see :meth:`save_html`."""
        self._come_to_rest()
        return page.to_html(self, history=history)

    def save_html(self, path: str | os.PathLike[str], *, history: bool = False, overwrite: bool = False) -> Path:
        """Write the live widget as one HTML file: it opens from disk, without kernel, network or Jupyter.

        In it are the picture, every target's maps by the method that is shown, and by every other method that was
        asked about them; layers, colours, prompts, comparing and reading out work, what needs a kernel is off.
        A question under way is waited for.

        Args:
            path: of the file; it is there as a whole or not at all. An earlier page of ours is replaced.
            history: also every other prompt that was asked about this picture and is remembered, half-typed ones too.
            overwrite: replace a file that is no page of ours, too.

        Returns:
            The path.

        Raises:
            ValueError: there is no picture yet. FileExistsError: the file is not ours. OSError: it cannot be written.
        """
        self._come_to_rest()
        return page.save_html(self, path, history=history, overwrite=overwrite)

    def static(self, *, height: int = 860, history: bool = False) -> page.StaticPage:
        """The page of :meth:`save_html` as an ordinary output of a cell: it stays interactive when the kernel is
        gone, and in nbconvert. In a notebook from somebody else JupyterLab shows frames only once it is trusted.

        Args:
            height: of the frame in pixels; its lower edge can be dragged.
            history: as in :meth:`save_html`.
        """
        self._come_to_rest()
        return page.StaticPage(page.to_html(self, history=history), page.title(self), height)

    def snapshot(self, *, width: int = 640) -> Image.Image:
        """A picture of the current view, as the output of a cell or to be saved: the map over the picture with target,
        method, layers, score and colour bar. The map is ``w.explanation.overlay`` to the pixel.

        Args:
            width: of the picture in pixels, from 200 to 4096; title and margins come on top.

        Raises:
            ValueError: there is no map yet, or another width.
        """
        self._come_to_rest()
        return snapshot(self, width=width)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the current view as a file; its ending says what: .png (the :meth:`snapshot`) and .svg (the same as a
        drawing), .npz (``w.explanation.save``), .py (the :meth:`code`), .html (the page of :meth:`save_html`), and
        .gif, .webp or .mp4 (``w.explanation.animation``). What is there is replaced; a question is waited for.

        Raises:
            ValueError: another ending, or there is no map yet. OSError: the file cannot be written.
        """
        self._come_to_rest()
        return exporting.export(self, path)

    def _handed_over(self, what: str) -> tuple[dict[str, Any], list[bytes]]:
        return exporting.handed_over(self, what)

    def code(self) -> str:
        """The lines of Python that make the current view again without the widget: ``x`` is ``w.explanation``, ``heat``
        the merged map, ``picture`` the overlay. To the bit where the targets were asked together; a target that was
        added later was computed alone, and its last bits may differ (1e-6).

        What Python cannot write down (a picture or a direction that only exists in memory, your own model) is named in
        a comment, for you to fill in.
        """
        self._come_to_rest()
        return code(self)

    def pin(self) -> dict[str, Any]:
        """Pin the present view, as K does in the browser: it is the last one of ``pins`` then, and is returned.

        Raises:
            ValueError: there is no target yet, or there are 12 pins already.
        """
        with self._settled:
            self.pins = [*self.pins, {name: getattr(self, name) for name in pins.DEFAULTS}]
            return self.pins[-1]

    def recall(self, pin: Mapping[str, Any]) -> None:
        """Show a pinned view again, e.g. ``w.recall(w.pins[0])``; what is not remembered is computed again.

        Raises:
            ValueError: it is no view, or one of its targets was only in Python's memory and is gone.
        """
        with self.hold_trait_notifications():
            (view,) = pins.read_pins([pin], self._scope, self._chip_of)
            targets = self._targets_of(read_chips(view.pop("targets"), self._scope.class_names))
            self.method, self.knobs, self.targets = view.pop("method"), view.pop("knobs"), targets
            for name, value in view.items():
                setattr(self, name, value)

    def _come_to_rest(self) -> None:
        """Wait for the question under way, whatever becomes of it; not on the thread that answers it."""
        if not self._seat.is_mine:
            with self._settled:
                self._settled.wait_for(lambda: self._open is None)

    def close(self) -> None:
        """End the widget: stop computing, let go of the picture's encoding, close the views."""
        if "_seat" in self.__dict__:
            with self._settled:
                self._seat.close()
                self._tool_seat.close()
                self._run = None
                self._open, self._browser = None, None
                self._uploads.clear()
                self._examples.clear()
                self._memory.keep(None)
                for photo in {self._photo, self._shown} - {None}:
                    photo.encoding = None  # type: ignore[union-attr]  # None was taken out
                self._settled.notify_all()
        super().close()

    def __repr__(self) -> str:
        seen = self.image
        size = f"{seen.width} x {seen.height}" if seen is not None else None
        targets = ", ".join(shown(target) for target in self.targets[:3]) + (", ..." if len(self.targets) > 3 else "")
        doing = f"{self.method}, {self._status['state']}"
        return f"<LeGradWidget {self.model.name}: picture {size}, targets [{targets}], {doing}>"

    def _photo_of(self, image: Any) -> Photo:
        """A picture from Python, read here and now, so that a bad one raises where it was set."""
        rev = next(self._photos)
        self._sources = {past: known for past, known in self._sources.items() if past == getattr(self._shown, "rev", 0)}
        if isinstance(image, str | os.PathLike | Scene):
            self._sources[rev] = image
        name = Path(image).name if isinstance(image, str | os.PathLike) else ""
        if isinstance(image, Tensor):
            return Photo(rev, image, name)
        seen = picture(image)
        return Photo(rev, seen, name, seen)
