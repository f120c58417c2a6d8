"""Widgets on real models, tiny and random, with a page in place of the browser."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comm
import ipywidgets
import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.explainer import Encoding, Model
from legrad_widget.widget import LeGradWidget
from tests import specimens
from tests.widget.page import Page


@functools.cache
def clip_model() -> Model:
    import open_clip

    return lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"), name="tiny")


@functools.cache
def classifier_model() -> Model:
    names = ("tabby", "beagle", "pizza", "taxi", "castle", "daisy", "fox")
    return lw.wrap(specimens.timm_vit(), class_names=names, name="tiny classifier")


@pytest.fixture
def model() -> Model:
    return clip_model()


@pytest.fixture
def classifier() -> Model:
    return classifier_model()


@pytest.fixture
def photo() -> np.ndarray:
    return specimens.picture()


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every widget opens a page; all are closed afterwards, and with them their threads."""
    monkeypatch.setattr(comm, "create_comm", Page)
    monkeypatch.setattr(ipywidgets.Widget.comm, "klass", Page, raising=False)
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture
def widget(model: Model, photo: np.ndarray) -> LeGradWidget:
    """A widget at rest, showing the answer about a cat and a dog."""
    shown = lw.explore(photo, ["a cat", "a dog"], model=model)
    shown.wait()
    return shown


@pytest.fixture
def page(widget: LeGradWidget) -> Page:
    return widget.comm


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What reaches the core: ("encode", image) and ("explain", number of targets). Everything still runs."""
    seen: list[tuple[str, Any]] = []
    encode, explain = Model.encode, Encoding.explain

    def counted_encode(self: Model, image: Any, **options: Any) -> Encoding:
        seen.append(("encode", image))
        return encode(self, image, **options)

    def counted_explain(self: Encoding, target: Any, *args: Any, **options: Any) -> Any:
        seen.append(("explain", len(target)))
        return explain(self, target, *args, **options)

    monkeypatch.setattr(Model, "encode", counted_encode)
    monkeypatch.setattr(Encoding, "explain", counted_explain)
    return seen


class Busy:
    """Something else uses the model: what the worker wants of it has to wait."""

    def __init__(self, model: Model):
        self._lock, self._release, self._held = model.lock, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def _hold(self) -> None:
        with self._lock:
            self._held.set()
            self._release.wait(30)

    def start(self) -> None:
        self._thread.start()
        assert self._held.wait(5)

    def stop(self) -> None:
        self._release.set()
        self._thread.join(5)


@pytest.fixture
def busy(model: Model) -> Callable[[], Any]:
    """``with busy():`` the model is in use by another thread."""

    @contextmanager
    def hold() -> Iterator[None]:
        other = Busy(model)
        other.start()
        try:
            yield
        finally:
            other.stop()

    return hold
