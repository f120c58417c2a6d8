"""The fitted lens against a literal one, on halves that it never saw, and as it is kept, shipped and refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.lens import LayerRanks, LensError, both_ranks
from legrad_widget.reliability import CalibrationError, LayerReliability, summary
from legrad_widget.translator import STRENGTHS, Translators, fitted, ridge
from tests import specimens
from tests.oracles import native
from tests.oracles import ridge as oracle


@pytest.mark.parametrize(("count", "width", "noise"), [(60, 4, 0.01), (60, 30, 1.0), (41, 12, 30.0)])
def test_it_is_ridge_regression_with_every_image_left_out_in_turn(count, width, noise):
    rng = np.random.default_rng(count + width)
    x = rng.normal(size=(count, width)) * rng.gamma(1, 2, width) + rng.normal(size=width) * 5
    y = x @ rng.normal(size=(width, 3)) + noise * rng.normal(size=(count, 3)) + 7
    weight, offset, strength = oracle.fit(x, y)
    found = ridge(torch.tensor(x), torch.tensor(y))
    assert found[2] == strength
    np.testing.assert_allclose(found[0], weight, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[1], offset, rtol=1e-7, atol=1e-7)


def test_the_strength_follows_the_noise_and_nothing_is_learned_from_nothing():
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.normal(size=(100, 8)))
    exact, noisy = x @ torch.ones(8, 2).double(), torch.tensor(rng.normal(size=(100, 2)))
    assert ridge(x, exact)[2] == min(STRENGTHS)
    assert ridge(x, noisy)[2] >= 1
    weight, offset, _ = ridge(torch.ones(20, 8).double(), noisy[:20])
    assert not weight.any()
    torch.testing.assert_close(offset, noisy[:20].mean(0))


def images(count):
    return [specimens.picture(seed=seed) for seed in range(count)]


def calibrated(module, count=60, **options):
    model = lw.wrap(module)
    found = model.calibrate_layers(images(count), [seed % 7 for seed in range(count)], **options)
    return model, found


@pytest.mark.parametrize("name", ["timm", "timm-gap-norm-after", "timm-gap-norm-before", "timm-map", "deit-distilled"])
def test_the_model_learns_how_each_layer_says_its_final_features(name):
    """Fitted and measured by hand, from the model's own tokens."""
    module = specimens.EVERY[name]().double()
    model, found = calibrated(module)
    pooled, final = [], []
    for image in images(60):
        encoding = model.encode(image)
        made = native.record(module, encoding.image)
        readout = model.vit.readout
        pooled.append(
            [readout.post_norm(readout.pool(readout.norm(z[readout.rows]))).detach() for z in made.after[:-1]]
        )
        final.append(model.vit.readout(made.after[-1]).detach())
    x, y = np.array([torch.stack(one).numpy() for one in pooled]), torch.stack(final).numpy()
    weight, bias = (part.detach().double() for part in model.vit.classes())

    def ranks(fits, places):
        rows = []
        for place in places:
            said = [x[place, layer] @ w + b for layer, (w, b, _) in enumerate(fits)] + [y[place]]
            logits = torch.tensor(np.array(said)) @ weight.T + bias
            own = logits[:, place % 7, None]
            rows.append(1 + (logits > own).sum(1).numpy())
        return np.array(rows)

    halves = np.arange(0, 60, 2), np.arange(1, 60, 2)
    by_hand = np.empty((60, 3))
    for taught, asked in (halves, halves[::-1]):
        by_hand[asked] = ranks([oracle.fit(x[taught, layer], y[taught]) for layer in range(2)], asked)
    assert found.fitted.median_rank == tuple(np.median(by_hand, 0))
    np.testing.assert_allclose(found.fitted.auc, ((7 - by_hand) / 6).mean(0))
    assert found.fitted.auc[-1] == found.auc[-1]

    whole = [oracle.fit(x[:, layer], y) for layer in range(2)]
    encoding = model.encode(images(5)[4])
    assert encoding.layer_ranks(4, fitted=True).ranks.tolist() == ranks(whole, [4])[0].tolist()
    logits = (torch.tensor(x[4, 0] @ whole[0][0] + whole[0][1]) @ weight.T + bias).softmax(0).numpy()
    said = encoding.lens(1, k=3, fitted=True)
    assert [one.index for one in said] == np.argsort(-logits)[:3].tolist()
    np.testing.assert_allclose([one.probability for one in said], np.sort(logits)[::-1][:3], rtol=1e-5)
    assert encoding.lens(3, k=7, fitted=True) == encoding.lens(3, k=7)


