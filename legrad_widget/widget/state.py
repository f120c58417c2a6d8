"""What Python and the browser share: every trait with its rule, and one lock for all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..method import Method, find
from . import rules
from .chips import Chip, Held, chip_of, read_chips, read_templates, read_through, thing_of
from .examples import concepts_of
from .pins import read_pins
from .rules import Refused, Scope
from .traits import Checked, InvalidValue, Targets, read_targets
from .wire import Status

if TYPE_CHECKING:
    from ..explainer import Model

VIEW = (
    *("layers", "heads", "weights", "opacity", "colormap", "threshold", "smooth"),
    *("compare", "compared", "compare_scale", "pins"),
)
QUESTION = ("templates", "targets", "active", "method", "knobs", "compare", "compared")
"""What decides, with the picture, what is computed."""
PUBLIC = tuple(dict.fromkeys((*QUESTION, *VIEW)))
PLUMBING = frozenset(
    {
        *("_request", "_look", "_result", "_comparison", "_tools", "_status", "_image", "_catalogue", "_model"),
        *("_concepts", "_esm", "_css", "_anywidget_id"),
    }
)


def _read_targets(raw: Any, widget: SharedState) -> Targets:
    try:
        return widget._targets_of(read_chips(raw, widget._scope.class_names))
    except Refused as error:
        raise InvalidValue(str(error)) from error


def _templates(raw: Any, widget: SharedState) -> list[str]:
    """Templates that every prompt of the widget fits into; one sentence is a list of one."""
    templates = read_templates([raw] if isinstance(raw, str) else raw)
    if templates and not widget.model.takes_text:
        raise Refused(f"templates are for prompts, and {widget.model.name} takes none: leave templates empty")
    if not widget._quiet:
        for target in widget.targets:
            read_through(target, templates)
    return list(templates)


def read_active(raw: Any, widget: SharedState) -> Any:
    """An index from the browser, which may be ahead of the targets or behind them: clamped."""
    return min(raw, max(len(widget.targets) - 1, 0)) if isinstance(raw, int) else raw


class SharedState(anywidget.AnyWidget):
    """The traits. They change under one lock, ``_settled``; ``wait()`` sleeps on it."""

    model: Model
    _settled: threading.Condition
    _scope: Scope
    _held: Held
    _quiet: bool

    templates = Checked(
        [],
        lambda w, v: _templates(v, w),
        help="What prompts are read through: sentences with one {} each, whose vectors are averaged; []: as they are "
        "typed. Setting it rewrites every prompt among the targets, and later bare strings are read so too",
    ).tag(sync=True)
    targets = Checked(
        Targets(), lambda w, v: read_targets(v, w.model.target, w._held, w.templates), help="What the maps are about"
    ).tag(sync=True, to_json=lambda value, widget: value.wire, from_json=_read_targets)
    active = Checked(
        0,
        lambda w, v: rules.whole("active", v, 0, max(len(w.targets) - 1, 0)),
        help="Which target is shown: an index",
    ).tag(sync=True, echo_update=False, from_json=read_active)
    method = Checked("legrad", lambda w, v: rules.method(v).name, help="A method of the catalogue").tag(sync=True)
    knobs = Checked({}, lambda w, v: rules.knobs(v, find(w.method)), help="Knobs that differ from their defaults").tag(
        sync=True
    )
    layers = Checked(
        None,
        lambda w, v: rules.layers(v, w._scope.depth),
        help="The layers that are merged, 1-based; None: the method's own",
    ).tag(sync=True, echo_update=False)
    heads = Checked(
        None,
        lambda w, v: rules.heads(v, w._scope),
        help="The heads (from 0) that are merged, {layer: [heads]}; None: all. Also taken: a head or several, "
        "meant for every layer, and (layer, head) pairs. While it is set it names the layers too, and `layers` waits",
    ).tag(sync=True, echo_update=False, to_json=lambda value, widget: rules.cells(value))
    weights = Checked(
        "paper",
        lambda w, v: rules.weights(v, w._scope),
        help='How layers count in the merged map: "paper", by the size of their values; "equal", each divided by its '
        'own peak; "reliability", the same, and by how well each layer\'s score finds its target, where the model was '
        "calibrated",
    ).tag(sync=True, echo_update=False)
    opacity = Checked(0.65, lambda w, v: rules.fraction("opacity", v), help="Of the map over the picture").tag(
        sync=True, echo_update=False
    )
    colormap = Checked("inferno", lambda w, v: rules.colormap(v), help=", ".join(rules.COLORMAPS)).tag(
        sync=True, echo_update=False
    )
    threshold = Checked(0.0, lambda w, v: rules.fraction("threshold", v), help="Smaller values are not drawn").tag(
        sync=True, echo_update=False
    )
    smooth = Checked(True, lambda w, v: rules.flag("smooth", v), help="Interpolated, or flat patches").tag(
        sync=True, echo_update=False
    )
    compare = Checked(
        "off",
        lambda w, v: rules.compare(v),
        help='What stands side by side: "off"; "methods", those of `compared` on the active target; "prompts", every '
        "target under the one method",
    ).tag(sync=True, echo_update=False)
    compared = Checked(
        [],
        lambda w, v: rules.compared(v, w._scope),
        help="The methods that are compared, in order; []: every method that this model can have and that is not slow",
    ).tag(sync=True, echo_update=False)
    compare_scale = Checked(
        "own",
        lambda w, v: rules.compare_scale(v),
        help='"own": every map is scaled by itself; "row": all layers of a method or target by one scale, where its '
        'row shows them one by one (merged, a row is one map); "shared": all by one (signed maps apart from unsigned)',
    ).tag(sync=True, echo_update=False)

    pins = Checked(
        (),
        lambda w, v: read_pins(v, w._scope, w._chip_of),
        help="Views to come back to, at most 12: dicts with targets, active, method, knobs, layers, heads and weights, "
        "which JSON can hold. To change them set them anew: w.pins = [*w.pins, {'targets': ['a cat'], 'layers': 3}]",
    ).tag(sync=True, echo_update=False)

    _catalogue: Any = traitlets.List().tag(sync=True)
    _model = traitlets.Dict().tag(sync=True)
    _image = traitlets.Dict().tag(sync=True)
    _concepts = traitlets.Dict().tag(sync=True)
    _result = traitlets.Dict().tag(sync=True)
    _comparison = traitlets.Dict().tag(sync=True)
    _tools = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict(Status().wire).tag(sync=True)
    _request = traitlets.Dict().tag(sync=True, echo_update=False)
    _look = traitlets.Dict().tag(sync=True, echo_update=False)

    @traitlets.observe("targets")
    def _picture_concepts(self, _change: Any) -> None:
        found = concepts_of(self.targets.chips, tuple(self.targets), self._concepts)
        if found != self._concepts:
            self._concepts = found

    @property
    def status(self) -> Status:
        """What the widget is doing."""
        return Status(**self._status)

    @property
    def _compared_methods(self) -> tuple[Method, ...]:
        """The methods that stand side by side, in order; () unless methods are compared."""
        if self.compare != "methods":
            return ()
        return tuple(find(name) for name in self.compared or self._scope.usual)

    def _targets_of(self, chips: tuple[Chip, ...]) -> Targets:
        """Targets from the wire; what the user wrote in Python stays what it was."""
        present = dict(zip(self.targets.chips, self.targets, strict=True))
        things = [present[chip] if chip in present else thing_of(chip, self._held) for chip in chips]
        return Targets(things, chips, self._held)

    def _chip_of(self, target: Any) -> Any:
        """A target as the browser knows it, from that form itself or from what Python writes."""
        return target if isinstance(target, Mapping) else chip_of(self.model.target(target), self._held).wire

    # ---------------------------------------------------------------- one lock for all traits

    def __setattr__(self, name: str, value: Any) -> None:
        if "_settled" not in self.__dict__:
            super().__setattr__(name, value)
            return
        with self._settled:
            super().__setattr__(name, value)

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Send several changes as one message. Other threads wait."""
        with self._settled, super().hold_sync():
            yield

    @contextmanager
    def hold_trait_notifications(self) -> Iterator[None]:
        """Make several changes one question. Other threads wait."""
        with self._settled, super().hold_trait_notifications():
            yield
