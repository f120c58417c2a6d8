"""Randomised copies: what is shuffled and what stays, correlations by hand, and the original bit for bit as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.evaluate import randomisation, rank_correlation
from legrad_widget.evaluate.randomisation import Sanity, randomised, sanity
from legrad_widget.evaluate.segmentation import MetricError
from tests import specimens

SPECIMENS = specimens.EVERY | specimens.TOWERS
NAMES = ("clip", "timm", "timm-map", "dinov2", "eva02", "beit", "siglip-linear")


def sorted_values(parameter):
    return parameter.detach().flatten().sort().values


@pytest.mark.parametrize("name", NAMES)
def test_the_last_blocks_are_shuffled_and_nothing_else(name):
    module = SPECIMENS[name]()
    model = lw.wrap(module)
    before = copy.deepcopy(module.state_dict())
    made = randomised(model, 2, seed=5)
    shuffled = {id(p) for block in made.vit.blocks[-2:] for p in block.module.parameters()}
    for (key, ours), theirs in zip(made.module.named_parameters(), module.parameters(), strict=True):
        assert ours is not theirs
        assert torch.equal(sorted_values(ours), sorted_values(theirs)), key
        large = id(ours) in shuffled and theirs.unique().numel() > 8
        assert torch.equal(ours, theirs) != large, key
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    again = randomised(model, 3, seed=5)
    for layer in (2, 3):
        pairs = zip(*(m.vit.blocks[layer - 1].module.parameters() for m in (made, again)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    other = randomised(model, 2, seed=6).vit.blocks[-1].module.state_dict()
    assert any(not torch.equal(value, other[key]) for key, value in made.vit.blocks[-1].module.state_dict().items())


@pytest.mark.parametrize("method", ["legrad", "rollout", "gradcam"])
def test_correlations_are_those_of_freshly_randomised_copies(method):
    module = specimens.timm_vit(img_size=96)
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    intact = encoding.explain(3, method)
    found = sanity(encoding, 3, method, seed=2)
    assert found.blocks == (1, 2, 3)
    for count, correlation in zip(found.blocks, found.correlations, strict=True):
        changed = randomised(model, count, seed=2).encode(encoding.image).explain(3, method)
        assert correlation == rank_correlation(intact.raw(), changed.raw())
    untouched = sanity(encoding, 3, method, blocks=(0, 2), seed=2)
    assert untouched.correlations == (pytest.approx(1), found.correlations[1])


def test_the_original_explains_bit_for_bit_as_before():
    module = specimens.clip().train()
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    direction = specimens.directions(24, 1)[0]
    before, state = encoding.explain(direction), copy.deepcopy(module.state_dict())
    sanity(encoding, direction)
    assert not encoding.stale
    assert module.training
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    assert np.array_equal(model.encode(specimens.picture()).explain(direction).maps, before.maps)
    assert model.module is module


def test_a_head_that_was_handed_over_and_prompts_keep_their_meaning():
    head = torch.nn.Linear(specimens.WIDTH, 5)
    model = lw.wrap(specimens.timm_vit("vit_small_patch14_reg4_dinov2", patch_size=16, num_classes=0), head=head)
    made = randomised(model, 1)
    assert made.kind == "classifier"
    assert made.class_names == model.class_names
    encoding = model.encode(specimens.picture())
    assert sanity(encoding, 4, blocks=(1,)).label == "class 4"
    builtin = lw.load("builtin")
    scene = builtin.encode(lw.scene("cat", seed=1).image)
    found = sanity(scene, "a photo of a cat", blocks=(0, 6))
    assert found.correlations[0] == pytest.approx(1)
    assert found.correlations[1] < 0.5
    assert found.passed


def test_passing_is_stated():
    assert Sanity((1, 2), (0.9, 0.49), "legrad", "x", 0).passed
    assert not Sanity((1, 2), (0.1, 0.5), "legrad", "x", 0).passed
    assert Sanity((1,), (float("nan"),), "legrad", "x", 0).passed
    assert randomisation.PASSED == 0.5


def test_progress_and_refusals():
    model = lw.wrap(specimens.timm_vit())
    encoding = model.encode(specimens.picture())
    seen = []
    sanity(encoding, 1, progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)  # it never goes back
    assert list(dict.fromkeys(seen)) == [(0, 3), (1, 3), (2, 3)]
    assert len(seen) > 3, "a slow method's own steps are heard too, so that it can be cancelled within one"

    class Enough(Exception):
        pass

    def stop(step, total):
        raise Enough

    with pytest.raises(Enough):
        sanity(encoding, 1, progress=stop)
    for bad in (4, -1, True, 1.5):
        with pytest.raises(MetricError, match="0 to 3"):
            randomised(model, bad)
    with pytest.raises(MetricError, match="blocks is empty"):
        sanity(encoding, 1, blocks=())
    with pytest.raises(MetricError, match="0 to 3; arrived: 7"):
        sanity(encoding, 1, blocks=(1, 7))
    steps = randomisation.growing(encoding, 1)
    first = next(steps)
    assert first.blocks == (1,)
    assert next(steps).correlations[:1] == first.correlations
    with pytest.raises(lw.KnobError):
        sanity(encoding, 1, colour="red")


def test_a_flat_map_has_nothing_to_agree_with():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.blocks[-1].attn.proj.weight.zero_()
    encoding = lw.wrap(module).encode(specimens.picture())
    with pytest.raises(MetricError, match="is flat"):
        sanity(encoding, 1, layers=3)
