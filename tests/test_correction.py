"""Background correction equals eq. 12 written out, in both orders, for any method; it refuses in sentences."""

from __future__ import annotations

from functools import cache

import numpy as np
import open_clip
import pytest

import legrad_widget as lw
from tests import specimens

EMPTY, TARGET = "a photo of", "a red ball"


@cache
def encoding(name="clip"):
    models = {"clip": (lambda: specimens.clip(image_size=80), 77), "siglip": (specimens.TOWERS["siglip"], 16)}
    make, context = models[name]
    model = lw.wrap(make(), tokenizer=open_clip.SimpleTokenizer(context_length=context), class_names=["cat", "dog"])
    return model.encode(specimens.picture(), size=80 if name == "clip" else None)


def min_max(values):
    return (values - values.min()) / (values.max() - values.min())


def literally(maps, empty, threshold, order):
    """Eq. 12 on [L, h, w] maps whose layers merge by their mean: the raw maps, and what is shown of them."""
    background = min_max(empty.mean(0)) > threshold
    if order == "before_norm":
        raw = maps.copy()
        for layer in raw:
            layer[background] = 0
        return raw, min_max(raw.mean(0))
    shown = min_max(maps.mean(0))
    shown[background] = 0
    return None, shown


@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.parametrize("threshold", [0.8, 0.3])
def test_equals_the_equation_before_the_norm(name, threshold):
    e = encoding(name)
    plain, empty = e.explain(TARGET), e.explain(EMPTY)
    x = e.explain(TARGET, correction=EMPTY, correction_threshold=threshold)
    raw, shown = literally(plain.maps.astype(float), empty.maps.astype(float), threshold, "before_norm")
    np.testing.assert_array_equal(x.maps, raw.astype(np.float32))
    np.testing.assert_allclose(x.merged(), shown, atol=1e-6)
    assert (x.maps == 0).any()
    np.testing.assert_allclose(x.heads.mean(1), x.maps, atol=1e-6 * x.maps.max())
    np.testing.assert_array_equal(x.prefix if x.prefix is not None else 0, plain.prefix if x.prefix is not None else 0)
    assert (x.knobs["correction"], x.knobs["correction_threshold"]) == (EMPTY, threshold)
    assert (x.score, x.probability, x.label) == (plain.score, plain.probability, plain.label)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_equals_the_equation_after_the_norm_up_to_the_largest_value(name):
    e = encoding(name)
    plain, empty = e.explain(TARGET), e.explain(EMPTY)
    x = e.explain(TARGET, correction=EMPTY, correction_threshold=0.3, correction_order="after_norm")
    _, shown = literally(plain.maps.astype(float), empty.maps.astype(float), 0.3, "after_norm")
    np.testing.assert_allclose(x.merged(), shown / shown.max(), atol=1e-5)
    background = min_max(empty.maps.astype(float).mean(0)) > 0.3
    assert background.any()
    np.testing.assert_array_equal(x.maps[:, ~background], plain.maps[:, ~background])
    np.testing.assert_allclose(x.heads.mean(1), x.maps, atol=1e-6 * x.maps.max())
    before = e.explain(TARGET, correction=EMPTY, correction_threshold=0.3)
    assert not np.array_equal(before.maps, x.maps)


@pytest.mark.parametrize("method", [m.name for m in lw.list_methods()])
def test_every_method_takes_it_and_several_targets_are_corrected_alike(method):
    entry = next(m for m in lw.list_methods() if m.name == method)
    names = {knob.name for knob in entry.knobs}
    assert {"correction", "correction_threshold"} <= names
    assert ("correction_order" in names) is not entry.signed
    e = encoding()
    plain, empty = e.explain([TARGET], method), e.explain(EMPTY, method)
    corrected = e.explain([TARGET], method, correction=EMPTY, correction_threshold=0.3)
    background = empty.merged() > 0.3
    for x, uncorrected in zip(corrected, plain, strict=True):
        np.testing.assert_array_equal(x.maps, np.where(background, 0, uncorrected.maps))
        assert x.knobs["correction"] == EMPTY
        assert x.signed == uncorrected.signed


def test_lists_layers_and_methods_that_merge_by_the_last_layer():
    e = encoding()
    together = e.explain([TARGET, "a dog"], correction=EMPTY, layers=[1, 3])
    assert [x.label for x in together] == [TARGET, "a dog"]
    assert together[0].layers == (1, 3)
    background = e.explain(EMPTY, layers=[1, 3]).merged() > 0.8
    assert not together[1].maps[:, background].any()
    rolled, plain = e.explain(TARGET, "rollout", correction=EMPTY), e.explain(TARGET, "rollout")
    np.testing.assert_array_equal(rolled.maps, np.where(plain.merged() > 0.8, 0, plain.maps))


def test_a_flat_empty_map_corrects_nothing():
    e = encoding()
    plain, x = e.explain(TARGET), e.explain(TARGET, correction=EMPTY, correction_threshold=1.0)
    np.testing.assert_array_equal(x.maps, plain.maps)  # nothing is above the largest value
    from dataclasses import replace

    from legrad_widget.correction import Correction

    flat = replace(plain, maps=np.ones_like(plain.maps))
    (same,) = Correction(EMPTY, 0.0, "before_norm")([plain], flat)
    np.testing.assert_array_equal(same.maps, plain.maps)


def test_without_a_correction_nothing_changes():
    e = encoding()
    np.testing.assert_array_equal(e.explain(TARGET, correction=None).maps, e.explain(TARGET).maps)


@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"correction_threshold": 0.5}, "correction_threshold plays no part without a correction"),
        ({"correction_order": "after_norm"}, "leave out correction_order"),
        ({"correction": EMPTY, "correction_threshold": 1.5}, "correction_threshold is a number from 0 to 1"),
        ({"correction": EMPTY, "correction_order": "later"}, "correction_order is one of 'before_norm', 'after_norm'"),
        ({"correction": 3}, "correction is a string or None"),
        ({"correction": EMPTY, "correction_order": "after_norm", "relu": False}, "signed, and zero stays zero"),
    ],
)
def test_what_cannot_be_is_refused(knobs, why):
    with pytest.raises(lw.KnobError, match=why):
        encoding().explain(TARGET, **knobs)


def test_a_blank_prompt_and_models_without_prompts():
    with pytest.raises(lw.TargetError, match="blank"):
        encoding().explain(TARGET, correction=" ")
    with pytest.raises(lw.KnobError, match=r"cannot be asked prompts; leave out correction$"):
        lw.wrap(specimens.timm_vit()).encode(specimens.picture()).explain(1, correction=EMPTY)
    clip = lw.wrap(specimens.clip()).encode(specimens.picture())
    with pytest.raises(lw.KnobError, match="or wrap the model with its tokenizer"):
        clip.explain(specimens.directions(specimens.EMBED)[0], correction=EMPTY)


def test_where_targets_are_compared_the_background_is_compared_with_them():
    e, pair = encoding(), [TARGET, "a dog"]
    knobs = {"contrast": "mean_over_prompts"}
    plain, empty = e.explain(pair, "textspan", **knobs), e.explain([*pair, EMPTY], "textspan", **knobs)[-1]
    corrected = e.explain(pair, "textspan", correction=EMPTY, correction_threshold=0.3, **knobs)
    background = empty.merged() > 0.3
    assert background.any()
    for before, after in zip(plain, corrected, strict=True):
        np.testing.assert_array_equal(after.maps, np.where(background, 0, before.maps))
