"""Perturbation against pictures painted and tokens deleted by hand, with the native float64 forward."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import legrad_widget as lw
from legrad_widget.evaluate import perturbation as measure
from legrad_widget.evaluate.perturbation import Band
from legrad_widget.evaluate.segmentation import MetricError
from tests import specimens
from tests.oracles import perturbation as oracle
from tests.oracles import tam

SPECIMENS = specimens.EVERY | specimens.COCA | specimens.TOWERS
PICTURES = ("clip", "clip-wide", "clip-avg-norm-before", "timm", "timm-map", "coca", "siglip-linear", "eva02", "dinov2")
TOKENS = ("clip", "timm-gap-norm-after", "timm-registers", "timm-map", "coca", "deit-distilled")


def made(name):
    """The model in float64, its encoding of a picture, a target, and the literal score of a native output."""
    module = SPECIMENS[name]().double()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    if model.kind == "classifier":
        return module, encoding, 3, lambda output: float(output[3])
    direction = specimens.directions(model.vit.features, 1)[0]
    t = torch.tensor(direction).double()
    if model.kind == "backbone":
        return module, encoding, direction, lambda output: float(output @ t)
    return module, encoding, direction, lambda output: float(F.cosine_similarity(output, t, dim=0))


def grid_of(encoding, seed=3):
    return np.random.default_rng(seed).standard_normal(encoding.grid)


def shown(encoding):
    """[H, W, 3] in [0, 1], float64."""
    preprocess = encoding.model.preprocess
    return encoding.image.double().permute(1, 2, 0).numpy() * np.array(preprocess.std) + np.array(preprocess.mean)


@pytest.mark.parametrize("insert", [False, True])
@pytest.mark.parametrize("name", PICTURES)
def test_pixels_equal_pictures_painted_black_by_hand(name, insert):
    module, encoding, target, score = made(name)
    found, x = grid_of(encoding), shown(encoding)
    height, width = x.shape[:2]
    ranking = oracle.order(oracle.pixels(found, (height, width)))
    literal = []
    for step in range(4):
        count = int(0.9 * step / 3 * height * width + 1e-9)
        picture = np.zeros_like(x) if insert else x.copy()
        for pixel in ranking[:count]:
            picture[pixel // width, pixel % width] = x[pixel // width, pixel % width] if insert else 0.0
        seen = oracle.normalised(picture, encoding.model.preprocess.mean, encoding.model.preprocess.std)
        literal.append(score(oracle.output(module, seen.float())))
    curve = measure.perturbation(encoding, target, found, steps=3, insert=insert)
    np.testing.assert_allclose(curve.scores, literal, rtol=0, atol=2e-6 * np.abs(literal).max())  # the input is float32
    assert np.ptp(literal) > 1e-3 * np.abs(literal).max()
    np.testing.assert_allclose(curve.fractions, [0, 0.3, 0.6, 0.9], atol=1 / (height * width))


@pytest.mark.parametrize("order", ["most", "least"])
@pytest.mark.parametrize("name", TOKENS)
def test_tokens_equal_tokens_really_deleted(name, order):
    module, encoding, target, score = made(name)
    found = grid_of(encoding)
    prefix, n = encoding.model.vit.prefix, found.size
    ranking = oracle.order(found, most=order == "most")
    counts = [0, n // 3, 2 * n // 3, n - 1]
    literal = [score(tam.deleted(module, encoding.image, [prefix + i for i in ranking[:count]])) for count in counts]
    curve = measure.perturbation(encoding, target, found, order=order, mode="tokens", steps=3, upto=1.0)
    np.testing.assert_allclose(curve.scores, literal, rtol=0, atol=1e-9 * np.abs(literal).max())
    np.testing.assert_allclose(curve.fractions, np.array(counts) / n)
    turned = measure.perturbation(
        encoding, target, -found, order="least" if order == "most" else "most", mode="tokens", steps=3, upto=1.0
    )
    assert np.array_equal(turned.scores, curve.scores)


@pytest.mark.parametrize("fill", ["black", "mean", "blur", (0.2, 0.9, 0.4)])
def test_what_stands_where_it_was_erased(fill):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    x = shown(encoding)
    wanted = {"black": np.zeros_like(x), "mean": np.broadcast_to(x.mean((0, 1)), x.shape), "blur": oracle.blurred(x)}
    behind = wanted[fill] if isinstance(fill, str) else np.broadcast_to(fill, x.shape)
    curve = measure.perturbation(encoding, 1, grid_of(encoding), fill=fill, steps=1, upto=0.5)
    gone = curve.schedule.erased(1).reshape(x.shape[:2])
    literal = np.where(gone[..., None], behind, x)
    ours = curve.schedule.input(1).permute(1, 2, 0).numpy() * encoding.model.preprocess.std
    np.testing.assert_allclose(ours + encoding.model.preprocess.mean, literal, rtol=0, atol=2e-6)
    assert np.abs(np.asarray(curve.picture(1)) / 255 - literal.clip(0, 1)).max() < 0.5 / 255 + 1e-5
    assert gone.sum() == gone.size // 2


def test_removed_tokens_are_shown_on_their_patches():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    found = np.arange(9.0).reshape(3, 3)
    curve = measure.perturbation(encoding, 1, found, mode="tokens", steps=3, upto=1.0)
    picture, whole = (np.asarray(curve.picture(i)) for i in (1, 0))
    assert not picture[32:].any()
    assert np.array_equal(picture[:32], whole[:32])


def test_areas_are_the_ones_of_the_papers():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    curve = measure.deletion(encoding, 2, grid_of(encoding), steps=5)
    p, x = curve.probabilities.tolist(), curve.fractions.tolist()
    assert curve.area == pytest.approx(oracle.trapezoid(p, x), abs=1e-12)
    even = measure.deletion(encoding, 2, np.arange(48 * 48.0).reshape(48, 48), steps=6)  # 2304 pixels in equal steps
    p = even.probabilities
    assert even.area == pytest.approx(abs(p.sum() - (p[0] + p[-1]) / 2) / 6, abs=1e-12)
    published = measure.positive(encoding, 2, grid_of(encoding))
    correct = published.correct.astype(float).tolist()
    assert published.accuracy_area == pytest.approx(100 * oracle.trapezoid(correct, published.fractions.tolist()))
    assert len(published) == 10


def test_only_the_order_of_the_map_matters_and_negative_is_positive_of_the_negated():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    pixels = np.random.default_rng(1).standard_normal((48, 48))
    curve = measure.positive(encoding, 2, pixels)
    for same in (measure.positive(encoding, 2, np.exp(3 * pixels) - 7), measure.negative(encoding, 2, -pixels)):
        assert np.array_equal(same.scores, curve.scores)
        assert same.accuracy_area == curve.accuracy_area
    assert not np.array_equal(measure.negative(encoding, 2, pixels).scores, curve.scores)


def test_a_constant_classifier_has_probability_and_ninety():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.head.weight.zero_()
        module.head.bias.copy_(torch.arange(7.0))
    encoding = lw.wrap(module).encode(specimens.picture())
    p = float(torch.arange(7.0).softmax(0)[6])
    found = grid_of(encoding)
    for curve in (measure.deletion(encoding, 6, found, steps=4), measure.insertion(encoding, 6, found, steps=4)):
        assert curve.area == pytest.approx(p, rel=1e-5)
    for curve in (measure.positive(encoding, 6, found), measure.negative(encoding, 6, found)):
        assert curve.accuracy_area == pytest.approx(90, abs=0.1)  # 90 % of the pixels, rounded down
        assert measure.positive(encoding, 0, found).accuracy_area == 0


def test_deletion_is_least_for_the_order_of_an_additive_model():
    """f = sum of w_i over the patches that are there: no order of the patches deletes faster than that of w."""
    module = specimens.timm_vit(
        img_size=32, depth=1, global_pool="avg", class_token=False, fc_norm=False, pos_embed="none", num_classes=1
    ).double()
    for norm in ("norm", "norm_pre"):
        setattr(module, norm, torch.nn.Identity())
    with torch.no_grad():
        for part in (module.blocks[0].attn.proj, module.blocks[0].mlp.fc2):
            part.weight.zero_()
            part.bias.zero_()
    direction = np.random.default_rng(5).standard_normal(module.embed_dim).astype(np.float32)
    encoding = lw.wrap(module).encode(specimens.picture())
    t = torch.tensor(direction)
    behind = measure.perturbation(encoding, direction, np.zeros((2, 2)), steps=1, upto=1.0)
    painted = lw.wrap(module).encode(behind.schedule.input(1)).tokens.before(1)
    weights = ((encoding.tokens.before(1) - painted) @ t.double()).reshape(2, 2).numpy()
    areas = {}
    for permutation in itertools.permutations(range(4)):
        pixel_map = np.array(permutation, float).reshape(2, 2).repeat(16, 0).repeat(16, 1)
        areas[permutation] = measure.deletion(encoding, direction, pixel_map, steps=4).area
    own = measure.deletion(encoding, direction, weights.repeat(16, 0).repeat(16, 1), steps=4).area
    assert own == pytest.approx(min(areas.values()), abs=1e-6)
    assert max(areas.values()) - own > 1e-3 * abs(own)


def test_a_band_of_seeded_random_orders():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    band = measure.random_band(encoding, 2, count=4, seed=7, mode="tokens", steps=4, upto=1.0)
    literal = []
    for seed in (7, 8, 9, 10):
        order = np.random.default_rng(seed).random((3, 3))
        literal.append(measure.perturbation(encoding, 2, order, mode="tokens", steps=4, upto=1.0).probabilities)
    np.testing.assert_array_equal([curve.probabilities for curve in band.curves], literal)
    np.testing.assert_allclose(band.mean, np.mean(literal, 0))
    np.testing.assert_allclose(band.low, np.quantile(literal, 0.05, axis=0))
    np.testing.assert_allclose(band.high, np.quantile(literal, 0.95, axis=0))
    assert band.areas.shape == (4,)
    assert (band.low <= band.mean).all()
    with pytest.raises(MetricError, match="at least two random orders"):
        measure.random_band(encoding, 2, count=1)
    with pytest.raises(MetricError, match="at least two random orders"):
        Band.of(band.curves[:1])
    with pytest.raises(MetricError, match="same steps"):
        Band.of([band.curves[0], measure.perturbation(encoding, 2, None, order="random")])
    with pytest.raises(MetricError, match="same steps"):
        Band.of([*band.curves, replace(band.curves[0], scores=band.curves[0].scores[:2])])


def test_the_height_of_a_band_is_the_area_of_its_mean_as_far_as_asked():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    band = measure.random_band(encoding, 2, count=3, steps=10, upto=1.0)
    assert band.height() == pytest.approx(band.areas.mean())
    x, y = band.fractions, band.mean
    fine = np.linspace(0, 0.9, 90_001)  # the integral of the polygon, written out
    assert band.height(0.9) == pytest.approx(np.interp(fine, x, y).mean(), abs=1e-5)
    assert band.height(0.25) == pytest.approx(np.interp(np.linspace(0, 0.25, 90_001), x, y).mean(), abs=1e-5)
    for bad in (0, -0.1, 1.1):
        with pytest.raises(MetricError, match="reaches from 0 to 1 of the picture"):
            band.height(bad)


def test_a_random_order_backwards_inserts_what_it_deleted():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    order = np.random.default_rng(3).random(tuple(encoding.image.shape[1:]))
    gone = measure.deletion(encoding, 2, order, steps=8)  # 8 parts of the picture are whole pixels
    come = measure.perturbation(encoding, 2, order, order="least", insert=True, steps=8, upto=1.0)
    np.testing.assert_allclose(come.probabilities, gone.probabilities[::-1], rtol=0, atol=1e-6)


def test_a_prompt_on_a_sigmoid_model_and_on_a_softmax_clip():
    model = lw.load("builtin")
    encoding = model.encode(lw.scene(["cat", "car"]).image)
    x = encoding.explain("a photo of a cat")
    curve, opposite = measure.positive(encoding, "a photo of a cat", x), measure.negative(encoding, x.target, x)
    assert curve.probabilities[0] == pytest.approx(x.probability, abs=1e-5)
    assert curve.scores[0] == pytest.approx(x.score, abs=1e-5)
    assert curve.probability_of == "sigmoid"
    assert curve.correct is None
    assert curve.area < opposite.area
    assert measure.positive(encoding, lw.Class(name="cat"), x).correct is not None


def test_a_direction_has_no_probability_and_its_score_is_integrated():
    encoding = lw.wrap(specimens.clip()).encode(specimens.picture())
    curve = measure.deletion(encoding, specimens.directions(24, 1)[0], grid_of(encoding), steps=3)
    assert curve.probabilities is None
    assert curve.area == curve.score_area


def test_an_unfinished_curve_goes_on_where_it_stopped(monkeypatch):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    found = grid_of(encoding)
    whole = measure.perturbation(encoding, 2, found)
    monkeypatch.setattr(measure, "batch_size", lambda *_: 3)
    steps = measure.growing(encoding, 2, found)
    part = next(steps), next(steps)
    steps.close()
    assert [len(curve) for curve in part] == [3, 6]
    seen = []
    rest = measure.perturbation(encoding, 2, found, after=part[1], progress=lambda *at: seen.append(at))
    assert seen == [(6, 10), (9, 10)]
    np.testing.assert_allclose(rest.scores, whole.scores, rtol=0, atol=1e-5)
    assert np.array_equal(rest.scores[:6], part[1].scores)
    assert measure.perturbation(encoding, 2, found, after=rest) is rest
    with pytest.raises(MetricError, match="another question"):
        measure.perturbation(encoding, 2, -found, after=part[0])


def test_cancelling_leaves_the_model_as_it_was():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())

    class Enough(Exception):
        pass

    def stop(step, total):
        raise Enough

    for mode in ("pixels", "tokens"):
        with pytest.raises(Enough):
            measure.perturbation(encoding, 2, grid_of(encoding), mode=mode, progress=stop)
    assert not any(block._forward_hooks for block in module.blocks)
    assert not module.training


def test_nan_counts_as_zero_and_ties_keep_their_order():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    found = np.array([[1.0, np.nan, -1.0], [0.0, 1.0, np.nan], [0.0, 2.0, 0.0]])
    sequence = measure.perturbation(encoding, 1, found, mode="tokens").schedule.sequence
    assert sequence.tolist() == [7, 0, 4, 1, 3, 5, 6, 8, 2]
    pixels = np.zeros((48, 48))
    pixels[32:, 16:32] = 1
    assert measure.perturbation(encoding, 1, pixels, mode="tokens").schedule.sequence[0] == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(order="highest"), "order is one of 'most', 'least', 'random'"),
        (dict(mode="patches"), "mode is one of"),
        (dict(steps=0), "steps is a whole number from 1"),
        (dict(upto=1.2), "above 0 and up to 1"),
        (dict(fill="white"), "fill is one of 'black', 'mean', 'blur', or a colour"),
        (dict(fill=(0, 0, 255)), "three numbers in \\[0, 1\\]"),
    ],
)
def test_refusals_are_sentences(options, said):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(ValueError, match=said):
        measure.perturbation(encoding, 1, np.zeros((3, 3)), **options)


def test_maps_and_models_that_do_not_fit():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    with pytest.raises(MetricError, match=r"patch grid \[3, 3\] or \[48, 48\] pixels"):
        measure.positive(encoding, 1, np.zeros((4, 4)))
    with pytest.raises(MetricError, match="order='random'"):
        measure.positive(encoding, 1, None)
    curve = measure.positive(encoding, 1, np.zeros((3, 3)))
    with pytest.raises(MetricError, match="steps 0 to 9"):
        curve.picture(10)
    with torch.no_grad():
        module.head.bias.add_(1)
    for mode in ("pixels", "tokens"):
        with pytest.raises(lw.StaleEncoding):
            measure.perturbation(encoding, 1, np.zeros((3, 3)), mode=mode)
