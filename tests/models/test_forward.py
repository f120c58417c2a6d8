"""The model on changed inputs: every family takes its pictures together, and replays what it captured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.models.forward import features_of_pictures, features_of_tokens
from legrad_widget.models.view import UnsupportedModel
from tests import specimens

SPECIMENS = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS


@pytest.mark.parametrize("name", SPECIMENS)
def test_pictures_together_give_what_each_gives_alone(name):
    model = lw.wrap(SPECIMENS[name]().double())
    first, second = (model.encode(specimens.picture(seed=seed)) for seed in (0, 1))
    together = features_of_pictures(model.vit, torch.stack([first.image, second.image]))
    for ours, encoding in zip(together, (first, second), strict=True):
        np.testing.assert_allclose(ours, encoding.features, rtol=0, atol=1e-9 * float(encoding.features.abs().max()))
        replayed = features_of_tokens(encoding.tokens, edits={2: lambda o: o})
        np.testing.assert_allclose(replayed, encoding.features, rtol=0, atol=1e-9 * float(replayed.abs().max()))
    assert float((together[0] - together[1]).abs().max()) > 1e-3 * float(together.abs().max())


@pytest.mark.parametrize("name", ["clip", "timm", "timm-registers", "eva02", "naflex-gap"])
def test_another_grid_than_the_native_one(name):
    model = lw.wrap(SPECIMENS[name]().double())
    encodings = [model.encode(specimens.picture(seed=seed), size=(32, 80)) for seed in (0, 1)]
    together = features_of_pictures(model.vit, torch.stack([one.image for one in encodings]))
    for ours, encoding in zip(together, encodings, strict=True):
        np.testing.assert_allclose(ours, encoding.features, rtol=0, atol=1e-9 * float(ours.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_out_in_float32(dtype):
    model = lw.wrap(specimens.timm_vit().to(dtype))
    encoding = model.encode(specimens.picture())
    ours = features_of_pictures(model.vit, encoding.image[None])[0]
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours, encoding.features, rtol=0, atol=1e-2 * float(ours.abs().max()))


def test_numbers_that_are_not_finite_are_refused_and_the_hook_is_gone():
    module = specimens.timm_vit()
    model = lw.wrap(module)
    image = model.encode(specimens.picture()).image
    with torch.no_grad():
        module.norm.weight[0] = float("nan")
    with pytest.raises(UnsupportedModel, match="NaN or inf"):
        features_of_pictures(model.vit, image[None])
    assert not module.blocks[-1]._forward_hooks


def test_a_forward_that_fails_leaves_no_hook_and_its_mode():
    module = specimens.timm_vit().train()
    model = lw.wrap(module)
    with pytest.raises(RuntimeError):
        features_of_pictures(model.vit, torch.zeros(1, 2, 48, 48))
    assert not module.blocks[-1]._forward_hooks
    assert module.training
