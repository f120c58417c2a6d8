"""The inspector's saved page: what is in it, what cannot break out of it, and what a browser takes out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legrad_widget.explainer import Model
from legrad_widget.inspection import Inspection, contrasting, open_inspection
from legrad_widget.widget import inspect_page, wire
from legrad_widget.widget.inspect_page import MOST
from legrad_widget.widget.inspect_widget import InspectWidget, SavedInspectWidget
from tests import specimens
from tests.widget.test_inspecting import Reader as Wire
from tests.widget.test_inspecting import eventually
from tests.widget.test_page import HOSTILE, Reader, alone

COUNT = 16


def pictures(count: int = COUNT) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(count)]


def shown(model: Model, images: Any, **options: Any) -> InspectWidget:
    labels = np.random.default_rng(6).integers(0, 7, len(images)).tolist()
    widget = InspectWidget(Inspection(model, images, labels, cache=False, **options))
    widget.wait(60)
    return widget


@pytest.fixture
def widget(classifier: Model) -> InspectWidget:
    """A gallery with everything scored; masks cover the left half."""
    mask = np.zeros((40, 40), bool)
    mask[:, :20] = True
    return shown(classifier, pictures(), masks=[mask] * COUNT)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    found = [folder / f"{i:02d}.png" for i in range(COUNT)]
    for file, picture in zip(found, pictures(), strict=True):
        Image.fromarray(picture).save(file)
    return found


@pytest.fixture
def saved(classifier: Model, files: list[Path], tmp_path: Path) -> SavedInspectWidget:
    """The same without its model; two maps were looked at before it was saved."""
    live = shown(classifier, files)
    for row in live.errors.index[:2]:
        live.contrast(int(row))
    live.save(tmp_path / "audit")
    live.close()
    return SavedInspectWidget(open_inspection(tmp_path / "audit"))


def state_of(page: str) -> dict[str, Any]:
    return Reader(page).state


def table_of(state: dict[str, Any]) -> dict[str, dict[int, Any]]:
    """Columns by sample, as a page reads them."""
    found: dict[str, dict[int, Any]] = {}
    for content, (rows, *buffers) in state["_table"]:
        at = np.frombuffer(rows, "<i4").tolist()
        dtypes = {"int32": "<i4", "float32": "<f4"}
        for (name, kind), data in zip(content["columns"], buffers, strict=True):
            found.setdefault(name, {}).update(zip(at, np.frombuffer(data, dtypes[kind]).tolist(), strict=True))
        for name, words in content["words"].items():
            found.setdefault(name, {}).update(zip(at, words, strict=True))
    return found


def detail(state: dict[str, Any], row: int) -> dict[str, Any]:
    return state["_same"] | state["_details"][str(row)]


# -------------------------------------------------------------------- what is in it


def test_one_file_with_the_explorers_policy_and_nothing_from_elsewhere(widget: InspectWidget) -> None:
    page = widget.to_html()
    reader = alone(page)
    assert "import(" in reader.inside["script"]
    assert len(json.loads(reader.inside["live"])) > 10_000


def test_all_samples_are_in_the_table(widget: InspectWidget) -> None:
    widget.tag("odd", where=[3])
    table, frame = table_of(state_of(widget.to_html([]))), widget.frame
    assert [table["true"][row] for row in range(COUNT)] == frame["label_index"].tolist()
    assert [table["predicted"][row] for row in range(COUNT)] == frame["predicted_index"].tolist()
    for name in ("p_true", "p_pred", "margin", "loss", "entropy"):
        np.testing.assert_array_equal([table[name][row] for row in range(COUNT)], frame[name].to_numpy("f4"))
    assert table["tags"][3] == "odd"


def test_errors_have_maps_and_details_by_default_to_the_bit(widget: InspectWidget) -> None:
    widget.flip_set(int(widget.errors.index[1]))
    state = state_of(widget.to_html())
    assert sorted(map(int, state["_details"])) == widget.errors.index.tolist()
    for row in widget.errors.index[:4]:
        found = detail(state, row)
        wanted = widget.contrast(row).difference()
        np.testing.assert_array_equal(wire.unpack(found["map"]), wanted.astype("f4"))
        np.testing.assert_allclose(found["true"], widget.curve(row).true, rtol=1e-6)
        assert found["picture"]["data"][:2] == b"\xff\xd8"
        assert [case["name"] for case in found["cases"]] == widget.frame.loc[
            row, ["case_predicted", "case_true"]
        ].tolist()
        assert "needs Python and the model" in found["needs"]
    flip = widget.inspection.flip_sets[int(widget.errors.index[1])]
    assert detail(state, widget.errors.index[1])["flip_set"]["patches"] == [list(map(int, p)) for p in flip.patches]
    assert detail(state, widget.errors.index[0])["flip_set"] is None


def test_what_all_details_have_in_common_stands_once(widget: InspectWidget) -> None:
    state = state_of(widget.to_html())
    assert {"layers", "trust", "weak"} <= set(state["_same"])
    assert not any({"layers", "trust", "weak"} & set(one) for one in state["_details"].values())


@pytest.mark.parametrize("rows", [[2, 5], "margin < 0.05", np.arange(COUNT) < 3], ids=["numbers", "query", "mask"])
def test_rows_are_what_the_table_takes(widget: InspectWidget, rows: Any) -> None:
    state = state_of(widget.to_html(rows))
    assert sorted(map(int, state["_details"])) == widget.rows(rows).tolist()
    assert f"of {len(widget.rows(rows))} samples; this is another one" in state["_absent"]


def test_pictures_of_neighbours_are_there_too(widget: InspectWidget) -> None:
    row = int(widget.errors.index[0])
    state = state_of(widget.to_html([row]))
    rows, *given = state["_pictures"][1]
    near = {other for group in detail(state, row)["neighbours"] for other in group["rows"]}
    assert set(np.frombuffer(rows, "<i4").tolist()) == {row} | near
    assert near
    assert all(data[:2] == b"\xff\xd8" for data in given)


def test_the_traits_are_those_of_a_gallery_without_anybody_to_ask(widget: InspectWidget) -> None:
    widget.selected = [1, 4]
    widget.show(3)
    state = state_of(widget.to_html())
    assert (state["_gallery"]["live"], state["_gallery"]["page"]) == (False, True)
    assert (state["opened"], state["_sample"], state["_study"]) == (None, {}, {})
    assert state["_selected"] == [1, 4]
    assert state["_scoring"]["step"] == COUNT
    assert "last until it is closed" in state["_scoring"]["message"]


def test_a_page_of_some_of_the_errors_begins_with_these(widget: InspectWidget) -> None:
    chosen = widget.errors.index[[2, 0]].tolist()
    state = state_of(widget.to_html(chosen))
    first, *others = state["_gallery"]["sorts"]
    assert (first["column"], first["ascending"]) == ("kept", False)
    losses = widget.frame["loss"].astype("f4")
    assert table_of(state)["kept"] == {row: losses[row] for row in chosen}
    for rows in (None, []):  # where that would change nothing
        assert others == state_of(widget.to_html(rows))["_gallery"]["sorts"]


def test_what_was_found_about_all_errors_is_in_it(widget: InspectWidget) -> None:
    widget.clusters(2, test=False)
    state = state_of(widget.to_html([]))
    cards = state["_studies"]["clusters"]["cards"]
    assert [card["size"] for card in cards] == [len(card) for card in widget.inspection.clustered.cards]
    rows, *_ = state["_pictures"][1]
    assert {card["medoid"] for card in cards} == set(np.frombuffer(rows, "<i4").tolist())


def test_what_decides_the_cases_is_in_it_to_the_bit(widget: InspectWidget) -> None:
    judged = state_of(widget.to_html())["_judged"]
    rows = np.frombuffer(judged["rows"], "<i4").tolist()
    numbers = np.frombuffer(judged["numbers"], "<f8").reshape(len(rows), 7)
    assert set(rows) == set(widget.inspection.measured) == set(widget.errors.index)
    for row, (right, *values) in zip(rows, numbers.tolist(), strict=True):
        held = widget.inspection.measured[row]
        assert right == bool(widget.frame.loc[row, "correct"])
        names = ("iou", "ground_coverage", "saliency_coverage")
        expected = [getattr(one, name) for one in (held.predicted, held.true) for name in names]
        np.testing.assert_array_equal(values, expected)


def test_without_masks_there_is_nothing_to_decide(saved: SavedInspectWidget) -> None:
    assert state_of(saved.to_html())["_judged"] is None


def test_without_scripts_there_are_counts_and_the_surest_mistakes(widget: InspectWidget) -> None:
    widget.tag("<b>odd</b>", where=widget.errors.index)
    page = widget.to_html()
    inside = page[page.index("<noscript>") : page.index("</noscript>")]
    worst = widget.sorted("confident_errors", errors_only=True)
    cells = re.findall(r"<td>(.*?)</td>", inside)
    assert [int(cell) for cell in cells[::6]] == worst.index[:20].tolist()
    assert cells[2:4] == worst.iloc[0][["label", "predicted"]].tolist()
    assert "&lt;b&gt;odd&lt;/b&gt;" in cells
    assert f"Mistakes of tiny classifier: {len(worst)} of {COUNT} samples." in inside


def test_the_sizes_that_the_docstring_states(classifier: Model) -> None:
    """A row of the table; a sample whose picture is as heavy as noise of 40 x 40 pixels is."""
    live = shown(classifier, pictures(64))
    none, one, five = (len(live.to_html(live.errors.index[:many])) for many in (0, 1, 5))
    assert (
        len(json.dumps(state_of(live.to_html([]))["_table"], default=lambda data: "x" * (4 * len(data) // 3)))
        < 64 * 250
    )
    assert 0 < one - none < 40_000
    assert five - none < 5 * (one - none)


# -------------------------------------------------------------------- what is not there


def test_without_a_model_maps_that_were_kept_are_there_and_the_others_are_named(saved: SavedInspectWidget) -> None:
    page = saved.to_html()
    state = state_of(page)
    kept = saved.errors.index[:2].tolist()
    assert [int(row) for row in state["_details"] if detail(state, int(row))["map"] is not None] == kept
    lacking = detail(state, saved.errors.index[2])
    assert "map is not in this page" in lacking["needs"]
    assert "lw.open_inspection(folder, model=model)" in lacking["needs"]
    assert f"Without a map, as it could not be had: {len(saved.errors) - 2}." in page


def test_of_pictures_that_are_gone_there_is_the_thumbnail(saved: SavedInspectWidget, files: list[Path]) -> None:
    row = int(saved.errors.index[0])
    files[row].unlink()
    found = detail(state_of(saved.to_html([row])), row)
    assert found["picture"]["data"] == saved.inspection.small[row]
    assert found["needs"].startswith("The picture is not where it was: this is a small copy of it.")


def test_samples_that_cannot_be_used_are_told_of_too(classifier: Model, files: list[Path]) -> None:
    files[3].write_bytes(b"no picture")
    live = shown(classifier, files)
    state = state_of(live.to_html([3]))
    assert table_of(state)["status"][3] == "unreadable"
    assert detail(state, 3)["map"] is None
    assert "Its map is not in this page" in detail(state, 3)["needs"]


def test_no_errors_at_all(classifier: Model) -> None:
    images = pictures(4)
    logits = 9 * np.eye(7, dtype="f4")[[0, 1, 2, 3]]
    live = InspectWidget(Inspection(classifier, images, [0, 1, 2, 3], logits=logits, cache=False))
    live.wait(60)
    state = state_of(live.to_html())
    assert state["_details"] == {}
    assert "0 of 4 samples" in Reader(live.to_html()).inside["title"]


def test_very_many_errors_are_refused_with_what_to_pass(classifier: Model, tmp_path: Path) -> None:
    many = MOST + 20
    logits = np.tile(9 * np.eye(7, dtype="f4")[1], (many, 1))
    live = InspectWidget(Inspection(classifier, pictures(1) * many, [0] * many, logits=logits, cache=False))
    live.wait(60)
    with pytest.raises(
        ValueError, match=rf"of {MOST} samples, and there are {many} errors.*r\.save_html\(path, rows="
    ) as told:
        live.save_html(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
    line = re.search(r"rows=(r\.sorted.*?\])\)", str(told.value))
    assert line
    chosen = eval(line[1], {"r": live})  # what the sentence says works
    assert len(state_of(live.to_html(chosen[:3]))["_details"]) == 3
    with pytest.raises(ValueError, match=f"and you passed {many}"):
        live.to_html(np.arange(many))


def test_more_samples_than_a_table_has_room_for(widget: InspectWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_page, "MOST_IN_TABLE", COUNT - 1)
    with pytest.raises(ValueError, match=rf"table of {COUNT - 1} samples, and here are {COUNT}: .*r\.save\(folder\)"):
        widget.to_html([])


# -------------------------------------------------------------------- what cannot break out of it


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_words(words: str, tmp_path: Path) -> None:
    model = specimens.timm_vit()
    import legrad_widget as lw

    def page(hostile: str) -> str:
        named = lw.wrap(model, class_names=(hostile, *"abcdef"), name=hostile)
        live = shown(named, pictures(6))
        live.tag(hostile.replace(",", ""), where=range(6))
        live.note(0, hostile)
        return live.to_html()

    made = page(words)
    made.encode("ascii")
    reader = Reader(made)
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in Reader(page("plain")).tags], "nothing was smuggled in"
    assert reader.state["_gallery"]["classes"][0] == words
    assert table_of(reader.state)["note"][0] == words
    for name in ("state", "widget", "live"):
        assert "<" not in reader.inside[name]


def test_hostile_paths_are_words(classifier: Model, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=alert(1)> & =cmd.png"
    Image.fromarray(pictures(1)[0]).save(file)
    live = shown(classifier, [file, file])
    page = live.to_html()
    assert not Reader(page).named("img")
    assert table_of(state_of(page))["path"][0] == str(file)


# -------------------------------------------------------------------- the file


def test_it_is_written_whole_and_can_be_written_again(widget: InspectWidget, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    assert widget.save_html(file, [1]) == file
    before = file.read_text("ascii")
    assert before == widget.to_html([1])
    widget.save_html(str(file), [2])
    assert file.read_text("ascii") != before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_file_that_is_not_ours_is_left_alone_and_nothing_is_computed(
    widget: InspectWidget, tmp_path: Path, calls: list[Any]
) -> None:
    file = tmp_path / "thesis.html"
    file.write_text("<h1>mine</h1>")
    before = len(calls)
    with pytest.raises(FileExistsError, match="no page of legrad_widget; overwrite=True"):
        widget.save_html(file)
    assert len(calls) == before
    assert file.read_text() == "<h1>mine</h1>"
    widget.save_html(file, [1], overwrite=True)
    assert 'name="generator" content="legrad_widget' in file.read_text()


def test_an_interruption_writes_nothing_and_keeps_what_was_computed(
    widget: InspectWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = contrasting.evidence
    left = [2]

    def pressed(*args: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return computed(*args)

    monkeypatch.setattr(contrasting, "evidence", pressed)
    with pytest.raises(KeyboardInterrupt):
        widget.save_html(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
    known = set(widget.inspection.maps.everything())
    assert {row for row, _ in known} == set(widget.errors.index[:2])
    monkeypatch.setattr(contrasting, "evidence", computed)
    widget.save_html(tmp_path / "page.html")
    assert known <= set(widget.inspection.maps.everything())


# -------------------------------------------------------------------- in a cell, and beside the explorer


def test_static_is_the_gallery_too(widget: InspectWidget) -> None:
    page = widget.static(height=700, rows=[1])
    (frame,) = Reader(page._repr_html_()).named("iframe")
    assert frame["sandbox"] == "allow-scripts allow-downloads"
    assert frame["srcdoc"] == widget.to_html([1])
    assert "height: 700px" in (frame["style"] or "")
    assert f"of {COUNT} samples" in repr(page)


def test_a_snapshot_is_of_the_open_sample(widget: InspectWidget) -> None:
    with pytest.raises(ValueError, match=r"no sample is open to take a picture of: r\.show\(3\)"):
        widget.snapshot()
    widget.show(int(widget.errors.index[0]))
    widget.wait(60)
    assert widget.snapshot(width=300).width == 340


def test_an_export_that_ends_in_html_is_the_gallery(widget: InspectWidget, tmp_path: Path) -> None:
    file = widget.export(tmp_path / "page.html")
    assert "_table" in state_of(file.read_text("ascii"))


# -------------------------------------------------------------------- what a browser asks for


class Asking(Wire):
    def ask(self, rid: Any, *rows: int) -> None:
        """Ask for the page."""
        self.n += 1
        buffer = memoryview(np.asarray(rows, "<i4").tobytes())
        self.page.message({"kind": "page", "v": 1, "client": "page", "n": self.n, "rid": rid}, [buffer])


@pytest.fixture
def page(widget: InspectWidget, monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(widget.comm, monkeypatch)


def exported(widget: InspectWidget, rid: str) -> list[dict[str, Any]]:
    return [one for one in widget.comm.messages if one["kind"] == "exported" and one["rid"] == rid]


def test_a_browser_takes_the_page_with_it(widget: InspectWidget, page: Asking) -> None:
    rows = widget.errors.index[:3].tolist()
    page.ask("one", *rows)
    eventually(lambda: bool(exported(widget, "one")))
    assert exported(widget, "one") == [{"kind": "exported", "rid": "one", "message": ""}]
    (made,) = widget.comm.buffers
    assert bytes(made).decode("ascii") == widget.to_html(rows)


def test_a_browser_hears_why_there_is_no_page(
    widget: InspectWidget, page: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect_page, "MOST", 2)
    page.ask("one", 1, 2, 3)
    eventually(lambda: bool(exported(widget, "one")))
    (answer,) = exported(widget, "one")
    assert "of 2 samples, and you passed 3" in answer["message"]
    assert widget.comm.buffers == []


def test_a_browser_stops_it_and_another_sample_has_its_turn_meanwhile(
    widget: InspectWidget, page: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, asked = contrasting.evidence, []

    def slow(*args: Any) -> Any:
        asked.append(args)
        if len(asked) == 1:  # while the first map is computed, in the worker's thread, more is asked for
            page.ask("two", 1)
            page.ask("")
        return computed(*args)

    monkeypatch.setattr(contrasting, "evidence", slow)
    page.ask("one", *widget.errors.index[:5].tolist())
    eventually(lambda: bool(exported(widget, "one")))
    assert [one["message"] for one in exported(widget, "one")] == ["Stopped."]
    assert "being made already" in exported(widget, "two")[0]["message"]
    assert len(asked) == 1
    page.ask("three", 1)
    eventually(lambda: bool(exported(widget, "three")))
    assert exported(widget, "three")[0]["message"] == ""


@pytest.mark.parametrize("rid", [7, None, "x" * 129])
def test_a_request_that_does_not_fit_is_refused(widget: InspectWidget, page: Asking, rid: Any) -> None:
    page.ask(rid, 1)
    assert len(page.denied) == 1
    assert "rid" in page.denied[0]
