"""Tools: what the core computes arrives, one at a time, the latest wins, and whatever happens they come to rest."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import legrad_widget as lw
from legrad_widget import heads
from legrad_widget.evaluate import cost, perturbation, randomisation
from legrad_widget.explainer import Encoding
from legrad_widget.models.text import TextEncoder
from legrad_widget.widget import asking, running
from legrad_widget.widget.message import read
from legrad_widget.widget.rules import Refused, Scope
from legrad_widget.widget.tool_rules import Ground
from legrad_widget.widget.tools import PLANS, TOOLS, args_of
from legrad_widget.widget.wire import unpack
from legrad_widget.widget.worker import worker_of
from tests import specimens
from tests.widget.test_asking import until


class Bench:
    """A page that uses tools."""

    def __init__(self, page, client="page"):
        self.page, self.client, self.n = page, client, 0

    def use(self, tool, *, rev=None, target=0, n=None, **args):
        """Ask for a tool; gives the rid."""
        self.n = self.n + 1 if n is None else n
        rid = f"{self.client}.t{self.n}"
        rev = self.page.result["rev"] if rev is None else rev
        content = {"kind": "tool", "v": 1, "client": self.client, "n": self.n, "rid": rid, "rev": rev}
        self.page.message({**content, "target": target, "tool": tool, "args": args})
        return rid

    def get(self, tool, **args):
        """The entry of a tool when it has come to rest."""
        rid = self.use(tool, **args)
        self.rest()
        entry = self.tools[tool]
        assert entry["rid"] == rid, self.page.messages[-1:]
        return entry

    def rest(self):
        until(lambda: "busy" in self.tools and self.tools["busy"] is None)

    @property
    def tools(self):
        return dict(self.page.state["_tools"])

    @property
    def refusal(self):
        assert self.page.last["kind"] == "refused", self.page.last
        return self.page.last["message"]


@pytest.fixture
def bench(page) -> Bench:
    return Bench(page)


@pytest.fixture
def encoding(widget):
    return widget._answer.question.photo.encoding


# ---------------------------------------------------------------- what the core computes arrives


def test_effects(bench, encoding):
    entry = bench.get("effects", target=1)
    expected = encoding.head_effects("a dog")
    assert {name: entry[name] for name in ("rev", "target", "label", "args", "state", "message")} == {
        "rev": bench.page.result["rev"],
        "target": 1,
        "label": "a dog",
        "args": {},
        "state": "done",
        "message": "",
    }
    np.testing.assert_array_equal(unpack(entry["values"]), expected.values)
    np.testing.assert_array_equal(unpack(entry["maps"]), expected.maps)
    assert (entry["score"], entry["score_name"]) == (expected.score, "cosine")


def test_ablate(bench, encoding):
    entry = bench.get("ablate", cells=[[1, 0], [3, 2], [1, 0]])
    expected = encoding.ablate([(1, 0), (3, 2)], "a cat")
    assert entry["cells"] == entry["args"]["cells"] == [[1, 0], [3, 2]]
    assert (entry["before"], entry["after"], entry["change"]) == (expected.before, expected.after, expected.change)
    assert entry["score_name"] == "cosine"


@pytest.mark.parametrize("head", [None, 2])
def test_row(bench, encoding, head):
    entry = bench.get("row", layer=2, head=head, patch=[0, 2])
    expected = encoding.attention(2, head, (0, 2))
    np.testing.assert_array_equal(unpack(entry["map"]), expected.patches)
    assert entry["prefix"] == expected.prefix.tolist()


@pytest.mark.parametrize("patch", [None, [1, 2]])
def test_lens(bench, encoding, patch):
    entry = bench.get("lens", layer=2, patch=patch)
    expected = encoding.lens(2, patch and tuple(patch))
    assert [(one["index"], one["name"], one["probability"]) for one in entry["predictions"]] == [
        (one.index, one.name, one.probability) for one in expected
    ]
    assert len(expected) == 5
    assert entry["of"] == "everyday prompts"


def test_norms(bench, encoding):
    entry = bench.get("norms", layer=1)
    expected = encoding.token_norms(1)
    np.testing.assert_array_equal(unpack(entry["map"]), expected.patches)
    assert entry["prefix"] == expected.prefix.tolist()
    assert entry["threshold"] == expected.threshold
    assert entry["outliers"] == np.argwhere(expected.outliers).tolist()


def test_brush(bench, encoding):
    entry = bench.get("brush", patches=[[0, 0], [1, 2]], how="blur", control=3)
    expected = encoding.without([(0, 0), (1, 2)], "blur", targets=["a cat", "a dog"], control=3)
    assert [one["label"] for one in entry["targets"]] == ["a cat", "a dog"]
    for got, moved in zip(entry["targets"], expected.targets, strict=True):
        assert (got["before"], got["after"], got["of"]) == (moved.before, moved.after, moved.probability_of)
        assert (got["low"], got["high"]) == moved.interval
    assert entry["classes"] == []
    assert bench.get("brush", patches=[[0, 0]], curve=True)["curve"] is None  # of two classes, which a sample has
    assert entry["picture"]["mime"] == "image/png"
    assert entry["picture"]["data"].startswith(b"\x89PNG")


@pytest.mark.parametrize(("how", "options"), [("block", {"from_layer": 2}), ("surroundings", {})])
def test_brush_blocks_from_a_layer_on_and_fills_from_around(bench, encoding, how, options):
    entry = bench.get("brush", patches=[[0, 0], [1, 2]], how=how, control=2, **options)
    expected = encoding.without([(0, 0), (1, 2)], how, targets=["a cat", "a dog"], control=2, **options)
    assert entry["args"]["from_layer"] == options.get("from_layer")
    assert [one["after"] for one in entry["targets"]] == [moved.after for moved in expected.targets]
    assert [(one["low"], one["high"]) for one in entry["targets"]] == [moved.interval for moved in expected.targets]
    dropped = bench.get("brush", patches=[[0, 0], [1, 2]])
    assert [one["after"] for one in dropped["targets"]] != [one["after"] for one in entry["targets"]]


def test_only_the_inspector_pastes_from_other_samples(bench):
    for args in ({"how": "paste"}, {"how": "drop", "donor": 2}):
        entry = bench.get("brush", patches=[[0, 0]], **args)
        assert entry["state"] == "failed"
        assert "lw.inspect(model, images, labels)" in entry["message"]


def test_blocking_without_a_layer_fails_in_a_sentence(bench):
    entry = bench.get("brush", patches=[[0, 0]], how="block")
    assert entry["state"] == "failed"
    assert "needs from_layer" in entry["message"]


def test_verify_and_the_effects_on_the_way(bench, encoding):
    entry = bench.get("verify", top=4)
    expected = encoding.verify_heads("a cat", 4)
    assert [tuple(one.values()) for one in entry["found"]] == [
        (one.layer, one.head, one.estimate, one.measured) for one in expected
    ]
    assert (entry["step"], entry["total"]) == (4, 4)
    estimated = bench.tools["effects"]
    assert (estimated["rid"], estimated["state"], estimated["args"]) == (entry["rid"], "done", {})
    np.testing.assert_array_equal(unpack(estimated["values"]), encoding.head_effects("a cat").values)


@pytest.mark.parametrize("mode", ["pixels", "tokens"])
@pytest.mark.parametrize("kinds", [["deletion", "insertion"], ["positive", "negative"], ["insertion"]])
def test_curves(bench, widget, encoding, mode, kinds):
    entry = bench.get("curves", mode=mode, kinds=kinds, random=2, target=1)
    shown = widget.explanations[1]
    for got, kind in zip(entry["curves"], kinds, strict=True):
        expected = getattr(perturbation, kind)(encoding, "a dog", shown, mode=mode)
        assert (got["kind"], got["method"], got["area"]) == (kind, "legrad", expected.area)
        assert got["fractions"] == expected.fractions.tolist()
        np.testing.assert_allclose(got["values"], expected.values, rtol=0, atol=1e-7)
        assert entry["of"] == expected.probability_of
    options = {name: value for name, value in PLANS[kinds[0]].items() if name != "order"}
    band = perturbation.random_band(encoding, "a dog", count=2, mode=mode, **options)
    assert entry["band"] == {
        "kind": kinds[0],
        "fractions": band.fractions.tolist(),
        "low": band.low.tolist(),
        "mean": band.mean.tolist(),
        "high": band.high.tolist(),
    }
    assert entry["step"] == entry["total"] == (len(kinds) + 2) * len(band.fractions)


def test_curves_of_another_method_are_of_its_map_with_its_defaults_which_is_remembered(bench, encoding, calls):
    entry = bench.get("curves", kinds=["positive"], method="gradcam")
    expected = perturbation.positive(encoding, "a cat", Encoding.explain(encoding, "a cat", "gradcam"))
    [curve] = entry["curves"]
    assert (curve["method"], curve["values"]) == ("gradcam", expected.values.tolist())
    assert entry["band"] is None
    calls.clear()
    bench.get("curves", kinds=["negative"], method="gradcam")
    assert calls == []


ALL = ["deletion", "insertion", "positive", "negative"]


def test_the_curves_of_several_methods_are_those_of_each_and_one_band_serves_all(bench, widget, encoding):
    widget.method, widget.knobs = "legrad", {"relu": False}
    widget.wait()
    entry = bench.get("faithfulness", methods=["gradcam", "legrad", "rollout"], kinds=ALL, random=2, target=1)
    assert [(one["kind"], one["method"]) for one in entry["curves"]] == [
        (kind, method) for kind in ALL for method in ("gradcam", "legrad", "rollout")
    ]
    for got in entry["curves"]:
        knobs = {"relu": False} if got["method"] == "legrad" else {}
        x = encoding.explain("a dog", got["method"], **knobs)
        expected = getattr(perturbation, got["kind"])(encoding, "a dog", x)
        assert got["area"] == expected.area
        assert got["fractions"] == expected.fractions.tolist()
        np.testing.assert_allclose(got["values"], expected.values, rtol=0, atol=1e-7)
        seen = widget.explanations[1] if got["method"] == "legrad" else x  # asked with the others: the same to a bit
        assert got["digest"] == zlib.crc32(seen.maps.tobytes())
    band = perturbation.random_band(encoding, "a dog", count=2, steps=30, upto=1.0)
    assert (entry["band"]["kind"], entry["band"]["mean"]) == ("deletion", band.mean.tolist())
    assert entry["chance"] == {
        "deletion": band.height(), "insertion": band.height(), "positive": band.height(0.9),
        "negative": band.height(0.9),
    }  # fmt: skip
    assert (entry["about"], entry["image_rev"]) == (bench.page.result["targets"][1]["target"], widget._shown.rev)
    assert entry["of"] == x.probability_of
    assert entry["step"] == entry["total"] == 3 * (31 + 31 + 10 + 10) + 2 * 31
    assert entry["errors"] == {}


def test_every_curve_is_of_the_map_that_is_compared(bench, widget, page):
    names = ["legrad", "textspan", "rollout", "cdam"]  # one of them compares the targets, and is about both
    widget.compared, widget.compare = names, "methods"
    widget.wait()
    entry = bench.get("faithfulness", methods=names, kinds=["positive"])
    shown = {pane["method"]: zlib.crc32(pane["maps"]["data"]) for pane in page.state["_comparison"]["panes"]}
    assert {one["method"]: one["digest"] for one in entry["curves"]} == shown


def test_what_was_drawn_once_is_not_drawn_again_while_its_map_is_remembered(bench, widget, monkeypatch):
    drawn = []
    growing = perturbation.growing

    def counted(encoding, target, found, **options):
        drawn.append(found.method if found else "random")
        return growing(encoding, target, found, **options)

    monkeypatch.setattr(perturbation, "growing", counted)
    first = bench.get("faithfulness", methods=["legrad", "rollout"], kinds=["deletion"], random=2)
    assert drawn == ["legrad", "rollout", "random", "random"]
    widget.method = "rollout"  # the one that is shown plays no part
    widget.wait()
    again = bench.get("faithfulness", methods=["legrad", "rollout", "gradcam"], kinds=["deletion"], random=2)
    assert drawn[4:] == ["gradcam"]
    assert again["curves"][:2] == first["curves"]
    assert (again["band"], again["chance"]) == (first["band"], first["chance"])
    bench.get("faithfulness", methods=["legrad"], kinds=["deletion"], target=1)
    assert drawn[5:] == ["legrad"]
    widget.image = np.full((20, 30, 3), 90, np.uint8)
    widget.wait()
    assert bench.tools == {}
    bench.get("faithfulness", methods=["legrad"], kinds=["deletion"])
    assert drawn[6:] == ["legrad"]


def test_a_method_that_fails_is_a_sentence_and_the_others_have_their_curves(bench, monkeypatch):
    explain = Encoding.explain

    def broken(encoding, target, method="legrad", **options):
        if method == "gradcam":
            raise RuntimeError("CUDA out of memory")
        return explain(encoding, target, method, **options)

    monkeypatch.setattr(Encoding, "explain", broken)
    entry = bench.get("faithfulness", methods=["gradcam", "rollout"], kinds=["positive", "negative"])
    assert entry["errors"] == {"gradcam": "RuntimeError: CUDA out of memory"}
    assert [one["method"] for one in entry["curves"]] == ["rollout", "rollout"]
    assert (entry["state"], entry["band"], entry["chance"]) == ("done", None, {})


def test_randomise_takes_the_method_that_is_shown_with_its_knobs(bench, widget, encoding):
    widget.method, widget.knobs = "legrad", {"relu": False}
    widget.wait()
    entry = bench.get("randomise")
    expected = randomisation.sanity(encoding, "a cat", "legrad", blocks=(0, 1, 2, 3), relu=False)
    assert (entry["method"], entry["blocks"]) == ("legrad", [0, 1, 2, 3])
    assert entry["correlations"] == list(expected.correlations)
    assert entry["correlations"][0] == pytest.approx(1)
    assert entry["passed"] is expected.passed
    assert (entry["step"], entry["total"]) == (4, 4)


def test_the_card_says_what_the_map_cost_here(bench, widget, monkeypatch):
    monkeypatch.setattr(cost, "forward_seconds", lambda encoding: 0.5 if encoding is bench_encoding else 0)
    bench_encoding = widget._answer.question.photo.encoding
    entry = bench.get("card", target=1)
    assert (entry["method"], entry["forward"]) == ("legrad", 0.5)
    assert entry["seconds"] == widget.explanations[1].seconds > 0
    assert entry["verdict"] is None
    assert bench.get("card", target=1)["seconds"] == entry["seconds"], "the map was not made again"


def test_the_card_knows_the_check_of_this_method_with_these_knobs_until_the_weights_change(photo):
    import open_clip

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with lw_widget(own, photo) as widget:
        bench = Bench(widget.comm)
        check = bench.get("randomise")
        said = {"passed": check["passed"], "correlation": check["correlations"][-1], "label": "a cat"}
        assert bench.get("card")["verdict"] == said
        for change in ({"knobs": {"relu": False}}, {"method": "rollout", "knobs": {}}):
            for name, value in change.items():
                setattr(widget, name, value)
            widget.wait()
            assert bench.get("card")["verdict"] is None
        widget.method = "legrad"
        widget.image = np.full((20, 30, 3), 90, np.uint8)
        widget.wait()
        assert bench.get("card")["verdict"] == said, "it is about the method and the model"
        with torch.no_grad():
            own.module.visual.proj.mul_(2)
        widget.targets = "a dog"
        widget.wait()
        assert bench.get("card")["verdict"] is None


def test_a_check_that_was_stopped_is_no_verdict(bench, monkeypatch):
    reached, go = threading.Event(), threading.Event()
    shuffle = randomisation._shuffle

    def held(*args):
        reached.set()
        assert go.wait(20)
        shuffle(*args)

    monkeypatch.setattr(randomisation, "_shuffle", held)
    bench.use("randomise")
    assert reached.wait(20)
    bench.use("stop")
    go.set()
    assert bench.get("card")["verdict"] is None


# ---------------------------------------------------------------- while a tool runs


def entries(page, tool):
    """Every state of a tool's entry that the page saw, in order."""
    seen = [tools[tool] for tools in page.updates("_tools") if tool in tools]
    return [entry for place, entry in enumerate(seen) if place == 0 or entry != seen[place - 1]]


