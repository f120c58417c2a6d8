"""What ranks the patches, and how layers are put together, written out from plain autograd; nothing of ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection.evidence import ATTENTION_GRADIENT
from legrad_widget.inspection.lens_curve import flips
from legrad_widget.inspection.weighting import merged
from tests import specimens
from tests.inspection import world
from tests.oracles import native


@pytest.fixture(scope="module", params=["timm", "timm-registers", "timm-gap-no-cls"])
def asked(request):
    """An inspection, one of its errors, and the gradients of its margin: per layer [L, H, n], and of the final one."""
    module = specimens.CLASSIFIERS[request.param]()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(6, model)
    at = int(r.wrong[0])
    predicted, label = r.pair(at)
    made = native.record(module, model.encode(world.pictures()[at]).image)
    layered = []
    for attention, z in zip(made.attention, made.after, strict=True):
        logits = native.tail(made.model, z)
        (gradient,) = torch.autograd.grad(logits[predicted] - logits[label], attention, retain_graph=True)
        layered.append(gradient[..., model.vit.prefix :].numpy())
    margin = made.output[predicted] - made.output[label]
    final = torch.autograd.grad(margin, made.attention)
    products = [(a * g)[..., model.vit.prefix :].detach().numpy() for a, g in zip(made.attention, final, strict=True)]
    return r, at, np.stack(layered), np.stack(products)


def close(found, literal):
    assert np.abs(found - literal.reshape(3, 3)).max() <= 1e-4 * np.abs(literal).max() + 1e-9


def test_what_ranks_the_patches_is_for_the_predicted_class_less_for_the_true_one(asked):
    r, at, gradients, products = asked
    close(r.contrast(at, "legrad").difference(), gradients.mean((0, 1, 2)))  # relu(g) - relu(-g) = g
    close(r.contrast(at, ATTENTION_GRADIENT).difference(), products.sum((1, 2)).mean(0))


def test_evidence_of_some_layers_and_in_three_weightings(asked):
    r, at, gradients, _ = asked
    maps = np.maximum(gradients, 0).mean((1, 2))  # [L, n]
    other = np.maximum(-gradients, 0).mean((1, 2))
    for side, each in enumerate((maps, other)):
        close(r.contrast(at, "legrad").merged(layers=[1, 3])[side], each[[0, 2]].mean(0))
        equal = np.mean([one / one.max() for one in each], 0)
        close(r.contrast(at, "legrad", "equal").merged()[side], equal)
        floor = np.mean([np.maximum(one - np.median(one), 0) for one in each], 0)
        close(r.contrast(at, "legrad", "floor").merged()[side], floor)


def test_a_signed_map_is_parted_after_its_layers_are_put_together(asked):
    r, at, _, products = asked
    whole = products.sum((1, 2)).mean(0)
    first, second = r.contrast(at, ATTENTION_GRADIENT).merged()
    close(first, np.maximum(whole, 0))
    close(second, np.maximum(-whole, 0))


def test_a_flat_layer_has_no_part_in_equal_weights():
    maps = np.array([np.zeros((2, 2)), [[1.0, 2.0], [3.0, 4.0]], np.full((2, 2), 7.0)])
    assert merged(maps, (1, 2, 3), "equal").tolist() == [[0.25, 0.5], [0.75, 1.0]]
    assert merged(maps[:1], (1,), "equal").tolist() == [[0, 0], [0, 0]]


def test_a_method_that_shows_its_last_layer_shows_that():
    maps = np.arange(12.0).reshape(3, 2, 2)
    assert merged(maps, (2, 5, 6), default="last").tolist() == maps[2].tolist()
    assert merged(maps, (2, 5, 6), merge="last").tolist() == maps[2].tolist()
    assert merged(maps, (2, 5, 6), chosen=[5, 2], merge="last").tolist() == maps[1].tolist()


def test_every_layer_is_compared_with_its_own_spread():
    margins = np.array([[0.1, 3.0, -0.1, 2.0, 3.0]])
    strong = np.zeros(5, bool)
    assert flips(margins, np.array([1.0, 100.0, 1.0, 1.0, 1.0]), strong).kind == ("undecided",)
    assert flips(margins, np.array([1.0, 1.0, 1.0, 1.0, 100.0]), strong).kind == ("won back and lost",)
    assert flips(margins, np.array([1.0, 1.0, 1.0, 100.0, 100.0]), strong).kind == ("won back and lost",)
