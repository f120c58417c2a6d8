"""Contrasts, averaged templates and specificity: one score for A over B, one vector for many sentences, one number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import legrad_widget as lw
from legrad_widget.method import find
from legrad_widget.target import Aims
from tests import specimens
from tests.method.running import FAMILIES, Ran, assert_close
from tests.oracles import final_score, native
from tests.oracles import gradcam as gradcam_oracle
from tests.oracles.cdam import cdam as cdam_oracle
from tests.oracles.legrad import features, pooled_from

# What every method that differentiates a score reads: a class token, a mean, a pooler; on a CLIP and a classifier.
READOUTS = ("clip", "clip-avg-norm-after", "clip-sigmoid", "siglip-linear", "timm", "timm-gap-no-cls", "timm-map")
# Linear in the direction once nothing is cut off at zero.
LINEAR = {
    "legrad": {"relu": False},
    "cdam": {},
    "textspan": {},
    "tam": {},
    "attentioncam": {"relu": False},
    "reciprocam": {"score": "logit"},
}
SHORT, LONG = 0.5, 3.0  # sides of unequal length: their cosines differ along another vector than their dot products


def sides(ran):
    """Two classes, or two directions of unequal length."""
    if ran.model.kind == "classifier":
        return 3, 5
    return tuple(length * direction for length, direction in zip((SHORT, LONG), ran.directions, strict=True))


def score(ran, a, b, kind=None):
    """s_a - s_b of the library's own output, or of features that its head reads; nothing of ours."""
    if isinstance(a, int):
        return lambda output: output[a] - output[b]
    a, b = a.double(), b.double()
    if (kind or ("cos" if ran.model.kind == "clip" else "dot")) == "dot":
        return lambda f: f.flatten() @ a - f.flatten() @ b
    return lambda f: F.cosine_similarity(f.flatten(), a, dim=0) - F.cosine_similarity(f.flatten(), b, dim=0)


def classes(ran):
    """The classifier's own head, in float64."""
    head = ran.module.get_classifier()
    return lambda f: F.linear(f, head.weight.double(), head.bias.double())


# -- one gradient of the difference ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", READOUTS)
def test_legrad_differentiates_the_difference_of_the_scores_at_every_layer(name):
    ran = Ran(FAMILIES[name]())
    a, b = sides(ran)
    head = classes(ran) if isinstance(a, int) else (lambda f: f)
    made = native.record(ran.module, ran.image)
    for relu in (True, False):
        maps = ran("legrad", [lw.Contrast(a, b)], relu=relu)
        for layer, (own, z) in enumerate(zip(made.attention, made.after, strict=False)):
            pooled = native.Recording(made.model)
            with native.explicit_attention(pooled), torch.enable_grad():
                s = score(ran, a, b)(head(features(made.model, pooled_from(z, "native"))))
            of_pooler = bool(pooled.attention)
            (gradient,) = torch.autograd.grad(s, pooled.attention[-1] if of_pooler else own, retain_graph=True)
            gradient = gradient.clamp(min=0) if relu else gradient
            row = gradient[:, 0] if of_pooler else gradient.mean(1)
            oracle = torch.cat([row.new_zeros(len(row), len(z) - row.shape[1]), row], 1)
            assert_close(maps.tokens[0, layer], oracle)
            assert float(maps.scores[0, layer]) == pytest.approx(float(s.detach()), abs=1e-9)


@pytest.mark.parametrize("name", READOUTS)
def test_cdam_differentiates_the_difference_of_the_scores(name):
    ran = Ran(FAMILIES[name]())
    a, b = sides(ran)
    pooler = ran.vit.readout.pooler is not None
    for kind in (None, *(("dot", "cos") if ran.model.kind == "clip" else ())):
        whole, _ = cdam_oracle(ran.module, ran.image, score(ran, a, b, kind or "dot"), pooler=pooler)
        assert_close(ran("cdam", [lw.Contrast(a, b)], score=kind).tokens[0, 0].mean(0), whole)


