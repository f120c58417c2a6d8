"""What must hold for every method of the catalogue, on every readout: a new method is picked up by existing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import legrad_widget as lw
from legrad_widget.method import Knob, Method
from legrad_widget.method._method import CORRECTION
from legrad_widget.models.capture import Tokens
from tests import specimens
from tests.method.running import FAMILIES
from tests.models.test_left_as_found import fingerprint, same

METHODS = {method.name: method for method in lw.list_methods()}
# They multiply I + A * gradient over several blocks, so the score's scale decides which paths count (methods.md 1.5).
MULTIPLIES_BLOCKS = ("chefercam", "transformer_attribution")
# Its value is the score itself, of a picture of which little is left: it may be below zero, and zero means nothing.
MAPS_OF_SCORES = ("reciprocam",)
# Reads neighbouring patches together unless told otherwise.
PATCH_BY_PATCH: dict[str, dict[str, Any]] = {"reciprocam": {"kernel": "dirac"}}

READOUTS = {
    "cls": lambda: specimens.timm_vit(reg_tokens=2),
    "distilled": specimens.CLASSIFIERS["deit-distilled"],
    "mean": lambda: specimens.timm_vit(global_pool="avg", reg_tokens=1),
    "attention": specimens.POOLED["timm-map-cls-registers"],
    "clip": specimens.clip,
    "siglip": specimens.TOWERS["siglip"],
    "coca": specimens.COCA["coca"],
}
SHAPES = (
    "clip-layerscale", "clip-custom-all", "timm-layerscale-qknorm", "timm-post-norm", "timm-parallel", "timm-swiglu",
    "timm-inner-norms", "timm-gated-attention", "dinov2-giant", "aimv2", "timm-map-qknorm", "coca-parallel",
    "eva02-swiglu-packed", "eva-post-norm", "eva-grouped", "perception", "beit", "relpos-post-norm",
)  # fmt: skip

each_method = pytest.mark.parametrize("name", METHODS)
each_readout = pytest.mark.parametrize("readout", READOUTS)


@cache
def encoded(readout: str) -> Any:
    return lw.wrap(READOUTS[readout]()).encode(specimens.picture())


def three_targets(model: Any) -> list[Any]:
    return [1, 3, 5] if model.kind == "classifier" else specimens.directions(model.vit.features, 3)


@cache
def explained(name: str, readout: str) -> list[Any]:
    """Three targets asked together, with every knob at its default; [] where the method refuses the model."""
    encoding = encoded(readout)
    if METHODS[name].refuses(encoding.model.vit):
        return []
    return encoding.explain(three_targets(encoding.model), name)


def assert_equal_maps(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    """Two explanations are the same, in units of the larger map."""
    for one, other in ((a.maps, b.maps), (a.heads, b.heads), (a.prefix, b.prefix)):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(np.abs(b.maps).max(), 1e-30))


def differ(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether two explanations are told apart by their maps or their layers."""
    if a.layers != b.layers:
        return True
    return float(np.abs(a.maps - b.maps).max()) > tolerance * float(np.abs(b.maps).max())


# ---------------------------------------------------------------- what the catalogue says is true of the maps


@each_readout
@each_method
def test_maps_are_whole_finite_and_of_the_sign_that_is_said(name, readout):
    method, encoding = METHODS[name], encoded(readout)
    vit = encoding.model.vit
    for x in explained(name, readout):
        assert x.method == name
        assert x.maps.dtype == np.float32
        assert x.maps.shape == (len(x.layers), *encoding.grid)
        assert list(x.layers) == sorted(set(x.layers))
        assert set(x.layers) <= set(range(1, len(vit.blocks) + 1))
        assert np.isfinite(x.maps).all()
        assert (x.prefix is None) if vit.prefix == 0 else (x.prefix.shape == (len(x.layers), vit.prefix))
        if x.heads is not None:
            np.testing.assert_allclose(x.heads.mean(1), x.maps, rtol=1e-5, atol=1e-6 * np.abs(x.maps).max())
        assert x.signed == method.signed
        if not x.signed and name not in MAPS_OF_SCORES:
            assert x.maps.min() >= 0
            assert x.prefix is None or x.prefix.min() >= 0
        assert not all(x.degenerate)


