"""ViT-B/16, random weights, CPU: costs in units of one plain encode_image."""

from __future__ import annotations

import pytest
import torch

from tests.bench import vit_b16


@pytest.fixture(scope="module")
def forward() -> int:
    counted = vit_b16.flops(vit_b16.plain_forward)
    tokens, width, layers = 197, 768, 12
    by_hand = 2 * layers * (12 * tokens * width**2 + 2 * tokens**2 * width) + 2 * 196 * 768 * 768 + 2 * 768 * 512
    assert counted == pytest.approx(by_hand, rel=1e-3)
    return counted


def report(capsys, line: str) -> None:
    with capsys.disabled():
        print(f"\n    {line}")


def test_encode_costs_one_forward(forward, capsys):
    model = vit_b16.model()  # wrapping runs a forward of its own, once
    ratio = vit_b16.flops(lambda: model.encode(vit_b16.image())) / forward
    report(capsys, f"encode: {ratio:.3f} forwards (budget 1.05)")
    assert ratio <= 1.05


@pytest.mark.parametrize(
    ("pool", "count", "budget"), [("cls", 1, 0.1), ("cls", 8, 0.2), ("mean", 1, 0.9), ("mean", 8, 3.9)]
)
def test_legrad_over_all_layers_stays_within_its_budget(forward, pool, count, budget, capsys):
    encoding = vit_b16.model().encode(vit_b16.image())
    ratio = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(count), pool=pool)) / forward
    again = vit_b16.flops(lambda: encoding.explain(vit_b16.prompts(1), pool=pool)) / forward
    report(capsys, f"LeGrad {pool}, {count} prompt(s): {ratio:.3f} forwards (budget {budget}); one more: {again:.3f}")
    assert ratio <= budget


def test_a_new_prompt_makes_no_vision_forward():
    encoding = vit_b16.model().encode(vit_b16.image())
    calls = []
    hooks = [m.register_forward_pre_hook(lambda *_: calls.append(1)) for m in vit_b16.clip().visual.modules()]
    try:
        for method in ("legrad", "raw_attention", "rollout"):
            encoding.explain(vit_b16.prompts(2), method)
        encoding.explain(vit_b16.prompts(1), pool="mean")
        assert calls == []
        vit_b16.model().encode(vit_b16.image())
        assert calls  # the spy sees what it should see
    finally:
        for hook in hooks:
            hook.remove()


def test_bytes_per_encoding_are_what_is_stated_and_bounded(capsys):
    tokens = 4 * 197 * 768
    budget = 40 << 20
    encoding = vit_b16.model().encode(vit_b16.image(), budget=budget)
    captured = (13 + 12) * tokens  # block inputs, the last output, second-norm inputs
    assert encoding.nbytes == captured
    encoding.explain(vit_b16.prompts(1))
    assert encoding.nbytes == captured  # the class token's closed form keeps nothing
    encoding.explain(vit_b16.prompts(1), pool="mean")
    assert captured < encoding.nbytes <= captured + budget
    report(
        capsys, f"held per encoding: {captured / 2**20:.1f} MiB, after mean pooling {encoding.nbytes / 2**20:.1f} MiB"
    )
    tight = vit_b16.model().encode(vit_b16.image(), budget=0)
    small = tight.explain(vit_b16.prompts(2), pool="mean")
    assert tight.nbytes == captured
    for a, b in zip(small, encoding.explain(vit_b16.prompts(2), pool="mean"), strict=True):
        torch.testing.assert_close(torch.tensor(a.maps), torch.tensor(b.maps))
