"""Patches taken away: against tokens really deleted, pictures painted by hand, and probabilities written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import legrad_widget as lw
from legrad_widget.intervention import InterventionError, pasted
from tests import specimens
from tests.oracles import perturbation as oracle
from tests.oracles import tam

SPECIMENS = specimens.EVERY | specimens.COCA | specimens.TOWERS
MASK = np.array([[True, False, False], [False, True, True], [False, False, False]])
PLACES = [(0, 0), (1, 1), (1, 2)]


def made(name):
    """The model in float64, its encoding, a target, and the target's score of a native output."""
    module = SPECIMENS[name]().double()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    if model.kind == "classifier":
        return module, encoding, 3, lambda output: float(output[3].detach())
    direction = specimens.directions(model.vit.features, 1)[0]
    t = torch.tensor(direction).double()
    return module, encoding, direction, lambda output: float(F.cosine_similarity(output, t, dim=0))


@pytest.mark.parametrize(
    "name", ["clip", "clip-avg-norm-before", "timm", "timm-registers", "timm-gap-norm-after", "timm-map", "coca"]
)
def test_dropped_patches_are_tokens_really_deleted(name):
    module, encoding, target, score = made(name)
    prefix = encoding.model.vit.prefix
    gone = [prefix + int(i) for i in np.flatnonzero(MASK)]
    after, whole = (score(tam.deleted(module, encoding.image, removed)) for removed in (gone, []))
    change = encoding.without(MASK, targets=[target])
    (moved,) = change.targets
    assert moved.score_after == pytest.approx(after, abs=1e-9 * abs(whole))
    assert moved.score_before == pytest.approx(whole, abs=1e-9 * abs(whole))
    assert abs(after - whole) > 1e-5 * abs(whole)
    assert encoding.without(PLACES, targets=target).targets[0].score_after == moved.score_after


@pytest.mark.parametrize("name", ["eva02", "beit", "timm-dynamic-size"])
def test_where_every_token_needs_its_place_keys_are_masked_natively(name):
    module, encoding, target, score = made(name)
    prefix = encoding.model.vit.prefix
    after = score(tam.masked(module, encoding.image, [prefix + int(i) for i in np.flatnonzero(MASK)]))
    assert encoding.without(MASK, targets=[target]).targets[0].score_after == pytest.approx(after, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "road"),
    [
        *(("clip", tam.deleted), ("timm-registers", tam.deleted), ("timm-gap-norm-after", tam.deleted)),
        *(("timm-map", tam.deleted), ("clip", tam.masked), ("eva02", tam.masked)),
    ],
)
def test_blocked_patches_are_tokens_deleted_from_what_enters_that_layer(name, road):
    module, encoding, target, score = made(name)
    gone = [encoding.model.vit.prefix + int(i) for i in np.flatnonzero(MASK)]
    dropped = encoding.without(MASK, targets=[target])
    assert dropped.from_layer is None
    found = []
    for layer in range(1, encoding.tokens.depth + 1):
        after = score(road(module, encoding.image, gone, layer).detach())
        change = encoding.without(MASK, "block", from_layer=layer, targets=[target])
        assert change.from_layer == layer
        assert change.targets[0].score_after == pytest.approx(after, rel=1e-9)
        assert change.targets[0].score_before == pytest.approx(dropped.targets[0].score_before, rel=1e-9)
        found.append(after)
    assert dropped.targets[0].score_after == pytest.approx(found[0], rel=1e-9)
    assert len({round(value, 9) for value in found}) == len(found)  # every layer tells


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-after", "timm-map"])
def test_one_patch_dropped_is_its_tam(name):
    _, encoding, target, _ = made(name)
    tam_map = encoding.explain(target, "tam").maps[0]
    for row, column in ((0, 0), (1, 2)):
        (moved,) = encoding.without([(row, column)], targets=[target]).targets
        assert moved.score_before - moved.score_after == pytest.approx(tam_map[row, column], rel=1e-5)


def literally_around(x, gone):
    """[H, W, 3] each pixel of ``gone`` [H, W]: the mean of all others, by exp(-d^2 / 2 s^2), s a 16th of the side."""
    outside, result = np.argwhere(~gone), x.copy()
    for y, column in np.argwhere(gone):
        far = (outside[:, 0] - y) ** 2 + (outside[:, 1] - column) ** 2
        near = np.exp(-(far - far.min()) / (2 * (max(gone.shape) / 16) ** 2))
        result[y, column] = near @ x[outside[:, 0], outside[:, 1]] / near.sum()
    return result