@pytest.mark.parametrize("name", ["clip", "clip-sigmoid", "timm-gap-no-cls", "timm-map"])
def test_gradcam_differentiates_the_difference_of_the_scores(name):
    ran = Ran(FAMILIES[name]())
    a, b = sides(ran)
    scored = final_score.score(ran.module, ran.image, a, "logit" if isinstance(a, int) else "cos")
    scored.score = score(ran, a, b)(scored.made.output)
    maps = ran("gradcam", [lw.Contrast(a, b)], weights="patches")
    expected = gradcam_oracle.at_output(scored, maps.layers[0], ran.vit.prefix, "patches")
    assert_close(maps.tokens[0, 0, 0], expected)


@pytest.mark.parametrize("kind", [None, "cos", "dot", "raw", "logit"])
@pytest.mark.parametrize("name", ["clip", "clip-sigmoid", "timm", "dinov2"])
def test_every_score_of_a_contrast_is_the_difference_of_the_two(name, kind):
    ran = Ran(FAMILIES[name]())
    a, b = sides(ran)
    aims = ran.model.aims([ran.model.target(t) for t in (a, b, lw.Contrast(a, b), lw.Contrast(b, a))])
    s_a, s_b, over, under = Aims(aims, kind)(ran.encoding.features.expand(4, -1)).tolist()
    assert over == pytest.approx(s_a - s_b, rel=1e-12)
    assert under == pytest.approx(s_b - s_a, rel=1e-12)
    gain, slope, _ = aims[2].form(kind)  # what methods that walk the layers by hand read: one vector, three numbers
    if (kind or aims[2].default) == aims[2].default:
        f, t = ran.encoding.features.double(), aims[2].vector.double()
        made = gain * F.cosine_similarity(f, t, dim=0) + slope * (f @ t) + aims[2].form(kind)[2]
        assert float(made) == pytest.approx(s_a - s_b, rel=1e-12)


# -- identities -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LINEAR)
@pytest.mark.parametrize("name", ["timm", "timm-gap-norm-after", "timm-registers"])
def test_without_a_relu_the_map_is_the_difference_of_the_maps(name, method):
    ran = Ran(FAMILIES[name]())
    a, b, over, under = ran(method, [3, 5, lw.Contrast(3, 5), lw.Contrast(5, 3)], **LINEAR[method]).tokens
    assert_close(over, a - b, summands=torch.stack([a, b]))
    assert_close(under, -over)
    assert float(over.abs().max()) > 1e-3 * float(a.abs().max())


def test_the_positive_parts_come_from_one_gradient_and_its_negative():
    ran = Ran(FAMILIES["clip"]())
    cut = ran("legrad", [lw.Contrast(*ran.directions), lw.Contrast(*ran.directions[::-1])]).tokens
    signed = ran("legrad", [lw.Contrast(*ran.directions)], relu=False).tokens[0]
    assert_close(cut[0] - cut[1], signed)  # relu(g) - relu(-g) = g, averaged over the rows
    assert min(float(maps.max()) for maps in cut) > 0  # two maps, not one map and nothing


def test_both_directions_share_one_forward_and_no_side_is_explained_apart():
    module = specimens.timm_vit()
    model, calls = lw.wrap(module), []
    module.patch_embed.register_forward_pre_hook(lambda *_: calls.append(1))
    encoding = model.encode(specimens.picture())
    assert len(calls) == 1
    over, under = encoding.explain([lw.Contrast(3, 5), lw.Contrast(5, 3)])
    assert len(calls) == 1
    assert (over.maps.min(), under.maps.min()) >= (0, 0)
    assert over.score == pytest.approx(-under.score)


@pytest.mark.parametrize("method", ["legrad", "cdam", "gradcam", "chefercam", "lrp"])
def test_a_contrast_costs_what_one_target_costs(method):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    costs = []
    for target in (3, lw.Contrast(3, 5)):
        encoding.explain(target, method)  # what targets share is there
        with FlopCounterMode(display=False) as counter:
            encoding.explain(target, method)
        costs.append(counter.get_total_flops())
    logits = 2 * specimens.WIDTH * specimens.CLASSES  # all classes' are read for the probability of one among them
    assert costs[0] - logits == costs[1] > 0