@each_method
def test_a_signed_method_gives_both_signs_and_only_then_says_so(name):
    values = np.concatenate([x.maps.ravel() for readout in READOUTS for x in explained(name, readout)])
    assert values.max() > 0
    if name not in MAPS_OF_SCORES:
        assert (values.min() < 0) == METHODS[name].signed


@each_readout
@each_method
def test_targets_matter_exactly_where_the_catalogue_says_so(name, readout):
    for a, b in itertools.combinations(explained(name, readout), 2):
        assert differ(a, b) == METHODS[name].class_discriminative


@each_readout
@each_method
def test_targets_together_are_one_at_a_time_and_every_time_the_same(name, readout):
    encoding, together = encoded(readout), explained(name, readout)
    for target, x in zip(three_targets(encoding.model), together, strict=False):
        assert_equal_maps(encoding.explain(target, name), x)


@each_method
def test_an_encoding_is_one_image_whatever_was_encoded_around_it(name):
    model = encoded("mean").model
    first, second = (model.encode(specimens.picture(seed=seed)) for seed in (0, 1))
    assert differ(second.explain(1, name), first.explain(1, name))
    assert_equal_maps(first.explain(1, name), explained(name, "mean")[0])


# ---------------------------------------------------------------- the score's scale


@each_method
def test_a_longer_direction_is_the_same_map_unless_blocks_are_multiplied(name):
    for readout in ("cls", "mean", "attention"):
        encoding = encoded(readout)
        if METHODS[name].refuses(encoding.model.vit):
            continue
        t = specimens.directions(encoding.model.vit.features, 1)[0]
        short, long = (encoding.explain(lw.Direction(scale * t), name).merged() for scale in (1.0, 4096.0))
        moved = float(np.abs(short - long).max())
        assert moved > 1e-3 if name in MULTIPLIES_BLOCKS else moved < 1e-4


@each_method
def test_a_clips_logit_scale_does_not_change_the_map_unless_blocks_are_multiplied(name):
    scores = next((k.choices for k in METHODS[name].knobs if k.name == "score"), ())
    if not {"cos", "logit"} <= set(scores):
        return
    module = specimens.clip()
    with torch.no_grad():
        module.logit_scale.fill_(8.0)
    encoding = lw.wrap(module).encode(specimens.picture())
    target = three_targets(encoding.model)[0]
    cos, logit = (encoding.explain(target, name, score=score).merged() for score in ("cos", "logit"))
    moved = float(np.abs(cos - logit).max())
    assert moved > 1e-3 if name in MULTIPLIES_BLOCKS else moved < 1e-3


# ---------------------------------------------------------------- patches, prefix tokens, grids


def placeless(**options: Any) -> Any:
    """In float64: relevance divides by sums that nearly cancel, and another order of summing would show."""
    return lw.wrap(specimens.timm_vit(pos_embed="none", **options).double())


POOLS: dict[str, dict[str, Any]] = {
    "cls": dict(reg_tokens=1),
    "mean": dict(global_pool="avg", class_token=False),
    "attention": dict(global_pool="map", class_token=False),
}


