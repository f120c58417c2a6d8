"""Every option of ``inspect`` is documented where people look, and another one is answered with those there are."""

from __future__ import annotations

import inspect as python_inspect

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget import inspection
from tests import specimens
from tests.inspection import world

OPTIONS = [
    one.name
    for one in python_inspect.signature(inspection.Inspection).parameters.values()
    if one.kind is one.KEYWORD_ONLY
]


@pytest.mark.parametrize("inspect", [lw.inspect, inspection.inspect], ids=["widget", "plain"])
def test_every_option_is_documented_and_another_one_is_answered_with_them(inspect):
    assert len(OPTIONS) == 10
    for name in OPTIONS:
        assert f"``{name}``:" in inspect.__doc__
    with pytest.raises(TypeError, match=f"no option 'foo'; its options are {', '.join(OPTIONS)}"):
        inspect(world.classifier(), world.pictures(2), [0, 1], foo=3)
    with pytest.raises(TypeError, match=r"no option 'mask' \(did you mean masks\?\)"):
        inspect(world.classifier(), world.pictures(2), [0, 1], mask=[None] * 2)


def test_masks_and_boxes_come_as_the_documentation_says(tmp_path):
    mask = np.zeros((40, 80), bool)
    mask[10:30, 20:50] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    forms = {
        "list": {"masks": [mask] * 3},
        "numbers": {"masks": [mask.astype(np.float32)] * 3},
        "array": {"masks": np.stack([mask] * 3)},
        "dict": {"masks": dict.fromkeys(range(3), mask)},
        "function": {"masks": lambda index: mask},
        "path": {"masks": [str(tmp_path / "mask.png")] * 3},
        "picture": {"masks": [Image.fromarray(mask)] * 3},
        "box": {"boxes": [(20, 10, 50, 30)] * 3},
        "boxes": {"boxes": [[(20, 10, 40, 30), (35, 10, 50, 30)]] * 3},
        "mask before box": {"masks": [mask] * 3, "boxes": [(0, 0, 80, 40)] * 3},
    }
    images = [specimens.picture(40, 80, seed) for seed in range(3)]
    for name, given in forms.items():
        r = inspection.inspect(world.classifier(), images, [0, 1, 2], cache=False, progress=False, **given)
        assert (r.masks.of(1, (80, 40)) == mask).all(), name
