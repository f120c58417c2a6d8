"""CheferCAM on ViT-B/16: what one target costs, in units of one native forward of the same model."""

from __future__ import annotations

import pytest
import torch

import legrad_widget as lw
from tests.bench import vit_b16


@pytest.mark.parametrize(("blocks", "budget"), [("all", 2.2), ("last", 0.05)])
def test_one_target_over_all_blocks_and_over_the_last_one(blocks, budget, capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)

    def costs(count: int) -> float:
        encoding = vit_b16.model().encode(vit_b16.image())
        return vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(count), "chefercam", blocks=blocks)) / forward

    cost = costs(1)
    more = costs(2) - cost
    with capsys.disabled():
        print(f"\n    CheferCAM, {blocks} block(s): {cost:.3f} forwards (budget {budget}); one more target: {more:.3f}")
    assert cost <= budget


def test_one_target_with_an_attention_pooler(capsys):
    import timm

    torch.manual_seed(0)
    trunk = timm.create_model("vit_base_patch16_siglip_224", pretrained=False).eval().requires_grad_(False)
    forward = vit_b16.flops(lambda: trunk(vit_b16.image()[None]))  # its fused attention (4 %) goes uncounted
    model = lw.wrap(trunk)
    encoding = model.encode(vit_b16.image())
    target = torch.randn(model.vit.features, generator=torch.Generator().manual_seed(0))
    cost = vit_b16.flops(lambda: encoding.explain(target, "chefercam")) / forward
    with capsys.disabled():
        print(f"\n    CheferCAM, SigLIP B/16: {cost:.3f} forwards (budget 2.2)")
    assert cost <= 2.2
