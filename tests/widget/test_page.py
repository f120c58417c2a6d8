"""The saved page: what is in it, what cannot break out of it, and how its file is written."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.explainer import Model
from legrad_widget.widget import LeGradWidget, live_part, wire
from legrad_widget.widget.page import POLICY
from tests.widget.page import Page

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "]]> \u2028 \u2029 \\u003c/script>",
    "</title><img src=x onerror=alert(1)>",
    "\"}' </noscript><b>",
    "قطة 🐈 &lt;b&gt; &#60;",
)


class Reader(HTMLParser):
    """A page as a browser splits it: elements, attributes, and what stands in scripts, the title and noscript."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.inside[self._open] = self.inside.get(self._open, "") + data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.inside["state"], object_hook=revive)


def revive(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if set(value) == {"$bytes"} else value


def saved(page: str, method: str = "legrad") -> dict[str, Any]:
    """The saved answer of a method."""
    return next(answer for answer in Reader(page).state["_saved"] if answer["method"] == method)


def alone(page: str) -> Reader:
    """A saved page, in ASCII, under the strict policy, that asks nobody for anything."""
    page.encode("ascii")
    reader = Reader(page)
    policies = [meta["content"] for meta in reader.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [POLICY]
    assert not reader.named("link")
    assert [script.get("src") for script in reader.named("script")] == [None] * 4
    assert not re.search(r"https?://(?!www\.w3\.org/)", page.replace(reader.inside["state"], ""))
    return reader


# -------------------------------------------------------------------- what is in it


def test_one_file_with_its_own_policy_and_nothing_from_elsewhere(widget: LeGradWidget) -> None:
    page = widget.to_html()
    reader = alone(page)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in reader.named("img"))


def test_the_answer_is_in_it_to_the_bit(widget: LeGradWidget) -> None:
    state = Reader(widget.to_html()).state
    assert [target["text"] for target in state["targets"]] == ["a cat", "a dog"]
    assert state["_static"] is True
    maps = wire.unpack(state["_saved"][0]["maps"])
    for given, explanation in zip(maps, widget.explanations, strict=True):
        np.testing.assert_array_equal(given, explanation.maps)
    assert state["_image"]["data"] == widget._image["data"]
    assert state["_catalogue"] == json.loads(json.dumps(widget._catalogue))


def test_the_view_is_kept(widget: LeGradWidget) -> None:
    widget.active, widget.layers, widget.opacity, widget.colormap, widget.smooth = 1, [2, 3], 0.4, "viridis", False
    state = Reader(widget.to_html()).state
    found = [state[name] for name in ("active", "layers", "opacity", "colormap", "smooth")]
    assert found == [1, [2, 3], 0.4, "viridis", False]


def test_weights_by_reliability_and_what_they_are_are_kept() -> None:
    widget = lw.explore()
    widget.wait()
    widget.weights = "reliability"
    state = Reader(widget.to_html()).state
    assert state["weights"] == "reliability"
    assert state["_model"]["layer_weights"] == list(widget.model.layer_reliability.weights)
    ranks = widget._photo.encoding.layer_ranks("cat", fitted=True).ranks.tolist()
    assert state["_saved"][0]["targets"][0]["fitted_ranks"] == ranks


def test_every_method_that_was_compared_or_shown_is_in_it(widget: LeGradWidget) -> None:
    widget.compared, widget.compare = ["legrad", "rollout", "raw_attention"], "methods"
    widget.wait()
    widget.compare = "off"
    widget.method = "cdam"
    widget.wait()
    page = widget.to_html()
    state = Reader(page).state
    assert state["_saved"][0]["method"] == "cdam"
    assert {answer["method"] for answer in state["_saved"]} == {"legrad", "rollout", "raw_attention", "cdam"}
    rollout = saved(page, "rollout")
    assert [entry["error"] == "" for entry in rollout["targets"]] == [True, False], "compared for the active target"
    assert "Attention rollout was not asked about it" in rollout["targets"][1]["error"]
    assert [entry["error"] for entry in saved(page, "legrad")["targets"]] == ["", ""]


def test_methods_that_are_compared_are_those_that_were_saved(widget: LeGradWidget) -> None:
    assert Reader(widget.to_html()).state["compared"] == ["legrad"]
    widget.compared = ["rollout", "legrad"]
    assert Reader(widget.to_html()).state["compared"] == ["rollout", "legrad"]


def test_knobs_of_the_answer_stay_with_it_and_the_defaults_are_kept_of_other_methods(widget: LeGradWidget) -> None:
    widget.knobs = {"relu": False}
    widget.wait()
    page = widget.to_html()
    assert saved(page)["knobs"] == {"relu": False}
    np.testing.assert_array_equal(wire.unpack(saved(page)["maps"])[0], widget.explanations[0].maps)
    widget.method = "rollout"
    widget.wait()
    page = widget.to_html()
    assert saved(page, "legrad")["knobs"] == {}
    assert saved(page, "rollout")["targets"][0]["error"] == ""


def test_earlier_prompts_come_along_only_when_they_are_wanted(widget: LeGradWidget) -> None:
    widget.targets = ["a fox"]
    widget.wait()
    labels = [entry["label"] for entry in saved(widget.to_html())["targets"]]
    assert labels == ["a fox"]
    page = widget.to_html(history=True)
    labels = [entry["label"] for entry in saved(page)["targets"]]
    assert labels[0] == "a fox"
    assert set(labels) == {"a fox", "a cat", "a dog"}
    assert [target["text"] for target in Reader(page).state["targets"]] == labels
    assert all(entry["error"] == "" for entry in saved(page)["targets"])


def test_answers_about_an_earlier_picture_stay_out(widget: LeGradWidget, photo: np.ndarray) -> None:
    widget.method = "rollout"
    widget.wait()
    widget.image = photo[::-1].copy()
    widget.wait()
    answers = Reader(widget.to_html(history=True)).state["_saved"]
    assert [answer["method"] for answer in answers] == ["rollout"]
    assert answers[0]["image_rev"] == Reader(widget.to_html()).state["_image"]["rev"]


def test_a_target_that_failed_keeps_its_sentence(widget: LeGradWidget, model: Model, photo: np.ndarray) -> None:
    from legrad_widget.widget.wire import Outcome

    widget._answer = type(widget._answer)(  # type: ignore[misc]
        widget._answer.question, (widget._answer.outcomes[0], Outcome(error="<b>too</b> blurred")), widget._answer.grid
    )
    assert saved(widget.to_html())["targets"][1]["error"] == "<b>too</b> blurred"


def test_what_tools_found_is_in_it_where_it_is_whole_and_about_this_answer(widget: LeGradWidget, page: Page) -> None:
    rev = widget._result["rev"]
    page.message(
        {"kind": "tool", "v": 1, "client": "page", "n": 1, "rid": "page.t1", "rev": rev}
        | {"target": 1, "tool": "effects", "args": {}}
    )
    deadline = time.monotonic() + 20
    while widget._tools.get("effects", {}).get("state") != "done":
        assert time.monotonic() < deadline, widget._tools
        time.sleep(0.02)
    state = Reader(widget.to_html()).state
    assert state["_saved"][0]["rev"] == state["_tools"]["effects"]["rev"] == rev
    np.testing.assert_array_equal(
        wire.unpack(state["_tools"]["effects"]["maps"]), wire.unpack(widget._tools["effects"]["maps"])
    )
    widget._tools = widget._tools | {"effects": widget._tools["effects"] | {"state": "running"}, "busy": {"tool": "x"}}
    assert Reader(widget.to_html()).state["_tools"] == {}
    widget.method = "rollout"
    widget.wait()
    assert Reader(widget.to_html()).state["_tools"] == {}


def test_it_waits_for_the_question_under_way(model: Model, photo: np.ndarray) -> None:
    assert saved(lw.explore(photo, "a cat", model=model).to_html())["targets"][0]["label"] == "a cat"


def test_classes_and_directions(classifier: Model, photo: np.ndarray) -> None:
    vector = lw.Direction(np.ones(classifier.vit.features), label="<i>all</i>")
    shown = lw.explore(photo, [2, vector], model=classifier)
    shown.wait()
    state = Reader(shown.to_html()).state
    assert [target.get("name") or target["label"] for target in state["targets"]] == ["pizza", "<i>all</i>"]
    assert state["_saved"][0]["predictions"]


# -------------------------------------------------------------------- what cannot break out of it


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_words(model: Model, photo: np.ndarray, words: str) -> None:
    plain = Reader(lw.explore(photo, "a cat", model=model).to_html())
    shown = lw.explore(photo, [words], model=model)
    shown.wait()
    page = shown.to_html()
    page.encode("ascii")
    reader = Reader(page)
    assert reader.state["targets"][0]["text"] == words
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain.tags], "no element was smuggled in"
    for name in ("state", "widget"):
        assert "<" not in reader.inside[name]
    assert reader.inside["title"] == f"{words}, by LeGrad"