@pytest.fixture
def at_once(monkeypatch):
    """Every step is told."""
    monkeypatch.setattr(asking, "PROGRESS_EVERY", 0.0)
    monkeypatch.setattr(running, "BYTES_A_SECOND", 2**60)


@pytest.mark.parametrize(
    ("tool", "args", "grown"),
    [
        (
            "faithfulness",
            {"methods": ["legrad", "rollout"], "kinds": ["deletion"], "random": 2},
            lambda entry: sum(len(curve["values"]) for curve in entry["curves"]),
        ),
        ("verify", {"top": 5}, lambda entry: len(entry["found"])),
        ("randomise", {}, lambda entry: len(entry["blocks"])),
        (
            "curves",
            {"kinds": ["deletion", "insertion"], "random": 2},
            lambda entry: sum(len(curve["values"]) for curve in entry["curves"]),
        ),
    ],
)
def test_what_is_found_grows_until_it_is_done(bench, page, at_once, tool, args, grown, monkeypatch):
    monkeypatch.setattr(perturbation, "batch_size", lambda *_: 8)  # so small a model takes a curve in one batch
    bench.get(tool, **args)
    seen = entries(page, tool)
    assert [entry["state"] for entry in seen] == ["running"] * (len(seen) - 1) + ["done"]
    sizes = [grown(entry) for entry in seen]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3
    assert sizes[0] < sizes[-1]
    steps = [entry["step"] for entry in seen]
    assert steps == sorted(steps)
    told = [tools["busy"] for tools in page.updates("_tools") if tools["busy"]]
    assert {(one["tool"], one["rid"]) for one in told} == {(tool, seen[0]["rid"])}
    assert told[0]["message"] == "waiting for the model"
    if tool == "curves":
        assert [curve["area"] is None for curve in seen[0]["curves"]] == [True]
        assert all(entry["band"] is None for entry in seen[:-2])
    if tool == "randomise":
        assert all(entry["passed"] is None for entry in seen[:-2])


