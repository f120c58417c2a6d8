"""Explanations on disk: equal to the bit after a round trip, readable by numpy alone, refused in a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget import animation, explanation_file
from legrad_widget.explanation import Explanation
from legrad_widget.explanation_file import ExplanationFileError
from tests import specimens


@pytest.fixture(scope="module")
def model() -> lw.Model:
    return lw.load("builtin")


@pytest.fixture(scope="module")
def encoding(model: lw.Model) -> lw.Encoding:
    return model.encode(lw.scene(["cat", "pizza"], "grass", seed=3).image, fit="squash")


@pytest.fixture
def x(encoding: lw.Encoding) -> Explanation:
    return encoding.explain("a photo of a cat", relu=False)


@pytest.fixture
def file(x: Explanation, tmp_path: Path) -> Path:
    return x.save(tmp_path / "cat.npz")


def assert_equal(a: Explanation, b: Explanation) -> None:
    """Every field: arrays and floats to the bit, the picture to the pixel."""
    for field in dataclasses.fields(Explanation):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        elif isinstance(left, Image.Image):
            np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
        elif isinstance(left, float) and math.isnan(left):
            assert math.isnan(right)
        elif field.name == "target" and isinstance(left, lw.Direction):
            np.testing.assert_array_equal(left.vector, right.vector)
            assert left.label == right.label
        else:
            assert left == right, field.name
            assert type(left) is type(right) or field.name == "knobs", field.name


def test_a_round_trip_gives_the_same(x: Explanation, file: Path) -> None:
    again = lw.Explanation.load(file)
    assert_equal(x, again)
    np.testing.assert_array_equal(x.merged([2, 5]), again.merged([2, 5]))
    assert np.asarray(x.overlay()).tobytes() == np.asarray(again.overlay()).tobytes()
    with pytest.raises(ValueError, match="read-only"):
        again.maps[0] = 0


@pytest.mark.parametrize("method", [method.name for method in lw.list_methods() if not method.slow])
def test_every_quick_method(encoding: lw.Encoding, tmp_path: Path, method: str) -> None:
    x = encoding.explain("cat", method)
    assert_equal(x, lw.Explanation.load(x.save(tmp_path / "x.npz")))


def test_every_target(model: lw.Model, encoding: lw.Encoding, tmp_path: Path) -> None:
    direction = lw.Direction(np.linspace(-1, 1, model.vit.features), label="left <to> right")
    targets = [
        direction,
        lw.Contrast("cat", "pizza"),
        lw.Text("cat", templates=["a photo of a {}", "a {}"]),
        lw.Text("", control=True),
        'قطة 🐈 \u2028 "quoted" \\',
        3,
    ]
    for x in encoding.explain(targets):
        assert_equal(x, lw.Explanation.load(x.save(tmp_path / "x.npz")))
    sides = lw.Explanation.load(encoding.explain(lw.Contrast(direction, "cat")).save(tmp_path / "x.npz")).target
    np.testing.assert_array_equal(sides.a.vector, direction.vector)


def test_a_concept_keeps_its_label_alone(encoding: lw.Encoding, tmp_path: Path) -> None:
    x = encoding.explain(lw.Concept(images=[lw.scene(["dog"], seed=1).image], label="dogs"))
    again = lw.Explanation.load(x.save(tmp_path / "x.npz"))
    assert again.target is None
    assert again.label == "dogs"
    np.testing.assert_array_equal(again.maps, x.maps)


def test_a_model_without_scores_heads_or_class_token(tmp_path: Path) -> None:
    model = lw.wrap(specimens.timm_vit(), class_names=tuple("abcdefg"))
    x = model.encode(specimens.picture(), fit="crop").explain(2, "tam")
    again = lw.Explanation.load(x.save(tmp_path / "x.npz"))
    assert_equal(x, again)
    assert again.window == x.window


def test_numpy_alone_reads_it(x: Explanation, file: Path) -> None:
    with np.load(file, allow_pickle=False) as opened:
        np.testing.assert_array_equal(opened["maps"], x.maps)
        manifest = json.loads(opened["manifest.json"])
        picture = Image.open(io.BytesIO(opened["picture.png"]))
    assert picture.size == x.picture.size
    assert manifest["format"] == "legrad_widget explanation"
    assert manifest["version"] == 1
    assert manifest["made_with"]["legrad_widget"] == lw.__version__
    assert {"python", "numpy", "torch"} <= set(manifest["made_with"])
    assert manifest["method"] == "legrad"
    assert manifest["knobs"]["relu"] is False
    assert manifest["target"] == {"kind": "text", "text": "a photo of a cat", "control": False, "templates": []}


def test_the_same_explanation_gives_the_same_bytes(x: Explanation) -> None:
    assert explanation_file.packed(x) == explanation_file.packed(x)


def test_every_field_of_an_explanation_is_kept() -> None:
    kept = {*explanation_file.ARRAYS, *explanation_file._FACTS, *explanation_file._LATER, "picture", "target"}
    assert {field.name for field in dataclasses.fields(Explanation)} == kept


def test_a_file_from_before_layers_were_weighed_by_reliability_is_read(x: Explanation, file: Path) -> None:
    assert x.reliability is not None
    assert lw.Explanation.load(file).reliability == x.reliability

    def shorten(members: dict[str, bytes]) -> None:
        facts = json.loads(members["manifest.json"])
        del facts["reliability"]
        members["manifest.json"] = json.dumps(facts).encode()

    older = lw.Explanation.load(rewritten(file, shorten))
    assert older.reliability is None
    np.testing.assert_array_equal(older.raw(), x.raw())


def test_it_is_written_as_a_whole_under_its_suffix(x: Explanation, tmp_path: Path) -> None:
    assert x.save(tmp_path / "cat") == tmp_path / "cat.npz"
    assert x.save(str(tmp_path / "v1.2")).name == "v1.2.npz"
    x.save(tmp_path / "cat.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.npz", "v1.2.npz"]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        x.save(tmp_path / "missing" / "x.npz")


# -------------------------------------------------------------------- what is refused


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The file with its members changed."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | changes).encode()

    return change


def array(name: str, values: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        written = io.BytesIO()
        np.save(written, values, allow_pickle=True)
        members[f"{name}.npy"] = written.getvalue()

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (manifest(format="holiday"), "no explanation: its manifest is another program's"),
        (manifest(version=2), "of version 2, made by legrad_widget 0.1.0: update"),
        (manifest(version="1"), "damaged: its version is '1'"),
        (manifest(layers=[3, 2, 1, 4, 5, 6]), r"damaged: layers is \[3, 2"),
        (manifest(layers=[1, 2]), "damaged: maps has shape"),
        (manifest(reliability=[0.5, 1]), r"damaged: reliability is \(0.5, 1\)"),
        (manifest(reliability=[0, 0, 1, 1, 1, 2]), "damaged: reliability is"),
        (manifest(reliability="high"), "damaged: reliability is 'high'"),
        (manifest(window=[0, 0, 1]), "damaged: window"),
        (manifest(merge="max"), "damaged: merge is 'max'"),
        (manifest(method=None), "damaged: method is"),
        (manifest(target={"kind": "text"}), "damaged: 'text'"),
        (array("maps", np.zeros((6, 8, 8))), "damaged: maps is float64, not float32"),
        (array("maps", np.full((6, 8, 8), np.inf, np.float32)), "damaged: maps has values that are not finite"),
        (array("heads", np.zeros((6, 4, 7, 8), np.float32)), "damaged: heads has shape"),
        (array("maps", np.array([{"a": 1}], dtype=object)), "damaged: Object arrays cannot be loaded"),
        (lambda members: members.pop("manifest.json"), "no explanation: it has no manifest"),
        (lambda members: members.pop("maps.npy"), "damaged: it lacks its maps"),
        (lambda members: members.pop("picture.png"), "damaged: .*picture.png"),
        (lambda members: members.update({"picture.png": b"GIF89a"}), "damaged"),
        (lambda members: members.update({"manifest.json": b"{"}), "damaged"),
        (lambda members: members.update({"manifest.json": b"[]"}), "another program's"),
        (lambda members: members.update({"maps.npy": members["maps.npy"][:200]}), "damaged"),
    ],
)
def test_what_is_not_whole_is_refused_in_a_sentence(
    file: Path, change: Callable[[dict[str, bytes]], None], sentence: str
) -> None:
    with pytest.raises(ExplanationFileError, match=sentence) as error:
        lw.Explanation.load(rewritten(file, change))
    assert str(error.value).startswith(str(file))


def test_other_files_are_refused_in_a_sentence(file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ExplanationFileError, match="no explanation: it has no manifest"):
        lw.Explanation.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"no explanation: x.save\(path\) writes"):
        lw.Explanation.load(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*; x.save\(path\) writes one"):
        lw.Explanation.load(tmp_path / "nothing.npz")


def test_every_broken_byte_is_noticed_or_harmless(file: Path, x: Explanation) -> None:
    whole = file.read_bytes()
    for at in range(0, len(whole), len(whole) // 150):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            again = lw.Explanation.load(file)
        except ValueError:
            continue
        np.testing.assert_array_equal(again.maps, x.maps)
    for length in range(0, len(whole), len(whole) // 20):
        file.write_bytes(whole[:length])
        with pytest.raises(ExplanationFileError):
            lw.Explanation.load(file)


def test_a_bomb_is_not_unpacked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation_file, "LARGEST", 1000)
    with pytest.raises(ExplanationFileError, match="unpack to more than"):
        lw.Explanation.load(file)


# -------------------------------------------------------------------- the film


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_film_has_a_frame_for_each_layer(x: Explanation, tmp_path: Path, kind: str) -> None:
    file = x.animation(tmp_path / f"depth.{kind}", seconds=0.5, width=200)
    assert file == tmp_path / f"depth.{kind}"
    with Image.open(tmp_path / f"depth.{kind}") as film:
        assert film.n_frames == len(x.layers)
        assert film.info["loop"] == 0
        assert film.width == 200
        times = []
        for at, layer in enumerate(x.layers):
            film.seek(at)
            film.load()
            times.append(film.info["duration"])
            shown = np.asarray(film.convert("RGB"), float)[:200]
            wanted = np.asarray(x.overlay(layer, size=(200, 200)), float)
            others = [np.asarray(x.overlay(other, size=(200, 200)), float) for other in x.layers if other != layer]
            off = np.abs(shown - wanted).mean()
            assert off < min(np.abs(shown - other).mean() for other in others), "the frame is its own layer's"
            assert off < 12
    assert times == [500] * (len(x.layers) - 1) + [1500]


def test_a_video_shows_each_layer_for_its_time(x: Explanation, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v2")
    encoder = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    file = x.animation(tmp_path / "depth.mp4", seconds=0.5, width=200)
    assert file == tmp_path / "depth.mp4"
    with imageio.get_reader(file) as film:
        facts = film.get_meta_data()
    decode = [encoder, "-v", "error", "-i", str(file), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = np.frombuffer(subprocess.run(decode, check=True, capture_output=True).stdout, np.uint8)
    frames = pixels.reshape(-1, 200 + animation.STRIP, 200, 3)[:, :200].astype(float)
    assert (facts["fps"], facts["codec"], facts["size"]) == (10, "h264", (200, 200 + animation.STRIP))
    assert facts["pix_fmt"].startswith("yuv420p")  # what every player shows
    times = 5
    assert len(frames) == times * (len(x.layers) + animation.HOLD - 1)
    assert facts["duration"] == pytest.approx(len(frames) / 10)
    wanted = [np.asarray(x.overlay(layer, size=(200, 200)), float) for layer in x.layers]
    for at, frame in enumerate(frames):
        off = [np.abs(frame - other).mean() for other in wanted]
        layer = min(at // times, len(wanted) - 1)
        assert off[layer] == min(off), "the frame is its own layer's"
        assert off[layer] < 12


def test_a_video_has_even_sides_and_may_stay_in_memory(x: Explanation, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v2")
    film = x.animation(kind="mp4", width=99, seconds=0.1)
    assert isinstance(film, bytes)
    (tmp_path / "film.mp4").write_bytes(film)
    with imageio.get_reader(tmp_path / "film.mp4") as opened:
        assert opened.get_meta_data()["size"] == (100, 99 + animation.STRIP + 1)


def test_a_video_without_its_encoder_says_what_to_install(
    x: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed
    with pytest.raises(ModuleNotFoundError, match=r'pip install "legrad-widget\[video\]", or write a \.gif'):
        x.animation(tmp_path / "depth.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_film_is_the_same_every_time(x: Explanation) -> None:
    for kind in ("gif", "webp"):
        first = x.animation(kind=kind, width=120)
        assert isinstance(first, bytes)
        assert first == x.animation(kind=kind, width=120)
        assert first != x.animation(kind=kind, width=120, opacity=0.3)
    assert x.animation(width=120)[:4] == b"GIF8"


def test_films_that_cannot_be_are_refused_in_a_sentence(x: Explanation, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a .gif, a .webp or a .mp4: .*arrived: 'avi'"):
        x.animation(tmp_path / "depth.avi")
    with pytest.raises(ValueError, match=r"kind is .gif., but the file is called depth\.webp"):
        x.animation(tmp_path / "depth.webp", kind="gif")
    with pytest.raises(ValueError, match="seconds is the time of one layer"):
        x.animation(seconds=0)
    with pytest.raises(ValueError, match="width is a number of pixels"):
        x.animation(width=10)
    assert list(tmp_path.iterdir()) == []


def test_a_method_with_one_map_is_one_frame(encoding: lw.Encoding) -> None:
    x = encoding.explain("cat", "raw_attention")
    film = x.animation(width=100)
    assert isinstance(film, bytes)
    with Image.open(io.BytesIO(film)) as opened:
        assert opened.n_frames == len(x.layers)  # type: ignore[attr-defined]