def test_a_method_that_ignores_the_target_shows_what_it_shows_for_any():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    for method in ("rollout", "raw_attention"):
        over, plain = encoding.explain([lw.Contrast(3, 5), 3], method)
        np.testing.assert_array_equal(over.maps, plain.maps)


@pytest.mark.parametrize("name", ["clip", "timm", "siglip-linear"])
def test_every_method_explains_a_contrast_alone_and_beside_others(name):
    ran = Ran(FAMILIES[name](), torch.float32)
    a, b = sides(ran)
    for method in lw.list_methods():
        if method.refuses(ran.vit):
            continue
        together = ran.encoding.explain([a, lw.Contrast(a, b), b], method.name)
        alone = ran.encoding.explain(lw.Contrast(a, b), method.name)
        assert np.abs(alone.maps).max() > 0
        np.testing.assert_allclose(together[1].maps, alone.maps, atol=2e-5 * np.abs(alone.maps).max())


# -- what is said beside the map ------------------------------------------------------------------------------


def test_of_two_classes_the_score_is_the_difference_of_logits_and_the_probability_is_between_them():
    ran = Ran(specimens.timm_vit())
    native_logits = ran.module(ran.image[None].double())[0].detach()
    x = ran.encoding.explain(lw.Contrast(3, lw.Class(5)))
    assert x.score == pytest.approx(float(native_logits[3] - native_logits[5]), abs=1e-9)
    assert x.score_name == "logit"
    assert x.probability == pytest.approx(float(native_logits[[3, 5]].softmax(0)[0]), abs=1e-9)
    assert (x.label, x.probability_of, x.supported) == ("class 3 over class 5", "class 3 or class 5", None)
    assert x.target == lw.Contrast(lw.Class(3, "class 3"), lw.Class(5, "class 5"))


@pytest.mark.parametrize("bias", [None, -3.0])
def test_of_two_prompts_on_a_clip(bias):
    import open_clip

    module = specimens.clip(logit_bias=bias)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    model = lw.wrap(module, tokenizer=tokenizer)
    encoding = model.encode(specimens.picture())
    with torch.no_grad():
        u = F.normalize(module.encode_text(tokenizer(["a cat", "a dog"])), dim=-1)
        f = F.normalize(module.encode_image(encoding.image[None]), dim=-1)[0]
    difference = float(f @ u[0] - f @ u[1])
    x = encoding.explain(lw.Contrast("a cat", lw.Text("a dog")))
    assert x.score == pytest.approx(difference, abs=1e-6)
    assert x.score_name == "cosine"
    assert x.label == "a cat over a dog"
    assert x.probability == pytest.approx(
        1 / (1 + math.exp(-float(module.logit_scale.detach().exp()) * difference)), abs=1e-5
    )
    assert (x.probability_of, x.supported) == ("a cat or a dog", None)
    empty = encoding.explain(lw.Contrast("a cat", lw.Text("", control=True)))
    assert (empty.label, empty.probability, empty.supported) == ("a cat over (empty prompt)", None, None)
    vectors = specimens.directions(model.vit.features, 2)
    assert encoding.explain(lw.Contrast(*vectors)).probability is None


def test_the_built_in_model_tells_two_things_of_one_picture_apart():
    picture = lw.scene(["cat", "dog"], seed=1)
    encoding = lw.load("builtin").encode(picture.image)
    over, under = encoding.explain([lw.Contrast("cat", "dog"), lw.Contrast("dog", "cat")], relu=False)
    np.testing.assert_allclose(over.maps, -under.maps, atol=1e-6 * np.abs(over.maps).max())
    assert over.note == ""
    assert "zebroid" in encoding.explain(lw.Contrast("cat", "zebroid")).note
    assert encoding.explain(lw.Contrast("cat", "zebroid")).supported is None


def test_concepts_and_prompts_can_be_opposed_on_a_clip():
    model = lw.load("builtin")
    encoding = model.encode(specimens.picture())
    concept = lw.Concept(images=[specimens.picture(seed=3)], label="noise")
    x = encoding.explain(lw.Contrast(concept, "cat"))
    a, b = encoding.explain([concept, "cat"])
    assert x.score == pytest.approx(a.score - b.score, abs=1e-6)
    assert (x.label, x.score_name, x.probability) == ("noise over cat", "cosine", None)


