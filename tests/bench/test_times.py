"""Seconds, reported by `make bench`: what a person waits for, in one run so that the ratios mean something."""

from __future__ import annotations

import pytest

from tests.bench import vit_b16

pytestmark = pytest.mark.bench


def test_plain_forward(benchmark):
    vit_b16.plain_forward()
    benchmark.pedantic(vit_b16.plain_forward, rounds=7)


def test_encode(benchmark):
    model = vit_b16.model()
    benchmark.pedantic(lambda: model.encode(vit_b16.image()), rounds=7)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_legrad_on_an_encoded_image(benchmark, pool, count):
    """A fresh encoding each round: nothing that prompts share has been made yet."""

    def fresh():
        return (vit_b16.model().encode(vit_b16.image()),), {}

    benchmark.pedantic(lambda e: e.explain(vit_b16.prompts(count), pool=pool), setup=fresh, rounds=5)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_legrad_for_one_more_prompt(benchmark, pool):
    encoding = vit_b16.model().encode(vit_b16.image())
    encoding.explain(vit_b16.prompts(1), pool=pool)
    benchmark.pedantic(lambda: encoding.explain(vit_b16.prompts(1), pool=pool), rounds=7)


@pytest.mark.parametrize("method", ["raw_attention", "rollout"])
def test_attention_methods_on_an_encoded_image(benchmark, method):
    encoding = vit_b16.model().encode(vit_b16.image())
    benchmark.pedantic(lambda: encoding.explain(vit_b16.prompts(1), method), rounds=5)