def test_progress_is_told_at_most_ten_times_a_second(bench, page):
    started = time.monotonic()
    bench.get("curves", kinds=["deletion", "insertion", "positive", "negative"], mode="tokens", random=5)
    seconds = time.monotonic() - started
    assert len(page.updates("_tools")) <= 4 + 10 * seconds


class Held:
    """The core stops at its first score under ablation, until it is let go."""

    def __init__(self, monkeypatch):
        self.reached, self.go, self.ablate = threading.Event(), threading.Event(), heads.ablate
        monkeypatch.setattr(heads, "ablate", self._ablate)
        self.after = 1

    def _ablate(self, *args, **options):
        self.after -= 1
        if self.after == 0:
            self.reached.set()
            assert self.go.wait(20)
        return self.ablate(*args, **options)


@pytest.fixture
def held(monkeypatch):
    """``verify`` waits in front of the third ablation."""
    hold = Held(monkeypatch)
    hold.after = 3
    yield hold
    hold.go.set()


def test_stop_keeps_what_is_there(bench, held):
    rid = bench.use("verify", top=9)
    assert held.reached.wait(10)
    bench.use("stop")
    entry = bench.tools["verify"]
    assert (entry["state"], entry["message"], entry["rid"]) == ("stopped", "stopped", rid)
    assert len(entry["found"]) == 2
    assert bench.tools["busy"] is None
    held.go.set()
    assert bench.get("norms", layer=1)["state"] == "done"
    assert len(bench.tools["verify"]["found"]) == 2


