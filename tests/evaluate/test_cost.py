"""Measured cost: real seconds of real forwards, and their ratio."""

from __future__ import annotations

import time

import pytest
import torch

import legrad_widget as lw
from legrad_widget.evaluate import cost
from tests import specimens


def slowed(module, seconds):
    """A hook that makes every forward take so long."""
    return module.register_forward_pre_hook(lambda *_: time.sleep(seconds))


def test_forwards_are_seconds_over_the_seconds_of_one_forward():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    x = encoding.explain(1)
    handle = slowed(module, 0.05)
    found = cost.measured(x, encoding)
    handle.remove()
    assert found.seconds == x.seconds > 0
    assert 0.05 <= found.forward_seconds < 1
    assert found.forwards == pytest.approx(x.seconds / found.forward_seconds)


def test_a_slow_forward_is_timed_once_and_a_fast_one_thrice(monkeypatch):
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    ran = []
    handle = module.register_forward_pre_hook(lambda *_: ran.append(1))
    cost.forward_seconds(encoding)
    assert len(ran) == 3
    monkeypatch.setattr(cost, "ENOUGH", 1e-9)
    cost.forward_seconds(encoding)
    assert len(ran) == 4
    handle.remove()


def test_a_model_that_was_trained_on_is_refused():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    with torch.no_grad():
        module.head.weight.mul_(2)
    with pytest.raises(lw.StaleEncoding):
        cost.forward_seconds(encoding)
