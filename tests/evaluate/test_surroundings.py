"""Whatever PyTorch state the caller has switched on, heads, patches, curves and checks give the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.evaluate import adcc, perturbation, randomisation
from tests import specimens

MASK = np.array([[False, False, True], [True, True, False], [False, False, False]])


def everything(model):
    """Every number that a call of the trust tools gives, in one row."""
    encoding = model.encode(specimens.picture())
    order = np.arange(9.0).reshape(3, 3)
    curves = [
        perturbation.deletion(encoding, 3, order, steps=3, mode=mode, fill=fill)
        for mode, fill in (("pixels", "black"), ("pixels", "blur"), ("tokens", "black"))
    ]
    changes = [encoding.without(MASK, how, targets=[3], control=2) for how in ("drop", "blur", "mean", "fill")]
    images = [specimens.picture(seed=seed) for seed in range(7)]
    numbers = [
        *(curve.probabilities for curve in curves),
        *([change.targets[0].after, *change.targets[0].control] for change in changes),
        encoding.head_effects(3).values,
        [encoding.ablate((2, 1), 3).change, encoding.ablate((3, 1), 3, how="mean").change],
        encoding.attention(2, 1, (1, 1)).patches,
        encoding.token_norms(2).patches,
        [one.probability for one in encoding.lens(2, (1, 1))],
        encoding.layer_ranks(3).ranks,
        [adcc.masked(encoding, 3).adcc],
        model.calibrate_layers(images, list(range(7))).p_values,
        randomisation.sanity(encoding, 3).correlations,
    ]
    return np.concatenate([np.ravel(part) for part in numbers])


@pytest.fixture
def default_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["timm", "timm-map"])
@pytest.mark.parametrize(
    "context", [torch.inference_mode, torch.enable_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_context_changes_nothing(context, name):
    module = specimens.EVERY[name]()
    expected = everything(lw.wrap(module))
    model = lw.wrap(module)
    with context():
        np.testing.assert_array_equal(everything(model), expected)
    assert all(p.grad is None for p in module.parameters())


def test_another_default_dtype_changes_nothing(default_float64):
    module = specimens.timm_vit().float()
    ours = everything(lw.wrap(module))
    torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(ours, everything(lw.wrap(module)), rtol=1e-6, atol=1e-7)


def test_half_precision_models_are_followed():
    exact, half = (everything(lw.wrap(specimens.timm_vit().to(dtype))) for dtype in (torch.float32, torch.bfloat16))
    curve = slice(0, 4)
    assert np.abs(half[curve] - exact[curve]).max() < 0.05
    assert np.isfinite(half).all()
