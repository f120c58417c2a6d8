"""What tells changed weights: not what a forward puts in their place for its own time."""

from __future__ import annotations

import pytest
import torch

import legrad_widget as lw
from legrad_widget.models.live import fingerprint
from tests import specimens


def tower(model):
    return model.visual if hasattr(model, "visual") else model


@pytest.mark.parametrize("make", [specimens.timm_vit, specimens.clip], ids=["timm", "open_clip"])
def test_a_forward_on_another_grid_is_no_change_to_whoever_looks_meanwhile(make):
    module = make()
    model = lw.wrap(module)
    before, seen, swapped = fingerprint(module), [], []
    own = {id(p) for p in module.parameters()}

    def look(*_):
        seen.append(fingerprint(module))
        swapped.append({id(p) for p in module.parameters()} != own)

    part = next(m for name, m in tower(module).named_modules() if name.endswith("blocks.0"))
    handle = part.register_forward_hook(look)
    try:
        height, width = model.vit.size
        model.encode(specimens.picture(), size=(2 * height, 2 * width))
    finally:
        handle.remove()
    assert any(swapped), "something stood in the place of a weight"
    assert set(seen) == {before} == {fingerprint(module)}
    with torch.no_grad():
        next(module.parameters()).add_(1)
    assert fingerprint(module) != before
