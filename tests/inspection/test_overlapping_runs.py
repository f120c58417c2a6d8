"""Two runs of one module at the same time: neither sees what the other's forward changes for its own time."""

from __future__ import annotations

import threading

import pytest

import legrad_widget as lw
from legrad_widget.inspection import Inspection, open_inspection
from tests import specimens
from tests.inspection import world

LONG = 0.5
"""Seconds that a forward stays inside the module: without a lock, the other run is through with its digest by then."""


@pytest.mark.parametrize("size", [None, 64], ids=["its own size", "another size"])
def test_two_overlapping_runs_are_of_one_model(tmp_path, size):
    module, data = specimens.timm_vit(), world.folder(tmp_path / "data")

    def make():
        return Inspection(lw.wrap(module, class_names=world.NAMES), data, size=size, cache=False)

    alone, first, second = make().run(False), make(), make()
    inside, asked = threading.Event(), threading.Event()

    def stay(*_):
        if threading.current_thread() is running and not inside.is_set():
            inside.set()
            asked.wait(LONG)

    running = threading.Thread(target=first.run, args=(False,))
    handle = module.blocks[0].register_forward_hook(stay)
    running.start()
    assert inside.wait(30)
    next(scoring := second.stream())
    asked.set()
    running.join()
    list(scoring)
    handle.remove()

    assert first.asked[1] == second.asked[1] == alone.asked[1]
    second.save(tmp_path / "saved")
    again = open_inspection(tmp_path / "saved", model=lw.wrap(module, class_names=world.NAMES), cache=False)
    assert again.frame["predicted"].tolist() == alone.frame["predicted"].tolist()
