"""What the widget has from its inspection is there for ``help``, for tab completion and for ``inspect.signature``."""

from __future__ import annotations

import inspect
import pydoc
import re

import numpy as np
import pytest

from legrad_widget.explainer import Model
from legrad_widget.inspection import Inspection
from legrad_widget.widget.explorer import LeGradWidget
from legrad_widget.widget.inspect_widget import _DELEGATED, InspectWidget, SavedInspectWidget

KINDS = (InspectWidget, SavedInspectWidget)


@pytest.mark.parametrize("kind", KINDS)
def test_help_has_every_call_with_its_own_words(kind: type) -> None:
    text = pydoc.plain(pydoc.render_doc(kind))
    for call in ("flip_set", "read_tags", "calibrate", "on_other_backgrounds"):
        assert re.search(rf"^ \|  {call}\(inspection: 'Inspection'", text, re.MULTILINE), call
    assert "The rows of :attr:`frame` that the model got wrong." in text  # a property's
    for name in _DELEGATED:
        if hasattr(Inspection, name) and not hasattr(LeGradWidget, name):
            assert getattr(kind, name) is getattr(Inspection, name), name
            assert inspect.getdoc(getattr(kind, name)), name


@pytest.mark.parametrize("kind", KINDS)
def test_dir_has_them_all(kind: type) -> None:
    assert set(dir(kind)) >= _DELEGATED


def test_none_takes_the_place_of_a_name_of_the_explorer() -> None:
    for name in dir(LeGradWidget):
        if name in _DELEGATED:
            assert getattr(InspectWidget, name) is getattr(LeGradWidget, name), name


def test_they_are_the_inspections_own_on_a_widget(classifier: Model) -> None:
    pictures = [np.full((40, 40, 3), 30 * i, np.uint8) for i in range(4)]
    widget = InspectWidget(Inspection(classifier, pictures, [0, 1, 2, 3], cache=False))
    widget.wait(60)
    assert widget.class_names == widget.inspection.class_names
    assert widget.frame.equals(widget.inspection.frame)
    assert widget.curve == widget.inspection.curve
    signature = inspect.signature(widget.tag)
    assert list(signature.parameters) == ["name", "where"]
    widget.tag("odd", [1])
    assert widget.comm.state["_studies"]["errors"] == len(widget.errors)
    assert widget.tagged("odd").tolist() == [1]
    with pytest.raises(AttributeError, match="'InspectWidget' object has no attribute 'flipset'"):
        widget.flipset  # noqa: B018
