"""The lens against the library's own tail on one token, ranks counted by hand, and the sign test against its sum."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget import builtin
from legrad_widget.lens import LayerRanks
from legrad_widget.patches import LayerError
from legrad_widget.reliability import CalibrationError, LayerReliability, sign_test, summary
from tests import specimens
from tests.oracles import native


def in_place(z, name, index):
    """The tokens with token ``index`` alone where the model's tail reads."""
    if name.startswith("timm-gap") or name == "timm-map":
        prefix = 0 if name in ("timm-map", "timm-gap-no-cls") else 1
        return torch.cat([z[:prefix], z[index][None]])
    changed = z.clone()
    changed[: 2 if name == "deit-distilled" else 1] = z[index]
    return changed


@pytest.mark.parametrize(
    "name", ["timm", "timm-registers", "deit-distilled", "timm-gap-norm-after", "timm-gap-norm-before", "timm-map"]
)
def test_the_lens_is_the_models_own_tail(name):
    module = specimens.EVERY[name]().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    made = native.record(module, encoding.image)
    prefix = encoding.model.vit.prefix
    for layer in (1, 3):
        z = made.after[layer - 1]
        for patch, tokens in (
            (None, z),
            ((0, 0), in_place(z, name, prefix)),
            ((2, 1), in_place(z, name, prefix + 7)),
        ):
            logits = native.tail(made.model, tokens).detach().softmax(0).numpy()
            said = encoding.lens(layer, patch, k=3)
            assert [one.index for one in said] == np.argsort(-logits)[:3].tolist()
            np.testing.assert_allclose([one.probability for one in said], np.sort(logits)[::-1][:3], rtol=1e-9)
    whole = encoding.predictions(7)
    last = encoding.lens(3, k=7)
    assert [one.index for one in last] == [one.index for one in whole]
    np.testing.assert_allclose([p.probability for p in last], [p.probability for p in whole], rtol=1e-6)


def test_a_chosen_set_and_the_class_token():
    module = specimens.clip().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    directions = specimens.directions(24, 4)
    made = native.record(module, encoding.image)
    f = native.tail(made.model, made.after[1]).detach()
    scale = float(module.logit_scale.detach().exp())
    units = [torch.tensor(d).double() / torch.tensor(d).double().norm() for d in directions]
    logits = torch.stack([scale * (f @ u) / f.norm() for u in units])
    said = encoding.lens(2, 0, k=4, among=directions)
    assert [one.index for one in said] == logits.argsort(descending=True).tolist()
    np.testing.assert_allclose([one.probability for one in said], logits.softmax(0).sort(descending=True)[0], rtol=1e-6)
    with pytest.raises(lw.TargetError, match="at least two targets"):
        encoding.lens(2, among=directions[:1])
    with pytest.raises(lw.TargetError, match="cannot be asked prompts"):
        encoding.lens(2)
    with pytest.raises(LayerError, match="from 1 to 3"):
        encoding.lens(4)
    with pytest.raises(ValueError, match="k is how many"):
        encoding.lens(3, k=0)


def test_a_clip_without_classes_is_asked_everyday_prompts():
    made = builtin.load()
    encoding = lw.wrap(made.clip, tokenizer=made.tokenizer).encode(lw.scene("cat").image)
    assert encoding.lens(6)[0].name.startswith("a photo of a ")


def test_the_last_layer_gives_the_models_own_answer():
    encoding = lw.load("builtin").encode(lw.scene("cat", seed=1).image)
    assert encoding.lens(6)[0].name == encoding.predictions(1)[0].name


@pytest.mark.parametrize("name", ["timm", "timm-gap-norm-after", "timm-map"])
def test_ranks_are_counted_among_the_classes_at_every_layer(name):
    module = specimens.EVERY[name]().double()
    encoding = lw.wrap(module).encode(specimens.picture())
    made = native.record(module, encoding.image)
    for target in range(7):
        ranks = encoding.layer_ranks(target)
        for layer in (1, 2, 3):
            logits = native.tail(made.model, made.after[layer - 1]).tolist()
            assert ranks.ranks[layer - 1] == sorted(logits, reverse=True).index(logits[target]) + 1
        assert (ranks.of, ranks.chance, ranks.among) == (7, 4.0, "the model's 7 classes")


