"""ViT-ReciproCAM on ViT-B/16 with its class token: encoding and all masks within 1.6 forwards."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16


@pytest.mark.parametrize("knobs", [{}, {"kernel": "dirac"}, {"cls": False}, {"site": "block"}])
def test_reciprocam_stays_within_its_budget(knobs, capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    encoding = vit_b16.model().encode(vit_b16.image())
    masks = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(8), "reciprocam", **knobs)) / forward
    with capsys.disabled():
        print(f"\n    ViT-ReciproCAM {knobs or ''}: {masks:.3f} forwards after encode (budget 1.6 with it)")
    assert 1 + masks <= 1.6
