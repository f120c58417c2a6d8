"""ADCC against its formulas written out on native float64 forwards, and the tables that the averages must give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import legrad_widget as lw
from legrad_widget.evaluate.adcc import Masked, coherency, complexity, drop_of, masked, over, unit_map
from legrad_widget.evaluate.segmentation import MetricError
from tests import specimens
from tests.oracles import perturbation as oracle


def test_every_measure_is_its_formula():
    module = specimens.timm_vit().double()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    x = encoding.explain(3)
    large = F.interpolate(torch.tensor(x.raw())[None, None].double(), (48, 48), mode="bilinear", align_corners=False)
    e = ((large - large.min()) / (large.max() - large.min()))[0, 0].numpy()
    np.testing.assert_allclose(unit_map(x), e, rtol=0, atol=1e-6)
    for space in ("normalised", "picture"):
        mean, std = np.array(model.preprocess.mean), np.array(model.preprocess.std)
        pixels = encoding.image.double().permute(1, 2, 0).numpy()
        black = 0 if space == "normalised" else -mean / std
        seen = (pixels - black) * e[..., None] + black
        seen = torch.tensor(seen).permute(2, 0, 1).float()
        y, o = (float(oracle.output(module, image).softmax(0)[3]) for image in (encoding.image, seen))
        other = unit_map(lw.wrap(module).encode(seen).explain(3))
        r = np.corrcoef(e.ravel(), other.ravel())[0, 1]
        found = masked(encoding, 3, space=space)
        assert found.drop == pytest.approx(max(0, y - o) / y, abs=1e-5)
        assert found.increase == float(o > y)
        assert found.coherency == pytest.approx((r + 1) / 2, abs=1e-5)
        assert found.complexity == pytest.approx(e.mean(), abs=1e-6)
        parts = (found.coherency, 1 - found.complexity, 1 - found.drop)
        assert found.adcc == pytest.approx(3 / (1 / parts[0] + 1 / parts[1] + 1 / parts[2]))


def test_a_map_of_ones_loses_nothing_and_says_nothing():
    encoding = lw.wrap(specimens.timm_vit().double()).encode(specimens.picture())
    ones = np.ones((48, 48))
    assert drop_of(encoding, 3, ones) == (0, False)
    assert complexity(ones) == 1
    assert Masked(0, 0, 1, complexity(ones)).adcc == 0


@pytest.mark.parametrize(
    ("drop", "alike", "complex_", "printed"),
    [  # ViT-ReciproCAM, table 1: the printed averages and their ADCC, cut off after two digits
        (55.31, 79.41, 13.17, 64.53),
        (33.57, 70.22, 53.54, 59.03),
        (25.82, 88.61, 46.35, 69.11),
        (55.85, 80.67, 12.53, 64.54),
        (31.42, 67.62, 54.21, 58.58),
        (27.69, 84.58, 41.16, 70.34),
    ],
)
def test_the_published_tables_are_harmonic_means_of_averages(drop, alike, complex_, printed):
    found = 100 * Masked(drop / 100, 0, alike / 100, complex_ / 100).adcc
    assert printed <= found < printed + 0.01


def test_averages_come_before_the_harmonic_mean():
    images = [Masked(0.1, 1, 0.9, 0.2), Masked(0.5, 0, 0.4, 0.6, coherent=False)]
    found = over(images)
    assert (found.drop, found.increase, found.coherency) == pytest.approx((0.3, 0.5, 0.65))
    assert found.complexity == pytest.approx(0.4)
    assert (found.images, found.coherent) == (2, False)
    assert found.adcc != pytest.approx(np.mean([one.adcc for one in images]))
    with pytest.raises(MetricError, match="at least one"):
        over([])


def test_coherency_of_itself_is_one_and_of_nothing_undefined():
    a = np.random.default_rng(0).random((5, 5))
    assert coherency(a, a) == pytest.approx(1)
    assert coherency(a, -a) == pytest.approx(0)
    assert coherency(a, np.ones((5, 5))) is None
    module = specimens.timm_vit()
    with torch.no_grad():
        module.blocks[-1].attn.proj.weight.zero_()
    flat = masked(lw.wrap(module).encode(specimens.picture()), 1, layers=3)
    assert not flat.coherent
    assert flat.coherency == flat.adcc == 0


def test_signed_maps_keep_what_speaks_for_the_target():
    x = lw.wrap(specimens.timm_vit()).encode(specimens.picture()).explain(2, "textspan")
    e = unit_map(x)
    assert e.min() == 0
    assert e.max() == 1


def test_refusals():
    encoding = lw.wrap(specimens.clip()).encode(specimens.picture())
    with pytest.raises(MetricError, match="no probability"):
        masked(encoding, specimens.directions(24, 1)[0])
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(MetricError, match=r"\[48, 48\] in \[0, 1\]"):
        drop_of(encoding, 1, np.ones((3, 3)))
    with pytest.raises(MetricError, match=r"in \[0, 1\]"):
        drop_of(encoding, 1, 2 * np.ones((48, 48)))
    with pytest.raises(MetricError, match="space is one of"):
        masked(encoding, 1, space="log")
