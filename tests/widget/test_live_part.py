"""The second file of the front end: handed over when it is asked for by its hash, and refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from legrad_widget.widget import LeGradWidget, live_part
from tests.widget.page import Page


def ask(page: Page, wanted: object) -> dict[str, Any]:
    page.message({"kind": "live", "v": 1, "client": "page", "hash": wanted})
    return page.last


def expected_by_the_widget() -> str:
    """The hash that the build wrote into the first file."""
    found = set(re.findall(r'"([0-9a-f]{16})"', (live_part.FILE.parent / "widget.js").read_text()))
    assert len(found) == 1
    return found.pop()


def test_the_first_file_expects_the_second_by_its_hash(widget: LeGradWidget, page: Page) -> None:
    code = live_part.FILE.read_bytes()
    said = ask(page, expected_by_the_widget())
    assert said == {"kind": "live", "hash": live_part.hash_of(code), "message": ""}
    assert page.buffers == [code]


def test_the_inspectors_first_file_knows_both_second_ones() -> None:
    first = (live_part.FILE.parent / "inspect.js").read_text()
    for file in (live_part.FILE, live_part.GALLERY):
        assert f'"{live_part.hash_of(file.read_bytes())}"' in first


def test_a_notebook_stores_the_first_file_alone(widget: LeGradWidget) -> None:
    second = live_part.FILE.read_text()
    stored = widget.get_state()
    for part in ("brush-undo", "Deletion and insertion", "Shuffle the weights", "Verify top", "what it attends to"):
        assert part in second
        assert not [name for name, value in stored.items() if isinstance(value, str) and part in value]


def test_a_page_of_another_version_is_told_what_to_do(widget: LeGradWidget, page: Page) -> None:
    said = ask(page, "0123456789abcdef")
    assert page.buffers == []
    assert "another version of legrad-widget" in said["message"]
    assert "restart the kernel" in said["message"]


def test_without_the_file_it_says_how_to_build_it(
    widget: LeGradWidget, page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, file in (("FILE", "live.js"), ("GALLERY", "gallery.js")):
        with monkeypatch.context() as changed:
            changed.setattr(live_part, name, tmp_path / file)
            said = ask(page, "0123456789abcdef")
        assert f"{file}, is missing" in said["message"]
        assert "npm run build" in said["message"]
        assert str(tmp_path) not in said["message"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [(None, "is a string"), (7, "is a string"), (["a"], "is a string"), ("", "1 to 64"), ("x" * 65, "1 to 64")],
)
def test_a_malformed_request_is_refused(widget: LeGradWidget, page: Page, wanted: object, why: str) -> None:
    before = dict(page.state)
    assert ask(page, wanted)["kind"] == "refused"
    assert why in page.last["message"]
    assert page.state == before


def test_it_names_no_file(widget: LeGradWidget, page: Page) -> None:
    assert "another version" in ask(page, "../../pyproject.toml")["message"]
    assert page.buffers == []
