"""Whatever PyTorch state the caller has switched on, the numbers are the same; what cannot be followed is refused."""

from __future__ import annotations

import concurrent.futures

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

import legrad_widget as lw
from legrad_widget.models.preprocess import picture
from tests import specimens


@pytest.fixture
def default_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def everything():
    """Every public call that computes."""
    module = specimens.clip(logit_bias=-3.0)
    model = lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32"), class_names=["cat", "dog"])
    encoding = model.encode(specimens.picture())
    maps = [encoding.explain("a cat", m.name).maps for m in lw.list_methods()]
    return [*maps, encoding.explain(1, pool="mean").maps, np.array([p.probability for p in encoding.predictions()])]


@pytest.mark.parametrize(
    "context", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16), torch.no_grad]
)
def test_every_call_under_the_callers_context_gives_the_same(context):
    expected = everything()
    module = specimens.clip(logit_bias=-3.0)
    model = lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32"), class_names=["cat", "dog"])
    with context():
        encoding = model.encode(specimens.picture())
        maps = [encoding.explain("a cat", m.name).maps for m in lw.list_methods()]
        maps += [encoding.explain(1, pool="mean").maps, np.array([p.probability for p in encoding.predictions()])]
        lw.wrap(module)
    for ours, theirs in zip(maps, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_default_dtype_gives_the_same(default_float64):
    module = specimens.timm_vit().float()
    maps = [lw.wrap(module).encode(specimens.picture()).explain(1, m.name).maps for m in lw.list_methods()]
    torch.set_default_dtype(torch.float32)
    for method, ours in zip(lw.list_methods(), maps, strict=True):
        expected = lw.wrap(module).encode(specimens.picture()).explain(1, method.name).maps
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_models_that_would_be_misread_are_refused():
    class Scaled(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            return self.module(x * 2) * 7

    with pytest.raises(lw.UnsupportedModel, match="Scaled cannot be explained"):
        lw.wrap(Scaled(specimens.timm_vit()))
    with torch.inference_mode():
        module = specimens.timm_vit()
    with pytest.raises(lw.UnsupportedModel, match="inference_mode"):
        lw.wrap(module)
    with pytest.raises(lw.UnsupportedModel, match="patches of an RGB picture"):
        lw.wrap(specimens.timm_vit(in_chans=1))
    with pytest.raises(lw.UnsupportedModel, match="patches of an RGB picture"):
        lw.wrap(timm.create_model("vit_tiny_r_s16_p8_224"))
    with pytest.raises(lw.UnsupportedModel, match="mixes hidden units"):
        lw.wrap(specimens.timm_vit(act_layer=lambda **_: nn.Softmax(-1)))


def test_tensors_that_are_no_preprocessed_image_are_refused():
    model = lw.wrap(specimens.timm_vit())
    with pytest.raises(lw.ImageError, match=r"torch\.uint8"):
        model.encode(torch.zeros(3, 48, 48, dtype=torch.uint8))
    with pytest.raises(lw.ImageError, match="reaches 200"):
        model.encode(torch.full((3, 48, 48), 200.0))
    image = torch.randn(3, 48, 48)
    encoding = model.encode(image)
    image.zero_()
    assert encoding.image.any()


def test_a_torchvision_transform_is_followed_or_refused():
    steps = [
        transforms.Resize(48),
        transforms.CenterCrop(48),
        transforms.ToTensor(),
        transforms.Normalize([0.1] * 3, [0.2] * 3),
    ]
    model = lw.wrap(specimens.timm_vit(), preprocess=transforms.Compose(steps))
    assert (model.preprocess.mean, model.preprocess.interpolation) == (pytest.approx((0.1,) * 3), "bilinear")
    with pytest.raises(ValueError, match="a step Grayscale"):
        lw.wrap(specimens.timm_vit(), preprocess=transforms.Compose([transforms.Grayscale(3), *steps]))
    for bad in (
        {"mean": 0.5, "std": 0.5},
        {"mean": (0, 0, 0), "std": (1, 0, 1)},
        {"mean": (0, 0, 0), "std": (1, float("nan"), 1)},
    ):
        with pytest.raises(ValueError, match="three"):
            lw.wrap(specimens.timm_vit(), preprocess=bad)
    with pytest.raises(ValueError, match="interpolation is one of"):
        lw.wrap(specimens.timm_vit(), preprocess={"mean": (0, 0, 0), "std": (1, 1, 1), "interpolation": "smooth"})


def test_one_class_alone_has_no_probability():
    encoding = lw.wrap(specimens.timm_vit(num_classes=1)).encode(specimens.picture())
    assert encoding.predictions() == ()
    assert encoding.explain(0).probability is None
    with pytest.raises(ValueError, match="at least one prediction"):
        encoding.predictions(-1)


def test_names_that_could_mean_two_classes_are_refused():
    model = lw.wrap(specimens.timm_vit(num_classes=3), class_names=["crane", "cat, kitty", "crane"])
    encoding = model.encode(specimens.picture())
    with pytest.raises(lw.TargetError, match="2 classes are called 'crane': 0, 2"):
        encoding.explain("crane")
    with pytest.raises(lw.TargetError, match="class 1 is 'cat, kitty', not 'crane'"):
        encoding.explain(lw.Class(1, "crane"))
    assert encoding.explain(torch.tensor(2)).target.index == 2
    assert lw.wrap(specimens.timm_vit(num_classes=1000)).class_names[0] == "class 0"
    named = lw.wrap(specimens.timm_vit(num_classes=1000), class_names="imagenet").class_names
    assert named[1].startswith("goldfish")


def test_an_everyday_prompt_is_not_compared_with_itself():
    model = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    encoding = model.encode(specimens.picture())
    from legrad_widget.support import EVERYDAY

    xs = encoding.explain(list(EVERYDAY))
    assert sum(x.probability for x in xs) == pytest.approx(1, abs=1e-5)
    assert xs[0].probability_of == f"softmax with {len(EVERYDAY) - 1} everyday prompts"


def test_a_preset_says_what_ran_and_takes_no_other_word():
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    x = encoding.explain(1, preset="reference")
    assert (x.knobs["pool"], x.knobs["score"], x.layers) == ("mean", "cos", (2, 3))
    np.testing.assert_array_equal(x.maps, encoding.explain(1, pool="mean", score="cos", layers=[2, 3]).maps)
    x = encoding.explain(1, preset="paper")
    np.testing.assert_array_equal(x.maps, encoding.explain(1, pool="cls", score="raw").maps)
    with pytest.raises(lw.KnobError, match="sets pool and score"):
        encoding.explain(1, preset="paper", pool="mean")


def test_a_tokenizer_without_encode_does_not_cut_silently():
    inner = open_clip.get_tokenizer("ViT-B-32")
    model = lw.wrap(specimens.clip(), tokenizer=lambda texts: inner(texts))
    encoding = model.encode(specimens.picture())
    encoding.explain("a cat")
    with pytest.raises(lw.TargetError, match="more than the 77 tokens"):
        encoding.explain("cat " * 90)


def test_pillows_own_limit_is_left_alone():
    before = Image.MAX_IMAGE_PIXELS
    data = specimens.picture()
    import io

    buffer = io.BytesIO()
    Image.fromarray(data).save(buffer, "PNG")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: picture(buffer.getvalue()), range(40)))
    assert before == Image.MAX_IMAGE_PIXELS


