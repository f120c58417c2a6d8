"""Relevance: each rule against its literal version, what it conserves, and the whole way down against a tape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legrad_widget.method._relevance import RULES, mean, product
from legrad_widget.method._relevance_walk import descend, path_of, top, without_rules
from legrad_widget.models.capture import plain_arithmetic
from tests import specimens
from tests.method.running import Ran
from tests.oracles import relevance as literal

MAKERS = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
# One of each readout and of each kind of block.
MODELS = (
    "clip-quickgelu", "clip-avg-norm-before", "timm", "timm-wide", "timm-registers", "timm-gap-norm-after",
    "timm-layerscale-qknorm", "deit-distilled", "timm-map", "timm-map-prefix", "coca", "coca-parallel", "siglip-linear",
    "timm-post-norm", "timm-parallel", "timm-swiglu-packed", "timm-swiglu", "timm-glu-gate-last", "timm-inner-norms",
    "clip-custom-all", "eva02-swiglu-packed", "eva-grouped", "eva-rope-fused-inner", "perception", "beit-both-token",
)  # fmt: skip
SETS = ("ours", "orig")


def numbers(seed, *shape, positive=False):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.abs() if positive else drawn


seeds = st.integers(0, 10**6)
sizes = st.integers(1, 5)


@pytest.mark.parametrize("rules", SETS)
@given(seed=seeds, width=sizes, outs=sizes)
@settings(max_examples=25, deadline=None)
def test_a_linear_map_equals_its_rule_number_by_number(rules, seed, width, outs):
    x, weight, r = numbers(seed, 2, width), numbers(seed + 1, outs, width), numbers(seed + 2, 2, outs)
    ours = RULES[rules].linear(x, weight, r)
    expected = torch.stack(
        [literal.linear_by_hand(*row, rules) for row in ((x[0], weight, r[0]), (x[1], weight, r[1]))]
    )
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(literal.linear(x, weight, r, rules), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rules", SETS)
@given(seed=seeds, width=sizes)
@settings(max_examples=25, deadline=None)
def test_a_sum_equals_its_rule_number_by_number(rules, seed, width):
    a, b, r = numbers(seed, width), numbers(seed + 1, width), numbers(seed + 2, width)
    expected = literal.add_by_hand([a.tolist(), b.tolist()], r.tolist(), rules)
    ours = torch.stack(RULES[rules].add(a, b, r))
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), rtol=1e-7, atol=1e-9)


@given(seed=seeds, rows=sizes, inner=sizes, columns=sizes)
@settings(max_examples=25, deadline=None)
def test_a_product_equals_its_rule_number_by_number_and_keeps_half_on_each_side(seed, rows, inner, columns):
    a, b, r = numbers(seed, rows, inner), numbers(seed + 1, inner, columns), numbers(seed + 2, rows, columns)
    ours, expected = product(a, b, r), literal.product_by_hand(a, b, r)
    half = float((r * (a @ b) / (a @ b + 1e-9)).sum()) / 2
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
        assert float(one.sum()) == pytest.approx(half, rel=1e-6, abs=1e-6)


def test_a_mean_shares_out_in_proportion_and_conserves():
    x, r = numbers(0, 5, 3, positive=True), numbers(1, 3)
    shares = mean(x, r)
    torch.testing.assert_close(shares.sum(0), r, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(shares[0] / shares[1], x[0] / x[1])


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_ours_keeps_the_total_of_a_linear_map_and_orig_doubles_it(seed):
    x, weight, r = numbers(seed, 4, 16), numbers(seed + 1, 8, 16), numbers(seed + 2, 4, 8)
    pairs = x[:, None] * weight
    both = ((pairs > 0) & (x[:, None] > 0)).any(-1) & ((pairs > 0) & (x[:, None] < 0)).any(-1)
    if both.all():
        totals = {rules: RULES[rules].linear(x, weight, r).sum(-1) for rules in SETS}
        torch.testing.assert_close(totals["ours"], r.sum(-1), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(totals["orig"], 2 * r.sum(-1), rtol=1e-5, atol=1e-5)


def test_a_sum_keeps_the_total_and_only_ours_stays_small_where_it_nearly_cancels():
    a, r = numbers(0, 6, positive=True), numbers(1, 6, positive=True)
    b = -a + 1e-6
    for rules in SETS:
        shares = torch.stack(RULES[rules].add(a, b, r))
        assert torch.isfinite(shares).all()
        assert float(shares.sum()) == pytest.approx(float(r.sum()), rel=1e-2)  # 1e-9 beside 1e-6
        assert (float(shares.abs().max()) < 10 * float(r.sum())) == (rules == "ours")
    shares = torch.stack(RULES["ours"].add(a, -a, r))
    assert torch.isfinite(shares).all()


@pytest.mark.parametrize("rules", SETS)
def test_what_is_not_negative_stays_so(rules):
    x, weight, r = (numbers(seed, *shape, positive=True) for seed, shape in enumerate([(4, 6), (5, 6), (4, 5)]))
    assert (RULES[rules].linear(x, weight, r) >= 0).all()
    assert all((part >= 0).all() for part in RULES[rules].add(x, x.flip(0), numbers(3, 4, 6, positive=True)))


def downwards(ran, rules, path, target):
    """Top and passages of one target."""
    z = ran.tokens.after(ran.tokens.depth).double()
    start = top(ran.vit, z, target.double(), RULES[rules], path)
    return start, list(descend(ran.tokens, start, RULES[rules], path))


def near(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("path", ["keep", "drop"])
@pytest.mark.parametrize("name", MODELS)
def test_the_way_down_equals_a_tape_of_the_library_s_own_forward(name, path):
    ran = Ran(MAKERS[name]())
    (target,) = ran.directions[:1]
    for rules in SETS:
        found = literal.relevance(ran.module, ran.image, target, rules=rules, qk=path)
        with plain_arithmetic(ran.vit.device):
            start, passages = downwards(ran, rules, path, target)
        for passage in passages:
            index = passage.layer - 1
            near(passage.before, found.before[index])
            expected = found.attention[index].clone()
            near(passage.attention, expected[:, passage.rows])
            expected[:, passage.rows] = 0
            assert not expected.any()  # rows that are left out carry no relevance
            reached = found.heads[index]
            half, slack = float(reached.sum()) / 2, 1e-5 * float(reached.abs().sum())
            assert float(passage.attention.sum()) == pytest.approx(half, abs=slack)
        if start.pooler is not None:
            near(start.pooler, found.attention[-1][:, 0])


@pytest.mark.parametrize("name", MODELS)
def test_ours_keeps_the_total_through_every_block(name):
    ran = Ran(MAKERS[name]())
    for path in ("keep", "drop"):
        with plain_arithmetic(ran.vit.device):
            start, passages = downwards(ran, "ours", path, ran.directions[0])
        # a pooler's learned query takes half of what its attention gets, and is let go
        whole = 0.75 if start.pooler is not None and path == "keep" else 1.0
        for total in [start.after.sum(), *(passage.before.sum() for passage in passages)]:
            assert float(total) == pytest.approx(whole, abs=1e-5)


def test_a_fused_output_projection_is_passed_as_the_two_that_it_holds():
    from timm.models.vision_transformer import ParallelScalingBlock

    fused, plain = MAKERS["timm-parallel-fused"](), MAKERS["timm-parallel-own-bias"]()
    weights = dict(plain.state_dict())
    for name, value in fused.state_dict().items():
        if "out_proj" not in name:
            weights[name] = value
        elif name.endswith("weight"):
            parts = value.split([specimens.WIDTH, value.shape[1] - specimens.WIDTH], 1)
            for part, kind in zip(parts, ("attn_out_proj", "mlp_out_proj"), strict=True):
                weights[name.replace("out_proj", kind)] = part
        else:
            weights[name.replace("out_proj", "attn_out_proj")] = value
            weights[name.replace("out_proj", "mlp_out_proj")] = torch.zeros_like(value)
    plain.load_state_dict(weights)
    assert isinstance(plain.blocks[0], ParallelScalingBlock)
    ran, other = Ran(fused), Ran(plain)
    with plain_arithmetic(ran.vit.device):
        for rules in SETS:
            ours, expected = (downwards(r, rules, "keep", ran.directions[0])[1][-1].before for r in (ran, other))
            near(ours, expected)


def test_a_model_without_rules_is_refused_with_the_reason():
    gated, headed = Ran(MAKERS["timm-gated-attention"]()), Ran(MAKERS["timm-tower-mlp"]())
    assert "gate on the attention's output in blocks.0" in without_rules(gated.vit)
    assert "more than one linear map" in without_rules(headed.vit)
    assert without_rules(Ran(MAKERS["clip-custom-all"]()).vit) is None


def test_queries_and_keys_are_dropped_by_default_only_where_positions_rotate_them():
    for name, default in (("timm", "keep"), ("beit-both-token", "keep"), ("eva", "keep"), ("dinov3", "drop")):
        tokens = Ran(MAKERS[name]()).tokens
        assert (path_of(tokens, None), path_of(tokens, "keep")) == (default, "keep")