def test_a_prompt_is_ranked_with_the_same_prompt_of_other_classes():
    model = lw.load("builtin")
    encoding = model.encode(lw.scene("cat", seed=1).image)
    ranks = encoding.layer_ranks("a photo of a cat")
    assert ranks.of == len(model.class_names)
    assert ranks.ranks[-1] <= 3
    prompts = [f"a photo of a {name}" for name in model.class_names]
    scores = [x.score for x in encoding.explain(prompts)]
    assert ranks.ranks[-1] == sorted(scores, reverse=True).index(scores[prompts.index("a photo of a cat")]) + 1
    assert encoding.layer_ranks("something nice").of == 30
    assert encoding.layer_ranks("cat", among=["cat", "dog", "car"]).of == 3
    drawn = encoding.layer_ranks(lw.Text("cat", templates=["a photo of a {}", "a drawing of a {}"]))
    assert drawn.among == ranks.among == "the same prompt of the 136 other classes"
    bare = builtin.load()
    unnamed = lw.wrap(bare.clip, tokenizer=bare.tokenizer).encode(lw.scene("cat", seed=1).image)
    assert unnamed.layer_ranks("a photo of a cat").of == unnamed.layer_ranks("a photo of a zebra").of == 30
    with pytest.raises(lw.TargetError, match="no class and no prompt"):
        encoding.layer_ranks(np.ones(model.vit.features, np.float32))
    with pytest.raises(lw.TargetError, match="nothing to be ranked with"):
        encoding.layer_ranks("cat", among=["cat"])


def test_classes_of_a_clip_are_ranked_by_their_names():
    model = lw.load("builtin")
    encoding = model.encode(lw.scene("cat", seed=1).image)
    ranks = encoding.layer_ranks(lw.Class(name="cat"))
    order = [one.name for one in encoding.predictions(200)]
    assert ranks.ranks[-1] == order.index("cat") + 1
    assert ranks.of == len(order)
    one = lw.wrap(specimens.timm_vit(num_classes=1)).encode(specimens.picture())
    with pytest.raises(lw.TargetError, match="only class"):
        one.layer_ranks(0)


def test_equal_scores_share_their_rank():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.head.weight.zero_()
        module.head.bias.zero_()
    assert lw.wrap(module).encode(specimens.picture()).layer_ranks(2).ranks.tolist() == [4, 4, 4]


def test_the_sign_test_is_the_binomial_tail():
    for count in (0, 1, 7, 20):
        for ahead in range(count + 1):
            tail = math.fsum(math.comb(count, k) * 0.5**k * 0.5 ** (count - k) for k in range(ahead, count + 1))
            assert sign_test(ahead, count) == pytest.approx(tail, rel=1e-12)
    assert sign_test(7, 7) < 0.01 < sign_test(6, 6)


def test_a_layer_is_reliable_where_ranks_beat_the_middle():
    rng = np.random.default_rng(0)
    found = [LayerRanks(np.array([rng.integers(1, 10), 5, rng.integers(1, 3)], float), 9, "x") for _ in range(40)]
    result = summary(found)
    assert result.reliable == (False, False, True)
    assert result.counted[1] == 0
    assert result.ahead[2] == 40
    assert result.p_values[2] == 0.5**40
    assert "no better than chance" in result.why(1)
    assert "better than chance" in result.why(3)
    assert result.chance_rank == 5


def test_calibration_is_kept_on_the_model_and_in_json(tmp_path):
    model = lw.wrap(specimens.timm_vit())
    images = [specimens.picture(seed=seed) for seed in range(8)]
    targets = [seed % 7 for seed in range(8)]
    assert model.layer_reliability is None
    seen = []
    found = model.calibrate_layers(images, targets, progress=lambda *at: seen.append(at))
    assert model.layer_reliability is found
    assert seen == [(i, 8) for i in range(8)]
    by_hand = summary([model.encode(i).layer_ranks(t) for i, t in zip(images, targets, strict=True)])
    assert found == by_hand
    found.save(tmp_path / "layers.json", weights="abc")
    assert LayerReliability.load(tmp_path / "layers.json") == found
    assert json.loads((tmp_path / "layers.json").read_text())["weights"] == "abc"
    with pytest.raises(CalibrationError, match="'level' is missing"):
        LayerReliability.from_json({"median_rank": [], "chance_rank": 1, "ahead": [], "counted": [], "p_values": []})


def test_refused_calibrations():
    model = lw.wrap(specimens.timm_vit())
    images = [specimens.picture(seed=seed) for seed in range(7)]
    with pytest.raises(CalibrationError, match="at least 7 images"):
        model.calibrate_layers(images[:6], [1] * 6)
    with pytest.raises(CalibrationError, match="7 images and 6 targets"):
        model.calibrate_layers(images, [1] * 6)
    with pytest.raises(CalibrationError, match="are lists"):
        model.calibrate_layers(images[0], 1)
    assert model.layer_reliability is None
