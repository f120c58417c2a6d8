"""On a GPU: the same maps as on the CPU, whatever precision the weights have and the caller has switched on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import legrad_widget as lw
from tests import specimens

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICE = "cuda"
NAMES = ("clip", "clip-avg-norm-before", "timm-registers", "timm-gap-norm-after", "timm-map")


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """TensorFloat32 convolutions, PyTorch's default, keep ten bits of the patch embedding's products."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def targets_of(model):
    return [1, 4] if model.kind == "classifier" else specimens.directions(model.vit.features, 2)


def methods_of(model):
    return [method.name for method in lw.list_methods() if not method.refuses(model.vit)]


def close(ours, reference, tolerance=1e-3):
    np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * np.abs(reference).max())


@pytest.mark.parametrize("name", NAMES)
def test_cpu_and_gpu_agree_under_every_method(name):
    module = specimens.EVERY[name]()
    here, there = lw.wrap(module), lw.wrap(copy.deepcopy(module).to(DEVICE))
    targets = targets_of(here)
    a, b = (model.encode(specimens.picture()) for model in (here, there))
    assert b.features.device.type == torch.device(DEVICE).type
    for method in methods_of(here):
        for x, y in zip(a.explain(targets, method), b.explain(targets, method), strict=True):
            assert isinstance(y.maps, np.ndarray)
            close(y.maps, x.maps)
            assert y.score == pytest.approx(x.score, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_attributed_in_float32(name, dtype):
    """From the same tokens, as the GPU's forward gave them, CPU and GPU agree: no step of it is in half."""
    module = specimens.EVERY[name]().to(DEVICE, dtype)
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    single = lw.wrap(copy.deepcopy(module).float().cpu()).encode(specimens.picture())
    tokens = encoding.tokens
    assert tokens.before(1).dtype == torch.float32
    for held in (single.tokens._blocks, single.tokens._middles):
        given = tokens._blocks if held is single.tokens._blocks else tokens._middles
        held[:] = [None if tensor is None else tensor.float().cpu() for tensor in given]
    for method in ("legrad", "raw_attention", "rollout", "reciprocam"):
        for target in targets_of(model):
            x = encoding.explain(target, method)
            assert x.maps.dtype == np.float32
            close(x.maps, single.explain(target, method).maps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_around_us_changes_nothing(dtype):
    model = lw.wrap(specimens.clip().to(DEVICE))
    targets = targets_of(model)
    plain = model.encode(specimens.picture())
    with torch.autocast(torch.device(DEVICE).type, dtype=dtype):
        cast = model.encode(specimens.picture())
        inside = [cast.explain(targets, method) for method in methods_of(model)]
    for method, results in zip(methods_of(model), inside, strict=True):
        for x, y in zip(plain.explain(targets, method), results, strict=True):
            close(y.maps, x.maps, 1e-5)


def test_a_concept_and_keep_nothing_work_there():
    model = lw.wrap(specimens.clip().to(DEVICE))
    concept = lw.Concept(images=[specimens.picture(seed=1), specimens.picture(seed=2)])
    held, nothing = (model.encode(specimens.picture(), keep=keep) for keep in ("tokens", "nothing"))
    close(nothing.explain(concept).maps, held.explain(concept).maps, 1e-5)
