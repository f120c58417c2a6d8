"""AttentionCAM on ViT-B/16: at most 0.3 forwards."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16


@pytest.mark.parametrize("count", [1, 8])
def test_targets_stay_within_the_budget(count, capsys):
    encoding = vit_b16.model().encode(vit_b16.image())
    forward = vit_b16.flops(vit_b16.plain_forward)
    ratio = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(count), "attentioncam")) / forward
    with capsys.disabled():
        print(f"\n    attentioncam, {count} target(s): {ratio:.3f} forwards (budget 0.3)")
    assert ratio <= 0.3
