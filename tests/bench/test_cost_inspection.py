"""Inspection on ViT-B/16: the lens of every layer is nearly free, and so is LeGrad's contrast of an encoded picture."""

from __future__ import annotations

import torch

from legrad_widget.inspection.layer_features import layer_features
from legrad_widget.models.forward import features_of_tokens
from tests.bench import vit_b16


def test_all_layers_cost_what_one_forward_costs(capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    vit = vit_b16.model().vit
    spent = vit_b16.flops(lambda: layer_features(vit, vit_b16.image()[None])) / forward
    with capsys.disabled():
        print(f"\n    features of all layers: {spent:.4f} forwards (budget 1.01)")
    assert spent <= 1.01


def test_dropping_patches_costs_one_replayed_forward_each(capsys):
    forward = vit_b16.flops(vit_b16.plain_forward)
    tokens = vit_b16.model().encode(vit_b16.image()).tokens
    keep = torch.ones(4, 197, dtype=torch.bool)
    keep[:, 5] = False
    spent = vit_b16.flops(lambda: features_of_tokens(tokens, keep=keep)) / forward / 4
    with capsys.disabled():
        print(f"\n    a set of patches dropped: {spent:.3f} forwards (budget 1)")
    assert spent <= 1


def test_both_directions_of_an_error_stay_within_their_budget(capsys):
    """Classes stand in as directions, so that no text tower is counted."""
    forward = vit_b16.flops(vit_b16.plain_forward)
    a, b = vit_b16.prompts(2)
    encoding = vit_b16.model().encode(vit_b16.image())
    contrast, reverse = vit_b16.lw.Contrast(a, b), vit_b16.lw.Contrast(b, a)
    for name, run, budget in (
        ("legrad", lambda: encoding.explain([contrast, reverse], "legrad"), 0.05),
        ("attention_gradient", lambda: encoding.head_effects(contrast), 1.7),
    ):
        spent = vit_b16.flops(run) / forward
        with capsys.disabled():
            print(f"\n    contrast by {name}: {spent:.3f} forwards after encode (budget {budget})")
        assert spent <= budget
