"""The curves of a changed sample: every layer read by the library's own tail, from its own forward on the change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from legrad_widget.inspection.problem import InspectionError
from tests.inspection import world
from tests.oracles import native

PLACES = [(0, 1), (2, 2)]
MODELS = {
    "class token": world.classifier,
    "mean": lambda: world.classifier(global_pool="avg", fc_norm=True),
}


@pytest.fixture(scope="module", params=MODELS)
def r(request):
    return world.inspected(model=MODELS[request.param]())


def said(r, at, z_by_layer):
    """[L, 2] the scores of the label and of the rival, by the library's own norm, pooling and head."""
    record = r.records[at]
    return np.array([[native.tail(*z)[int(record[one])].item() for one in ("label", "rival")] for z in z_by_layer])


def close(curve, expected):
    np.testing.assert_allclose(np.stack([curve.true, curve.predicted], 1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("how", "layer"), [("drop", 1), ("block", 1), ("block", 2), ("block", 3)])
def test_tokens_that_are_removed_or_blocked_are_left_out_from_that_layer_on(r, how, layer):
    at = int(r.wrong[0])
    image, prefix = r.encoding(at).image, r.model.vit.prefix
    keep = torch.ones(prefix + 9, dtype=torch.bool)
    keep[[prefix + 3 * row + column for row, column in PLACES]] = False
    made = native.record(r.model.module, image, keep=keep, layer=layer)
    read = [z.detach()[keep] if i + 1 >= layer else z.detach() for i, z in enumerate(made.after)]
    change = r.without(at, PLACES, how, control=0, **({"from_layer": layer} if how == "block" else {}))
    curve = r.curve_after(at, change)
    close(curve, said(r, at, [(made.model, z) for z in read]))
    before = r.curve(at)
    assert (curve.layers, curve.names) == (before.layers, before.names)
    np.testing.assert_allclose(curve.true[: layer - 1], before.true[: layer - 1], rtol=1e-4, atol=1e-5)
    assert np.abs(curve.true - before.true)[layer - 1 :].max() > 1e-4


@pytest.mark.parametrize(("how", "options"), [("mean", {}), ("surroundings", {}), ("paste", {"donor": 5})])
def test_a_changed_picture_is_read_at_every_layer(r, how, options):
    at = int(r.wrong[0])
    change = r.without(at, PLACES, how, control=0, **options)
    made = native.record(r.model.module, change.input)
    curve = r.curve_after(at, change)
    close(curve, said(r, at, [(made.model, z.detach()) for z in made.after]))
    assert np.abs(curve.true - r.curve(at).true).max() > 1e-4
    last = {moved.index: moved.score_after for moved in r.without(at, PLACES, how, top=7, control=0, **options).classes}
    assert curve.true[-1] == pytest.approx(last[int(r.records["label"][at])], rel=1e-4)


def test_refusals_are_sentences(r):
    with pytest.raises(InspectionError, match=r"r\.without\(0, patches\) gives.*arrived: list"):
        r.curve_after(0, PLACES)
    logits = 9 * np.eye(7)[np.arange(12) % 7]
    blind = world.Inspection(r.model, world.pictures(), world.labels(), logits=logits, cache=False).run(False)
    with pytest.raises(InspectionError, match="no layer was seen"):
        blind.curve_after(0, blind.without(0, PLACES))
