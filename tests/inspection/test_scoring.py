"""Records against the library's own float64 forward, class by class and layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import legrad_widget as lw
from legrad_widget.inspection.layer_features import layer_features
from legrad_widget.inspection.scoring import records_of
from legrad_widget.models.capture import capture
from tests import specimens
from tests.inspection import world
from tests.oracles import legrad as features_oracle
from tests.oracles import native

NAMES = world.NAMES
CLASSIFIERS = {
    name: make
    for name, make in {**specimens.CLASSIFIERS, **specimens.POOLED}.items()
    if name in ("timm", "timm-gap-norm-after", "timm-registers", "deit-distilled", "timm-wide", "timm-map")
}


def literal(logits: list[float], label: int) -> dict[str, float]:
    """Everything that a record says of one picture's logits, written out."""
    total = math.fsum(math.exp(value) for value in logits)
    chances = [math.exp(value) / total for value in logits]
    order = sorted(range(len(logits)), key=lambda index: (-logits[index], index))
    others = [chances[index] for index in range(len(logits)) if index != label]
    return {
        "predicted": order[0],
        "rival": order[1] if order[0] == label else order[0],
        "p_true": chances[label],
        "p_pred": chances[order[0]],
        "loss": -math.log(chances[label]),
        "margin": chances[label] - max(others),
        "entropy": -sum(p * math.log(p) for p in chances),
        "rank": order.index(label) + 1,
        "top": order[:5],
        "p_top": [chances[index] for index in order[:5]],
    }


def test_a_record_of_logits_is_what_it_says():
    logits = np.random.default_rng(0).standard_normal((20, 7)) * 3
    labels = np.arange(20) % 7
    records, finite = records_of(logits, labels, None, None)
    assert finite.all()
    for record, row, label in zip(records, logits, labels, strict=True):
        for name, value in literal(row.tolist(), int(label)).items():
            assert np.allclose(record[name], value, rtol=1e-6, atol=1e-7), name


def test_the_rank_is_one_exactly_where_the_answer_is_right_ties_too():
    records, _ = records_of(np.array([[1.0, 1.0, 0.0]] * 2), np.array([0, 1]), None, None)
    assert records["predicted"].tolist() == [0, 0]
    assert records["rank"].tolist() == [1, 2]
    assert records["rival"].tolist() == [1, 0]


def test_what_is_not_finite_is_told_and_the_others_are_untouched():
    logits = np.array([[1.0, 2.0], [np.nan, 0.0], [np.inf, 0.0]])
    records, finite = records_of(logits, np.zeros(3, int), None, None)
    assert finite.tolist() == [True, False, False]
    assert records["predicted"][0] == 1


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifiers_records_are_those_of_its_own_forward(name):
    module = CLASSIFIERS[name]()
    model = lw.wrap(module, class_names=NAMES)
    images = world.pictures(5)
    r = world.inspected(5, model)
    for index, image in enumerate(images):
        tensor = model.encode(image).image
        with torch.no_grad():
            logits = module(tensor[None])[0].double()
        record = r.records[index]
        for field, value in literal(logits.tolist(), index % 7).items():
            assert np.allclose(record[field], value, rtol=1e-4, atol=1e-5), field
        by_layer = [native.tail(m.model, z).detach() for m in [native.record(module, tensor)] for z in m.after]
        check_layers(record, by_layer, index % 7)


@pytest.mark.parametrize("templates", [(), ("a photo of a {}", "a drawing of a {}", "{}")])
@pytest.mark.parametrize("bias", [None, -3.0])
def test_zero_shot_is_the_cosine_with_the_averaged_prompts(bias, templates):
    module = specimens.clip(logit_bias=bias)
    model = world.clip(logit_bias=bias)
    r = world.inspected(4, model, class_names=NAMES, templates=templates)
    vectors = literal_vectors(module, [[t.replace("{}", name) for t in templates or ("{}",)] for name in NAMES])
    scale = module.logit_scale.double().exp().item()
    for index, image in enumerate(world.pictures(4)):
        made = native.record(module, model.encode(image).image)
        cosines = [F.normalize(features_oracle.features(made.model, z), dim=0).detach() @ vectors.T for z in made.after]
        logits = (scale * cosines[-1] + (bias or 0.0)).tolist()
        for field, value in literal(logits, index).items():
            assert np.allclose(r.records[index][field], value, rtol=2e-4, atol=2e-5), field
        check_layers(r.records[index], cosines, index)


def literal_vectors(module, groups):
    import open_clip

    rows = []
    for prompts in groups:
        with torch.no_grad():
            each = F.normalize(module.encode_text(open_clip.get_tokenizer("ViT-B-32")(prompts)).double(), dim=-1)
        rows.append(F.normalize(each.mean(0), dim=0))
    return torch.stack(rows)


def check_layers(record, by_layer, label):
    rival = int(record["rival"])
    for layer, scores in enumerate(by_layer):
        assert math.isclose(record["lens_true"][layer], scores[label], rel_tol=1e-4, abs_tol=1e-5)
        assert math.isclose(record["lens_rival"][layer], scores[rival], rel_tol=1e-4, abs_tol=1e-5)
        assert record["lens_top"][layer] == int(scores.argmax())
        assert record["lens_rank"][layer] == 1 + int((scores > scores[label]).sum())


EVERY = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS


@pytest.mark.parametrize("name", EVERY)
def test_every_family_gives_a_batch_what_it_gives_one_picture(name):
    vit = lw.wrap(EVERY[name]()).vit
    images = torch.randn(3, 3, *vit.size)
    together = layer_features(vit, images)
    for image, found in zip(images, together, strict=True):
        tokens, _ = capture(vit, image)
        alone = torch.stack([vit.readout(tokens.after(layer)) for layer in range(1, tokens.depth + 1)])
        assert torch.allclose(found, alone, rtol=1e-4, atol=1e-4 * alone.abs().max().item())


def test_a_picture_is_answered_the_same_whatever_is_beside_it():
    """The work on one picture is a pure function: batches change rounding at most."""
    together, alone = world.inspected(6, batch=6), world.inspected(6, batch=1)
    for field in together.records.dtype.names:
        assert np.allclose(together.records[field], alone.records[field], rtol=1e-4, atol=1e-4), field


def test_the_model_is_left_as_it_was_found():
    module = specimens.timm_vit()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    world.inspected(3, lw.wrap(module, class_names=NAMES))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
