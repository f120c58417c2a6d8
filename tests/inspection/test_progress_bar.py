"""Whoever waits at a prompt sees how far it is; who listens, or has it in no time, is not disturbed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from legrad_widget.inspection import Inspection, progress_bar
from tests.inspection import world


@pytest.fixture(scope="module")
def r():
    mask = np.zeros((60, 60), bool)
    mask[:20] = True
    return world.inspected(masks=[mask] * 12)


LONG = {
    "flip_set": (lambda r, **more: r.flip_set(int(r.wrong[0]), **more), "forwards"),
    "find_flip_sets": (lambda r, **more: r.find_flip_sets(control=3, seed=1, **more), "samples"),
    "calibrate": (lambda r, **more: r.calibrate(2, ["legrad"], **more), "samples"),
    "clusters": (lambda r, **more: r.clusters(2, **more), "errors"),
    "check_regions": (lambda r, **more: r.check_regions(**more), "errors"),
    "align": (lambda r, **more: r.alignment(**more), "samples"),
    "specificity": (lambda r, **more: r.specificity(**more), "samples"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_bar_is_there_where_nobody_listens(r, name, monkeypatch, capsys):
    ask, unit = LONG[name]
    monkeypatch.setattr(progress_bar, "AFTER", 0.0)
    if name == "check_regions":
        r.clusters(2, test=False)
        capsys.readouterr()
    ask(r, progress=lambda step, total: None)
    assert capsys.readouterr().err == ""
    r.flip_sets.clear()
    r.specificities.clear()
    ask(r)
    said = capsys.readouterr().err
    assert said.startswith("\r" + name)
    assert f" {unit}/s" in said or f"s/ {unit}" in said
    assert said.endswith("\r")  # and gone again


@pytest.mark.parametrize("name", LONG)
def test_what_is_quick_shows_none(r, name, monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "AFTER", 1000.0)
    if name == "check_regions":
        r.clusters(2, test=False)
    LONG[name][0](r)
    assert capsys.readouterr().err == ""


def test_who_shows_nothing_shows_no_bar(r, monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "AFTER", 0.0)
    r.calibrate(2, ["legrad"], show=False)
    assert capsys.readouterr() == ("", "")


def test_the_arguments_are_still_told():
    assert list(inspect.signature(Inspection.flip_set).parameters)[:3] == ["inspection", "index", "overlay"]
    assert inspect.getdoc(Inspection.calibrate).startswith("Measure how well")
