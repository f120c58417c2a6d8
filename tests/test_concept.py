"""A concept from example pictures: the mean of their features, as a target like any other."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

import legrad_widget as lw
from tests import specimens

PICTURES = [specimens.picture(seed=seed, height=50 + 10 * seed) for seed in range(3)]


def forwards(module):
    """A list that grows with every forward of the first block."""
    calls = []
    block = next(m for name, m in module.named_modules() if name.endswith("blocks.0"))
    block.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("name", ["timm", "timm-gap-norm-after", "timm-map-headless", "clip"])
def test_a_concept_is_the_mean_of_the_native_features(name):
    module = specimens.EVERY[name]()
    model = lw.wrap(module)
    encoding, concept = model.encode(specimens.picture(seed=9)), lw.Concept(images=PICTURES, label="stripes")
    with torch.no_grad():
        inputs = torch.stack([model.encode(image).image for image in PICTURES])  # squashed to the model's input
        own = model.encode(specimens.picture(seed=9)).image[None]
        tower = getattr(module, "visual", module)
        read = (lambda x: tower.forward_head(tower.forward_features(x), pre_logits=True)) if name != "clip" else tower
        mean, feature = read(inputs).mean(0), read(own)[0]
    dot, cosine = float(feature @ mean), float(torch.cosine_similarity(feature, mean, dim=0))
    x = encoding.explain(concept)
    assert x.score == pytest.approx(cosine if name == "clip" else dot, rel=1e-4)
    assert x.score_name == ("cosine" if name == "clip" else "dot")
    assert (x.label, x.target) == ("stripes", concept)
    assert x.probability is None
    assert x.supported is None
    np.testing.assert_allclose(x.maps, encoding.explain(mean).maps, atol=1e-5 * np.abs(x.maps).max())


def test_any_kind_of_picture_is_squashed_to_what_the_model_sees(tmp_path):
    model = lw.wrap(specimens.timm_vit())
    path = tmp_path / "a.png"
    Image.fromarray(PICTURES[0]).save(path)
    encoding = model.encode(specimens.picture())
    ways = [PICTURES[0], Image.fromarray(PICTURES[0]), path, str(path), path.read_bytes(), model.encode(path).image]
    scores = [encoding.explain(lw.Concept(images=[way])).score for way in ways]
    assert scores == pytest.approx([scores[0]] * len(ways))


def test_it_stands_in_lists_beside_other_targets_and_under_every_method():
    model = lw.wrap(specimens.timm_vit())
    encoding = model.encode(specimens.picture())
    concept, other = lw.Concept(images=PICTURES), lw.Concept(images=PICTURES[:1])
    for method in lw.list_methods():
        if method.refuses(model.vit):
            continue
        together = encoding.explain([concept, 3, other], method.name)
        assert [x.label for x in together] == ["concept of 3 images", "class 3", "concept of 1 image"]
        for x, target in zip(together, (concept, 3, other), strict=True):
            alone = encoding.explain(target, method.name)
            np.testing.assert_allclose(x.maps, alone.maps, atol=2e-5 * np.abs(alone.maps).max())


def test_examples_are_read_once_per_model_and_again_when_weights_changed():
    module = specimens.timm_vit()
    model, concept, calls = lw.wrap(module), lw.Concept(images=PICTURES), forwards(module)
    encoding = model.encode(specimens.picture())
    calls.clear()
    first = encoding.explain(concept)
    assert len(calls) == len(PICTURES)
    again = encoding.explain([concept, concept], "raw_attention")
    assert len(calls) == len(PICTURES)
    assert again[0].score == first.score
    with torch.no_grad():
        module.norm.weight.mul_(1.5)
    x = model.encode(specimens.picture()).explain(concept)
    assert len(calls) == len(PICTURES) + 1 + len(PICTURES)
    assert x.score != pytest.approx(first.score, rel=1e-3)
    other = lw.wrap(specimens.clip())
    assert other.encode(specimens.picture()).explain(concept).score_name == "cosine"  # one concept, several models


def test_nothing_keeps_a_concept_alive():
    model = lw.wrap(specimens.timm_vit())
    concept = lw.Concept(images=PICTURES)
    model.encode(specimens.picture()).explain(concept)
    gone = weakref.ref(concept)
    del concept
    gc.collect()
    assert gone() is None


def test_reading_the_examples_can_be_stopped():
    model = lw.wrap(specimens.timm_vit())
    encoding, concept, seen = model.encode(specimens.picture()), lw.Concept(images=PICTURES), []

    def stop(step, total):
        seen.append((step, total))
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoding.explain(concept, progress=stop)
    assert seen == [(0, 3), (1, 3)]
    assert encoding.explain(concept).score == pytest.approx(encoding.explain(lw.Concept(images=PICTURES)).score)


def test_the_label_and_the_pictures_are_kept_as_given():
    images = list(PICTURES)
    concept = lw.Concept(images=images, label="  striped ")
    images.clear()
    assert concept.label == "striped"
    assert len(concept.images) == 3
    assert lw.Concept(images=tuple(PICTURES)) != concept
    assert repr(concept) == "Concept(label='striped')"


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda: lw.Concept(images="cat.jpg"), TypeError, r"lw.Concept\(images=\['a.jpg', 'b.jpg'\].*images is str"),
        (lambda: lw.Concept(images=PICTURES[0]), TypeError, "images is ndarray"),
        (lambda: lw.Concept("stripes", PICTURES), TypeError, "images is str"),
        (lambda: lw.Concept(images=PICTURES, label=3), TypeError, "label is a string; this is int"),
        (lambda: lw.Concept(images=[]), lw.TargetError, "at least one example picture"),
    ],
)
def test_a_concept_that_cannot_be_is_refused(make, error, reason):
    with pytest.raises(error, match=reason):
        make()


def test_a_picture_that_cannot_be_read_is_named():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    with pytest.raises(lw.TargetError, match=r"image 2 of 2 of 'cats': .*0 bytes"):
        encoding.explain(lw.Concept(images=[PICTURES[0], b""], label="cats"))
    with pytest.raises(TypeError, match="image 1 of 1 of 'cats': "):
        encoding.explain(lw.Concept(images=[3], label="cats"))


def test_examples_that_cancel_out_say_so():
    module = specimens.timm_vit()
    with torch.no_grad():
        module.norm.weight.zero_()
        module.norm.bias.zero_()
    with pytest.raises(lw.TargetError, match="the mean feature of 'cats' is zero"):
        lw.wrap(module).encode(specimens.picture()).explain(lw.Concept(images=PICTURES, label="cats"))


def test_the_widget_holds_it_under_a_key():
    model = lw.wrap(specimens.timm_vit())
    concept = lw.Concept(images=PICTURES, label="striped")
    widget = model.explore(specimens.picture(), [concept, 2])
    try:
        widget.wait()
        assert widget.targets[0] is concept
        assert widget.targets.wire[0]["kind"] == "held"
        assert widget.targets.wire[0]["label"] == "striped"
        assert widget.explanation.label == "striped"
    finally:
        widget.close()