def test_the_latest_tool_wins_and_the_superseded_one_keeps_its_part(bench, page, held):
    bench.use("verify", top=9)
    assert held.reached.wait(10)
    bench.use("norms", layer=1)
    rid = bench.use("norms", layer=2)
    assert bench.tools["busy"]["rid"] == rid
    held.go.set()
    bench.rest()
    assert (bench.tools["verify"]["state"], len(bench.tools["verify"]["found"])) == ("stopped", 2)
    assert (bench.tools["norms"]["rid"], bench.tools["norms"]["args"]) == (rid, {"layer": 2})
    assert [entry["args"]["layer"] for entry in entries(page, "norms")] == [2]  # the first was never computed


def test_an_older_entry_stays_while_a_new_one_has_found_nothing(bench, busy):
    old = bench.get("norms", layer=1)
    with busy():
        rid = bench.use("norms", layer=2)
        assert bench.tools["norms"] == old
        assert bench.tools["busy"]["rid"] == rid
        bench.use("stop")
        assert bench.tools == {"norms": old, "busy": None}
    assert bench.get("norms", layer=3)["args"] == {"layer": 3}


def test_a_question_stops_the_tool_and_is_answered(bench, widget, page, held):
    bench.use("verify", top=9)
    assert held.reached.wait(10)
    page.ask("a bird")
    assert bench.tools["verify"]["state"] == "stopped"
    held.go.set()
    widget.wait()
    assert page.labels == ["a bird"]
    assert len(bench.tools["verify"]["found"]) == 2
    assert bench.tools["verify"]["rev"] != page.result["rev"]
    assert bench.get("effects")["label"] == "a bird"