# -- what cannot be a contrast --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: lw.Contrast("cat", "cat"), lw.TargetError, "nothing sets 'cat' apart from itself"),
        (lambda: lw.Contrast(3, lw.Class(3)), lw.TargetError, "nothing sets 'class 3' apart from itself"),
        (lambda: lw.Contrast(lw.Contrast(1, 2), 3), lw.TargetError, "neither may be a contrast again"),
        (lambda: lw.Contrast("cat", lw.Contrast("cat", "dog")), lw.TargetError, "neither may be a contrast again"),
        (lambda: lw.Contrast("cat", " "), lw.TargetError, "the prompt is blank"),
        (lambda: lw.Contrast("cat", None), TypeError, "a target is a prompt .* or lw.Contrast; this is NoneType"),
        (lambda: lw.Contrast("cat", ["dog"]), TypeError, "this is list"),
    ],
)
def test_a_contrast_that_cannot_be_is_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()


def test_a_contrast_that_this_model_cannot_make_is_refused():
    classifier = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    vector = specimens.directions(classifier.model.vit.features, 1)[0]
    with pytest.raises(lw.TargetError, match="'class 3' is scored by its logit and 'direction' by its dot product"):
        classifier.explain(lw.Contrast(3, vector))
    with pytest.raises(lw.TargetError, match="nothing sets 'class 3' apart from itself"):
        classifier.explain(lw.Contrast("class 3", 3))
    with pytest.raises(lw.TargetError, match="class indices go from 0 to 6"):
        classifier.explain(lw.Contrast(3, 99))
    with pytest.raises(lw.TargetError, match="'direction' and 'direction' are the same: their scores never differ"):
        classifier.explain(lw.Contrast(vector, vector.copy()))
    clip = lw.load("builtin").encode(specimens.picture())
    vector = specimens.directions(clip.model.vit.features, 1)[0]
    with pytest.raises(lw.TargetError, match="are the same"):  # a cosine does not see how long a vector is
        clip.explain(lw.Contrast(vector, 2 * vector))
    assert classifier.explain([lw.Contrast(3, 4)], "legrad")[0].maps.any()  # nothing was changed


def test_a_softmax_over_classes_has_no_contrast():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(lw.KnobError, match="'class 3 over class 5' is not one of them"):
        encoding.explain(lw.Contrast(3, 5), "reciprocam", score="prob")
    by_default, by_logit = (encoding.explain(lw.Contrast(3, 5), "reciprocam", **k) for k in ({}, {"score": "logit"}))
    np.testing.assert_array_equal(by_default.maps, by_logit.maps)


# -- templates ------------------------------------------------------------------------------------------------

TEMPLATES = ["a photo of a {}", "a drawing of a {}", "one {} in a picture"]


def counted_clip(**options):
    """A CLIP with its tokenizer, and a list that grows with every prompt that its text tower reads."""
    import open_clip

    module, read = specimens.clip(**options), []
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    encode = module.encode_text
    module.encode_text = lambda tokens, *rest, **more: (read.append(len(tokens)), encode(tokens, *rest, **more))[1]
    return lw.wrap(module, tokenizer=tokenizer), read


