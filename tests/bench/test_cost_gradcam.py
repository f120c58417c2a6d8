"""GradCAM on ViT-B/16: what one target costs, in units of one native forward."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16


@pytest.mark.parametrize(
    ("knobs", "budget"), [({}, 0.6), ({"site": "norm1"}, 0.75), ({"layer": 12}, 0.01), ({"layer": 1}, 2.2)]
)
def test_one_target_costs_the_way_down_to_its_layer(knobs, budget, capsys):
    encoding = vit_b16.model().encode(vit_b16.image())
    forward = vit_b16.flops(vit_b16.plain_forward)
    cost = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(1)[0], "gradcam", **knobs)) / forward
    with capsys.disabled():
        print(f"\n    GradCAM {knobs or 'at layer 8'}: {cost:.3f} forwards (budget {budget})")
    assert cost <= budget
