"""TAM on ViT-B/16: at most one native forward per patch, however many targets."""

from __future__ import annotations

from tests.bench import vit_b16

PATCHES, WINDOWS = 196, 4


def test_tam_costs_at_most_a_forward_per_patch(capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    encoding = vit_b16.model().encode(vit_b16.image())
    # four windows of 7 x 7 cost what four patches do: four masks, and one without for the whole score
    few = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(1), "tam", group=7))
    all_patches = few / (WINDOWS + 1) * (PATCHES + 1) / forward
    with capsys.disabled():
        print(f"\n    TAM, {PATCHES} patches: {all_patches:.1f} forwards (budget {PATCHES})")
    assert all_patches <= PATCHES
    assert vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(8), "tam", group=7)) <= 1.001 * few