@pytest.mark.parametrize("how", ["blur", "mean", "fill", "surroundings"])
@pytest.mark.parametrize("name", ["clip", "timm", "timm-map"])
def test_painted_patches_are_pictures_painted_by_hand(name, how):
    module, encoding, target, score = made(name)
    preprocess = encoding.model.preprocess
    x = encoding.image.double().permute(1, 2, 0).numpy() * np.array(preprocess.std) + np.array(preprocess.mean)
    colour = (0.1, 0.8, 0.3)
    gone = MASK.repeat(16, 0).repeat(16, 1)
    behind = {
        "blur": oracle.blurred(x), "mean": x.mean((0, 1)) + 0 * x, "fill": np.array(colour) + 0 * x,
        "surroundings": literally_around(x, gone),
    }[how]  # fmt: skip
    for row, column in PLACES:
        patch = slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16)
        x[patch] = behind[patch]
    after = score(oracle.output(module, oracle.normalised(x, preprocess.mean, preprocess.std).float()))
    change = encoding.without(MASK, how, targets=[target], colour=colour)
    assert change.targets[0].score_after == pytest.approx(after, rel=1e-5)  # the model input is float32
    assert np.abs(np.asarray(change.picture) / 255 - x.clip(0, 1)).max() < 0.5 / 255 + 1e-5


def test_probabilities_are_the_models_own():
    module = specimens.timm_vit().double()
    encoding = lw.wrap(module, class_names=list("abcdefg")).encode(specimens.picture())
    gone = [1 + int(i) for i in np.flatnonzero(MASK)]
    before, after = (tam.deleted(module, encoding.image, removed).softmax(0).numpy() for removed in ([], gone))
    change = encoding.without(MASK, targets=["c", 5], top=2)
    for moved, index in zip(change.targets, (2, 5), strict=True):
        assert (moved.label, moved.index) == ("abcdefg"[index], index)
        assert (moved.before, moved.after) == pytest.approx((before[index], after[index]), rel=1e-9)
        assert moved.probability_of == "softmax over 7 classes"
        assert moved.interval is None
    wanted = {*np.argsort(-before)[:2].tolist(), *np.argsort(-after)[:2].tolist()}
    assert {moved.index for moved in change.classes} == wanted
    for moved in change.classes:
        assert (moved.before, moved.after) == pytest.approx((before[moved.index], after[moved.index]), rel=1e-9)
    assert [moved.before for moved in change.classes] == sorted((m.before for m in change.classes), reverse=True)
    assert encoding.without(MASK, top=0).classes == ()


def test_the_control_is_equally_many_random_patches():
    module = specimens.timm_vit().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    (moved,) = encoding.without(MASK, targets=[3], control=6, seed=4).targets
    rng = np.random.default_rng(4)
    literal = []
    for _ in range(6):
        gone = rng.choice(9, 3, replace=False)
        literal.append(float(tam.deleted(module, encoding.image, [1 + int(i) for i in gone]).softmax(0)[3]))
    np.testing.assert_allclose(moved.control, literal, rtol=1e-9)
    np.testing.assert_allclose(moved.interval, np.quantile(literal, (0.05, 0.95)))
    again = encoding.without(MASK, targets=[3], control=6, seed=4).targets[0]
    assert again.control == moved.control
    classes = encoding.without(MASK, control=6, seed=4, top=7).classes
    assert {one.index: one.control for one in classes}[3] == moved.control


def test_every_random_set_of_the_control_is_filled_from_its_own_surroundings():
    module, encoding, target, _ = made("timm")
    preprocess = encoding.model.preprocess
    x = encoding.image.double().permute(1, 2, 0).numpy() * np.array(preprocess.std) + np.array(preprocess.mean)
    (moved,) = encoding.without(MASK, "surroundings", targets=[target], control=2, seed=4).targets
    rng, literal = np.random.default_rng(4), []
    for _ in range(2):
        gone = np.zeros(9, bool)
        gone[rng.choice(9, 3, replace=False)] = True
        around = literally_around(x, gone.reshape(3, 3).repeat(16, 0).repeat(16, 1))
        output = oracle.output(module, oracle.normalised(around, preprocess.mean, preprocess.std).float())
        literal.append(float(output.softmax(0)[target]))
    np.testing.assert_allclose(moved.control, literal, rtol=1e-5)  # the model input is float32