@pytest.mark.parametrize("words", HOSTILE[:4])
def test_hostile_class_names_are_words(photo: np.ndarray, words: str) -> None:
    from tests import specimens

    names = (words, *"abcdef")
    shown = lw.explore(photo, [0], model=lw.wrap(specimens.timm_vit(), class_names=names, name=words))
    shown.wait()
    reader = Reader(shown.to_html())
    assert reader.state["_model"]["classes"][0] == words
    assert len(reader.named("script")) == 4
    assert len(reader.named("img")) == 1


def test_the_scripts_of_the_page_do_not_end_early(widget: LeGradWidget) -> None:
    reader = Reader(widget.to_html())
    scripts = reader.named("script")
    assert [script.get("type") for script in scripts] == ["application/json"] * 3 + ["module"]
    assert json.loads(reader.inside["widget"]).endswith("\n")
    assert json.loads(reader.inside["live"]) == live_part.FILE.read_text()
    assert "import(" in reader.inside["script"]


# -------------------------------------------------------------------- the file


def test_it_is_written_whole_and_can_be_written_again(widget: LeGradWidget, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    assert widget.save_html(file) == file
    before = file.read_text("ascii")
    assert before == widget.to_html()
    widget.opacity = 0.2
    widget.save_html(str(file))
    assert file.read_text("ascii") != before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


def test_a_file_that_is_not_ours_is_left_alone(widget: LeGradWidget, tmp_path: Path) -> None:
    file = tmp_path / "thesis.html"
    file.write_text("<h1>mine</h1>")
    with pytest.raises(FileExistsError, match="no page of legrad_widget; overwrite=True"):
        widget.save_html(file)
    assert file.read_text() == "<h1>mine</h1>"
    widget.save_html(file, overwrite=True)
    assert 'name="generator" content="legrad_widget' in file.read_text()


def test_places_where_no_file_can_be_are_refused_in_a_sentence(widget: LeGradWidget, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
        widget.save_html(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing to write a.html into"):
        widget.save_html(tmp_path / "missing" / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_page(
    widget: LeGradWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = widget.save_html(tmp_path / "page.html")
    before = file.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        widget.save_html(file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_without_a_picture_there_is_nothing_to_save(model: Model, tmp_path: Path) -> None:
    shown = LeGradWidget(model)
    with pytest.raises(ValueError, match="no picture to save yet"):
        shown.save_html(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------- in a cell


def test_a_static_page_is_a_sandboxed_frame_with_the_page_in_it(widget: LeGradWidget) -> None:
    shown = widget.static(height=500)
    (frame,) = Reader(shown._repr_html_()).named("iframe")
    assert frame["sandbox"] == "allow-scripts allow-downloads"
    assert frame["srcdoc"] == widget.to_html()
    assert "height: 500px" in (frame["style"] or "")
    assert frame["title"] == "a cat, by LeGrad"
    assert "a cat, by LeGrad" in repr(shown)
    assert len(repr(shown)) < 100
