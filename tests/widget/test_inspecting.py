"""The inspector between kernel and page: its table streams, its page is obeyed, what does not fit is refused."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legrad_widget.explainer import Model
from legrad_widget.inspection import Inspection, Overlay
from legrad_widget.target import Contrast
from legrad_widget.widget.inspect_widget import InspectWidget
from tests import specimens
from tests.widget.page import Page
from tests.widget.test_tools import Bench

COUNT = 24
SQUARE = [[0.1, 0.1], [0.6, 0.1], [0.6, 0.6], [0.1, 0.6]]


@pytest.fixture
def inspection(classifier: Model) -> Inspection:
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(COUNT)]
    return Inspection(classifier, pictures, rng.integers(0, 7, COUNT).tolist(), cache=False, batch=5)


@pytest.fixture
def widget(inspection: Inspection) -> InspectWidget:
    """A widget with everything scored."""
    shown = InspectWidget(inspection)
    shown.wait(60)
    return shown


class Reader:
    """What the page makes of the kernel's messages."""

    def __init__(self, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page, self.n = page, 0
        self.table: dict[str, dict[int, Any]] = {}
        self.pictures: dict[int, bytes] = {}
        self.maps: dict[int, np.ndarray] = {}
        self.denied: list[str] = []
        send = page.send

        def heard(data: dict[str, Any], buffers: list[Any] | None = None, **more: Any) -> None:
            send(data, buffers, **more)
            if data["method"] == "custom":
                self.take(data["content"], [bytes(buffer) for buffer in buffers or []])

        monkeypatch.setattr(page, "send", heard)

    @classmethod
    def with_table(cls, widget: Any, monkeypatch: pytest.MonkeyPatch) -> Reader:
        """A page that has asked for the table, as every page does first."""
        reader = cls(widget.comm, monkeypatch)
        reader.say("table")
        return reader

    def take(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        if content["kind"] == "denied":
            self.denied.append(content["message"])
        if content["kind"] not in ("cells", "pictures", "maps"):
            return
        rows = np.frombuffer(buffers[0], "<i4").tolist()
        if content["kind"] == "pictures":
            self.pictures |= dict(zip(rows, buffers[1:], strict=True))
        elif content["kind"] == "maps":
            grids = np.frombuffer(buffers[1], "<f4").reshape(len(rows), *content["grid"])
            self.maps |= dict(zip(rows, grids, strict=True))
        else:
            named = zip(content["columns"], buffers[1:], strict=True)
            columns = {
                name: np.frombuffer(data, {"int32": "<i4", "float32": "<f4"}[kind]) for (name, kind), data in named
            }
            for name, values in (columns | content["words"]).items():
                self.table.setdefault(name, {}).update(zip(rows, values, strict=True))

    def say(self, kind: str, *rows: int, **fields: Any) -> None:
        self.n += 1
        with_rows = kind in ("visible", "select", "tag")
        buffers = [memoryview(np.asarray(rows, "<i4").tobytes())] if with_rows else []
        self.page.message({"kind": kind, "v": 1, "client": "page", "n": self.n, **fields}, buffers)


@pytest.fixture
def page(widget: InspectWidget, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader.with_table(widget, monkeypatch)


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_the_table_arrives_whole(widget: InspectWidget, page: Reader) -> None:
    frame = widget.frame
    for wire, column in (("true", "label_index"), ("predicted", "predicted_index")):
        assert [page.table[wire][row] for row in range(COUNT)] == frame[column].tolist()
    for column in ("p_true", "p_pred", "margin", "loss"):
        sent = [page.table[column][row] for row in range(COUNT)]
        np.testing.assert_allclose(sent, frame[column].to_numpy(float), rtol=1e-6)
    wrong = {row for row, flag in page.table["error"].items() if flag == 1}
    assert wrong == set(widget.errors.index)
    assert len(wrong) > 5
    assert page.table["name"][3] == "sample 3"


def test_what_is_told_while_it_runs_is_what_a_late_page_is_told(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = InspectWidget(inspection, start=False)
    early = Reader(widget.comm, monkeypatch)
    assert widget.comm.state["_scoring"]["step"] == 0
    widget.run()
    widget.wait(60)
    known = {name: dict(column) for name, column in early.table.items()}
    early.table.clear()
    early.say("table")
    assert early.table["margin"] == known["margin"]
    assert early.table["error"] == known["error"]
    scoring = widget.comm.state["_scoring"]
    assert (scoring["state"], scoring["step"], scoring["errors"]) == ("idle", COUNT, len(widget.errors))


def test_a_sort_key_about_some_samples_leaves_the_others_out(widget: InspectWidget, page: Reader) -> None:
    sort = {key["key"]: key for key in widget.comm.state["_gallery"]["sorts"]}["near_misses"]
    known = page.table[sort["column"]]
    meant = {row for row, value in known.items() if not np.isnan(value)}
    assert meant == set(widget.sorted("near_misses").index)


def test_only_what_is_new_is_told(widget: InspectWidget, page: Reader) -> None:
    before = len(widget.comm.messages)
    widget.tag("shortcut", where=[4, 9])
    told = widget.comm.messages[before:]
    assert [(message["kind"], message["columns"], list(message["words"])) for message in told] == [
        ("cells", [], ["tags"])
    ]
    assert (page.table["tags"][4], page.table["tags"][9], page.table["tags"].get(5, "")) == (
        "shortcut",
        "shortcut",
        "",
    )


def test_pausing_keeps_what_is_scored_and_computes_nothing_twice(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from legrad_widget.inspection import streaming

    scored: list[int] = []
    plain = streaming.score_images

    def counted(scores: Any, images: Any, labels: Any) -> Any:
        scored.append(len(images))
        return plain(scores, images, labels)

    monkeypatch.setattr(streaming, "score_images", counted)
    widget = InspectWidget(inspection, start=False)
    page = Reader(widget.comm, monkeypatch)
    widget.run()
    page.say("steer", to="pause")
    widget.wait(60)
    assert widget.comm.state["_scoring"]["state"] == "paused"
    page.say("steer", to="run")
    widget.wait(60)
    assert widget.comm.state["_scoring"]["state"] == "idle"
    assert widget.complete
    assert sum(scored) == COUNT


def test_opening_a_sample_asks_why_that_class_and_not_the_true_one(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[2])
    page.say("open", row=row)
    widget.wait(60)
    found = widget.frame.loc[row]
    predicted, true = int(found["predicted_index"]), int(found["label_index"])
    assert widget.opened == row
    assert widget.compare == "prompts"
    first, second = widget.targets
    assert isinstance(first, Contrast)
    assert (first.a.index, first.b.index, second.a.index, second.b.index) == (predicted, true, true, predicted)
    np.testing.assert_array_equal(np.asarray(widget.image), np.asarray(widget.picture(row)))
    assert all(explanation is not None for explanation in widget.explanations)
    eventually(lambda: widget.comm.state["_sample"].get("row") == row)
    sample, curve = widget.comm.state["_sample"], widget.curve(row)
    np.testing.assert_allclose(sample["true"], curve.true, rtol=1e-6)
    np.testing.assert_allclose(sample["predicted"], curve.predicted, rtol=1e-6)
    near = widget.neighbours(row)
    expected = [list(near.correct_true), list(near.correct_predicted), list(near.same_errors)]
    assert [group["rows"] for group in sample["neighbours"]] == expected
    right = int(widget.query("correct == True").index[0])
    page.say("open", row=right)
    eventually(lambda: widget.comm.state["_sample"].get("row") == right)
    titles = [group["title"] for group in widget.comm.state["_sample"]["neighbours"]]
    assert titles[:2] == ["Nearest that are right, of its class", "Nearest that are right, of the runner-up"]
    page.say("open", row=None)
    assert (widget.opened, widget.comm.state["_sample"]) == (None, {})


def test_the_layers_whose_lens_is_weak_are_named() -> None:
    from legrad_widget.inspection.curves import Curve
    from legrad_widget.widget.inspect_detail import _flip_words

    def words(weak: set[int], at: int, at_most: bool = True) -> str:
        flags = np.array([layer in weak for layer in range(1, 13)])
        nothing = np.zeros(12, np.float32)
        return _flip_words(
            Curve(tuple(range(1, 13)), nothing, nothing, np.zeros(12, np.int32), ("cat",) * 12, ("cat", "dog"), at,
                  at_most, "lost", 0, flags), 12,
        )  # fmt: skip

    tail = "the lens is hardly better than chance: that part is a guess."
    assert words({1, 2, 3, 4, 6, 7, 8}, 5) == (
        f"cat led, and lost at layer 5 of 12 or before. At layers 1 to 4 and 6 to 8 {tail}"
    )
    assert words({1}, 2).endswith(f" At layer 1 {tail}")
    assert words({1, 2, 3}, 4).endswith(f" At layers 1 to 3 {tail}")
    assert words({1, 2, 5, 9}, 10).endswith(f" At layers 1, 2, 5 and 9 {tail}")
    assert words({1}, 7, at_most=False) == "cat led, and lost at layer 7 of 12."


def test_plain_maps_are_added_and_removed_and_stay_from_sample_to_sample(widget: InspectWidget, page: Reader) -> None:
    first, second = widget.errors.index[:2].tolist()
    pairs = {row: widget.inspection.pair(row) for row in (first, second)}
    page.say("open", row=first)
    widget.wait(60)
    page.say("plain", on=True)
    widget.wait(60)
    assert widget.plain is True
    assert tuple(widget.targets[2:]) == pairs[first]
    assert all(explanation is not None for explanation in widget.explanations)
    page.say("open", row=second)
    widget.wait(60)
    assert tuple(widget.targets[2:]) == pairs[second]
    widget.targets = [*widget.targets, next(c for c in range(7) if c not in pairs[second])]  # somebody's own question
    widget.plain = False
    assert len(widget.targets) == 3
    assert all(isinstance(target, Contrast) for target in widget.targets[:2])
    widget.active = 2
    widget.show(first)
    widget.wait(60)
    assert len(widget.targets) == len(widget.explanations) == 2


def test_a_sample_is_opened_while_others_are_still_scored(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = InspectWidget(inspection, start=False)
    page = Reader(widget.comm, monkeypatch)
    stream = inspection.stream()
    next(stream)  # one batch is there
    stream.close()
    row = int(inspection.scored[0])
    widget.run()
    page.say("open", row=row)
    widget.wait(60)
    assert widget.explanation is not None
    assert widget.complete


def test_pictures_come_for_what_is_seen(widget: InspectWidget, page: Reader) -> None:
    page.say("visible", 7, 2, 11, pictures=3)
    eventually(lambda: len(page.pictures) == 3)
    assert list(page.pictures) == [7, 2, 11]  # in view order
    with Image.open(io.BytesIO(page.pictures[2])) as small:
        assert max(small.size) <= 96
    assert page.pictures[2] == widget.thumbnail(2)


def test_selection_tags_and_notes_reach_the_table(widget: InspectWidget, page: Reader) -> None:
    page.say("select", 5, 3, 8)
    assert sorted(widget.selected.index) == [3, 5, 8]
    page.say("tag", 3, 8, tag="label noise", on=True)
    page.say("tag", 8, tag="label noise", on=False)
    page.say("note", row=5, text="a <b>cat</b>")
    frame = widget.frame
    assert frame["tags"].tolist() == ["label noise" if row == 3 else "" for row in range(COUNT)]
    assert frame.loc[5, "note"] == page.table["note"][5] == "a <b>cat</b>"
    widget.selected = [1]
    assert widget.comm.state["_selected"] == [1]


@pytest.mark.parametrize(
    ("kind", "rows", "fields", "says"),
    [
        ("open", (), {"row": COUNT}, "row"),
        ("open", (), {"row": "../etc"}, "row"),
        ("open", (), {"row": True}, "row"),
        ("select", (0, COUNT), {}, f"from 0 to {COUNT - 1}"),
        ("select", (-1,), {}, "from 0 to"),
        ("visible", (1, 2), {"pictures": 3}, "pictures"),
        ("visible", (1, 2), {}, "pictures"),
        ("tag", (1,), {"tag": "x" * 65, "on": True}, "tag"),
        ("tag", (1,), {"tag": "a, b", "on": True}, "comma"),
        ("tag", (1,), {"tag": "a", "on": 1}, "True or False"),
        ("tag", (), {"tag": "a", "on": True}, "no sample"),
        ("note", (), {"row": 0, "text": ["list"]}, "note is text"),
        ("note", (), {"row": 0, "text": "x" * 2001}, "2000"),
        ("steer", (), {"to": "delete"}, "'pause' or to 'run'"),
        ("flip", (), {"row": 0}, "not open"),
        ("flip", (), {"row": 0, "on": "no"}, "True or False"),
        ("mask", (), {"row": 0, "how": "replace", "polygon": SQUARE}, "not open"),
        ("mask", (), {"row": 0, "how": "paint", "polygon": SQUARE}, "'replace', 'add' or 'remove'"),
        ("mask", (), {"row": COUNT, "how": "add", "polygon": SQUARE}, "row"),
        ("mask", (), {"row": 0, "how": "add", "polygon": SQUARE[:2]}, "3 to 500 corners; arrived: 2"),
        ("mask", (), {"row": 0, "how": "add", "polygon": SQUARE * 126}, "arrived: 504"),
        ("mask", (), {"row": 0, "how": "add"}, "corners"),
        ("mask", (), {"row": 0, "how": "clear", "polygon": SQUARE}, "0 to 0 corners"),
        ("mask", (), {"row": 0, "how": "add", "polygon": [*SQUARE, [float("nan"), 0]]}, "x is a number from 0 to 1"),
        ("mask", (), {"row": 0, "how": "add", "polygon": [*SQUARE, [0, 1.01]]}, "y is a number from 0 to 1"),
        ("mask", (), {"row": 0, "how": "add", "polygon": [*SQUARE, "ab"]}, "a corner is (x, y)"),
        ("study", (), {"what": "delete", "on": True, "samples": 3}, "what is one of"),
        ("study", (), {"what": ["clusters"], "on": True, "samples": 3}, "what is one of"),
        ("study", (), {"what": "clusters", "on": 1, "samples": 3}, "True or False"),
        ("study", (), {"what": "calibrate", "on": True, "samples": 10**9}, "from 1 to 512"),
        ("draw", (), {"name": "../etc/passwd"}, "weights is one of"),
        ("draw", (), {"name": "nothing/paper"}, "nothing"),
        ("draw", (), {"name": {}}, "name is a string"),
        ("thresholds", (), {"iou": float("nan"), "saliency": 0.5, "ground": 0.5}, "iou is a number from 0 to 1"),
        ("thresholds", (), {"iou": 0.5, "saliency": "0.5", "ground": 0.5}, "saliency is a number"),
        ("thresholds", (), {"iou": 0.5, "saliency": 0.5}, "ground is a number"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    widget: InspectWidget, page: Reader, kind: str, rows: tuple[int, ...], fields: dict[str, Any], says: str
) -> None:
    before = widget.frame
    page.say(kind, *rows, **fields)
    assert len(page.denied) == 1
    assert says in page.denied[0]
    assert widget.opened is None
    assert widget.selected.empty
    assert widget.frame.equals(before)


def test_buffers_that_are_no_rows_are_refused(widget: InspectWidget, page: Reader) -> None:
    said = {"kind": "select", "v": 1, "client": "page"}
    page.page.message({**said, "n": 90}, [memoryview(b"abc")])
    page.page.message({**said, "n": 91}, [])
    page.page.message({**said, "n": 92}, [memoryview(bytes(4 * (COUNT + 1)))])
    page.page.message({**said, "n": 93, "v": 2}, [memoryview(b"")])
    assert len(page.denied) == 4


def test_a_replayed_wish_counts_once(widget: InspectWidget, page: Reader) -> None:
    page.say("select", 1)
    page.n -= 1
    page.say("select", 2)
    assert list(widget.selected.index) == [1]


def test_the_explorers_messages_still_count(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[0])
    widget.show(row)
    widget.wait(60)
    page.page.ask({"kind": "class", "index": 0, "name": ""})
    widget.wait(60)
    assert list(widget.targets) == [0]
    assert widget.opened == row


def test_an_unreadable_file_in_the_middle_is_listed_and_skipped(
    classifier: Model, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"<i>{number}</i>.png".replace("/", "_"))
        Image.fromarray(specimens.picture()).save(paths[-1])
    paths[1].write_bytes(b"this is no picture")
    widget = InspectWidget(Inspection(classifier, [str(path) for path in paths], [0, 1, 2], cache=False))
    page = Reader(widget.comm, monkeypatch)
    widget.wait(60)
    page.say("table")
    assert widget.comm.state["_scoring"]["faults"] == 1
    assert page.table["status"][1] == "unreadable"
    why = widget.problems["says"][0]
    assert why.startswith("this file is not an image")
    assert page.table["problem"][1] == why
    assert page.table["name"][0] == "<i>0<_i>.png"  # text, as it is
    page.say("visible", 1, 2, pictures=2)
    eventually(lambda: len(page.pictures) == 2)
    assert page.pictures[1] == b""
    page.say("open", row=1)
    assert page.denied[0] == f"sample 1 cannot be explained: {why}"


def test_where_nothing_can_be_scored_the_page_hears_why(classifier: Model) -> None:
    items = [(specimens.picture(), str(number)) for number in range(3)]  # labels that come with their pictures
    widget = InspectWidget(Inspection(classifier, items, cache=False))
    with pytest.raises(RuntimeError, match="not one of the 3 samples can be used; sample 0: there is no class '0'"):
        widget.wait(60)
    assert widget.comm.state["_scoring"]["state"] == "failed"
    assert "without quotes" in widget.comm.state["_scoring"]["message"]


def test_a_failing_run_says_so_and_can_go_on(inspection: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    from legrad_widget.inspection import streaming

    plain = streaming.score_images

    def broken(*_: Any) -> Any:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(streaming, "score_images", broken)
    widget = InspectWidget(inspection)
    with pytest.raises(RuntimeError, match="disk is on fire"):
        widget.wait(60)
    assert widget.comm.state["_scoring"]["state"] == "failed"
    monkeypatch.setattr(streaming, "score_images", plain)
    widget.run()
    widget.wait(60)
    assert widget.complete


def test_closing_ends_every_thread(inspection: Inspection) -> None:
    widget = InspectWidget(inspection)
    widget.wait(60)
    widget.show(0 if inspection.status(0) == "scored" else 1)
    widget.wait(60)
    widget.close()
    eventually(lambda: not any(thread.name == "legrad-widget" for thread in threading.enumerate()))


def test_a_name_that_there_is_not_is_an_attribute_error(widget: InspectWidget) -> None:
    with pytest.raises(AttributeError, match="no attribute 'confuson'"):
        widget.confuson  # noqa: B018
    assert {"frame", "calibrate", "targets"} <= set(dir(widget))


def test_attributes_of_the_inspection_are_the_widgets_too(widget: InspectWidget) -> None:
    for name in ("flip_sets", "calibrated", "clustered", "grid", "model_name", "fit", "size"):
        assert getattr(widget, name) == getattr(widget.inspection, name), name
    widget.overlay = "legrad"
    assert widget.overlay == Overlay("legrad")
    with pytest.raises(ValueError, match="thresholds are"):
        widget.thresholds = (0.1, 0.2, 0.3)  # type: ignore[assignment]


def test_maps_come_for_errors_that_are_seen_and_are_the_overlays(widget: InspectWidget, page: Reader) -> None:
    first, second = (int(row) for row in widget.errors.index[:2])
    page.say("visible", first, second, pictures=0)
    eventually(lambda: len(page.maps) == 2)
    assert list(page.maps) == [first, second]
    np.testing.assert_allclose(page.maps[first], widget.contrast(first).difference(), rtol=1e-5, atol=1e-7)
    assert page.maps[first].max() > 0 > page.maps[first].min()


def test_another_overlay_makes_the_pages_maps_stale(widget: InspectWidget, page: Reader) -> None:

    widget.overlay = Overlay("cdam", "equal")
    assert {"kind": "stale", "what": "maps"} in widget.comm.messages
    assert widget.comm.state["_gallery"]["drawn"]["title"] == "CDAM, layers counted equally"
    widget.show(int(widget.errors.index[0]))
    widget.wait(60)
    assert (widget.method, widget.weights) == ("cdam", "equal")  # the explorer goes along


def test_an_open_sample_has_its_picture_and_its_map(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[1])
    page.say("open", row=row)
    eventually(lambda: (widget.comm.state["_sample"].get("map") or {}).get("data") is not None)
    sample = widget.comm.state["_sample"]
    expected = widget.contrast(row).difference()
    found = np.frombuffer(sample["map"]["data"], "<f4").reshape(sample["map"]["shape"])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    with Image.open(io.BytesIO(sample["picture"]["data"])) as picture:
        assert picture.size == (40, 40)


def test_the_smallest_flip_set_is_the_inspections_and_reaches_the_table(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[0])
    page.say("open", row=row)
    eventually(lambda: widget.comm.state["_sample"].get("row") == row)
    page.say("flip", row=row)
    eventually(lambda: (widget.comm.state["_sample"]["flip_set"] or {}).get("state") in ("done", "failed"), 60)
    said = widget.comm.state["_sample"]["flip_set"]
    expected = widget.inspection.flip_set(row)
    assert said["state"] == "done"
    assert said["patches"] == [list(patch) for patch in expected.patches]
    assert str(expected.size) in said["words"] or not expected.found
    assert page.table["flip_size"][row] == expected.size


def test_waiting_is_for_the_map_of_the_open_sample_too(widget: InspectWidget) -> None:
    widget.show(int(widget.errors.index[2]))
    widget.wait(60)
    assert widget.comm.state["_sample"]["map"] is not None
    assert widget.explanation is not None


def test_a_map_that_cannot_be_made_keeps_nobody_waiting(
    widget: InspectWidget, page: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (int(row) for row in widget.errors.index[:2])
    plain = widget.inspection.contrast

    def broken(row: int) -> Any:
        if row == first:
            raise ValueError("its picture is gone")
        return plain(row)

    monkeypatch.setattr(widget.inspection, "contrast", broken)
    page.say("visible", first, second, pictures=0)
    eventually(lambda: second in page.maps)
    assert first not in page.maps


def test_what_is_about_all_samples_waits_for_them(inspection: Inspection) -> None:
    widget = InspectWidget(inspection)
    assert (widget.frame["status"] == "scored").all()
    assert len(widget.errors) == widget.comm.state["_scoring"]["errors"]


def test_the_table_of_a_paused_run_is_there_at_once(inspection: Inspection) -> None:
    widget = InspectWidget(inspection, start=False)
    assert (widget.frame["status"] == "pending").all()


def test_inspect_is_the_widget(classifier: Model) -> None:
    import legrad_widget as lw

    pictures = [specimens.picture()] * 3
    widget = lw.inspect(classifier, pictures, [0, 1, 2], cache=False)
    assert isinstance(widget, lw.InspectWidget)
    assert len(widget.frame) == 3
    assert isinstance(classifier.inspect(pictures, [0, 1, 2], cache=False), lw.InspectWidget)
    with pytest.raises(TypeError, match="the model comes first"):
        lw.inspect(pictures, classifier)


@pytest.fixture
def audit(classifier: Model, tmp_path: Any) -> InspectWidget:
    """A widget over files, everything scored, with a map, a tag and a note."""
    rng = np.random.default_rng(3)
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    widget = InspectWidget(Inspection(classifier, paths, [number % 7 for number in range(8)], cache=False))
    widget.contrast(int(widget.errors.index[0]))
    widget.tag("shortcut", where=[3])
    widget.note(3, "top right")
    return widget


@pytest.fixture
def folder(audit: InspectWidget, tmp_path: Any) -> Any:
    """The same, saved."""
    audit.save(tmp_path / "audit")
    return tmp_path / "audit"


def test_a_saved_inspection_opens_without_its_model(
    audit: InspectWidget, folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import legrad_widget as lw

    opened = lw.open_inspection(folder)
    page = Reader.with_table(opened, monkeypatch)
    assert opened.comm.state["_gallery"]["live"] is False
    assert page.table["tags"][3] == "shortcut"
    assert page.table["note"][3] == "top right"
    assert opened.frame["predicted_index"].tolist() == audit.frame["predicted_index"].tolist()

    row = int(audit.errors.index[0])
    page.say("visible", row, row, pictures=1)
    eventually(lambda: row in page.pictures and row in page.maps)
    np.testing.assert_allclose(page.maps[row], audit.contrast(row).difference(), rtol=1e-5, atol=1e-7)
    assert page.pictures[row] == audit.thumbnail(row)

    page.say("open", row=row)
    eventually(lambda: (opened.comm.state["_sample"].get("map") or {}).get("data") is not None)
    sample = opened.comm.state["_sample"]
    np.testing.assert_allclose(sample["true"], audit.curve(row).true, rtol=1e-6)
    assert "need the model: lw.open_inspection(folder, model=model)" in sample["needs"]
    assert sample["picture"]["data"][:2] == b"\xff\xd8"

    page.say("tag", row, tag="seen", on=True)
    assert opened.frame.loc[row, "tags"] == "seen"


def test_what_needs_the_model_says_so(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import legrad_widget as lw

    opened = lw.open_inspection(folder)
    page = Reader(opened.comm, monkeypatch)
    page.say("flip", row=0)
    page.page.ask("a cat")
    page.say("steer", to="run")
    assert len(page.denied) == 3
    assert all("model" in sentence for sentence in page.denied)
    assert "no model" in repr(opened)
    opened.close()


def test_a_saved_inspection_goes_on_with_its_model(folder: Any, classifier: Model) -> None:
    import legrad_widget as lw

    opened = lw.open_inspection(folder, model=classifier)
    assert isinstance(opened, lw.InspectWidget)
    opened.wait(60)
    opened.show(int(opened.errors.index[0]))
    opened.wait(60)
    assert opened.explanation is not None


def test_a_sample_with_a_mask_is_told_as_a_case(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(8)]
    mask = np.zeros((40, 40), bool)
    mask[:20, :20] = True
    widget = InspectWidget(Inspection(classifier, pictures, [6] * 8, masks=[mask] * 7 + [None], cache=False))
    page = Reader.with_table(widget, monkeypatch)
    row = int(widget.errors.index[0])
    page.say("open", row=row)
    eventually(lambda: len(widget.comm.state["_sample"].get("cases", [])) == 2)
    said = {case["about"]: case["name"] for case in widget.comm.state["_sample"]["cases"]}
    found = widget.frame.loc[row]
    assert said == {"the class it took it for": found["case_predicted"], "the true class": found["case_true"]}
    assert all(case["says"] for case in widget.comm.state["_sample"]["cases"])
    eventually(lambda: page.table.get("case_predicted", {}).get(row) == found["case_predicted"])


def test_patches_are_pasted_from_a_neighbour_that_is_named(widget: InspectWidget, page: Reader, opened: int) -> None:
    bench = Bench(page.page)
    donor = (opened + 1) % COUNT
    entry = bench.get("brush", patches=[[0, 0], [1, 1]], how="paste", donor=donor, control=2)
    expected = widget.without(opened, [(0, 0), (1, 1)], "paste", donor=donor, targets=list(widget.targets), control=2)
    assert entry["donor"] == {"row": donor, "name": f"sample {donor}", "label": widget.frame["label"][donor]}
    assert [one["after"] for one in entry["targets"]] == [moved.after for moved in expected.targets]
    assert [(one["low"], one["high"]) for one in entry["targets"]] == [moved.interval for moved in expected.targets]
    named = widget.neighbours(opened).correct_true
    entry = bench.get("brush", patches=[[0, 0]], how="paste")
    if named:
        assert entry["donor"]["row"] == named[0]
    else:
        assert "donor=3" in entry["message"]
    plain = bench.get("brush", patches=[[0, 0]])
    assert (plain["donor"], plain["curve"]) == (None, None)
    for args in ({"how": "block", "from_layer": 2}, {"how": "paste", "donor": donor}):
        curve = bench.get("brush", patches=[[0, 0]], curve=True, **args)["curve"]
        after = widget.curve_after(opened, widget.without(opened, [(0, 0)], **args))
        before = widget.curve(opened)
        assert curve["names"] == list(before.names)
        np.testing.assert_allclose(curve["after"], [after.true, after.predicted], rtol=1e-6)
        np.testing.assert_allclose(curve["before"], [before.true, before.predicted], rtol=1e-6)
    for args, said in (
        ({"how": "paste", "donor": opened}, "this one itself"),
        ({"how": "paste", "donor": COUNT}, f"samples go from 0 to {COUNT - 1}"),
        ({"how": "drop", "donor": donor}, "donor belongs to how='paste'"),
        ({"how": "paste", "donor": donor, "from_layer": 1}, "from_layer belongs to another way"),
    ):
        entry = bench.get("brush", patches=[[0, 0]], **args)
        assert (entry["state"], said in entry["message"]) == ("failed", True)
    bench.use("brush", patches=[[0, 0]], how="paste", donor=-1)
    assert "a sample is a whole number from 0" in bench.refusal


@pytest.fixture
def opened(widget: InspectWidget, page: Reader) -> int:
    """An error of a widget without masks, open."""
    row = int(widget.errors.index[1])
    page.say("open", row=row)
    widget.wait(60)
    return row


def sample_of(widget: Any) -> dict[str, Any]:
    return dict(widget.comm.state["_sample"])


def test_a_mask_is_drawn_and_the_sample_is_compared_with_it(widget: InspectWidget, page: Reader, opened: int) -> None:
    assert sample_of(widget)["mask"] is sample_of(widget)["against"] is None
    assert widget.comm.state["_studies"]["masks"] is False
    page.say("mask", row=opened, how="replace", polygon=SQUARE)
    widget.wait(60)
    expected = np.zeros((40, 40), bool)
    expected[4:24, 4:24] = True
    np.testing.assert_array_equal(widget.inspection.masks.drawn[opened], expected)
    told, found = sample_of(widget), widget.frame.loc[opened]
    assert [case["name"] for case in told["cases"]] == [found["case_predicted"], found["case_true"]]
    assert told["against"]["sides"] == [found["predicted"], found["label"]]
    numbers = {row["title"]: row["values"][0] for row in told["against"]["rows"]}
    assert numbers["map and object share"] == f"{found['iou']:.2f}"
    assert numbers["object under the map"] == f"{found['ground_coverage']:.2f}"
    assert numbers["map on the object"] == f"{found['saliency_coverage']:.2f}"
    assert numbers["times chance"] == f"{found['lift']:.1f}\N{NO-BREAK SPACE}×"
    np.testing.assert_allclose(page.table["outside_mask"][opened], found["outside_mask"], rtol=1e-6)
    assert page.table["case_predicted"][opened] == found["case_predicted"]
    assert widget.comm.state["_studies"]["masks"] is True
    assert widget.comm.state["_studies"]["cases"]["measured"] == 1
    assert told["mask"]["drawn"] is True
    with Image.open(io.BytesIO(told["mask"]["picture"]["data"])) as outline:
        alpha = np.asarray(outline.convert("RGBA"))[..., 3] > 0
    assert alpha.shape == (384, 384)
    assert alpha[38:230, 38:230].any(0).all()  # along every side of the square, 38 to 230 of 384
    assert not alpha[50:220, 50:220].any()
    assert not np.delete(alpha, slice(34, 235), 0).any()


def test_shapes_are_added_taken_away_and_cleared(widget: InspectWidget, page: Reader, opened: int) -> None:
    drawn = widget.inspection.masks.drawn
    for how, left in (("replace", 0.1), ("add", 0.35), ("remove", 0.1)):
        page.say("mask", row=opened, how=how, polygon=[[left, 0.1], [left + 0.3, 0.1], [left + 0.3, 0.5], [left, 0.5]])
    expected = np.zeros((40, 40), bool)
    expected[4:20, 16:26] = True
    np.testing.assert_array_equal(drawn[opened], expected)  # not one of three quick shapes was lost
    page.say("mask", row=opened, how="remove", polygon=[[0, 0], [1, 0], [1, 1], [0, 1]])
    assert "nothing is left of the mask" in page.denied.pop()
    np.testing.assert_array_equal(drawn[opened], expected)
    widget.wait(60)
    page.say("mask", row=opened, how="clear", polygon=[])
    widget.wait(60)
    assert opened not in drawn
    told = sample_of(widget)
    assert (told["mask"], told["against"], told["cases"]) == (None, None, [])
    assert page.table["case_predicted"][opened] == ""
    assert np.isnan(page.table["outside_mask"][opened])
    assert widget.comm.state["_studies"]["masks"] is False
    assert widget.comm.state["_studies"]["cases"] is None


def test_a_drawn_mask_takes_the_place_of_the_given_one_and_clearing_brings_it_back(
    masked: tuple[InspectWidget, Reader],
) -> None:
    widget, page = masked
    row = int(widget.errors.index[0])
    page.say("open", row=row)
    widget.wait(60)
    given = sample_of(widget)
    assert given["mask"]["drawn"] is False
    assert "given mask" in given["mask"]["says"]
    page.say("mask", row=row, how="replace", polygon=SQUARE)
    widget.wait(60)
    assert sample_of(widget)["against"] != given["against"]
    page.say("mask", row=row, how="clear", polygon=[])
    widget.wait(60)
    assert sample_of(widget)["against"] == given["against"]
    assert sample_of(widget)["mask"] == given["mask"]


def test_boxes_are_said_to_be_coarse(classifier: Model) -> None:
    boxes = [(4, 4, 30, 30)] * 2
    widget = InspectWidget(Inspection(classifier, [specimens.picture(40, 40)] * 2, [6, 5], boxes=boxes, cache=False))
    widget.wait(60)
    widget.show(0)
    widget.wait(60)
    assert "boxes, coarse" in sample_of(widget)["mask"]["says"]


def test_a_mask_that_cannot_be_used_says_why(classifier: Model) -> None:
    masks = [np.ones((9, 9), bool), None]
    widget = InspectWidget(Inspection(classifier, [specimens.picture(40, 40)] * 2, [6, 5], masks=masks, cache=False))
    widget.wait(60)
    widget.show(0)
    widget.wait(60)
    assert "masks are of the picture's own size" in sample_of(widget)["mask"]["says"]
    assert sample_of(widget)["against"] is None


def test_a_mask_drawn_from_python_is_seen_by_the_page(widget: InspectWidget, page: Reader, opened: int) -> None:
    widget.draw_mask(opened, (4, 4, 24, 24))
    widget.wait(60)
    assert sample_of(widget)["mask"]["drawn"] is True
    assert sample_of(widget)["against"] is not None


def test_a_mask_is_drawn_without_the_model_where_the_map_was_kept(
    audit: InspectWidget, folder: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import legrad_widget as lw

    kept, other = audit.errors.index[:2].tolist()
    opened = lw.open_inspection(folder)
    page = Reader(opened.comm, monkeypatch)
    for row in (kept, other):
        page.say("open", row=row)
        eventually(lambda row=row: sample_of(opened).get("row") == row)  # type: ignore[misc]
        page.say("mask", row=row, how="replace", polygon=SQUARE)
        eventually(lambda: sample_of(opened)["mask"] is not None and not opened._reading)
        audit.draw_mask(row, (4, 4, 24, 24))
    audit.alignment([kept])
    assert page.denied == []
    assert opened.frame.loc[kept, "iou"] == audit.frame.loc[kept, "iou"]
    assert sample_of(opened)["row"] == other
    assert sample_of(opened)["against"] is None
    assert "not compared" in sample_of(opened)["mask"]["says"]
    assert "lw.open_inspection(folder, model=model)" in sample_of(opened)["mask"]["says"]
    assert opened.problems.empty  # that there is no model is no fault of the sample's
    opened.save(tmp_path / "again")
    again = lw.open_inspection(tmp_path / "again")
    np.testing.assert_array_equal(again.inspection.masks.drawn[kept], opened.inspection.masks.drawn[kept])
    assert again.frame.loc[kept, "case_true"] == opened.frame.loc[kept, "case_true"] != ""


def test_the_search_for_a_flip_set_tells_how_far_it_is_and_lets_others_in(
    widget: InspectWidget, page: Reader, opened: int
) -> None:
    """The map of another overlay is there before the search is through: it has its turn after a batch."""
    told: list[str] = []

    def heard(change: Any) -> None:
        new, old = change["new"], change["old"]
        if (new.get("flip_set") or {}).get("state") != (old.get("flip_set") or {}).get("state"):
            told.append(new["flip_set"]["state"])
        if (new.get("map") or {}).get("data") != (old.get("map") or {}).get("data"):
            told.append("map")

    widget.observe(heard, "_sample")
    page.say("flip", row=opened)
    page.say("draw", name="cdam/paper")
    eventually(lambda: (sample_of(widget)["flip_set"] or {}).get("state") == "done", 60)
    assert told.index("running") < told.index("map") < told.index("done")
    found = widget.inspection.flip_sets[opened]
    assert sample_of(widget)["flip_set"]["patches"] == [list(patch) for patch in found.patches]
    assert page.table["flip_size"][opened] == found.size


def test_the_search_for_a_flip_set_can_be_stopped(widget: InspectWidget, page: Reader, opened: int) -> None:
    asked = threading.Event()
    plain = widget.inspection.flip_set

    def held(row: int, progress: Any) -> Any:
        asked.set()
        while True:
            progress(8, 16)

    widget.inspection.flip_set = held  # type: ignore[method-assign]
    page.say("flip", row=opened)
    assert asked.wait(20)
    eventually(lambda: "8 forwards so far" in sample_of(widget)["flip_set"]["words"])
    page.say("flip", row=opened, on=False)
    eventually(lambda: sample_of(widget)["flip_set"]["state"] == "stopped")
    assert "Stopped after 8 forwards" in sample_of(widget)["flip_set"]["words"]
    widget.inspection.flip_set = plain  # type: ignore[method-assign]
    page.say("flip", row=opened)
    eventually(lambda: sample_of(widget)["flip_set"]["state"] == "done", 60)


def test_another_sample_ends_the_search_of_the_one_before(widget: InspectWidget, page: Reader, opened: int) -> None:
    ended = threading.Event()

    def held(row: int, progress: Any) -> Any:
        try:
            while True:
                progress(8, 16)
        finally:
            ended.set()

    widget.inspection.flip_set = held  # type: ignore[method-assign]
    page.say("flip", row=opened)
    eventually(lambda: "8 forwards so far" in (sample_of(widget)["flip_set"] or {}).get("words", ""))
    page.say("open", row=int(widget.errors.index[0]))
    assert ended.wait(20)
    widget.wait(60)
    assert sample_of(widget)["flip_set"] is None


def test_the_code_of_a_sample_that_is_no_file_says_where_it_came_from(widget: InspectWidget, opened: int) -> None:
    assert f"image = ...  # sample {opened} of those that you inspected (" in widget.code()


def test_the_open_sample_can_be_made_again_and_saved_as_a_page(audit: InspectWidget, tmp_path: Any) -> None:
    row = int(audit.errors.index[0])
    audit.show(row)
    audit.wait(60)
    assert repr(str(tmp_path / f"{row}.png")) in audit.code()
    saved = audit.save_html(tmp_path / "sample.html").read_text()
    assert "LeGrad" in saved
    assert audit.snapshot().width > 200


def test_calibrating_from_python_is_seen_by_the_page(audit: InspectWidget) -> None:
    found = audit.calibrate(n=3, show=False)
    title = audit.comm.state["_gallery"]["drawn"]["name"]
    assert title == f"{found.best.method}/{found.best.weights}" == f"{audit.overlay.method}/{audit.overlay.weights}"


def test_clusters_from_python_become_a_filter_and_an_order(
    audit: InspectWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Reader(audit.comm, monkeypatch)
    cards = audit.clusters(k=2, test=False)
    members = {row for row, number in page.table["cluster"].items() if number == 1}
    assert members == set(cards[0].members)
    assert {row for row, value in page.table["by_cluster"].items() if value > 0} == set(audit.errors.index)


def finished(widget: InspectWidget, what: str) -> dict[str, Any]:
    """What is said at the end of a computation over all errors."""
    eventually(lambda: (said := widget.comm.state["_study"])["what"] == what and said["state"] != "running", 120)
    return widget.comm.state["_study"]


def test_the_page_measures_which_map_to_trust(widget: InspectWidget, page: Reader) -> None:

    page.say("study", what="calibrate", on=True, samples=3)
    assert finished(widget, "calibrate")["state"] == "done"
    told = widget.comm.state["_studies"]
    expected = widget.inspection.calibrate(3, show=False)
    found = told["calibration"]
    assert (found["samples"], found["by"]) == (3, "rank_correlation")
    assert [one["name"] for one in found["maps"]] == [*(f"{o.method}/{o.weights}" for o in expected.overlays), ""]
    assert {"LeGrad", "LeGrad, floor removed", "Exact removal"} < {one["title"] for one in found["maps"]}
    column = found["columns"].index("rank_correlation")
    sent = [one["values"][column] for one in found["maps"]]
    np.testing.assert_allclose(sent, expected.frame["rank_correlation"], rtol=1e-6)
    assert all(one["values"][found["columns"].index("mask_precision")] is None for one in found["maps"])  # no masks
    best = found["maps"][0]["name"]
    assert told["drawn"] == best == widget.comm.state["_gallery"]["drawn"]["name"]
    assert found["maps"][-1]["name"] == ""  # ablation is no overlay

    page.say("draw", name=found["maps"][1]["name"])
    assert widget.overlay == expected.overlays[1] != expected.best
    assert isinstance(widget.overlay, Overlay)
    assert widget.comm.state["_studies"]["drawn"] == found["maps"][1]["name"]


def test_another_overlay_redraws_the_open_sample(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[0])
    widget.show(row)
    widget.wait(60)
    page.say("draw", name="cdam/equal")
    expected = widget.contrast(row).difference()
    eventually(lambda: np.allclose(np.frombuffer(widget.comm.state["_sample"]["map"]["data"], "<f4"), expected.ravel()))


def test_the_page_groups_the_errors(widget: InspectWidget, page: Reader) -> None:
    page.say("study", what="clusters", on=True, samples=1)
    assert finished(widget, "clusters")["state"] == "done"
    assert widget.comm.state["_studies"]["clusters"]["tested"] is False
    page.say("study", what="regions", on=True)
    assert finished(widget, "regions")["state"] == "done"
    told = widget.comm.state["_studies"]["clusters"]
    assert told["tested"] is True
    expected = widget.inspection.clustered
    assert expected is not None
    assert [card["size"] for card in told["cards"]] == [len(card) for card in expected]
    for card, one in zip(told["cards"], expected, strict=True):
        members = {row for row, number in page.table["cluster"].items() if number == card["number"]}
        assert members == set(one.members)
        assert card["medoid"] in members
        np.testing.assert_array_equal(np.frombuffer(card["map"]["data"], "<f4"), one.mean_map.ravel())
        assert f": {round(100 * one.flips)} %, without a random one {round(100 * one.random_flips)} %" in card["tested"]
        assert sum(pair["count"] for pair in card["pairs"]) <= card["size"]


@pytest.fixture
def masked(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> tuple[InspectWidget, Reader]:
    """A widget with masks, everything scored, and its page."""
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(12)]
    mask = np.zeros((40, 40), bool)
    mask[:28, :28] = True
    widget = InspectWidget(Inspection(classifier, pictures, [6] * 12, masks=[mask] * 11 + [None], cache=False))
    widget.wait(60)
    return widget, Reader.with_table(widget, monkeypatch)


def test_maps_are_compared_with_masks_and_thresholds_move_the_counts(masked: tuple[InspectWidget, Reader]) -> None:
    widget, page = masked
    assert widget.comm.state["_studies"]["masks"] is True
    page.say("study", what="alignment", on=True, samples=1)
    assert finished(widget, "alignment")["state"] == "done"

    def counted() -> dict[str, int]:
        return {one["name"]: one["predicted"] for one in widget.comm.state["_studies"]["cases"]["cases"]}

    before, errors = counted(), widget.errors
    assert len(before) == 8
    assert (
        sum(before.values()) == widget.comm.state["_studies"]["cases"]["measured"] == len(errors) - (11 in errors.index)
    )
    assert {name: many for name, many in before.items() if many} == errors.query("case_predicted != ''")[
        "case_predicted"
    ].value_counts().to_dict()
    measured = dict(widget.inspection.measured)

    page.say("thresholds", iou=0.0, saliency=0.5, ground=0.5)
    eventually(lambda: counted()["confuser"] == sum(before.values()))
    assert widget.comm.state["_studies"]["cases"]["thresholds"] == {"iou": 0.0, "saliency": 0.5, "ground": 0.5}
    eventually(lambda: all(page.table["case_predicted"][row] == "confuser" for row in measured))
    assert widget.inspection.measured == measured  # nothing was computed again

    page.say("thresholds", iou=1.0, saliency=1.0, ground=1.0)
    eventually(lambda: counted()["confuser"] == 0)
    assert widget.thresholds.iou == 1.0


def test_a_computation_over_all_errors_lets_a_sample_be_opened(
    widget: InspectWidget, page: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two samples of it: the opened one has its map before it is through."""
    begun, opened, order = threading.Event(), threading.Event(), list[str]()
    plain = widget.inspection.encoding

    def held(row: int) -> Any:
        if not begun.is_set():
            begun.set()
            assert opened.wait(60)
        return plain(row)

    monkeypatch.setattr(widget.inspection, "encoding", held)
    page.say("study", what="clusters", on=True, samples=1)
    assert begun.wait(60)
    widget.observe(lambda change: order.append("map" if change["new"].get("map") else "no map"), "_sample")
    widget.observe(lambda change: order.append(change["new"]["state"]), "_study")
    page.say("open", row=int(widget.errors.index[-1]))
    opened.set()
    assert finished(widget, "clusters")["state"] == "done"
    assert order.index("map") < order.index("done")


def test_a_sample_opened_in_the_middle_of_an_ablation_waits_for_one_batch_of_forwards(
    widget: InspectWidget, page: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its map for a few: it is asked for once the curve is read. The ablation of a sample takes 13 batches here."""
    from legrad_widget.inspection import ablation
    from legrad_widget.method import tam

    monkeypatch.setattr(tam, "batch_size", lambda vit, grid: 2)
    begun, asked = threading.Event(), threading.Event()
    forwards, plain = list[float](), ablation.features_of_tokens

    def counted(*args: Any, **options: Any) -> Any:
        forwards.append(time.monotonic())
        if len(forwards) == 3:
            begun.set()
            assert asked.wait(60)
        time.sleep(0.15)  # as a larger model takes
        return plain(*args, **options)

    monkeypatch.setattr(ablation, "features_of_tokens", counted)
    page.say("study", what="calibrate", on=True, samples=3)
    assert begun.wait(60)
    explained, drawn = list[int](), list[int]()
    widget.observe(lambda _: explained.append(len(forwards)), "_result")
    widget.observe(lambda change: drawn.append(len(forwards)) if change["new"].get("map") else None, "_sample")
    page.say("open", row=int(widget.errors.index[-1]))
    asked.set()
    eventually(lambda: bool(explained and drawn), 60)
    page.say("study", what="calibrate", on=False, samples=3)
    assert finished(widget, "calibrate")["state"] == "stopped"
    assert explained[0] <= 5  # the third was running
    assert drawn[0] <= 9


def test_a_computation_over_all_errors_can_be_stopped(widget: InspectWidget, page: Reader) -> None:
    overlay = widget.overlay
    page.say("study", what="calibrate", on=True, samples=20)
    page.say("study", what="clusters", on=True, samples=1)
    assert "runs already" in page.denied[0]
    eventually(lambda: widget.comm.state["_study"]["step"] >= 1, 60)
    page.say("study", what="calibrate", on=False, samples=20)
    assert finished(widget, "calibrate")["state"] == "stopped"
    assert widget.comm.state["_studies"]["calibration"] is None
    assert widget.overlay == overlay
    page.say("study", what="clusters", on=True, samples=1)
    assert finished(widget, "clusters")["state"] == "done"


def test_closing_ends_a_computation_over_all_errors(widget: InspectWidget, page: Reader) -> None:
    page.say("study", what="calibrate", on=True, samples=20)
    eventually(lambda: widget.comm.state["_study"]["step"] >= 1, 60)
    widget.close()
    eventually(lambda: not any(thread.name == "legrad-widget" for thread in threading.enumerate()))


def test_a_computation_that_fails_says_why(widget: InspectWidget, page: Reader) -> None:
    page.say("study", what="alignment", on=True, samples=1)
    said = finished(widget, "alignment")
    assert said["state"] == "failed"
    assert "there are no masks" in said["message"]
    assert widget.comm.state["_studies"]["masks"] is False
    assert widget.comm.state["_studies"]["cases"] is None


def test_nothing_about_all_errors_begins_while_samples_are_scored(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = InspectWidget(inspection, start=False)
    page = Reader(widget.comm, monkeypatch)
    with widget._settled:  # the run cannot end while this is held
        widget.run()
        page.say("study", what="clusters", on=True, samples=1)
    assert "still being scored" in page.denied[0]


def test_a_saved_inspection_refuses_what_needs_the_model_and_shows_what_was_found(
    audit: InspectWidget, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import legrad_widget as lw

    audit.clusters(k=2)
    audit.save(tmp_path / "audit")
    opened = lw.open_inspection(tmp_path / "audit")
    page = Reader(opened.comm, monkeypatch)
    page.say("study", what="calibrate", on=True, samples=3)
    page.say("draw", name="legrad/paper")
    assert len(page.denied) == 2
    assert all("model" in sentence for sentence in page.denied)
    assert len(opened.comm.state["_studies"]["clusters"]["cards"]) == 2
