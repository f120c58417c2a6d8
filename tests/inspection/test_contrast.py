"""Contrast evidence against plain autograd on the library's own forward, both directions from one gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import legrad_widget as lw
from legrad_widget.inspection.evidence import ATTENTION_GRADIENT, Evidence, Overlay
from legrad_widget.inspection.problem import InspectionError
from legrad_widget.inspection.weighting import WEIGHTS, merged, without_floor
from tests import specimens
from tests.inspection import world
from tests.oracles import native

MODELS = {"timm": specimens.timm_vit, "gap": lambda: specimens.timm_vit(global_pool="avg")}


@pytest.fixture(scope="module")
def errors():
    """An inspection and one of its errors."""
    r = world.inspected()
    return r, int(r.wrong[0])


@pytest.mark.parametrize("name", MODELS)
def test_legrads_two_directions_are_the_two_parts_of_one_gradient(name):
    module = MODELS[name]()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(4, model)
    index = int(r.wrong[0])
    predicted, label = r.pair(index)
    found = r.contrast(index, "legrad")
    made = native.record(module, model.encode(world.pictures()[index]).image)
    prefix = model.vit.prefix
    for layer, (attention, z) in enumerate(zip(made.attention, made.after, strict=True)):
        logits = native.tail(made.model, z)
        (gradient,) = torch.autograd.grad(logits[predicted] - logits[label], attention, retain_graph=True)
        for sign, maps in ((1, found.predicted), (-1, found.true)):
            literal = (sign * gradient).clamp(min=0).mean((0, 1))[prefix:].reshape(3, 3).numpy()
            assert np.abs(maps[layer] - literal).max() <= 1e-4 * np.abs(literal).max() + 1e-9
    assert not found.signed


@pytest.mark.parametrize("name", MODELS)
def test_attention_gradient_is_attention_times_the_gradient_of_the_final_margin(name):
    module = MODELS[name]()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(4, model)
    index = int(r.wrong[0])
    predicted, label = r.pair(index)
    found = r.contrast(index, ATTENTION_GRADIENT)
    made = native.record(module, model.encode(world.pictures()[index]).image)
    margin = made.output[predicted] - made.output[label]
    gradients = torch.autograd.grad(margin, made.attention)
    for layer, (attention, gradient) in enumerate(zip(made.attention, gradients, strict=True)):
        literal = (attention * gradient).sum((0, 1))[model.vit.prefix :].reshape(3, 3).detach().numpy()
        assert np.abs(found.predicted[layer] - literal).max() <= 1e-4 * np.abs(literal).max() + 1e-7
    assert found.signed
    assert np.array_equal(found.true, -found.predicted)


def test_a_clip_is_asked_by_the_cosine_with_its_averaged_prompts():
    model = world.clip()
    templates = ("a photo of a {}", "{}")
    r = world.inspected(6, model, class_names=world.NAMES, templates=templates)
    index = int(r.wrong[0])
    a, b = (lw.Text(world.NAMES[c], templates=templates) for c in r.pair(index))
    expected = model.encode(world.pictures()[index]).explain(lw.Contrast(a, b), "legrad").maps
    assert np.allclose(r.contrast(index, "legrad").predicted, expected, atol=1e-7)


def test_of_a_right_answer_the_runner_up_is_the_other_side():
    r = world.inspected()
    right = np.setdiff1d(r.scored, r.wrong)
    assert len(right), "no sample of the specimen is right; choose other pictures"
    at = int(right[0])
    encoding = r.encoding(at)
    other = int(r.records["top"][at][1])
    expected = encoding.explain(lw.Contrast(lw.Class(int(r.records["label"][at])), lw.Class(other)), "legrad").maps
    assert np.allclose(r.contrast(at, "legrad").predicted, expected)


@pytest.mark.parametrize("method", [m.name for m in lw.list_methods()])
def test_every_method_of_the_catalogue_can_be_an_overlay(errors, method):
    r, index = errors
    if lw.method.find(method).refuses(r.model.vit):
        pytest.skip("not defined for a class token")
    found = r.contrast(index, method)
    first, second = found.merged()
    assert first.shape == second.shape == (3, 3)
    assert (first >= 0).all()
    assert (second >= 0).all()
    assert first.any() or second.any()
    assert np.allclose(np.maximum(found.difference(), 0), first) or not found.signed


def test_the_layers_are_merged_as_the_explanation_merges_them(errors):
    r, index = errors
    x = r.encoding(index).explain(lw.Contrast(*map(lw.Class, r.pair(index))), "legrad")
    for weights in ("paper", "equal"):
        assert np.allclose(r.contrast(index, "legrad", weights).merged()[0], x.raw(weights=weights), rtol=1e-5)
        assert np.allclose(r.contrast(index, "legrad").merged(weights, [2, 3])[0], x.raw([2, 3], weights=weights))


def test_the_floor_is_the_median_of_the_magnitudes():
    maps = np.array([[[1.0, 2.0, 3.0, -9.0, 5.0]], [[0.0, 0.0, 0.0, 1.0, 0.0]]])
    assert without_floor(maps[0]).tolist() == [[0, 0, 0, -6, 2]]
    assert merged(maps, (1, 2), "floor").tolist() == [[0, 0, 0, -2.5, 1]]
    assert merged(maps, (1, 2), "floor", merge="last").tolist() == [[0, 0, 0, 1, 0]]
    with pytest.raises(InspectionError, match="'paper', 'equal', 'floor'"):
        merged(maps, (1, 2), "loud")


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("method", ["legrad", ATTENTION_GRADIENT])
def test_bytes_hold_everything(errors, method, weights):
    r, index = errors
    found = r.contrast(index, method, weights)
    again = Evidence.from_bytes(found.to_bytes(), found.overlay)
    assert np.array_equal(again.predicted, found.predicted)
    assert np.array_equal(again.true, found.true)
    assert (again.layers, again.signed, again.overlay) == (found.layers, found.signed, found.overlay)
    assert again.overlay == Overlay(method, weights)


class Forwards:
    def __init__(self, module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1


def test_maps_are_made_once_kept_and_found_again_after_a_restart(tmp_path):
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(12, model, cache=tmp_path)
    count = Forwards(module.blocks[0])
    first = dict(r.contrasts())
    assert sorted(first) == r.wrong.tolist()
    assert list(first) == r.sorted("confident_errors").index.tolist()
    assert count.count == len(first)
    dict(r.contrasts())
    again = dict(world.inspected(12, model, cache=tmp_path).contrasts())
    assert count.count == len(first)
    assert all(np.array_equal(again[at].predicted, first[at].predicted) for at in first)


def test_maps_stop_where_one_likes(tmp_path):
    module = specimens.timm_vit()
    model = lw.wrap(module, class_names=world.NAMES)
    r = world.inspected(12, model, cache=tmp_path)
    steps = []

    def progress(step, total):
        steps.append((step, total))
        if step == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        list(r.contrasts(progress=progress))
    assert steps == [(step, len(r.wrong)) for step in range(3)]
    count = Forwards(module.blocks[0])
    made = world.inspected(12, model, cache=tmp_path)
    count.count = 0
    list(made.contrasts())
    assert count.count == len(r.wrong) - 2


def test_memory_of_maps_is_bounded():
    from legrad_widget.inspection.contrasting import Held

    held = Held(limit=1000)
    for index in range(100):
        held.put((index, "legrad"), bytes(300))
    assert sorted(held.everything()) == [(97, "legrad"), (98, "legrad"), (99, "legrad")]
    assert held.get((3, "legrad")) is None


def test_changed_weights_are_noticed():
    module = specimens.timm_vit()
    r = world.inspected(6, lw.wrap(module, class_names=world.NAMES))
    with torch.no_grad():
        module.head.weight.mul_(-1)
    with pytest.raises(InspectionError, match="weights changed"):
        r.contrast(int(r.wrong[0]))


@pytest.mark.parametrize(("method", "weights"), [("grad_cam", "paper"), ("legrad", "loud")])
def test_an_overlay_that_cannot_be_is_refused(method, weights):
    with pytest.raises(ValueError, match=r"'legrad'|'paper', 'equal', 'floor'|gradcam"):
        Overlay(method, weights)
