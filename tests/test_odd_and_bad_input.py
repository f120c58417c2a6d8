"""Odd input works; bad input is refused in a sentence, with state intact and the next request working."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import legrad_widget as lw
from legrad_widget.models.preprocess import picture
from tests import specimens


@pytest.fixture(scope="module")
def clip():
    return lw.wrap(specimens.clip(logit_bias=-3.0), tokenizer=open_clip.get_tokenizer("ViT-B-32"))


@pytest.fixture(scope="module")
def classifier():
    return lw.wrap(specimens.timm_vit(), class_names=["ant", "bee", "cat", "dog", "eel", "fox", "gnu, wildebeest"])


@pytest.fixture
def encoding(clip):
    return clip.encode(specimens.picture())


def encoded(image: Image.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


RGB = Image.fromarray(specimens.picture())


def rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    return encoded(RGB, "JPEG", exif=exif)


def animated() -> bytes:
    frames = [Image.new("RGB", (40, 30), c) for c in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


ODD_IMAGES = {
    "cmyk": lambda: encoded(RGB.convert("CMYK"), "JPEG"),
    "16-bit": lambda: encoded(Image.fromarray(np.arange(80 * 60, dtype=np.uint16).reshape(60, 80) * 13), "PNG"),
    "palette": lambda: encoded(RGB.quantize(16), "PNG"),
    "palette with transparency": lambda: encoded(RGB.quantize(16), "PNG", transparency=3),
    "alpha": lambda: encoded(Image.merge("RGBA", (*RGB.split(), Image.linear_gradient("L").resize(RGB.size))), "PNG"),
    "grey": lambda: encoded(RGB.convert("L"), "PNG"),
    "1-bit": lambda: encoded(RGB.convert("1"), "PNG"),
    "exif": rotated_by_exif,
    "animated": animated,
    "float tiff": lambda: encoded(Image.fromarray(np.linspace(0, 1, 4800, dtype=np.float32).reshape(60, 80)), "TIFF"),
    "grey array": lambda: np.zeros((30, 40), np.uint8),
    "float array": lambda: np.random.default_rng(0).random((30, 40, 3)),
    "array with alpha": lambda: np.full((30, 40, 4), 128, np.uint8),
    "PIL": lambda: RGB,
    "very wide": lambda: Image.new("RGB", (900, 6)),
}


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_odd_images_work(clip, name):
    for fit in ("squash", "crop", "pad"):
        encoding = clip.encode(ODD_IMAGES[name](), fit=fit)
        assert encoding.picture.mode == "RGB"
        assert np.isfinite(encoding.explain("a cat").maps).all()


def test_what_odd_images_become():
    assert picture(rotated_by_exif()).size == (RGB.height, RGB.width)
    assert picture(animated()).getpixel((5, 5)) == (255, 0, 0)
    half = picture(ODD_IMAGES["16-bit"]())
    assert 235 < np.asarray(half).max() <= 255
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert picture(clear).getpixel((2, 2)) == (255, 255, 255)
    np.testing.assert_array_equal(np.asarray(picture(specimens.picture())), specimens.picture())


def test_a_path_and_its_bytes_give_the_same_map(clip, tmp_path):
    path = tmp_path / "ünïcode picture.png"
    path.write_bytes(encoded(RGB, "PNG"))
    maps = [clip.encode(source).explain("a cat").maps for source in (path, str(path), path.read_bytes(), RGB)]
    for other in maps[1:]:
        np.testing.assert_array_equal(maps[0], other)


def bomb() -> bytes:
    """A PNG header of 20000 x 20000 pixels with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