def test_cancelling_stops_the_tool(bench, widget, held):
    bench.use("verify", top=9)
    assert held.reached.wait(10)
    widget.cancel()
    assert bench.tools["verify"]["state"] == "stopped"
    assert widget.explanation.label == "a cat"


def test_a_question_of_another_widget_comes_between_two_steps(bench, held, model, photo):
    with lw_widget(model, photo) as other:
        bench.use("verify", top=9)
        assert held.reached.wait(10)
        other.targets = "a fox"
        held.go.set()
        other.wait()
        assert other.explanation.label == "a fox"
        assert bench.tools["busy"] is not None or bench.tools["verify"]["state"] == "done"
        bench.rest()
    assert (bench.tools["verify"]["state"], len(bench.tools["verify"]["found"])) == ("done", 9)


def test_tools_of_two_widgets_on_one_model_take_turns(bench, held, model, photo, monkeypatch):
    turns = []
    step = running.Running._tool_step

    def counted(widget, run, ticket):
        turns.append(run.use.client)
        step(widget, run, ticket)

    monkeypatch.setattr(running.Running, "_tool_step", counted)
    with lw_widget(model, photo) as widget:
        other = Bench(widget.comm, "other")
        bench.use("verify", top=8)
        assert held.reached.wait(10)
        other.use("verify", top=8)
        held.go.set()
        bench.rest(), other.rest()
        assert other.tools["verify"]["found"] == bench.tools["verify"]["found"]
    first = turns.index("other")
    assert turns[first : first + 8] == ["other", "page"] * 4


def test_a_page_that_reloads_finds_the_tools(bench, widget):
    entry = bench.get("effects")
    again = widget.get_state()["_tools"]
    assert again["effects"]["maps"] == entry["maps"]


def test_a_new_picture_clears_the_table(bench, widget, page):
    bench.get("norms", layer=1)
    widget.image = np.full((20, 30, 3), 90, np.uint8)
    widget.wait()
    assert bench.tools == {}
    assert bench.get("norms", layer=2)["rev"] == page.result["rev"]


# ---------------------------------------------------------------- what cannot be


def test_a_target_that_has_no_map_fails_in_its_sentence_and_the_others_work(bench, widget, page):
    key = widget._held.key_of(lw.Direction(np.ones(5, np.float32)))
    page.ask("a bird", {"kind": "held", "key": key, "label": "short"}, "a fox")
    until(lambda: page.status["state"] == "idle")
    entry = bench.get("effects", target=1)
    assert (entry["state"], entry["label"]) == ("failed", "short")
    assert "this one has 5" in entry["message"]
    assert "values" not in entry
    assert "this one has 5" in bench.get("curves", target=1, kinds=["positive"])["message"]
    brushed = bench.get("brush", patches=[[0, 0]])["targets"]
    assert [one["label"] for one in brushed] == ["a bird", "short", "a fox"]
    assert [one["before"] is None for one in brushed] == [False, True, False]


def test_dropping_every_patch_fails_in_a_sentence(bench):
    entry = bench.get("brush", patches=[[row, column] for row in range(3) for column in range(3)])
    assert entry["state"] == "failed"
    assert "all 9 patches are marked" in entry["message"]


