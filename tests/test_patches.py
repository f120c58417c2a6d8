"""Attention rows against the native forward's own matrices; token norms and their outliers written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.heads import HeadError
from legrad_widget.intervention import InterventionError
from legrad_widget.patches import LayerError
from tests import specimens
from tests.oracles import native

SPECIMENS = specimens.EVERY | specimens.COCA | specimens.CUSTOM
NAMES = ("clip", "clip-wide", "timm-registers", "timm-gap-no-cls", "deit-distilled", "eva02", "beit", "eva-grouped")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_native_forward(name):
    module = SPECIMENS[name]().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    made = native.record(module, encoding.image)
    prefix, (height, width) = encoding.model.vit.prefix, encoding.grid
    places = [((0, 0), prefix), ((1, 2), prefix + width + 2), ((height - 1, width - 1), prefix + height * width - 1)]
    places += [(number, number) for number in range(prefix)]
    for layer, head in ((1, 0), (3, 1)):
        for place, index in places:
            literal = made.attention[layer - 1][head, index].detach().numpy()
            row = encoding.attention(layer, head, place)
            np.testing.assert_allclose(row.prefix, literal[:prefix], rtol=0, atol=1e-6)
            np.testing.assert_allclose(row.patches.ravel(), literal[prefix:], rtol=0, atol=1e-6)
            assert row.patches.shape == encoding.grid
            assert row.prefix.sum() + row.patches.sum() == pytest.approx(1, abs=1e-5)
            assert (row.layer, row.head, row.query) == (layer, head, place)
    mean = encoding.attention(2, None, (0, 1)).patches
    literal = made.attention[1][:, prefix + 1, prefix:].mean(0).detach().numpy()
    np.testing.assert_allclose(mean.ravel(), literal, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "timm-registers", "timm-gap-no-cls"])
def test_norms_are_those_of_the_tokens_that_leave_the_layer(name):
    module = SPECIMENS[name]().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    made = native.record(module, encoding.image)
    prefix = encoding.model.vit.prefix
    for layer in (1, 2, 3):
        literal = made.after[layer - 1].detach().square().sum(-1).sqrt().numpy()
        found = encoding.token_norms(layer)
        np.testing.assert_allclose(found.prefix, literal[:prefix], rtol=1e-6)
        np.testing.assert_allclose(found.patches.ravel(), literal[prefix:], rtol=1e-6)
        middle = np.median(literal[prefix:])
        threshold = middle + 6 * np.median(np.abs(literal[prefix:] - middle))
        assert found.threshold == pytest.approx(threshold, rel=1e-6)
        assert np.array_equal(found.outliers.ravel(), literal[prefix:] > threshold)


def test_a_token_that_was_made_long_stands_out():
    module = specimens.timm_vit(img_size=64)
    with torch.no_grad():
        module.pos_embed[0, 1 + 4 + 2] *= 200
    encoding = lw.wrap(module).encode(specimens.picture())
    assert encoding.token_norms(1).outliers[1, 2]
    assert encoding.token_norms(1).outliers.sum() == 1


def test_what_is_not_there_is_refused():
    encoding = lw.wrap(specimens.timm_vit(reg_tokens=1)).encode(specimens.picture())
    for run, error, said in (
        (lambda: encoding.attention(4, 0, (0, 0)), LayerError, "layers go from 1 to 3; arrived: 4"),
        (lambda: encoding.attention("last", 0, (0, 0)), LayerError, "a whole number from 1 to 3"),
        (lambda: encoding.attention(1, 4, (0, 0)), HeadError, "heads from 0 to 3"),
        (lambda: encoding.attention(1, 0, (3, 0)), InterventionError, "rows go from 0 to 2"),
        (lambda: encoding.attention(1, 0, 2), LayerError, "numbers from 0 to 1; arrived: 2"),
        (lambda: encoding.attention(1, 0, "0"), InterventionError, "a pair"),
        (lambda: encoding.token_norms(0), LayerError, "from 1 to 3"),
    ):
        with pytest.raises(error, match=said):
            run()
    bare = lw.wrap(specimens.timm_vit(global_pool="avg", class_token=False)).encode(specimens.picture())
    with pytest.raises(LayerError, match="none in this model"):
        bare.attention(1, 0, 0)
    assert bare.attention(1, 0, (0, 0)).prefix.shape == (0,)
