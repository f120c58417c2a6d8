"""What the page computes about all errors: its choices are obeyed, what is of an earlier state says so."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.explainer import Model
from legrad_widget.inspection import Inspection, Overlay, Thresholds
from legrad_widget.widget import inspect_studies
from legrad_widget.widget.inspect_studies import Options, read_options
from legrad_widget.widget.inspect_widget import InspectWidget
from legrad_widget.widget.live_part import FILE, GALLERY, hash_of
from legrad_widget.widget.rules import Refused
from tests.widget.test_inspecting import Reader, eventually, finished

COUNT = 14


@pytest.fixture
def widget(classifier: Model) -> InspectWidget:
    """A widget with masks on all samples but one, everything scored; four samples are right."""
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(COUNT)]
    mask = np.zeros((40, 40), bool)
    mask[:28, :28] = True
    said = Inspection(classifier, pictures, [0] * COUNT, cache=False).run(False).records["predicted"]
    labels = [int(one) if i < 4 else (int(one) + 1 + i % 2) % 7 for i, one in enumerate(said)]
    shown = InspectWidget(Inspection(classifier, pictures, labels, masks=[mask] * 13 + [None], cache=False))
    shown.wait(60)
    return shown


@pytest.fixture
def page(widget: InspectWidget, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader.with_table(widget, monkeypatch)


def found(widget: Any, what: str) -> dict[str, Any]:
    return widget.comm.state["_studies"][what]


def study(widget: InspectWidget, page: Reader, what: str, **options: Any) -> dict[str, Any]:
    """Run one, and what is said at its end."""
    page.say("study", what=what, on=True, **options)
    assert finished(widget, what)["state"] == "done", widget.comm.state["_study"]
    return widget.comm.state["_studies"]


def test_groups_are_made_as_they_are_wished_and_again_without_the_model(
    widget: InspectWidget, page: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(widget, "clusters") is None
    told = study(widget, page, "clusters", k=3, weights=[1.0, 0.5, 0.0])["clusters"]
    assert (told["k"], told["weights"], len(told["cards"]), told["tested"]) == (3, [1.0, 0.5, 0.0], 3, False)
    monkeypatch.setattr(widget.inspection, "encoding", lambda row: pytest.fail("the model was asked"))
    told = study(widget, page, "clusters", k=2, weights=[0.0, 0.0, 1.0])["clusters"]
    made = widget.inspection.clustered
    assert made is not None
    assert (made.k, made.weights) == (2, (0.0, 0.0, 1.0))
    assert told["rows"] == widget.errors.index.tolist()
    assert told["groups"] == widget.errors["cluster"].tolist()
    points = np.frombuffer(told["points"]["data"], "<f4").reshape(told["points"]["shape"])
    np.testing.assert_array_equal(points, made.points)
    assert told["shown"] == list(made.shown)
    assert [card["margins"] for card in told["cards"]] == [pytest.approx(card.margins) for card in made]
    assert told["says"].startswith("2 groups by the map Attention gradient; silhouette")
    for card, one in zip(told["cards"], made, strict=True):
        assert card["tested"] == "not tested on the model"
        assert (card["lost"] == "on average the wrong class leads from layer 1 of 3") == all(m > 0 for m in one.margins)


def test_maps_are_ranked_by_what_is_wished_and_the_cost_is_told(widget: InspectWidget, page: Reader) -> None:
    before = widget.comm.state["_studies"]["costs"]
    assert before["paces"] == {}
    assert before["calibrate"] > int(np.prod(widget.inspection.grid))
    told = study(widget, page, "calibrate", samples=2, by="top_patch")
    assert (told["calibration"]["by"], told["calibration"]["samples"]) == ("top_patch", 2)
    assert told["calibration"]["coarse"] is False
    assert told["costs"]["paces"]["calibrate"] > 0


def test_a_large_grid_is_measured_approximately_and_that_is_told(
    widget: InspectWidget, page: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = widget.comm.state["_studies"]["costs"]
    monkeypatch.setattr(inspect_studies, "FEW_PATCHES", 4)
    told = study(widget, page, "calibrate", samples=1)
    assert told["calibration"]["coarse"] is True
    assert told["costs"]["coarse"] is True
    assert told["costs"]["calibrate"] < exact["calibrate"]
    assert widget.inspection.calibrated is not None
    assert widget.inspection.calibrated.coarse == 2


def test_right_answers_are_compared_where_that_is_wished_and_counted_apart(widget: InspectWidget, page: Reader) -> None:
    told = study(widget, page, "alignment")["cases"]
    wrong = [row for row in widget.errors.index if row != COUNT - 1]  # the last one has no mask
    assert (told["measured"], told["right"]) == (len(wrong), 0)
    assert told["says"] == f"{len(wrong)} errors with a mask"
    told = study(widget, page, "alignment", right=True)["cases"]
    assert (told["measured"], told["right"]) == (COUNT - 1, 4)
    assert told["says"] == f"{len(wrong)} errors and 4 right answers with a mask"
    frame = widget.frame
    for side in ("predicted", "true"):
        counts = {one["name"]: one[side] for one in told["cases"] if one[side]}
        assert counts == dict(Counter(case for case in frame[f"case_{side}"] if case))
    assert frame.loc[:3, "case_predicted"].isin(["human-aligned", "sufficient subset", "sufficient context",
                                                 "context-dependent"]).all()  # fmt: skip


def test_masks_that_cannot_be_used_are_told(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, good, large = [np.full((40, 40, 3), 9 * i, np.uint8) for i in range(6)], np.eye(40), np.eye(41)
    said = Inspection(classifier, pictures, [0] * 6, cache=False).run(False).records["predicted"]
    labels, sizes = [(int(one) + 1) % 7 for one in said], "its mask has 41 x 41 pixels and its picture 40 x 40"

    def ended(masks: Any) -> dict[str, Any]:
        widget = InspectWidget(Inspection(classifier, pictures, labels, masks=masks, cache=False))
        widget.wait(60)
        Reader(widget.comm, monkeypatch).say("study", what="alignment", on=True)
        return finished(widget, "alignment")

    some = ended([large, np.zeros((40, 40)), *[good] * 4])
    assert some["state"] == "done"
    assert some["message"].startswith(f"2 masks of 6 samples cannot be used (see problems); sample 0: {sizes}")
    none = ended([large] * 6)
    assert none["state"] == "failed"
    assert sizes in none["message"]
    assert ended({5: None})["message"].endswith("not one of these samples has a mask and a map")


def test_flip_sets_of_all_errors_become_an_order_and_go_on_where_they_stopped(
    widget: InspectWidget, page: Reader
) -> None:
    assert found(widget, "flips") is None
    page.say("study", what="flips", on=True)
    eventually(lambda: len(widget.inspection.flip_sets) >= 2, 60)
    page.say("study", what="flips", on=False)
    assert finished(widget, "flips")["state"] in ("stopped", "done")
    kept = dict(widget.inspection.flip_sets)
    told = study(widget, page, "flips")["flips"]
    sizes = widget.errors["flip_size"]
    some = sizes[sizes > 0]
    assert (told["asked"], told["found"]) == (len(sizes), len(some))
    have = "has" if len(some) == 1 else "have"
    assert told["says"].startswith(f"{len(sizes)} of {len(sizes)} errors searched: {len(some)} {have} a flip set")
    assert f"at most {some.median():g} patch" in told["says"]
    assert all(widget.inspection.flip_sets[row] is one for row, one in kept.items())
    assert [page.table["flip_size"][row] for row in sizes.index] == sizes.tolist()
    assert {row for row, size in page.table["by_flip_set"].items() if size > 0} == set(some.index)


def test_other_thresholds_are_other_cases_of_the_open_sample(widget: InspectWidget, page: Reader) -> None:
    page.say("open", row=int(widget.errors.index[0]))
    widget.wait(60)
    before = widget.comm.state["_sample"]
    assert len(before["cases"]) == 2
    page.say("thresholds", iou=0.0, saliency=0.5, ground=0.5)
    eventually(lambda: {case["name"] for case in widget.comm.state["_sample"]["cases"]} == {"confuser"})
    widget.thresholds = Thresholds(1, 1, 1)
    assert {case["name"] for case in widget.comm.state["_sample"]["cases"]} <= {"context confusion", "distractor"}
    widget.thresholds = Thresholds()
    assert widget.comm.state["_sample"] == before


@functools.cache
def shortcuts() -> tuple[Model, Any, list[int]]:
    """The built-in model of the shortcuts, its scenes, and of these six that are right and eight that are wrong."""
    world, model = lw.builtin.shortcut_world(60, seed=0), lw.load("shortcuts")
    labels = world.labels.tolist()
    said = Inspection(model, list(world.images), labels, class_names=world.class_names, cache=False).run(False)
    return model, world, [*np.setdiff1d(said.scored, said.wrong)[:6].tolist(), *said.wrong[:8].tolist()]


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> tuple[InspectWidget, Reader]:
    """These scenes, whose answers differ; the last one has no mask."""
    model, world, rows = shortcuts()
    shown = InspectWidget(
        Inspection(
            model, [world.images[i] for i in rows], [int(world.labels[i]) for i in rows],
            class_names=world.class_names, masks=[*(world.masks[i] for i in rows[:-1]), None], cache=False,
        )
    )  # fmt: skip
    shown.wait(60)
    return shown, Reader.with_table(shown, monkeypatch)


def test_objects_are_put_on_other_backgrounds_and_it_goes_on_where_it_was(scenes: tuple[InspectWidget, Reader]) -> None:
    widget, page = scenes
    assert found(widget, "backgrounds") is None
    assert widget.comm.state["_studies"]["costs"]["backgrounds"] == 9
    page.say("select", 0, 7, 13)
    told = study(widget, page, "backgrounds", selected=True)["backgrounds"]
    first = widget.inspection.transplanted
    assert first is not None
    assert (first.n, sorted(first.table.index), first.left_out) == (4, [0, 7], {13: "it has no mask"})
    assert told["says"] == [*str(first).split("\n"), "Of those left out 1: it has no mask."]
    assert (told["left"], sorted(one["row"] for one in told["rows"])) == ([13], [0, 7])
    for one in told["rows"]:
        row = first.table.loc[one["row"]]
        shares = [
            "–" if share != share else f"{100 * share:.0f} %" for share in row[["changed", "control_changed", "true"]]
        ]
        assert one["cells"] == [row["label"], row["predicted"], *shares, row["becomes"]]
        assert len(told["heads"]) == 1 + len(one["cells"])
    assert page.table["background_changes"][7] == pytest.approx(first.table.loc[7, "changed"])
    assert 8 not in page.table["background_changes"]

    study(widget, page, "backgrounds")
    all_errors = widget.inspection.transplanted
    assert all_errors is not None
    assert sorted(all_errors.table.index) == list(range(6, 13))
    assert all_errors.known[7] is first.known[7]
    assert len(found(widget, "backgrounds")["rows"]) == 7
    assert {row for row, share in page.table["by_backgrounds"].items() if share == share} == {0, *range(6, 13)}
    page.say("select")
    page.say("study", what="backgrounds", on=True, selected=True)
    assert finished(widget, "backgrounds")["message"].startswith("no sample is selected")


def test_what_was_stopped_is_told_as_far_as_it_came(
    scenes: tuple[InspectWidget, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    from legrad_widget.inspection import backgrounds

    widget, page = scenes
    asked: list[int] = []
    ask = backgrounds._asked

    def stopped_at_the_third(inspection: Inspection, donors: Any, at: int, n: int) -> Any:
        asked.append(at)
        if len(asked) == 3:
            page.say("study", what="backgrounds", on=False)
        return ask(inspection, donors, at, n)

    monkeypatch.setattr(backgrounds, "_asked", stopped_at_the_third)
    page.say("study", what="backgrounds", on=True)
    assert finished(widget, "backgrounds")["state"] == "stopped"
    done = [at for at in asked if at != 13]
    assert sorted(one["row"] for one in found(widget, "backgrounds")["rows"]) == sorted(done)
    assert found(widget, "backgrounds")["says"][0].startswith(f"{len(done)} samples, each")


def test_the_table_of_backgrounds_is_of_those_that_change_most(
    scenes: tuple[InspectWidget, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget, _ = scenes
    monkeypatch.setattr(inspect_studies, "TOP_ROWS", 3)
    told = widget.on_other_backgrounds(n=2)
    shown = found(widget, "backgrounds")
    beyond = (told.table["changed"] - told.table["control_changed"]).sort_values(ascending=False, kind="stable")
    assert [one["row"] for one in shown["rows"]] == beyond.index[:3].tolist()
    assert shown["says"][-1] == f"The 3 of these {len(told)} that change most:"
    widget.draw_mask(2, (0, 0, 20, 20))
    assert found(widget, "backgrounds")["stale"].startswith("Masks changed since")


def test_backgrounds_are_there_without_the_model(scenes: tuple[InspectWidget, Reader], tmp_path: Any) -> None:
    widget, page = scenes
    before = study(widget, page, "backgrounds")["backgrounds"]
    widget.inspection.save(tmp_path / "audit")
    opened = lw.open_inspection(tmp_path / "audit")
    assert found(opened, "backgrounds") == before
    assert opened.comm.state["_studies"]["masks"] is True


def test_what_is_of_another_map_says_so_by_the_names_of_the_page(widget: InspectWidget, page: Reader) -> None:
    study(widget, page, "clusters", k=2)
    study(widget, page, "alignment")
    study(widget, page, "flips")
    assert not any(found(widget, what)["stale"] for what in ("clusters", "cases", "flips"))
    page.say("draw", name="legrad/equal")
    for what in ("clusters", "cases", "flips"):
        assert "Attention gradient" in found(widget, what)["stale"]
        assert "LeGrad, layers counted equally" in found(widget, what)["stale"]
    assert found(widget, "flips")["asked"] == 0  # along the map of now
    study(widget, page, "clusters", k=2)
    assert found(widget, "clusters")["stale"] == ""
    assert found(widget, "cases")["stale"] != ""


def test_without_the_model_all_is_there_and_the_second_file_is_handed_over(
    widget: InspectWidget, page: Reader, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what, options in (("calibrate", {"samples": 2}), ("clusters", {"k": 2}), ("alignment", {}), ("flips", {})):
        study(widget, page, what, **options)
    before = widget.comm.state["_studies"]
    widget.inspection.save(tmp_path / "audit")
    opened = lw.open_inspection(tmp_path / "audit")
    told = opened.comm.state["_studies"]
    assert told["costs"] is None
    for what in ("calibration", "clusters", "cases", "flips", "masks", "drawn", "errors", "right"):
        assert told[what] == before[what], what

    reader, sent = Reader(opened.comm, monkeypatch), []
    monkeypatch.setattr(opened, "send", lambda content, buffers=None: sent.append((content, buffers)))
    for number, file in enumerate((GALLERY, FILE)):
        wanted = hash_of(file.read_bytes())
        reader.say("live", hash=wanted)
        assert sent[number] == ({"kind": "live", "hash": wanted, "message": ""}, [file.read_bytes()])
    sent.clear()
    reader.say("live", hash="of another version")
    assert "another version" in sent[0][0]["message"]
    reader.say("thresholds", iou=0.0, saliency=0.5, ground=0.5)
    eventually(lambda: opened.comm.state["_studies"]["cases"]["thresholds"]["iou"] == 0.0)
    eventually(
        lambda: sum(one["predicted"] for one in found(opened, "cases")["cases"] if one["name"] == "confuser") > 0
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 0}, "from 1 to 512"),
        ({"by": "luck"}, "by is one of"),
        ({"k": 1}, "from 2 to 12"),
        ({"k": 2.5}, "from 2 to 12"),
        ({"weights": [1, 1]}, "three numbers"),
        ({"weights": "111"}, "three numbers"),
        ({"weights": [1, 1, float("nan")]}, "from 0 to 1"),
        ({"weights": [1, 1, 2]}, "from 0 to 1"),
        ({"right": 1}, "True or False"),
        ({"selected": 1}, "True or False"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        read_options(options)


def test_options_that_are_left_out_are_as_usual() -> None:
    assert read_options({"what": "clusters", "on": True}) == Options()
    assert read_options({"k": None, "weights": (0, 1, 0.5)}) == Options(weights=(0.0, 1.0, 0.5))


def test_weights_that_leave_nothing_are_told(widget: InspectWidget, page: Reader) -> None:
    page.say("study", what="clusters", on=True, weights=[0, 0, 0])
    said = finished(widget, "clusters")
    assert said["state"] == "failed"
    assert "weights are three numbers" in said["message"]


def test_the_overlay_is_the_inspections_own(widget: InspectWidget, page: Reader) -> None:
    widget.overlay = Overlay("legrad")
    assert "by the map LeGrad;" in study(widget, page, "clusters", k=2)["clusters"]["says"]


@pytest.mark.parametrize(
    ("margins", "says"),
    [
        ((1.0, 2.0), "leads from layer 1 of 2"),
        ((1.0, -1.0, 2.0), "leads from layer 3 of 3"),
        ((-1.0, 0.0, 0.0), "does not lead at the last layer"),
        ((), ""),
    ],
)
def test_when_a_group_was_lost_in_words(margins: tuple[float, ...], says: str) -> None:
    assert says in inspect_studies._lost(margins)


def test_shares_are_never_rounded_to_all_or_nothing() -> None:
    shares = (0.0, 0.001, 0.25, 0.999, 1.0)
    assert [inspect_studies._percent(share) for share in shares] == ["0 %", "< 1 %", "25 %", "> 99 %", "100 %"]


def test_what_python_finds_is_on_the_page(widget: InspectWidget, page: Reader) -> None:
    widget.clusters(2, test=False)
    assert found(widget, "clusters")["tested"] is False
    widget.check_regions()
    assert found(widget, "clusters")["tested"] is True
    table = widget.find_flip_sets(widget.errors.index[:2].tolist())
    assert found(widget, "flips")["asked"] == len(table) == 2
    assert widget.outdated == {}


def test_specificity_becomes_an_order_and_a_sentence(widget: InspectWidget, page: Reader) -> None:
    assert found(widget, "specificity") is None
    told = study(widget, page, "specificity")["specificity"]
    values = widget.errors["specificity"]
    assert told["asked"] == len(values)
    assert f"differ by {values.median():.2f}, in the median of {len(values)} errors. 0: the same map" in told["says"]
    assert {row for row, value in page.table["by_specificity"].items() if value == value} == set(values.index)
    widget.overlay = Overlay("legrad")
    assert "are of the map Attention gradient" in found(widget, "specificity")["stale"]
    assert (found(widget, "specificity")["asked"], found(widget, "specificity")["says"]) == (0, "")


def test_how_many_errors_there_are_is_known_when_scoring_ends_or_is_paused(widget: InspectWidget) -> None:
    wrong, right = len(widget.errors), COUNT - len(widget.errors)
    assert (found(widget, "errors"), found(widget, "right")) == (wrong, right)
    again = InspectWidget(widget.inspection, start=False)
    assert (found(again, "errors"), found(again, "right")) == (wrong, right)
    fresh = Inspection(widget.inspection.model, [widget.picture(i) for i in range(4)], [0] * 4, cache=False, batch=1)
    begun = InspectWidget(fresh, start=False)
    assert found(begun, "errors") == 0
    begun.run()
    eventually(lambda: fresh.done >= 1)
    begun.pause()
    assert found(begun, "errors") == len(fresh.wrong)


def test_a_flip_set_of_the_open_sample_counts_among_those_of_all_errors(widget: InspectWidget, page: Reader) -> None:
    row = int(widget.errors.index[0])
    widget.show(row)
    widget.wait(60)
    page.say("flip", row=row, on=True)
    eventually(lambda: (found(widget, "flips") or {"asked": 0})["asked"] == 1, 60)
