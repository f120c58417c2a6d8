"""CDAM on ViT-B/16: at most 0.3 forwards for one target."""

from __future__ import annotations

from tests.bench import vit_b16


def test_one_target_stays_within_the_budget(capsys):
    encoding = vit_b16.model().encode(vit_b16.image())
    forward = vit_b16.flops(vit_b16.plain_forward)
    one, eight = (vit_b16.flops(lambda n=n: encoding.explain(vit_b16.prompts(n), "cdam")) / forward for n in (1, 8))
    with capsys.disabled():
        print(f"\n    cdam: {one:.3f} forwards for one target (budget 0.3), {eight:.3f} for eight")
    assert one <= 0.3
    assert eight <= 0.3