def test_many_targets_fit_into_memory_in_parts(monkeypatch):
    encoding = lw.wrap(specimens.timm_vit()).encode(specimens.picture())
    targets = specimens.directions(encoding.model.vit.features, 5)
    together = encoding.explain(targets, pool="mean")
    monkeypatch.setattr("legrad_widget.explainer._TOGETHER", 1)
    for a, b in zip(together, encoding.explain(targets, pool="mean"), strict=True):
        np.testing.assert_allclose(a.maps, b.maps, rtol=1e-5, atol=1e-9)
    together[0].knobs["pool"] = "changed"
    assert together[1].knobs["pool"] == "mean"


def test_arguments_that_cannot_be_get_a_sentence():
    model = lw.wrap(specimens.timm_vit())
    encoding = model.encode(specimens.picture())
    x = encoding.explain(1)
    for call, kind, words in [
        (lambda: model.encode(specimens.picture(), size=(float("inf"), 48)), ValueError, "whole pixels"),
        (lambda: model.encode("crop", fit=specimens.picture()), ValueError, "fit='crop'"),
        (lambda: model.encode("data:image/png;base64," + "A" * 5000), ValueError, "not fetched"),
        (lambda: model.encode("x" * 5000), ValueError, "no image file"),
        (lambda: encoding.explain(1, layers=1.0), TypeError, "whole numbers"),
        (lambda: encoding.explain(1, layers=slice(3, 1, -1)), ValueError, "goes upwards"),
        (lambda: encoding.explain(lw.Class("cat")), TypeError, r"lw\.Class\(name='cat'\)"),
        (lambda: encoding.explain([0.1] * 32), TypeError, r"np\.array"),
        (lambda: lw.Direction("abc"), TypeError, "a vector of numbers"),
        (lambda: x.overlay(colormap="nope"), ValueError, "no colour map"),
        (lambda: x.overlay(opacity=5), ValueError, "from 0 to 1"),
        (lambda: x.heatmap((float("inf"), 3)), ValueError, "height, width"),
        (lambda: lw.load("timm:test_vit", device="cuda:99"), ValueError, "use device='cpu'"),
        (lambda: lw.load("timm:test_vit", dtype="float16"), TypeError, r"torch\.float16"),
        (lambda: lw.load("builtin", checkpoint="w.pt"), ValueError, "leave out checkpoint"),
        (lambda: lw.wrap(specimens.clip(), tokenizer="ViT-B-32"), TypeError, "a tokenizer is a function"),
        (lambda: lw.wrap(specimens.timm_vit(num_classes=0), head="abc"), TypeError, r"nn\.Linear"),
        (lambda: lw.wrap(specimens.timm_vit(), class_names=5), TypeError, "list of strings"),
    ]:
        with pytest.raises(kind, match=words):
            call()
    assert lw.wrap(specimens.timm_vit(num_classes=2), class_names=np.array(["a", "b"])).class_names == ("a", "b")
    assert lw.wrap(specimens.timm_vit(num_classes=2), class_names=(n for n in "ab")).class_names == ("a", "b")
    assert model.encode(specimens.picture(), size=np.int64(48)).grid == (3, 3)
    assert encoding.explain(1, "rollout", start=np.int64(2)).layers == (1, 2, 3)