BAD_IMAGES = {
    "not an image": (lambda: b"%PDF-1.7 this is no picture", "not an image"),
    "truncated jpeg": (lambda: encoded(RGB.resize((400, 300)), "JPEG")[:900], "damaged or cut off"),
    "truncated png": (lambda: encoded(RGB, "PNG")[:-60], "damaged or cut off"),
    "0 bytes": (lambda: b"", "0 bytes"),
    "1x1": (lambda: encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels"),
    "bomb": (bomb, "400 million pixels; at most 64 million"),
    "missing file": (lambda: "no/such/picture.png", "no image file"),
    "address": (lambda: "https://example.org/cat.png", "not fetched from the network"),
    "channels first": (lambda: np.zeros((3, 30, 40), np.uint8), "transpose"),
    "int64": (lambda: np.zeros((30, 40, 3), np.int64), "int64"),
    "0..255 float": (lambda: np.full((30, 40, 3), 200.0), "divide by 255"),
    "nan": (lambda: np.full((30, 40), np.nan), "NaN"),
    "empty array": (lambda: np.zeros((0, 0, 3), np.uint8), "0 x 0 pixels"),
    "batch": (lambda: torch.zeros(2, 3, 48, 48), "one by one"),
    "wrong multiple": (lambda: torch.zeros(3, 50, 48), "use 48 x 48"),
    "nan tensor": (lambda: torch.full((3, 48, 48), float("nan")), "NaN"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images_are_refused_in_a_sentence(clip, name):
    make, words = BAD_IMAGES[name]
    with pytest.raises(lw.ImageError, match=words):
        clip.encode(make())
    assert np.isfinite(clip.encode(RGB).explain("a cat").maps).all()


@pytest.mark.parametrize("thing", [None, 3, object(), ["a.png"]])
def test_things_that_are_no_image_are_a_type_error(clip, thing):
    with pytest.raises(TypeError, match="an image is a path, bytes"):
        clip.encode(thing)


ODD_PROMPTS = [
    "猫の写真",
    "صورة قطة",
    "🐈 on a 🛋️",
    "<img src=x onerror=alert(1)>",
    '<b>cat</b> & "dog"',
    "a\ncat\t!",
    "CAT",
]


@pytest.mark.parametrize("prompt", ODD_PROMPTS)
def test_odd_prompts_work(encoding, prompt):
    x = encoding.explain(prompt)
    assert x.label == prompt
    assert np.isfinite(x.maps).all()


def test_the_empty_prompt_is_a_control_only(encoding):
    with pytest.raises(lw.TargetError, match=r"blank.*control=True"):
        encoding.explain("  ")
    control = encoding.explain(lw.Text("", control=True))
    assert control.label == "(empty prompt)"
    assert control.supported is None
    assert control.probability is None


BAD_QUESTIONS = {
    "long": (dict(target="x" * 10_000), ValueError, "10000 characters"),
    "too many tokens": (dict(target="cat " * 100), ValueError, "more than the 77 tokens"),
    "unknown method": (dict(target="a", method="legard"), ValueError, "did you mean 'legrad'"),
    "method and target swapped": (dict(target="legrad", method="a cat"), TypeError, r"explain\('a cat', 'legrad'\)"),
    "unknown knob": (dict(target="a", pol="cls"), ValueError, "does not know the knob 'pol'"),
    "knob value": (dict(target="a", pool="max"), ValueError, "pool is one of 'native'"),
    "knob type": (dict(target="a", relu=1), ValueError, "relu is True or False"),
    "layer 0": (dict(target="a", layers=0), ValueError, "from 1 to 3; arrived: 0"),
    "layer L+1": (dict(target="a", layers=[1, 4]), ValueError, "from 1 to 3; arrived: 4"),
    "no layers": (dict(target="a", layers=[]), ValueError, "layers is empty"),
    "layer names": (dict(target="a", layers="last"), TypeError, "whole numbers"),
    "rollout start": (dict(target="a", method="rollout", start=9), ValueError, "from 1 to 3"),
    "target type": (dict(target=object()), TypeError, "a target is a prompt"),
    "bool target": (dict(target=True), TypeError, "a target is a prompt"),
    "vector length": (dict(target=np.ones(5)), ValueError, "has 24 numbers; this one has 5"),
    "zero vector": (dict(target=np.zeros(24)), ValueError, "not all zero"),
    "matrix": (dict(target=np.ones((2, 24))), ValueError, r"shape \(2, 24\)"),
    "class of a CLIP": (dict(target=3), ValueError, "no class names"),
}


@pytest.mark.parametrize("name", BAD_QUESTIONS)
def test_bad_questions_are_refused_in_a_sentence(encoding, name):
    question, kind, words = BAD_QUESTIONS[name]
    with pytest.raises(kind, match=words):
        encoding.explain(**question)
    assert np.isfinite(encoding.explain("a cat").maps).all()


def test_classes_by_name_and_index(classifier):
    encoding = classifier.encode(specimens.picture())
    assert encoding.explain("cat").target == encoding.explain(2).target == lw.Class(2, "cat")
    assert encoding.explain(np.int64(2)).label == "cat"
    assert encoding.explain("Wildebeest").label == "gnu, wildebeest"
    with pytest.raises(lw.TargetError, match=r"no class 'dgo'; try 'dog'"):
        encoding.explain("dgo")
    with pytest.raises(lw.TargetError, match="from 0 to 6; arrived: 7"):
        encoding.explain(7)
    with pytest.raises(lw.TargetError, match="no text tower"):
        encoding.explain(lw.Text("a cat"))
    assert [p.name for p in encoding.predictions(3)] == [
        classifier.class_names[p.index] for p in encoding.predictions(3)
    ]
    assert sum(p.probability for p in encoding.predictions(7)) == pytest.approx(1)


def test_wrap_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="has 7 classes; class_names has 2"):
        lw.wrap(specimens.timm_vit(), class_names=["a", "b"])
    with pytest.raises(TypeError, match="list of strings"):
        lw.wrap(specimens.timm_vit(), class_names="cat")
    with pytest.raises(TypeError, match="no text tower"):
        lw.wrap(specimens.timm_vit(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with pytest.raises(TypeError, match="mean"):
        lw.wrap(specimens.timm_vit(), preprocess=lambda image: image)
    with pytest.raises(ValueError, match="tokens a prompt, the text tower reads 77"):
        lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32", context_length=16))
    with pytest.raises(ValueError, match="integer tensor"):
        lw.wrap(specimens.clip(), tokenizer=lambda texts: texts)
    with pytest.raises(ValueError, match="the text tower 49408"):
        lw.wrap(specimens.clip(), tokenizer=lambda texts: torch.full((len(texts), 77), 60_000))
    model = lw.wrap(specimens.clip())
    with pytest.raises(lw.TargetError, match="prompts need a tokenizer"):
        model.encode(specimens.picture()).explain("a cat")


def test_fit_size_and_heat_maps(clip):
    for fit, nan in (("squash", 0), ("crop", 0.25), ("pad", 0)):
        encoding = clip.encode(specimens.picture(60, 80), fit=fit)
        heat = encoding.explain("a cat").heatmap("image")
        assert heat.shape == (60, 80)
        assert np.isnan(heat).mean() == pytest.approx(nan, abs=0.02)
    with pytest.raises(lw.ImageError, match="'squash', 'crop' or 'pad'"):
        clip.encode(specimens.picture(), fit="stretch")
    with pytest.raises(lw.ImageError, match=r"use 48 x 64"):
        clip.encode(specimens.picture(), size=(50, 60))
    with pytest.raises(lw.ImageError, match=r"height, width"):
        clip.encode(specimens.picture(), size="large")


@pytest.mark.parametrize("name", ["a cat", "", "no:such", "open_clip:", 5])
def test_unknown_model_names_are_refused(name):
    with pytest.raises((ValueError, TypeError), match=r"lw\.load|there is no model"):
        lw.load(name)
