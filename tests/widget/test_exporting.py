"""The present view as files: from Python by w.export, and what a page is handed over."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest
from PIL import Image

import legrad_widget as lw
from legrad_widget.widget.exporting import KINDS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != ".mp4"])
def test_every_kind_is_written_and_nothing_is_left_beside_it(widget, tmp_path, kind):
    file = widget.export(tmp_path / f"view{kind}")
    assert file == tmp_path / f"view{kind}"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.stat().st_size > 100


def test_each_is_what_the_widget_itself_gives(widget, tmp_path):
    widget.layers = [2, 3]
    with Image.open(widget.export(tmp_path / "view.PNG")) as opened:
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(widget.snapshot()))
    again = lw.Explanation.load(widget.export(tmp_path / "view.npz"))
    np.testing.assert_array_equal(again.maps, widget.explanation.maps)
    assert (tmp_path / "view.py") == widget.export(tmp_path / "view.py")
    assert (tmp_path / "view.py").read_text() == widget.code()
    with Image.open(widget.export(tmp_path / "view.gif")) as film:
        assert film.n_frames == len(widget.explanation.layers)


def test_a_drawing_has_its_text_as_text_and_the_map_in_it(widget, tmp_path):
    widget.targets = '<b>"cat" & \x0b dog</b>'
    widget.layers = 2
    widget.wait()
    root = ElementTree.parse(widget.export(tmp_path / "view.svg")).getroot()
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert texts[0] == '<b>"cat" & dog</b>'
    x = widget.explanation
    assert texts[1].startswith(f"LeGrad · layer 2 · cosine {x.score:.3g}")
    assert texts[2:] == [f"{x.raw(2).min():.3g}", f"{x.raw(2).max():.3g}"]
    pictures = [image.get("{http://www.w3.org/1999/xlink}href") for image in root.iter(f"{SVG}image")]
    assert len(pictures) == 2
    data = base64.b64decode(pictures[0].removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(data)) as opened:
        wanted = x.overlay(2, size=(opened.height, opened.width))
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(wanted))
    assert float(root.get("width")) > 640  # pixels twice as fine as the sheet
    assert opened.width == 1280


def test_a_flat_map_is_said_to_be_flat(widget, tmp_path, monkeypatch):
    monkeypatch.setattr(type(widget.explanation), "raw", lambda x, *_, **__: np.zeros(x.maps.shape[1:], np.float32))
    root = ElementTree.parse(widget.export(tmp_path / "view.svg")).getroot()
    assert "a flat map: nothing here speaks for this target" in "".join(root.itertext())


def test_other_endings_and_missing_maps_are_refused_in_a_sentence(widget, model, tmp_path):
    with pytest.raises(ValueError, match=r"the ending says what is written: \.png, \.svg.*arrived: 'view.jpg'"):
        widget.export(tmp_path / "view.jpg")
    empty = lw.explore(np.zeros((40, 40, 3), np.uint8), [], model=model)
    empty.wait()
    with pytest.raises(ValueError, match="there is no map to take a picture of"):
        empty.export(tmp_path / "view.svg")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what a page asks for


def ask(page, what, n=1):
    page.message({"kind": "export", "v": 1, "client": "p", "n": n, "rid": f"p.t{n}", "what": what})
    return next(data for data in reversed(page.sent) if data["method"] == "custom")["content"]


def test_a_page_gets_the_bytes_of_the_file(widget, page, monkeypatch):
    carried = []
    send = type(page).send

    def kept(self, data, buffers=None, **more):
        carried.append(buffers)
        send(self, data, buffers, **more)

    monkeypatch.setattr(type(page), "send", kept)
    assert ask(page, "npz") == {"kind": "exported", "rid": "p.t1"}
    (data,) = carried[-1]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert json.loads(archive.read("manifest.json"))["label"] == "a cat"
        maps = np.load(io.BytesIO(archive.read("maps.npy")))
    np.testing.assert_array_equal(maps, widget.explanation.maps)
    assert ask(page, "code", 2) == {"kind": "exported", "rid": "p.t2", "text": widget.code()}
    assert not carried[-1]


def test_it_hears_why_where_there_is_none(widget, page):
    widget.targets = []
    widget.wait()
    answer = ask(page, "npz")
    assert answer["kind"] == "exported"
    assert "there is no map" in answer["message"]
    assert ask(page, "../../etc/passwd", 2)["kind"] == "refused"
