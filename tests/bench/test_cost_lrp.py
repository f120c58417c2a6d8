"""The relevance methods on ViT-B/16 in units of one native forward; a float64 FLOP counts as one."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16


@pytest.mark.parametrize(("method", "budget"), [("lrp", 8), ("transformer_attribution", 8), ("partial_lrp", 0.3)])
def test_one_target_stays_within_its_budget(method, budget, capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    encoding = vit_b16.model().encode(vit_b16.image())
    ratio = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(1), method)) / forward
    with capsys.disabled():
        print(f"\n    {method}, one target: {ratio:.3f} forwards (budget {budget})")
    assert ratio <= budget
