"""ViT-ReciproCAM: closed forms and batched last blocks against one native forward per mask."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import legrad_widget as lw
from legrad_widget.method import find
from tests import specimens
from tests.method.running import TOLERANCE, Ran, assert_close
from tests.oracles import reciprocam as oracle

BUILT = specimens.EVERY | specimens.COCA | specimens.CUSTOM | specimens.TOWERS
CLS = (
    "clip-wide",
    "timm-registers",
    "timm-layerscale-qknorm",
    "deit-distilled",
    "clip-custom-all",
    "timm-post-norm",
    "timm-swiglu-packed",
    "timm-gated-attention",
    "aimv2",
    "eva02-clip",
    "dinov3",
    "beit-both-token",
)
MEAN = ("clip-avg-norm-before", "timm-gap-norm-after", "timm-gap-prefix", "timm-gap-no-cls", "eva02", "beit")
POOLER = (
    "timm-map",
    "timm-map-cls-registers",
    "timm-map-prefix",
    "timm-map-qknorm",
    "coca",
    "coca-parallel",
    "siglip-linear",
    "perception",
)


def question(ran):
    """A target, and what the oracle takes of the native output: a class's probability, or a direction's cosine."""
    if ran.model.kind == "classifier":
        return 3, lambda output: output.softmax(0)[3]
    t = ran.directions[0].double()
    if ran.model.kind == "backbone":
        return ran.directions[0], lambda output: output @ t
    return ran.directions[0], lambda output: F.cosine_similarity(output, t, dim=0)


def variants(vit):
    """Every combination of knobs that means something for a model."""
    sites = ("norm", "block", *(("pooler",) if vit.readout.kind == "attention" else ()))
    for kernel, cls, site, residual in itertools.product(
        ("gaussian", "dirac"), (True, False), sites, (None, "kept", "masked")
    ):
        if not cls and not (vit.has_cls and (site != "pooler" or not vit.readout.rows.start)):
            continue
        if (site == "pooler" and residual) or (site == "block" and residual == "kept"):
            continue
        yield {"kernel": kernel, "cls": cls, "site": site, "residual": residual}


@pytest.mark.parametrize("name", [*CLS, *MEAN, *POOLER])
def test_every_variant_equals_one_native_forward_per_mask(name):
    runs = {dtype: Ran(BUILT[name](), dtype) for dtype in TOLERANCE}
    exact = runs[torch.float64]
    prefix = exact.vit.prefix
    target, score = question(exact)
    for knobs in variants(exact.vit):
        made = oracle.masks(exact.encoding.grid, prefix, knobs["kernel"], knobs["cls"])
        literal = oracle.reciprocam(
            exact.module, exact.image, score, made, site=knobs["site"], residual=knobs["residual"]
        )
        for dtype, ran in runs.items():
            ours = ran("reciprocam", [target], **knobs)
            assert_close(ours.tokens[0, 0, 0, prefix:], literal.to(dtype), dtype)
            assert not ours.tokens[..., :prefix].any()


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    registers=st.sampled_from([0, 3]),
    kernel=st.sampled_from(["gaussian", "dirac"]),
    cls=st.booleans(),
)
def test_any_grid_and_any_prefix(height, width, registers, kernel, cls):
    ran = Ran(specimens.timm_vit(reg_tokens=registers, depth=1, img_size=(16 * height, 16 * width)))
    made = oracle.masks((height, width), 1 + registers, kernel, cls)
    literal = oracle.reciprocam(
        ran.module, ran.image, lambda output: output.softmax(0)[2], made, site="norm", residual=None
    )
    ours = ran("reciprocam", [2], kernel=kernel, cls=cls)
    assert_close(ours.tokens[0, 0, 0, 1 + registers :], literal)


def test_another_size_than_the_models_own():
    ran = Ran(specimens.timm_vit(dynamic_img_size=True), size=(32, 80))
    made = oracle.masks((2, 5), 1, "gaussian", True)
    literal = oracle.reciprocam(
        ran.module, ran.image, lambda output: output.softmax(0)[2], made, site="norm", residual=None
    )
    assert_close(ran("reciprocam", [2]).tokens[0, 0, 0, 1:], literal)


def test_masking_the_residual_shows_only_where_patches_or_a_dropped_class_token_are_read():
    """methods.md 3.13: identical for a kept class token, completely different without it or with a mean."""
    runs = {name: Ran(BUILT[name]()) for name in ("timm", "timm-gap-norm-after")}
    for name, knobs, same in (("timm", {}, True), ("timm", {"cls": False}, False), ("timm-gap-norm-after", {}, False)):
        kept, masked = (runs[name]("reciprocam", [3], residual=r, **knobs).tokens for r in ("kept", "masked"))
        difference = float((kept - masked).abs().max() / kept.abs().max())
        assert difference < 1e-12 if same else difference > 1e-3


def test_a_kernel_without_width_is_the_dirac_mask(monkeypatch):
    ran = Ran(specimens.clip())
    dirac = ran("reciprocam", kernel="dirac").tokens
    assert float((dirac - ran("reciprocam").tokens).abs().max()) > 1e-3
    module = sys.modules[find("reciprocam").run.__module__]
    monkeypatch.setitem(module._KERNELS, "gaussian", ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)))
    assert_close(ran("reciprocam").tokens, dirac)


@pytest.mark.parametrize("name", ["clip", "timm-gap-prefix", "coca"])
def test_targets_together_are_as_one_at_a_time_in_batches_of_any_size(name, monkeypatch):
    ran = Ran(BUILT[name](), targets=3)
    targets = ran.directions if ran.model.kind != "classifier" else [0, 3, ran.directions[0]]
    together = ran("reciprocam", targets).tokens
    monkeypatch.setitem(sys.modules[find("reciprocam").run.__module__]._CHUNK, "cpu", 1)
    for index, target in enumerate(targets):
        assert_close(ran("reciprocam", [target]).tokens[0], together[index])
    assert not torch.allclose(together[0], together[1])


def test_each_score_is_what_it_says():
    classifier, clip = Ran(specimens.timm_vit()), Ran(specimens.clip())
    everything = classifier("reciprocam", list(range(specimens.CLASSES))).tokens[..., 1:]
    assert_close(everything.sum(0), torch.ones_like(everything[0]))  # probabilities of all classes
    assert_close(classifier("reciprocam", [2], score="prob").tokens[0, ..., 1:], everything[2])
    logits = classifier("reciprocam", list(range(specimens.CLASSES)), score="logit").tokens[..., 1:]
    assert_close(logits.softmax(0), everything)
    direction = clip.directions[:1]
    cosine = clip("reciprocam", direction).tokens
    assert_close(clip("reciprocam", [4 * d for d in direction], score="cos").tokens, cosine)
    assert_close(clip("reciprocam", direction, score="logit").tokens, cosine * clip.model.logit_form()[0])
    assert float((clip("reciprocam", direction, score="dot").tokens - cosine).abs().max()) > 1e-3


def test_a_head_that_ignores_the_image_gives_a_flat_map():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.head.weight.zero_()
    assert lw.wrap(module).encode(specimens.picture()).explain(1, "reciprocam").degenerate == (True,)


@pytest.mark.parametrize(
    ("name", "knobs", "reason"),
    [
        ("timm", {"site": "pooler"}, "has no attention pooler; use site='norm'"),
        ("timm-gap-no-cls", {"cls": False}, "has no class token"),
        ("timm-map-cls-registers", {"cls": False, "site": "pooler"}, "does not read the class token"),
        ("coca", {"residual": "kept", "site": "pooler"}, "has no residual"),
        ("timm", {"residual": "kept", "site": "block"}, "its residual too"),
        ("clip", {"score": "prob"}, "'direction' is not one of them"),
        ("timm", {"kernel": "box"}, "kernel is one of 'gaussian', 'dirac'"),
    ],
)
def test_a_knob_that_plays_no_part_is_refused(name, knobs, reason):
    encoding = lw.wrap(BUILT[name]()).encode(specimens.picture())
    target = 1 if encoding.model.kind == "classifier" else specimens.directions(encoding.model.vit.features, 1)[0]
    with pytest.raises(lw.KnobError, match=reason):
        encoding.explain(target, "reciprocam", **knobs)


def test_the_explanation_says_what_it_is_and_can_be_stopped():
    encoding = lw.wrap(specimens.timm_vit(reg_tokens=4)).encode(specimens.picture())
    x = encoding.explain(3, "reciprocam")
    assert not x.signed
    assert x.layers == (specimens.DEPTH,)
    assert x.maps.shape == (1, 3, 3)
    assert x.knobs["residual"] == "kept"
    assert encoding.explain(3, "reciprocam", site="block").knobs["residual"] == "masked"
    with pytest.raises(lw.MethodError, match="leave out layers"):
        encoding.explain(3, "reciprocam", layers=1)

    def stop(step, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoding.explain(3, "reciprocam", progress=stop)