def test_groups_stay_together():
    """Of every picture there are two: in one half, they teach nothing about each other."""
    model = lw.wrap(specimens.timm_vit())
    once = images(30)
    targets = [int(model.encode(image).lens(3, k=7)[2].index) for image in once]
    pairs = model.calibrate_layers(
        [image for image in once for _ in range(2)], [target for target in targets for _ in range(2)],
        groups=[place // 2 for place in range(60)],
    )  # fmt: skip
    apart = model.calibrate_layers([*once, *once], [*targets, *targets], groups=[*range(30)] * 2)
    assert (apart.fitted.median_rank, apart.fitted.ahead) == (pairs.fitted.median_rank, pairs.fitted.ahead)
    assert apart.fitted.auc == pytest.approx(pairs.fitted.auc)
    torn = model.calibrate_layers([image for image in once for _ in range(2)], [t for t in targets for _ in range(2)])
    assert torn.auc == pairs.auc
    assert torn.fitted.auc[:2] != pytest.approx(pairs.fitted.auc[:2])


def test_progress_counts_both_halves_and_cancelling_changes_nothing():
    module, seen = specimens.timm_vit(), []
    model, found = calibrated(module, 50, progress=lambda *at: seen.append(at))
    assert seen == [(step, 100) for step in range(100)]
    kept = model.translators

    def stop(step, _total):
        if step == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.calibrate_layers(images(50), [0] * 50, progress=stop)
    assert (model.layer_reliability, model.translators) == (found, kept)


def test_too_few_images_fit_nothing_and_say_so():
    model, found = calibrated(specimens.timm_vit(), 49)
    assert found.fitted is None
    assert model.translators is None
    encoding = model.encode(specimens.picture())
    for ask in (lambda: encoding.lens(1, fitted=True), lambda: encoding.layer_ranks(1, fitted=True)):
        with pytest.raises(LensError, match=r"was not fitted; give it 50 images or more.*model\.calibrate_layers"):
            ask()
    with pytest.raises(CalibrationError, match="halves of 59 and 1 images, and a half needs 25"):
        calibrated(specimens.timm_vit(), 60, groups=["film"] * 59 + ["other"])
    with pytest.raises(CalibrationError, match="one group for each image; arrived: 60 images and 2 groups"):
        calibrated(specimens.timm_vit(), 60, groups=["a", "b"])


def test_a_model_that_was_trained_further_has_no_fitted_lens_any_more():
    model, _ = calibrated(specimens.timm_vit())
    assert model.encode(specimens.picture()).layer_ranks(1, fitted=True).of == 7
    with torch.no_grad():
        model.module.head.bias.add_(1)
    encoding = model.encode(specimens.picture())
    with pytest.raises(LensError, match="was fitted to other weights than it has now"):
        encoding.lens(1, fitted=True)
    assert both_ranks(encoding, 1).fitted is None
    np.testing.assert_array_equal(both_ranks(encoding, 1).ranks, encoding.layer_ranks(1).ranks)


def test_one_token_alone_is_not_what_was_fitted():
    model, _ = calibrated(specimens.timm_vit())
    with pytest.raises(LensError, match="fitted on all tokens"):
        model.encode(specimens.picture()).lens(1, (0, 0), fitted=True)


def test_kept_figures_and_translators_are_read_again(tmp_path):
    model, found = calibrated(specimens.timm_vit())
    found.save(tmp_path / "layers.json")
    assert LayerReliability.load(tmp_path / "layers.json") == found
    model.translators.save(tmp_path / "translators.safetensors")
    again = Translators.load(tmp_path / "translators.safetensors")
    assert again.images == 60
    x, y = torch.randn(2, model.translators.weights.shape[1]), torch.randn(model.vit.features)
    torch.testing.assert_close(again(x, y), model.translators(x, y), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(again(x, y)[-1], y, rtol=0, atol=0)


def test_reliability_as_weights():
    ranks = [LayerRanks(np.array([place % 9 + 1, 3, 1], float), 9, "x") for place in range(45)]
    found = summary(ranks)
    np.testing.assert_allclose(found.auc, [0.5, 0.75, 1])
    assert found.weights == (0.0, 0.5, 1.0)
    assert "AUC 0.75" in found.why(2)
    lucky = summary(ranks[:1] * 7)  # the first layer stood ahead every time
    assert lucky.weights[0] == 1.0


def test_a_model_with_one_layer_needs_no_translator():
    model = lw.wrap(specimens.timm_vit(depth=1))
    assert model.calibrate_layers(images(50), [0] * 50).fitted is None


def test_translators_are_where_the_features_are():
    made = fitted(torch.randn(60, 2, 8), torch.randn(60, 5))
    assert made.weights.shape == (2, 8, 5)
    assert made.weights.dtype == torch.float32
    assert made(torch.randn(2, 8), torch.randn(5).double()).dtype == torch.float64