def test_after_training_a_tool_fails_in_a_sentence_and_works_when_asked_anew(photo):
    import open_clip

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with lw_widget(own, photo) as widget:
        bench = Bench(widget.comm)
        bench.get("effects")
        with torch.no_grad():
            own.module.visual.proj.mul_(2)
        for tool, args in {
            "effects": {},
            "verify": {},
            "curves": {"kinds": ["positive"]},
            "randomise": {},
            "faithfulness": {"methods": ["rollout"], "kinds": ["positive"]},
        }.items():
            entry = bench.get(tool, **args)
            assert entry["state"] == "failed", tool
            assert "weights changed" in entry["message"]
        widget.targets = "a dog"
        widget.wait()
        assert bench.get("effects")["state"] == "done"


def test_whatever_a_model_raises_the_tool_comes_to_rest(bench, model, caplog):
    def broken(*_):
        raise RuntimeError("CUDA out of memory\nand a long story")

    handle = model.module.visual.transformer.resblocks[1].mlp.register_forward_hook(broken)
    try:
        entry = bench.get("brush", patches=[[0, 0]], how="mean")
    finally:
        handle.remove()
    assert (entry["state"], entry["message"]) == ("failed", "RuntimeError: CUDA out of memory")
    assert "the tool brush failed" in caplog.text
    assert bench.get("brush", patches=[[0, 0]], how="mean")["state"] == "done"


def test_an_encoding_that_was_let_go_means_stopped(bench, widget, busy):
    with busy():
        bench.use("effects")
        widget._answer.question.photo.encoding = None
    bench.rest()
    assert "effects" not in bench.tools


BAD = {
    "unknown tool": ("dance", {}, "no tool is called 'dance'"),
    "unknown argument": ("norms", {"layer": 1, "colour": 2}, "norms has no argument 'colour'; it takes layer"),
    "no argument": ("effects", {"layer": 1}, "it takes none"),
    "missing argument": ("norms", {}, "norms needs the argument layer"),
    "layer 0": ("norms", {"layer": 0}, "layer is a whole number from 1 to 3"),
    "layer too deep": ("lens", {"layer": 4}, "from 1 to 3"),
    "layer True": ("norms", {"layer": True}, "layer is a whole number"),
    "layer 1.5": ("norms", {"layer": 1.5}, "layer is a whole number"),
    "layer nan": ("norms", {"layer": float("nan")}, "layer is a whole number"),
    "head": ("row", {"layer": 1, "head": 4, "patch": [0, 0]}, "from 0 to 3"),
    "head False": ("row", {"layer": 1, "head": False, "patch": [0, 0]}, "head is a whole number"),
    "row": ("row", {"layer": 1, "patch": [3, 0]}, "a patch's row is a whole number from 0 to 2"),
    "column": ("lens", {"layer": 1, "patch": [0, -1]}, "a patch's column"),
    "a prefix token": ("row", {"layer": 1, "patch": 0}, "a patch is a pair"),
    "a triple": ("row", {"layer": 1, "patch": [0, 0, 0]}, "a patch is a pair"),
    "no cells": ("ablate", {"cells": []}, "cells is a list of 1 to 12 pairs"),
    "too many cells": ("ablate", {"cells": [[1, 0]] * 13}, "13 of them"),
    "cells of a dict": ("ablate", {"cells": {"1": 0}}, "cells is a list"),
    "a cell of lists": ("ablate", {"cells": [[[1], 0]]}, "layer is a whole number"),
    "no patches": ("brush", {"patches": []}, "patches is a list of 1 to 9 pairs"),
    "how": ("brush", {"patches": [[0, 0]], "how": "burn"}, "how is one of drop, block, blur, mean, fill"),
    "donor": ("brush", {"patches": [[0, 0]], "how": "paste", "donor": 1.5}, "a sample is a whole number from 0"),
    "from layer": ("brush", {"patches": [[0, 0]], "how": "block", "from_layer": 4}, "from 1 to 3"),
    "control": ("brush", {"patches": [[0, 0]], "control": 21}, "control is a whole number from 0 to 20"),
    "top": ("verify", {"top": 0}, "top is a whole number from 1"),
    "mode": ("curves", {"kinds": ["positive"], "mode": ["pixels"]}, "mode is one of pixels, tokens"),
    "kinds": ("curves", {"kinds": ["deletion", "detection"]}, "a curve's kind is one of"),
    "no kinds": ("curves", {"kinds": []}, "kinds is a list"),
    "one order": ("curves", {"kinds": ["positive"], "random": 1}, "0 (no band) or 2 to 5"),
    "method": ("curves", {"kinds": ["positive"], "method": "magic"}, "magic"),
    "no methods": ("faithfulness", {"kinds": ["positive"], "methods": []}, "methods is a list of method names"),
    "methods of a string": ("faithfulness", {"kinds": ["positive"], "methods": "legrad"}, "methods is a list"),
    "methods unknown": ("faithfulness", {"kinds": ["positive"], "methods": ["legrad", "magic"]}, "magic"),
    "method unhashable": ("curves", {"kinds": ["positive"], "method": {}}, "method"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_in_a_sentence_and_nothing_changes(bench, page, calls, name):
    tool, args, sentence = BAD[name]
    before = (page.result, page.status, bench.tools)
    rid = bench.use(tool, **args)
    assert sentence in bench.refusal
    assert len(bench.refusal) < 400
    assert page.last["rid"] == rid
    assert (page.result, page.status, bench.tools) == before
    assert bench.get("norms", layer=1)["state"] == "done"


def test_a_refusal_leaves_the_running_tool_alone(bench, held):
    rid = bench.use("verify", top=4)
    assert held.reached.wait(10)
    bench.use("norms", layer=99)
    assert bench.tools["busy"]["rid"] == rid
    held.go.set()
    bench.rest()
    assert bench.tools["verify"]["state"] == "done"


def test_what_is_not_shown_any_more_cannot_be_asked_about(bench, widget, page, busy):
    old = page.result["rev"]
    with busy():
        page.ask("a bird")
        bench.use("effects", rev=old)
        assert "an answer that is not shown any more" in bench.refusal
    widget.wait()
    bench.use("effects", rev=old)
    assert "an answer that is not shown any more" in bench.refusal
    bench.use("effects", target=1)
    assert "there is no target 1; the answer has 1, from 0" in bench.refusal
    assert bench.get("effects")["label"] == "a bird"


def test_a_message_that_is_replayed_is_ignored(bench, page):
    bench.get("norms", layer=1)
    heard = len(page.sent)
    bench.use("norms", layer=2, n=1)
    assert len(page.sent) == heard


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted({name for tool in TOOLS.values() for name in tool.args})
GROUND = Ground((4, 4, 2), (3, 5), Scope(3))


def read_or_refusal(content):
    try:
        use = read(content, [], Scope(3))
        return use.tool, args_of(use.tool, use.args, GROUND)
    except Refused as refused:
        return str(refused)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*TOOLS, "stop"]) | JSON, st.dictionaries(st.sampled_from(NAMES), JSON) | JSON,
    st.integers(-1, 3) | JSON, st.integers(-1, 3) | JSON,
)  # fmt: skip
def test_a_hostile_message_is_a_refusal_and_nothing_else(tool, args, rev, target):
    content = {"kind": "tool", "v": 1, "client": "c", "n": 1, "rid": "c.t1", "rev": rev, "target": target}
    found = read_or_refusal({**content, "tool": tool, "args": args})
    if isinstance(found, str):
        assert 10 < len(found) < 600
        return
    name, checked = found
    assert list(checked) == list(TOOLS[name].args)
    json.dumps(checked, allow_nan=False)
    assert all(0 <= row < 3 and 0 <= column < 5 for row, column in checked.get("patches", []))


