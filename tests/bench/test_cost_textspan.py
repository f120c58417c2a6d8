"""TextSpan on ViT-B/16: at most 0.3 forwards per prompt."""

from __future__ import annotations

from tests.bench import vit_b16


def test_one_prompt_and_one_more_stay_within_the_budget(capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    encoding = vit_b16.model().encode(vit_b16.image())
    one = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(1), "textspan")) / forward
    more = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(8), "textspan")) / forward
    with capsys.disabled():
        print(f"\n    textspan: {one:.3f} forwards for one prompt (budget 0.3), {more:.3f} for eight more")
    assert one <= 0.3
    assert more <= 8 * 0.3
