"""``encode(image, keep=...)``: what is held between questions, and that it changes nothing but time and bytes."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.models.capture import Tokens
from tests import specimens
from tests.test_concept import forwards


def pair(module, **options):
    model = lw.wrap(module)
    return [model.encode(specimens.picture(), keep=keep, **options) for keep in ("tokens", "nothing")]


@pytest.mark.parametrize("name", ["clip", "timm-gap-norm-after", "timm-map", "timm-dynamic-size"])
def test_maps_are_identical(name):
    held, nothing = pair(specimens.EVERY[name](), size=(32, 80) if name == "timm-dynamic-size" else None)
    targets = specimens.directions(held.model.vit.features, 2)
    assert torch.equal(held.features, nothing.features)
    assert held.grid == nothing.grid
    for method in ("legrad", "rollout", "tam"):
        for a, b in zip(held.explain(targets, method), nothing.explain(targets, method), strict=True):
            np.testing.assert_array_equal(a.maps, b.maps)
            assert a.score == b.score
            assert a.window == b.window


def test_nothing_is_held_and_bytes_say_so():
    module = specimens.timm_vit()
    gc.collect()
    alive = sum((type(o) is Tokens) for o in gc.get_objects())
    encoding = lw.wrap(module).encode(specimens.picture(), keep="nothing")
    assert encoding.nbytes == 0
    encoding.explain([1, 2])
    assert encoding.nbytes == 0
    gc.collect()
    assert sum((type(o) is Tokens) for o in gc.get_objects()) == alive
    held = lw.wrap(module).encode(specimens.picture(), keep="tokens")
    captured = 4 * (2 * specimens.DEPTH + 1) * 10 * specimens.WIDTH
    assert held.nbytes == captured
    assert lw.wrap(module).encode(specimens.picture()).nbytes == captured  # the default


def test_one_native_forward_per_call_and_none_while_tokens_are_held():
    module = specimens.timm_vit()
    held, nothing = pair(module)
    calls = forwards(module)
    held.explain([1, 2, 3])
    held.predictions()
    nothing.predictions()
    assert not calls
    nothing.explain([1, 2, 3])
    assert len(calls) == 1
    nothing.explain(1, "raw_attention")
    assert len(calls) == 2


def test_many_targets_that_are_explained_in_parts_share_one_forward(monkeypatch):
    module = specimens.timm_vit()
    encoding = lw.wrap(module).encode(specimens.picture(), keep="nothing")
    calls = forwards(module)
    monkeypatch.setattr("legrad_widget.explainer._TOGETHER", 1)
    assert len(encoding.explain([1, 2, 3])) == 3
    assert len(calls) == 1


def test_weights_that_changed_are_noticed_all_the_same():
    module = specimens.timm_vit()
    encodings = pair(module)
    with torch.no_grad():
        module.blocks[0].norm1.weight.mul_(2)
    for encoding in encodings:
        assert encoding.stale
        with pytest.raises(lw.StaleEncoding, match="encode it again"):
            encoding.explain(1)


def test_the_model_is_left_as_it_was_even_when_a_question_is_stopped():
    module = specimens.timm_vit().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    encoding = lw.wrap(module).encode(specimens.picture(), keep="nothing")

    def stop(step, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoding.explain(1, progress=stop)
    assert all(m.training and not m._forward_pre_hooks and not m._forward_hooks for m in module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    gc.collect()
    assert encoding.nbytes == 0


@pytest.mark.parametrize("keep", ["all", None, 3])
def test_another_choice_is_refused(keep):
    with pytest.raises(ValueError, match=f"keep is 'tokens' or 'nothing': .*arrived: {keep!r}"):
        lw.wrap(specimens.timm_vit()).encode(specimens.picture(), keep=keep)