def test_a_large_grid_fits_into_a_message_and_a_huge_list_does_not(bench):
    grid = [[row, column] for row in range(64) for column in range(64)]
    content = {"kind": "tool", "v": 1, "client": "c", "n": 1, "rid": "c.t1", "rev": 1, "target": 0, "tool": "brush"}
    use = read({**content, "args": {"patches": grid}}, [], Scope(3))
    ground = Ground((4,), (64, 64), Scope(1))
    assert args_of("brush", use.args, ground)["patches"] == grid
    bench.use("brush", patches=grid * 2)
    assert "too big" in bench.refusal


# ---------------------------------------------------------------- the end


def test_closing_closes_both_seats_and_frees_the_model(photo):
    import open_clip

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    widget = lw.explore(photo, "a cat", model=own)
    widget.wait()
    bench = Bench(widget.comm)
    bench.get("verify", top=3)
    bench.use("curves", kinds=["deletion"], random=5)  # on its way
    worker, encoding, gone = worker_of(own), weakref.ref(widget._photo.encoding), weakref.ref(own)
    assert len(worker._seats) == 2
    widget.close()
    assert not worker._seats
    until(lambda: not worker.alive)
    heard = len(bench.page.sent)
    bench.use("norms", layer=1)
    assert len(bench.page.sent) == heard
    hooks = [hook for module in own.module.modules() for hook in (*module._forward_hooks, *module._forward_pre_hooks)]
    assert hooks == []
    del widget, bench, own
    gc.collect()
    assert encoding() is None
    assert gone() is None


# ---------------------------------------------------------------- ranks and reliability


def test_ranks_travel_with_the_answer(page, encoding):
    for entry, prompt in zip(page.result["targets"], ["a cat", "a dog"], strict=True):
        expected = encoding.layer_ranks(prompt)
        assert entry["ranks"] == expected.ranks.tolist()
        assert (entry["ranks_of"], entry["ranks_among"]) == (expected.of, "29 everyday prompts")


def test_a_class_is_ranked_with_the_classes_and_what_was_answered_before_keeps_its_ranks(classifier, photo):
    with lw_widget(classifier, photo, [2, 3]) as widget:
        page = widget.comm
        expected = [widget._photo.encoding.layer_ranks(target) for target in (2, 3)]
        for _ in range(2):
            assert [entry["ranks"] for entry in page.result["targets"]] == [one.ranks.tolist() for one in expected]
            assert {(one["ranks_of"], one["ranks_among"]) for one in page.result["targets"]} == {
                (7, "the model's 6 other classes" if "other" in expected[0].among else expected[0].among)
            }
            widget.targets = [3]
            widget.wait()
            widget.targets = [2, 3]
            widget.wait()