def test_templates_are_averaged_as_unit_vectors():
    model, _ = counted_clip()
    target = lw.Text("cat", templates=TEMPLATES)
    (aim,) = model.aims([model.target(target)])
    each = model.text([template.replace("{}", "cat") for template in TEMPLATES])
    assert float(aim.vector.norm()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(aim.vector, F.normalize(sum(each) / 3, dim=0))
    encoding = model.encode(specimens.picture())
    x, explicit = encoding.explain([target, (sum(each) / 3).numpy()])
    np.testing.assert_allclose(x.maps, explicit.maps, atol=1e-5 * np.abs(explicit.maps).max())
    assert x.score == pytest.approx(explicit.score, abs=1e-6)
    assert (x.label, x.target) == ("cat", target)
    assert 0 < x.probability < 1


def test_one_template_is_that_prompt():
    model, _ = counted_clip()
    a, b = model.aims([model.target(lw.Text("cat", templates=["a {}"])), model.target("a cat")])
    assert torch.equal(a.vector, b.vector)


def test_filled_templates_are_read_once():
    model, read = counted_clip()
    ask = [model.target(lw.Text("cat", templates=TEMPLATES)), model.target("a photo of a cat")]
    model.aims(ask)
    assert sum(read) == 3
    model.aims([*ask, model.target(lw.Text("cat", templates=[*TEMPLATES, "{}"]))])
    assert sum(read) == 4
    model.aims([model.target(lw.Contrast(ask[0], lw.Text("dog", templates=TEMPLATES[:2])))])
    assert sum(read) == 6


@pytest.mark.parametrize(
    ("templates", "error", "reason"),
    [
        (["a photo"], lw.TargetError, "one {} where the text goes, .*arrived: 'a photo'"),
        (["{} or {}"], lw.TargetError, "one {} where the text goes"),
        (["{name}"], lw.TargetError, "one {} where the text goes"),
        ("a {}", TypeError, r"templates is a list of sentences: lw.Text\('cat', templates="),
        ([3], TypeError, "templates is a list of sentences"),
        (["{}"] * 101, lw.TargetError, "101 templates are too many: at most 100"),
        (["{}" + "x" * 999], lw.TargetError, "a filled template has 1002 characters; at most 1000"),
    ],
)
def test_templates_that_cannot_be_are_refused(templates, error, reason):
    with pytest.raises(error, match=reason):
        lw.Text("cat", templates=templates)


def test_braces_in_a_prompt_are_only_characters():
    assert lw.Text("{0.__class__} {}", templates=["a {}"]).prompts == ("a {0.__class__} {}",)


# -- specificity ----------------------------------------------------------------------------------------------


def test_specificity_is_one_minus_the_correlation_of_the_merged_maps():
    encoding = lw.load("builtin").encode(lw.scene(["cat"], seed=1).image)
    x, y = encoding.explain(["cat", lw.Text("", control=True)], layers=(4, 5, 6))
    a, b = (m.raw().astype(float).ravel() for m in (x, y))
    a, b = a - a.mean(), b - b.mean()
    expected = 1 - (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
    assert encoding.specificity("cat", layers=(4, 5, 6)) == pytest.approx(expected, abs=1e-9)
    assert encoding.specificity("cat", control="xqzw", relu=False) == pytest.approx(
        1 - np.corrcoef(*(m.raw().ravel() for m in encoding.explain(["cat", "xqzw"], relu=False)))[0, 1], abs=1e-6
    )


def test_a_method_that_ignores_the_target_has_none():
    encoding = lw.load("builtin").encode(lw.scene(["cat"], seed=1).image)
    for method in ("rollout", "raw_attention"):
        assert encoding.specificity("cat", method) == pytest.approx(0, abs=1e-9)


def test_a_noun_that_is_there_is_far_from_the_empty_prompt():
    encoding = lw.load("builtin").encode(lw.scene(["cat"], seed=1).image)
    assert encoding.specificity("cat") > 0.3
    assert encoding.specificity("cat", control="cat") == pytest.approx(0, abs=1e-9)


def test_the_negative_map_is_the_least_alike():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    number = encoding.specificity(lw.Contrast(3, 5), control=lw.Contrast(5, 3), relu=False)
    assert number == pytest.approx(2, abs=1e-6)


def test_of_a_flat_map_nothing_can_be_said():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.head.weight[3] = 0
    encoding = lw.wrap(module).encode(specimens.picture())
    assert math.isnan(encoding.specificity(3, control=5))


def test_a_control_that_cannot_be_asked():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(lw.TargetError, match=r"cannot be asked the empty prompt; name another control"):
        encoding.specificity(3)
    with pytest.raises(TypeError, match="one target"):
        encoding.specificity([3, 5], control=4)
    assert find("textspan").together
    with pytest.raises(lw.KnobError, match="only one was asked"):
        encoding.specificity(3, "textspan", control=5, contrast="mean_over_prompts")
    assert encoding.specificity(3, "textspan", control=5) > 0