@pytest.mark.parametrize("pool", POOLS)
@each_method
def test_patches_that_change_places_take_their_values_along(name, pool):
    """Without positions nothing but its place tells where a patch is, so the grid's layout is what is tested."""
    rows, columns, side = 2, 4, specimens.PATCH
    model = placeless(img_size=(rows * side, columns * side), **POOLS[pool])
    if METHODS[name].refuses(model.vit):
        return
    image = torch.randn(3, rows * side, columns * side, generator=torch.Generator().manual_seed(2))
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(3))
    patches = image.unflatten(1, (rows, side)).unflatten(3, (columns, side)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    moved = patches[order].unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    knobs = PATCH_BY_PATCH.get(name, {})
    before, after = (model.encode(view).explain(1, name, **knobs) for view in (image, moved))
    scale = np.abs(before.maps).max()
    expected = before.maps.reshape(len(before.maps), -1)[:, order].reshape(before.maps.shape)
    np.testing.assert_allclose(after.maps, expected, rtol=0, atol=2e-5 * scale)
    if before.prefix is not None:
        np.testing.assert_allclose(after.prefix, before.prefix, rtol=0, atol=2e-5 * max(scale, before.prefix.max()))


@pytest.mark.parametrize("pool", POOLS)
@each_method
def test_another_resolution_is_a_model_made_for_it(name, pool):
    small, made = placeless(**POOLS[pool]), placeless(img_size=(32, 80), **POOLS[pool])
    if METHODS[name].refuses(small.vit):
        return
    x = small.encode(specimens.picture(), size=(32, 80)).explain(2, name)
    assert x.maps.shape[1:] == (2, 5)
    assert_equal_maps(x, made.encode(specimens.picture()).explain(2, name))


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, Any], list[int]]:
    """A method, a tiny timm model, and some of its layers."""
    pool = draw(st.sampled_from(["token", "avg", "map"]))
    depth, rows, columns = (draw(st.integers(low, 3)) for low in (1, 1, 1))
    options = dict(
        global_pool=pool,
        class_token=pool == "token" or draw(st.booleans()),
        reg_tokens=draw(st.integers(0, 2)),
        img_size=(rows * specimens.PATCH, (1 + columns) * specimens.PATCH),
        depth=depth,
    )
    layers = draw(st.lists(st.integers(1, depth), min_size=1, unique=True))
    return draw(st.sampled_from(sorted(METHODS))), options, layers


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(questions())
def test_any_grid_any_prefix_and_any_layers(question):
    name, options, layers = question
    model = lw.wrap(specimens.timm_vit(**options))
    if METHODS[name].refuses(model.vit):
        return
    encoding = model.encode(specimens.picture())
    whole = encoding.explain(1, name)
    assert whole.maps.shape == (len(whole.layers), *encoding.grid)
    assert encoding.grid == (options["img_size"][0] // specimens.PATCH, options["img_size"][1] // specimens.PATCH)
    prefix = options["class_token"] + options["reg_tokens"]
    assert (whole.prefix is None) if prefix == 0 else (whole.prefix.shape == (len(whole.layers), prefix))
    if whole.layers == tuple(range(1, options["depth"] + 1)):
        some = encoding.explain(1, name, layers=layers)
        assert some.layers == tuple(sorted(layers))
        chosen = [layer - 1 for layer in some.layers]
        np.testing.assert_allclose(some.maps, whole.maps[chosen], rtol=0, atol=1e-5 * np.abs(whole.maps).max())
    else:
        _one_map(encoding, name, whole, layers)


def _one_map(encoding: Any, name: str, whole: Any, layers: list[int]) -> None:
    """Its own layer gives its own map; others are a map of their own, or refused by a sentence that says the layer."""
    assert_equal_maps(encoding.explain(1, name, layers=list(whole.layers)), whole)
    x, refusal = tried(encoding, [1], name, layers=layers)
    assert str(whole.layers[0]) in refusal if x is None else x[0].layers == tuple(sorted(layers))


def tried(encoding: Any, targets: list[Any], name: str, **asked: Any) -> tuple[list[Any] | None, str]:
    """The explanations, or None and the sentence that refused."""
    try:
        return encoding.explain(targets, name, **asked), ""
    except (lw.KnobError, lw.MethodError) as refusal:
        return None, str(refusal)


# ---------------------------------------------------------------- knobs


def values_of(knob: Knob) -> list[Any]:
    """The default first, then values that it can take."""
    if knob.kind == "choice":
        return [knob.default, *(value for value in knob.choices if value != knob.default)]
    if knob.kind == "bool":
        return [knob.default, not knob.default]
    if knob.kind == "text":
        return [knob.default, "a photo of", "a dog", "grass"]
    start = knob.low if knob.low is not None else (knob.default or 0)
    kind = int if knob.integer else float
    tried = [kind(start + step) for step in (0, 1, 2)]
    if knob.high is not None and not knob.integer:
        tried = [knob.low + (knob.high - knob.low) * part for part in (0.0, 0.5, 1.0)]
    return [knob.default, *(value for value in tried if value != knob.default)]


def surroundings(method: Method, knob: Knob) -> Iterator[dict[str, Any]]:
    """The other knobs at their defaults, then some at another value, since there are knobs that work only together.

    First come the values of a knob that this one adds to by its name (correction of correction_order), alone and beside
    one more; then every other knob by itself.
    """
    others = [other for other in method.knobs if other is not knob]
    single = [{other.name: value} for other in others for value in values_of(other)[1:]]
    yield {}
    for first in single:
        if all(knob.name.startswith(name) for name in first):
            yield first
            yield from (first | second for second in single if second.keys() != first.keys())
    yield from single


KNOBS = [(name, knob.name) for name, method in METHODS.items() for knob in method.knobs]
WAY_OUT = re.compile(r"\b([Uu]se|choose|leave out|leave \w+ out|ask for|from \d|one of)\b")


@cache
def prompted() -> Any:
    """A CLIP that takes prompts, on a grid wide enough for windows of patches."""
    import open_clip

    module = specimens.clip(image_size=80)
    return lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32")).encode(specimens.picture())


@pytest.mark.parametrize(("name", "knob_name"), KNOBS)
def test_every_value_of_every_knob_is_told_from_another_one(name, knob_name):
    method = METHODS[name]
    knob = next(k for k in method.knobs if k.name == knob_name)
    wanted = values_of(knob)
    untold = set(map(repr, wanted if knob.kind in ("choice", "bool") else wanted[:1]))
    shared = knob.name in {k.name for k in CORRECTION}  # some of these play no part for some methods, and say so
    dull = specimens.picture() // 16 + 100  # patches so alike that a map may have no zero to begin with
    encodings = [prompted(), *([prompted().model.encode(dull)] if shared else map(encoded, READOUTS))]
    met: set[str] = set()
    for others, encoding in itertools.product(surroundings(method, knob), encodings):
        answers = {}
        for value in wanted:
            targets = three_targets(encoding.model)[:2]
            answer, refusal = tried(encoding, targets, name, **{**others, knob_name: value})
            assert answer or WAY_OUT.search(refusal), f"no way out is named: {refusal}"
            answers |= {repr(value): answer} if answer else {}
        for (one, a), (other, b) in itertools.combinations(answers.items(), 2):
            met |= {one, other}
            if any(map(differ, a, b)):
                untold -= {one, other}
        if not untold:
            return
    ignored = sorted(untold & met if shared else untold)
    assert not ignored, f"{name}: {knob_name} = {', '.join(ignored)} changes nothing anywhere, or is taken nowhere"


@each_method
def test_unknown_knobs_are_refused_and_the_known_ones_are_listed(name):
    with pytest.raises(lw.KnobError, match="does not know the knob 'nonsense'") as refusal:
        encoded("cls").explain(1, name, nonsense=1)
    for knob in METHODS[name].knobs:
        assert knob.name in str(refusal.value)


# ---------------------------------------------------------------- block shapes and refusals


@cache
def shaped(shape: str) -> Any:
    return lw.wrap(FAMILIES[shape]()).encode(specimens.picture())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_block_shape_is_explained_or_refused_with_an_alternative(shape):
    encoding = shaped(shape)
    vit, target = encoding.model.vit, three_targets(encoding.model)[0]
    for name, method in METHODS.items():
        refusal = method.refuses(vit)
        if refusal is None:
            x = encoding.explain(target, name)
            assert np.isfinite(x.maps).all()
            assert not all(x.degenerate), name
            continue
        named = [other for other in METHODS if f"'{other}'" in refusal]
        assert any(METHODS[other].refuses(vit) is None for other in named), refusal
        assert refusal.count(". ") <= 1
        with pytest.raises(lw.MethodError, match=re.escape(refusal)):
            encoding.explain(target, name)


@each_readout
@each_method
def test_a_readout_that_is_not_defined_is_refused_before_anything_is_computed(name, readout):
    vit, method = encoded(readout).model.vit, METHODS[name]
    refusal = method.refuses(vit)
    assert vit.readout.kind in method.readouts or refusal
    if refusal:
        assert any(f"'{other}'" in refusal and METHODS[other].refuses(vit) is None for other in METHODS), refusal


# ---------------------------------------------------------------- the model and the encoding are left as found


class Stop(Exception):
    """Raised from outside, in the middle."""


@each_method
def test_its_card_says_how_to_read_it(name):
    method = METHODS[name]
    assert method.shows.endswith(".")
    assert method.shows != method.summary
    first, *where = method.formula.splitlines()
    assert "=" in first
    assert where, "every formula says what its letters stand for"
    assert not any(code in method.formula for code in ("sum_", "**", "pi^")), "as on paper, not as in code"
    for part in (method.title, method.shows, method.formula, method.paper, method.cost):
        assert part in method.card
    assert all(f"`{knob.name}`" in method.card for knob in method.knobs)
    assert ("the same for every target" in method.card) is not method.class_discriminative
    assert method._repr_markdown_() == method.card


def watch_reads(patch: pytest.MonkeyPatch, broken: int | None = None) -> list[str]:
    """What is read from the captured tokens from now on; the read number ``broken`` runs out of memory."""
    reads: list[str] = []

    def watched(part: str, read: Any) -> Any:
        def method(self: Tokens, layer: int) -> Any:
            reads.append(part)
            if len(reads) - 1 == broken:
                raise MemoryError("in the middle of the method")
            return read(self, layer)

        return method

    for part in ("block", "before", "after", "middle"):
        patch.setattr(Tokens, part, watched(part, getattr(Tokens, part)))
    return reads


@pytest.mark.parametrize("readout", ["clip", "mean", "attention"])
@each_method
def test_stopped_at_any_step_or_broken_inside_everything_is_as_found(name, readout, monkeypatch):
    if METHODS[name].refuses(encoded(readout).model.vit):
        return
    module = READOUTS[readout]().train()
    image = torch.randn(3, specimens.SIDE, specimens.SIDE, generator=torch.Generator().manual_seed(0))
    model = lw.wrap(module)
    encoding, target = model.encode(image), three_targets(model)[0]
    before, ticks = fingerprint(module, image), []
    expected = encoding.explain(target, name, progress=lambda step, total: ticks.append((step, total)))
    steps, totals = zip(*ticks, strict=True)
    assert min(steps) == 0
    assert all(step < total for step, total in ticks)
    assert list(steps) == sorted(steps)
    assert len(set(totals)) == 1

    for stop in sorted({0, len(ticks) // 2, len(ticks) - 1}):
        left = itertools.count()

        def progress(step: int, total: int, left: Any = left, stop: int = stop) -> None:
            if next(left) == stop:
                raise Stop

        with pytest.raises(Stop):
            encoding.explain(target, name, progress=progress)

    with monkeypatch.context() as patch:
        reads = watch_reads(patch)
        encoding.explain(target, name)
    with monkeypatch.context() as patch:
        watch_reads(patch, len(reads) // 2)
        with pytest.raises(MemoryError):
            encoding.explain(target, name)

    after = fingerprint(module, image)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert model.lock.acquire(blocking=False)
    model.lock.release()
    assert_equal_maps(encoding.explain(target, name), expected, 1e-6)
