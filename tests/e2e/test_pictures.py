"""Pictures that come through the browser: chosen, dropped, pasted, and those that are none."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

WIDE = [200, 100]


def encoded(size: Sequence[int] = WIDE, kind: str = "PNG") -> bytes:
    """A picture file: a gradient, so that it is not flat."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(tuple(size)).convert("RGB").save(out, kind)
    return out.getvalue()


def state(notebook: Notebook) -> object:
    """What must not change when a picture is refused."""
    return notebook.value("[w._image['name'], list(w.targets), w.method, w.layers]")


def test_a_chosen_picture_is_explained(explorer: Explorer, notebook: Notebook) -> None:
    chips, before = explorer.chips, explorer.pixels()
    explorer.expect_answered(lambda: explorer.upload("wide.png", "image/png", encoded()))
    notebook.expect_value("[w.image.size, w._image['name']]", [WIDE, "wide.png"])
    assert explorer.chips == chips
    assert explorer.pixels() != before
    box = explorer.get("picture").bounding_box()
    assert box
    assert box["width"] / box["height"] == pytest.approx(2, abs=0.1), "shown in its own proportions"


def test_a_dropped_picture_is_explained_and_opens_nothing_else(explorer: Explorer, notebook: Notebook) -> None:
    tabs = notebook.page.locator(".lm-TabBar-tab").count()
    explorer.expect_answered(lambda: explorer.drop("dropped.jpg", "image/jpeg", encoded(kind="JPEG")))
    notebook.expect_value("w._image['name']", "dropped.jpg")
    assert notebook.page.locator(".lm-TabBar-tab").count() == tabs


def test_a_picture_of_several_parts_arrives_whole(explorer: Explorer, notebook: Notebook) -> None:
    """Noise does not compress: about 9 MB, sent in pieces of at most 4 MiB."""
    out = io.BytesIO()
    Image.merge("RGB", [Image.effect_noise((1800, 1700), 90) for _ in range(3)]).save(out, "PNG")
    assert out.tell() > 8 * 2**20
    explorer.expect_answered(lambda: explorer.upload("noise.png", "image/png", out.getvalue()))
    notebook.expect_value("w.image.size", [1800, 1700])


REFUSED = [
    pytest.param("notes.txt", "text/plain", b"these are only words", "not a picture", id="text"),
    pytest.param("words.png", "image/png", b"these are only words", "", id="text-called-png"),
    pytest.param("cut.png", "image/png", encoded()[:200], "", id="truncated"),
    pytest.param("empty.png", "image/png", b"", "empty", id="empty"),
    pytest.param("dot.png", "image/png", encoded((1, 1)), "1", id="one-pixel"),
]


@pytest.mark.parametrize(("name", "mime", "data", "words"), REFUSED)
def test_what_is_no_picture_is_refused_in_a_sentence(
    explorer: Explorer, notebook: Notebook, name: str, mime: str, data: bytes, words: str
) -> None:
    before, painted, pixels = state(notebook), explorer.painted, explorer.pixels()
    explorer.upload(name, mime, data)
    explorer.expect_status("error", words)
    sentence = explorer.sentence
    assert len(sentence.split()) >= 4, sentence
    assert "Traceback" not in sentence
    assert state(notebook) == before
    assert (explorer.painted, explorer.pixels()) == (painted, pixels)
    explorer.expect_answered(lambda: explorer.choose_method("rollout"))
    explorer.expect_status("idle")


def test_python_sets_a_picture(explorer: Explorer, notebook: Notebook) -> None:
    code = "from PIL import Image; w.image = Image.linear_gradient('L').resize((90, 180))"
    explorer.expect_answered(lambda: notebook.execute(code))
    expect(explorer.get("picture")).to_be_visible()
    box = explorer.get("picture").bounding_box()
    assert box
    assert box["width"] / box["height"] == pytest.approx(0.5, abs=0.1)