def test_pasted_patches_are_pictures_put_together_by_hand():
    module, encoding, target, score = made("timm")
    other = encoding.model.encode(specimens.picture(seed=5)).image
    together = encoding.image.clone()
    for row, column in PLACES:
        patch = (slice(None), slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
        together[patch] = other[patch]
    change = pasted(encoding, PLACES, other, targets=[target], control=2, seed=4)
    assert change.how == "paste"
    assert change.targets[0].score_after == pytest.approx(score(oracle.output(module, together)), rel=1e-5)
    rng = np.random.default_rng(4)
    for value in change.targets[0].control:
        random = encoding.image.clone()
        for i in rng.choice(9, 3, replace=False):
            row, column = divmod(int(i), 3)
            patch = (slice(None), slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
            random[patch] = other[patch]
        assert value == pytest.approx(float(oracle.output(module, random).softmax(0)[target]), rel=1e-5)
    whole = pasted(encoding, np.ones((3, 3), bool), other, targets=[target])
    assert whole.targets[0].score_after == pytest.approx(score(oracle.output(module, other)), rel=1e-5)
    with pytest.raises(InterventionError, match=r"whose input is \[3, 48, 48\].*arrived: \[3, 48, 40\]"):
        pasted(encoding, PLACES, other[..., :40])


def test_a_direction_has_a_score_and_no_probability():
    encoding = lw.wrap(specimens.clip()).encode(specimens.picture())
    change = encoding.without(MASK, targets=specimens.directions(24, 1)[0], control=3)
    (moved,) = change.targets
    assert moved.before is moved.after is None
    assert moved.score_name == "cosine"
    assert len(moved.control) == 3
    assert all(-1 <= value <= 1 for value in moved.control)
    assert change.classes == ()


def test_without_the_object_a_prompt_is_less_likely_than_without_as_much_elsewhere():
    model = lw.load("builtin")
    scene = lw.scene(["cat", "car"], seed=3)
    encoding = model.encode(scene.image)
    covered = np.asarray(encoding.explain("cat", "legrad").merged() > 0.5)
    (moved,) = encoding.without(covered, targets=["a photo of a cat"], control=20).targets
    assert moved.after < moved.before
    assert moved.after < moved.interval[0]


def test_all_patches_can_be_painted_but_not_dropped():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    every = np.ones((3, 3), bool)
    with pytest.raises(InterventionError, match="all 9 patches are marked"):
        encoding.without(every)
    for how, options in (("surroundings", {}), ("block", {"from_layer": 2})):
        with pytest.raises(InterventionError, match="all 9 patches are marked"):
            encoding.without(every, how, **options)
    blank = encoding.without(every, "fill", targets=[2], colour=(1, 1, 1))
    assert np.asarray(blank.picture).min() == 255


@pytest.mark.parametrize(
    ("patches", "options", "said"),
    [
        (np.zeros((3, 3), bool), {}, "no patch is marked"),
        ([], {}, "no patch is marked"),
        (np.ones((2, 3), bool), {}, r"bool \[3, 3\], one value per patch; arrived: \[2, 3\]"),
        ([(3, 0)], {}, "rows go from 0 to 2"),
        ([(-1, 0)], {}, "rows go from 0 to 2"),
        ([(0.5, 1)], {}, r"a pair \(row, column\)"),
        ([4], {}, r"a pair \(row, column\)"),
        (MASK, dict(how="erase"), "how is one of 'drop', 'block', 'blur', 'mean', 'fill', 'surroundings'"),
        (MASK, dict(how="block"), "needs from_layer.* from 1 .as 'drop'. to 3; arrived: None"),
        (MASK, dict(how="block", from_layer=0), "to 3; arrived: 0"),
        (MASK, dict(how="block", from_layer=4), "to 3; arrived: 4"),
        (MASK, dict(how="block", from_layer=True), "to 3; arrived: True"),
        (MASK, dict(how="drop", from_layer=2), "from_layer belongs to how='block'; arrived: how='drop', from_layer=2"),
        (MASK, dict(control=-1), "control is how many"),
        (MASK, dict(how="fill", colour=(0, 0, 300)), "three numbers in"),
    ],
)
def test_refusals_are_sentences(patches, options, said):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(ValueError, match=said):
        encoding.without(patches, **options)


def test_progress_counts_and_cancels_and_stale_encodings_are_refused():
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture())
    seen = []
    encoding.without(MASK, control=3, progress=lambda *at: seen.append(at))
    assert seen[0] == (0, 5)

    class Enough(Exception):
        pass

    def stop(step, total):
        raise Enough

    for how in ("drop", "blur"):
        with pytest.raises(Enough):
            encoding.without(MASK, how, progress=stop)
    assert not any(block._forward_hooks for block in module.blocks)
    with torch.no_grad():
        module.head.bias.add_(1)
    for how in ("drop", "blur"):
        with pytest.raises(lw.StaleEncoding):
            encoding.without(MASK, how)


def test_the_model_comes_back_as_it_was():
    module = specimens.timm_vit().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    encoding = lw.wrap(module).encode(specimens.picture())
    for how in ("drop", "blur", "mean", "fill", "surroundings"):
        encoding.without(MASK, how, targets=[1], control=2)
    encoding.without(MASK, "block", from_layer=2, targets=[1], control=2)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
