"""The final score's gradient, one block at a time, equals autograd through the library's own forward."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import legrad_widget as lw
from legrad_widget.method._descent import descend, final_score
from legrad_widget.models.capture import plain_arithmetic
from legrad_widget.target import Aims
from tests import specimens
from tests.method.running import FAMILIES, TOLERANCE
from tests.oracles import final_score as oracle

# What differs nowhere on the way down from one of the others.
SAME = (
    "clip-patch-dropout",
    "clip-no-ln-pre",
    "clip-sigmoid",
    "timm-dynamic-size",
    "timm-no-positions",
    "timm-pre-norm",
)
SINGLE = ("clip", "timm-gap-norm-before", "timm-map", "coca", "timm-post-norm", "timm-gated-attention")
CASES = [(name, torch.float64) for name in FAMILIES if name not in SAME] + [(name, torch.float32) for name in SINGLE]


def quiet(step, total):
    """No progress."""


def targets_of(model):
    """Two targets of this model as ours and as the oracle's: logits of a classifier, dot products elsewhere."""
    if model.vit.classes is not None:
        return Aims(model.aims([model.target(c) for c in (1, 4)])), [(1, "logit"), (4, "logit")]
    vectors = specimens.directions(model.vit.features, 2)
    aims = Aims(model.aims([model.target(v) for v in vectors]), "dot")
    return aims, [(torch.tensor(v), "dot") for v in vectors]


def near(ours, expected, tolerance):
    assert float((ours - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_every_gradient_equals_autograd_through_the_native_forward(name, dtype):
    module, tolerance = FAMILIES[name]().to(dtype), TOLERANCE[dtype]
    model = lw.wrap(module)
    encoding = model.encode(specimens.picture())
    aims, literal = targets_of(model)
    expected = [oracle.score(module, encoding.image, *target) for target in literal]
    with plain_arithmetic(model.vit.device):
        start = final_score(encoding.tokens, aims)
        near(start.scores, torch.stack([x.score.detach() for x in expected]), tolerance)
        if start.pooler is not None:
            near(start.pooler, torch.stack([x.gradient(x.made.heads[-1])[:, 0] for x in expected]), tolerance)
        layers = []
        for passage in descend(encoding.tokens, start, 1, quiet):
            layers.append(passage.layer)
            index, rows = passage.layer - 1, passage.rows
            heads = torch.stack([x.gradient(x.made.heads[index]) for x in expected])
            near(passage.heads, heads[:, :, rows], tolerance)
            heads[:, :, rows] = 0
            assert not heads.any()  # rows that are left out carry no gradient
            near(passage.before, torch.stack([x.tokens(index)[1] for x in expected]), tolerance)
            attention = torch.stack([x.gradient(x.made.attention[index]) for x in expected])
            near(passage.heads @ passage.values.transpose(-2, -1), attention[:, :, rows], tolerance)
            near(passage.attention, expected[0].made.attention[index][:, rows].detach(), tolerance)
    assert layers == list(range(len(model.vit.blocks), 0, -1))


def test_blocks_are_let_go_and_the_way_down_stops_where_asked():
    model = lw.wrap(specimens.timm_vit(depth=4))
    tokens = model.encode(specimens.picture()).tokens
    aims, _ = targets_of(model)
    steps, earlier = [], []
    with plain_arithmetic(model.vit.device):
        for passage in descend(tokens, final_score(tokens, aims), 3, lambda step, total: steps.append((step, total))):
            gc.collect()
            assert [ref() for ref in earlier] == [None] * len(earlier)  # one block's graph at a time
            assert passage.heads.shape == (2, 4, 1 if passage.layer == 4 else tokens.count, 8)
            earlier.append(weakref.ref(passage))
    assert len(earlier) == 2
    assert {total for _, total in steps} == {2}


def test_targets_together_are_one_at_a_time():
    model = lw.wrap(specimens.timm_vit(global_pool="avg"))
    tokens = model.encode(specimens.picture()).tokens
    aims = model.aims([model.target(c) for c in (0, 3, 5)])
    with plain_arithmetic(model.vit.device):
        together = [p.before for p in descend(tokens, final_score(tokens, Aims(aims)), 1, quiet)]
        for index, aim in enumerate(aims):
            alone = [p.before for p in descend(tokens, final_score(tokens, Aims([aim])), 1, quiet)]
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a[0], b[index], rtol=1e-5, atol=1e-7 * float(b.abs().max()))