def test_where_a_model_has_classes_a_prompt_is_ranked_with_their_names_and_nothing_new_is_read(classes_clip, photo):
    with lw_widget(classes_clip, photo, ["fox", "a fox in the snow"]) as widget:
        encoding = widget._photo.encoding
        bare, said = widget.comm.result["targets"]
        assert bare["ranks"] == encoding.layer_ranks("fox").ranks.tolist()
        others = ["tabby", "beagle", "pizza"]
        assert said["ranks"] == encoding.layer_ranks("a fox in the snow", among=others).ranks.tolist()
        assert {(one["ranks_of"], one["ranks_among"]) for one in (bare, said)} == {(4, "the names of 3 other classes")}
        read = []
        with pytest.MonkeyPatch.context() as patch:
            encode = TextEncoder._encode
            patch.setattr(TextEncoder, "_encode", lambda self, new: read.extend(new) or encode(self, new))
            widget.targets = "snow"
            widget.wait()
        assert read == ["snow"]
        assert widget.comm.result["targets"][0]["ranks_among"] == "the names of 4 classes"


@pytest.fixture
def classes_clip():
    import open_clip

    names = ("tabby", "beagle", "pizza", "fox")
    module = specimens.clip(logit_bias=-3.0)
    return lw.wrap(module, tokenizer=open_clip.get_tokenizer("ViT-B-32"), class_names=names)


def test_a_direction_has_no_ranks(model, photo):
    with lw_widget(model, photo, lw.Direction(np.arange(24.0))) as widget:
        [entry] = widget.comm.result["targets"]
        assert (entry["ranks"], entry["ranks_of"], entry["ranks_among"]) == (None, 0, "")
        assert entry["error"] == ""


def test_reliability_is_unknown_until_the_model_is_calibrated(photo):
    import open_clip

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with lw_widget(own, photo) as widget:
        known = widget.comm.state["_model"]
        assert (known["reliable"], known["reliability"]) == (None, None)
        found = own.calibrate_layers([photo] * 7, ["a cat"] * 7)
        widget.targets = "a dog"
        widget.wait()
        known = widget.comm.state["_model"]
        assert known["reliable"] == list(found.reliable)
        assert known["reliability"] == [found.why(layer) for layer in (1, 2, 3)]
        assert known["layer_weights"] == list(found.weights)
        assert known["fitted"] is None


def test_what_was_answered_before_the_model_was_calibrated_is_shown_with_what_is_known_now(photo):
    import open_clip

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    with lw_widget(own, photo, ["a cat", "a dog"]) as widget:
        before = widget.explanation
        assert [entry["fitted_ranks"] for entry in widget.comm.result["targets"]] == [None, None]
        with pytest.raises(ValueError, match=r"layers of .* not known; call model.calibrate_layers"):
            widget.weights = "reliability"
        assert widget.weights == "paper"
        prompts = ["a cat", "a dog", "a fox", "a pizza", "a taxi"]
        pictures = [specimens.picture(seed=seed) for seed in range(50)]
        found = own.calibrate_layers(pictures, prompts * 10)
        widget.targets = ["a dog", "a cat"]
        widget.wait()
        widget.targets = ["a cat", "a dog"]
        widget.wait()
        now, encoding = widget.explanation, widget._photo.encoding
        np.testing.assert_array_equal(now.maps, before.maps)
        assert (before.reliability, now.reliability) == (None, found.weights)
        for entry, prompt in zip(widget.comm.result["targets"], ["a cat", "a dog"], strict=True):
            assert entry["fitted_ranks"] == encoding.layer_ranks(prompt, fitted=True).ranks.tolist()
            assert entry["ranks"] == encoding.layer_ranks(prompt).ranks.tolist()
        assert widget.comm.state["_model"]["fitted"] == [found.fitted.why(layer) for layer in (1, 2, 3)]
        widget.weights = "reliability"
        assert "x.merged(weights='reliability')" in widget.code()
        assert "\n# calibrate it as you did" in widget.code()


def test_a_page_cannot_weigh_by_a_reliability_that_is_not_known(page, widget):
    view = {"weights": "reliability", "opacity": 0.1}
    page.ask("a fox", view=view)
    assert (page.last["kind"], "is not known" in page.last["message"]) == ("refused", True)
    page.message({"kind": "view", "v": 1, "client": "p", "n": 1, "view": view})
    assert (page.last["kind"], "is not known" in page.last["message"]) == ("refused", True)
    page.write(**view)
    assert (widget.weights, widget.opacity) == ("paper", 0.65)
    assert widget.targets == ("a cat", "a dog")


@contextmanager
def lw_widget(model, photo, targets="a cat"):
    """A widget at rest, closed afterwards."""
    widget = lw.explore(photo, targets, model=model)
    try:
        widget.wait()
        yield widget
    finally:
        widget.close()
