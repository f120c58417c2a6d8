"""Raw attention and rollout on ViT-B/16: all layers for at most 0.3 forwards, whatever the number of targets."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16


@pytest.mark.parametrize("method", ["raw_attention", "rollout"])
@pytest.mark.parametrize("count", [1, 8])
def test_all_layers_stay_within_the_budget(method, count, capsys):
    encoding = vit_b16.model().encode(vit_b16.image())
    forward = vit_b16.flops(vit_b16.plain_forward)
    ratio = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(count), method)) / forward
    with capsys.disabled():
        print(f"\n    {method}, {count} target(s): {ratio:.3f} forwards (budget 0.3)")
    assert ratio <= 0.3
