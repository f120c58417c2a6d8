"""Whatever is asked, and wherever it is stopped, the caller's model is bit for bit what it was."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection import Inspection
from tests import specimens
from tests.inspection import world


def state(module):
    """All of a module that could have been changed, as bytes and numbers."""
    return (
        {name: value.numpy().tobytes() for name, value in module.state_dict().items()},
        [(name, p.requires_grad, p.data_ptr(), p._version) for name, p in module.named_parameters()],
        [None if p.grad is None else p.grad.numpy().tobytes() for p in module.parameters()],
        [
            (m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in module.modules()
        ],
        [sorted(vars(m)) for m in module.modules()],
    )


class Interrupting:
    """Raises when the module has run ``left`` more times."""

    def __init__(self):
        self.left = 0

    def __call__(self, *_):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def subject():
    """A model in training, with gradients on some weights; an inspection of it; and what interrupts it."""
    module = specimens.timm_vit(reg_tokens=2)
    module.train()
    for number, parameter in enumerate(module.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        parameter.grad = torch.ones_like(parameter) if number % 3 == 0 else None
    bomb = Interrupting()
    module.blocks[1].register_forward_hook(bomb)
    model = lw.wrap(module, class_names=world.NAMES)
    mask = np.zeros((60, 60), bool)
    mask[:20] = True

    def make():
        return Inspection(model, world.pictures(6), world.labels(6), cache=False, batch=2, masks=[mask] * 6)

    return module, make, bomb


ASKED = {
    "run": lambda r, at: None,
    "legrad": lambda r, at: r.contrast(at, "legrad"),
    "attention x gradient": lambda r, at: r.contrast(at),
    "chefercam": lambda r, at: r.contrast(at, "chefercam"),
    "tam": lambda r, at: r.contrast(at, "tam"),
    "flip set": lambda r, at: r.flip_set(at),
    "without": lambda r, at: r.without(at, [(0, 0)]),
    "paste": lambda r, at: r.without(at, [(0, 0)], "paste", donor=(at + 1) % 6),
    "curve after": lambda r, at: r.curve_after(at, r.without(at, [(0, 0)], "blur", control=0)),
    "calibrate": lambda r, at: r.calibrate(2, show=False),
    "clusters": lambda r, at: r.clusters(2),
    "alignment": lambda r, at: r.alignment(),
    "a method that is not there": lambda r, at: r.contrast(at, "nothing"),
    "a sample that is not there": lambda r, at: r.flip_set(99),
}


@pytest.mark.parametrize("what", ASKED)
def test_the_model_is_untouched(subject, what):
    module, make, bomb = subject
    before = state(module)
    r = make().run(False)
    at = int(r.wrong[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the run was stopped
        for left in (0, 1, 2):  # not at all, in its first forward, in its second
            bomb.left = left
            try:
                ASKED[what](r if left == 0 else make().run(False) if what == "run" else r, at)
            except (KeyboardInterrupt, ValueError):
                assert left or "not there" in what
            bomb.left = 0
            r.maps.forget()
            r._encodings.clear()
            assert state(module) == before
