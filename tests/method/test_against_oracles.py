"""LeGrad equals its literal version to 1e-5 on every variant, square or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import legrad_widget as lw
from tests import specimens
from tests.oracles.legrad import legrad

SIZES = (None, (32, 80))  # the model's own grid, and another, non-square one


@pytest.fixture(scope="module", params=specimens.ALL)
def specimen(request):
    module = specimens.ALL[request.param]()
    return module, lw.wrap(module)


def close(ours, oracle):
    """To 1e-5 of the oracle's largest value: the maps' own scale."""
    oracle = oracle.numpy()
    np.testing.assert_allclose(ours, oracle, rtol=1e-5, atol=1e-5 * np.abs(oracle).max())


def tokens_of(x):
    """[L, H, N] of an explanation: prefix columns cannot be told per head, so patches only."""
    return x.heads.reshape(*x.heads.shape[:2], -1)


@pytest.mark.parametrize("size", SIZES)
def test_legrad_equals_the_literal_paper(specimen, size):
    module, model = specimen
    encoding = model.encode(specimens.picture(), size=size)
    prefix, targets = model.vit.prefix, specimens.directions(model.vit.features, 2)
    pools = ("native", "mean", *(("cls",) if model.vit.has_cls else ()))
    for pool, score, relu in itertools.product(pools, ("cos", "dot", "raw"), (True, False)):
        explained = encoding.explain(targets, pool=pool, score=score, relu=relu)
        for x, target in zip(explained, targets, strict=True):
            maps, scores = legrad(module, encoding.image, torch.tensor(target), pool=pool, score=score, relu=relu)
            close(tokens_of(x), maps[..., prefix:])
            close(x.maps.reshape(len(maps), -1), maps[..., prefix:].mean(1))
            close(x.scores, scores)
            if prefix:
                close(x.prefix, maps[..., :prefix].mean(1))


@pytest.mark.parametrize("name", specimens.CLASSIFIERS)
def test_legrad_of_a_class_differentiates_its_logit(name):
    module = specimens.CLASSIFIERS[name]()
    encoding = lw.wrap(module).encode(specimens.picture())
    weight, bias = encoding.model.vit.classes()
    x = encoding.explain(3)
    maps, scores = legrad(module, encoding.image, weight[3], pool="native", score="logit", bias=float(bias[3]))
    close(tokens_of(x), maps[..., encoding.model.vit.prefix :])
    close(x.scores, scores)
    native = module(encoding.image[None])[0].detach()
    assert x.score == pytest.approx(float(native[3]), abs=1e-5)
    assert x.probability == pytest.approx(float(native.softmax(0)[3]), abs=1e-6)
