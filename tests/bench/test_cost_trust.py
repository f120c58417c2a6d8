"""Heads, patch tools and perturbation on ViT-B/16, in units of one native forward."""

from __future__ import annotations

import numpy as np

from legrad_widget.evaluate import perturbation
from tests.bench import vit_b16

DEPTH = 12


def test_costs_are_those_of_the_docstrings(capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)

    def in_forwards(run):
        return vit_b16.flops(run) / forward

    encoding = vit_b16.model().encode(vit_b16.image())
    (target,) = vit_b16.prompts(1)
    mask = np.zeros((14, 14), bool)
    mask[:3] = True
    measured = {
        "every head's effect": (in_forwards(lambda: encoding.head_effects(target)), 2.0),
        "one head of the first block ablated": (in_forwards(lambda: encoding.ablate((1, 0), target)), 2.0),
        "one head of the last block ablated": (in_forwards(lambda: encoding.ablate((12, 0), target)), 2.2 / DEPTH),
        "one attention row": (in_forwards(lambda: encoding.attention(6, 3, (4, 5))), 0.01),
        "the lens on one patch": (in_forwards(lambda: encoding.lens(6, (4, 5), among=vit_b16.prompts(2))), 0.01),
        "token norms": (in_forwards(lambda: encoding.token_norms(6)), 0.001),
        "patches dropped, and three controls": (
            in_forwards(lambda: encoding.without(mask, targets=[target], control=3)),
            5.0,
        ),
        "patches blurred, and three controls": (
            in_forwards(lambda: encoding.without(mask, "blur", targets=[target], control=3)),
            5.02,
        ),
        "a perturbation curve of ten pictures": (
            in_forwards(lambda: perturbation.positive(encoding, target, np.ones((14, 14)))),
            10.02,
        ),
    }
    with capsys.disabled():
        for what, (cost, budget) in measured.items():
            print(f"\n    {what}: {cost:.4f} forwards (budget {budget:.3g})", end="")
        print()
    assert all(cost <= budget for cost, budget in measured.values())
