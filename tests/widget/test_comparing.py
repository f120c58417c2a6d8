"""Methods side by side: the answer first, then one pane after another; what fails is a sentence, nothing is lost."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.widget import LeGradWidget, rules
from legrad_widget.widget.rules import Refused, Scope
from legrad_widget.widget.wire import unpack
from tests import specimens

THREE = ["rollout", "legrad", "raw_attention"]


def until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def names(comparison):
    return [pane["method"] for pane in comparison["panes"]]


def cheap(widget):
    return [entry["name"] for entry in widget.comm.opened["_catalogue"] if entry["available"] and not entry["slow"]]


@pytest.fixture
def slow_method(monkeypatch):
    """Makes a method of the catalogue wait inside its run; (name) -> (entered, go)."""
    from dataclasses import replace

    from legrad_widget import explainer

    find, held = explainer.find, {}

    def patched(name):
        method = find(name)
        return replace(method, run=held[name](method.run)) if name in held else method

    def hold(name):
        entered, go = threading.Event(), threading.Event()

        def wrap(run):
            def waiting(tokens, aims, layers, tick, **knobs):
                entered.set()
                while not go.wait(0.002):
                    tick(1, 4)
                return run(tokens, aims, layers, tick, **knobs)

            return waiting

        held[name] = wrap
        return entered, go

    monkeypatch.setattr(explainer, "find", patched)
    return hold


# ---------------------------------------------------------------- panes


def test_each_pane_is_what_the_core_says(widget, page, model, photo):
    widget.active = 1
    rid = page.ask("a cat", "a dog", active=1, compare=THREE)
    widget.wait()
    comparison = page.state["_comparison"]
    assert (comparison["rid"], comparison["rev"]) == (rid, page.result["rev"])
    assert comparison["image_rev"] == page.state["_image"]["rev"]
    assert comparison["target"] == {"kind": "text", "text": "a dog"}
    assert comparison["label"] == "a dog"
    assert comparison["grid"] == [3, 3]
    assert comparison["pending"] == []
    assert names(comparison) == THREE
    encoding = model.encode(photo)
    for pane in comparison["panes"]:
        x = encoding.explain("a dog", pane["method"])
        np.testing.assert_allclose(unpack(pane["maps"]), x.maps, rtol=1e-5, atol=1e-7)
        assert (pane["layers"], pane["signed"]) == (list(x.layers), x.signed)
        assert (pane["merge"], pane["default"], pane["degenerate"]) == (x.merge, x.default, list(x.degenerate))
        assert (pane["error"], pane["knobs"]) == ("", {})
        assert pane["seconds"] > 0
    assert list(widget.comparison) == THREE
    for name, x in widget.comparison.items():
        assert (x.method, x.label) == (name, "a dog")
    assert (widget.compare, widget.compared) == ("methods", THREE)


def test_the_answer_comes_first_and_then_one_update_for_each_method(widget, page):
    page.sent.clear()
    page.ask("a bird", compare=THREE)
    widget.wait()
    updates = [data["state"] for data in page.sent if data["method"] == "update" and "_comparison" in data["state"]]
    assert [names(update["_comparison"]) for update in updates] == [["legrad"], ["rollout", "legrad"], THREE]
    assert [update["_comparison"]["pending"] for update in updates] == [
        ["rollout", "raw_attention"],
        ["raw_attention"],
        [],
    ]
    assert "_result" in updates[0]
    assert not any("_result" in update for update in updates[1:])
    assert [update["_status"]["state"] for update in updates] == ["running", "running", "idle"]
    assert "rollout" in updates[0]["_status"]["message"].lower()
    assert updates[0]["_status"]["message"].endswith("(2 of 3)")
    assert page.status["message"] == ""


def test_python_asks_by_traits(widget, page, calls):
    widget.compare = "methods"
    widget.wait()
    assert list(widget.comparison) == cheap(widget)
    assert page.state["compared"] == []
    together = {method.name for method in lw.list_methods() if method.together}  # asked about all prompts at once
    others = [name for name in cheap(widget) if name != "legrad"]  # the method in charge is known
    assert calls == [("explain", 2 if name in together else 1) for name in others]
    calls.clear()
    widget.compared = ["rollout", "legrad", "rollout"]
    assert widget.compared == page.state["compared"] == ["rollout", "legrad"]
    widget.wait()
    assert list(widget.comparison) == ["rollout", "legrad"]
    assert calls == []
    widget.active = 1
    widget.wait()
    assert [x.label for x in widget.comparison.values()] == ["a dog", "a dog"]
    assert calls == [("explain", 1)]  # rollout of the dog
    widget.active = 0
    assert [x.label for x in widget.comparison.values()] == ["a cat", "a cat"]  # from memory, at once
    assert page.state["_comparison"]["label"] == "a cat"
    assert calls == [("explain", 1)]
    widget.compare = "off"
    assert page.state["_comparison"] == {}
    assert widget.comparison == {}
    assert widget.explanation.label == "a cat"


def test_prompts_side_by_side_need_nothing_new(widget, page, calls):
    heard = len(page.updates("_result"))
    widget.compare = "prompts"
    widget.compare_scale = "row"
    widget.compare_scale = "shared"
    widget.active = 1
    assert page.state["compare"] == "prompts"
    assert page.state["_comparison"] == {}
    assert calls == []
    assert len(page.updates("_result")) == heard
    assert widget.comparison == {}


def test_the_method_in_charge_keeps_its_knobs_and_the_others_have_their_defaults(widget, page):
    page.ask("a cat", method="legrad", knobs={"pool": "mean"}, compare=THREE)
    widget.wait()
    panes = {pane["method"]: pane for pane in page.state["_comparison"]["panes"]}
    assert panes["legrad"]["knobs"] == {"pool": "mean"}
    assert panes["rollout"]["knobs"] == {}
    assert widget.comparison["legrad"].knobs["pool"] == "mean"
    np.testing.assert_array_equal(widget.comparison["legrad"].maps, widget.explanation.maps)
    widget.method = "rollout"
    widget.wait()
    panes = {pane["method"]: pane for pane in page.state["_comparison"]["panes"]}
    assert panes["legrad"]["knobs"] == {}


def test_layers_and_look_ask_for_nothing(widget, page, calls):
    page.ask("a cat", "a dog", compare=THREE)
    widget.wait()
    calls.clear()
    heard = len(page.sent)
    view = {"layers": [1], "compare": "methods", "compared": THREE, "compare_scale": "shared"}
    page.message({"kind": "view", "v": 1, "client": "page", "n": 3, "view": view})
    assert (widget.layers, widget.compare_scale) == ([1], "shared")
    assert calls == []
    assert {name for data in page.sent[heard:] for name in data["state"]} == {*view, "_look"}


def test_cheap_methods_come_before_slow_ones(widget, page, monkeypatch):
    from legrad_widget.widget import comparison

    slow = comparison._slow
    monkeypatch.setattr(comparison, "_slow", lambda question: question.method.name == "rollout" or slow(question))
    page.sent.clear()
    page.ask("a bird", compare=THREE)
    widget.wait()
    assert [names(update) for update in page.updates("_comparison")] == [["legrad"], ["legrad", "raw_attention"], THREE]


@pytest.mark.parametrize("kind", ["clip", "averaging"])
def test_every_method_that_a_model_can_have_has_its_pane_and_slow_ones_come_last(kind, model, photo):
    if kind == "averaging":
        model = lw.wrap(specimens.timm_vit(global_pool="avg", class_token=False))
    target = "a cat" if kind == "clip" else 1
    shown = lw.explore(photo, target, model=model)
    shown.wait()
    page = shown.comm
    every = [entry["name"] for entry in page.opened["_catalogue"] if entry["available"]][::-1]
    page.sent.clear()
    shown.compared, shown.compare = every, "methods"
    shown.wait()
    assert list(shown.comparison) == every
    encoding = model.encode(photo)
    for name, x in shown.comparison.items():
        np.testing.assert_allclose(x.maps, encoding.explain(target, name).maps, rtol=1e-4, atol=1e-6)
    order = []
    for update in page.updates("_comparison"):
        order += [name for name in names(update) if name not in order]
    entries = {entry["name"]: entry for entry in page.opened["_catalogue"]}
    slow = [entries[name]["slow"] for name in order]
    assert slow == sorted(slow)


# ---------------------------------------------------------------- the newest wins, stopping


def test_a_new_question_ends_the_comparison_under_way(widget, page, slow_method):
    entered, go = slow_method("rollout")
    page.ask("a bird", compare=THREE)
    assert entered.wait(5)
    assert page.labels == ["a bird"]
    assert page.status["state"] == "running"
    assert page.state["_comparison"]["pending"] == ["rollout", "raw_attention"]
    rid = page.ask("a fox", compare=["raw_attention"])
    widget.wait()
    go.set()
    comparison = page.state["_comparison"]
    assert (comparison["rid"], comparison["label"], names(comparison)) == (rid, "a fox", ["raw_attention"])
    time.sleep(0.05)
    assert page.state["_comparison"] == comparison
    assert all("rollout" not in names(update) for update in page.updates("_comparison"))


def test_progress_names_the_method(widget, page, slow_method):
    entered, go = slow_method("rollout")
    rid = page.ask("a bird", compare=["legrad", "rollout"])
    assert entered.wait(5)
    until(lambda: page.status["step"])
    status = page.status
    assert (status["state"], status["rid"], status["step"], status["total"]) == ("running", rid, 1, 4)
    title = next(method.title for method in lw.list_methods() if method.name == "rollout")
    assert status["message"] == f"comparing {title} (2 of 2)"
    go.set()
    widget.wait()
    assert (page.status["state"], page.status["rid"]) == ("idle", rid)


def test_cancel_keeps_what_is_finished(widget, page, slow_method, calls):
    entered, go = slow_method("raw_attention")
    rid = page.ask("a bird", compare=THREE)
    assert entered.wait(5)
    page.message({"kind": "cancel", "v": 1, "client": "page", "n": 99})
    comparison = page.state["_comparison"]
    assert names(comparison) == ["rollout", "legrad"]
    assert comparison["pending"] == []
    assert (page.status["state"], page.status["message"], page.status["rid"]) == ("idle", "cancelled", rid)
    assert page.labels == ["a bird"]
    assert list(widget.comparison) == ["rollout", "legrad"]
    go.set()
    calls.clear()
    page.ask("a bird", compare=THREE)  # goes on where it was stopped
    widget.wait()
    assert names(page.state["_comparison"]) == THREE
    assert len(calls) == 1


def test_switching_it_off_ends_the_comparison_under_way(widget, page, slow_method):
    entered, go = slow_method("rollout")
    page.ask("a bird", compare=THREE)
    assert entered.wait(5)
    widget.compare = "off"
    assert page.state["_comparison"] == {}
    assert page.status["state"] == "idle"
    go.set()
    widget.wait()
    assert page.state["_comparison"] == {}


def test_widgets_on_one_model_take_turns(widget, page, model, photo, slow_method):
    """A comparison gives way between two methods: the other widget does not wait for the last of them."""
    entered, go = slow_method("rollout")
    page.ask("a bird", compare=THREE)
    assert entered.wait(5)
    other = lw.explore(photo, "a tree", model=model)
    finished = []
    other.observe(lambda change: finished.append(names(page.state["_comparison"])), names=["_result"])
    go.set()
    widget.wait(), other.wait()
    assert finished == [["rollout", "legrad"]]


# ---------------------------------------------------------------- failures


def test_a_failing_method_is_a_sentence_in_its_pane_and_the_others_go_on(widget, page, monkeypatch, caplog):
    from dataclasses import replace

    from legrad_widget import explainer

    find = explainer.find

    def broken(*_, **__):
        raise RuntimeError("CUDA error: out of memory\nmore lines")

    def patched(name):
        return replace(find(name), run=broken) if name == "rollout" else find(name)

    monkeypatch.setattr(explainer, "find", patched)
    page.ask("a bird", compare=THREE)
    widget.wait()
    failed, *others = page.state["_comparison"]["panes"]
    assert failed == {"method": "rollout", "error": "RuntimeError: CUDA error: out of memory"}
    assert [pane["error"] for pane in others] == ["", ""]
    assert list(widget.comparison) == ["legrad", "raw_attention"]
    assert "out of memory" in caplog.text  # with its traceback, for whoever looks
    assert page.status["state"] == "idle"
    assert "could not be compared: RuntimeError: CUDA error" in page.status["message"]
    monkeypatch.undo()
    monkeypatch.setattr(explainer, "find", find)


def test_a_failing_question_leaves_the_comparison_as_it_was(widget, page, model):
    page.ask("a bird", compare=THREE)
    widget.wait()
    before = page.state["_comparison"]

    def broken(*_):
        raise RuntimeError("no text today")

    handle = model.module.transformer.register_forward_hook(broken)
    try:
        page.ask("never asked before", compare=THREE)
        with pytest.raises(RuntimeError, match="no text today"):
            widget.wait()
    finally:
        handle.remove()
    assert page.state["_comparison"] == before
    assert widget.comparison == {}  # it is about another target


def test_a_target_that_cannot_be_used_has_its_sentence_in_every_pane(widget, page):
    key = {"kind": "held", "key": widget._held.key_of(lw.Direction(np.ones(5))), "label": "too short"}
    page.ask("a bird", key, active=1, compare=THREE)
    with pytest.raises(ValueError, match="this one has 5"):
        widget.wait()
    panes = page.state["_comparison"]["panes"]
    assert [pane["method"] for pane in panes] == THREE
    assert all("this one has 5" in pane["error"] for pane in panes)


def test_without_a_target_nothing_is_compared(widget, page):
    page.ask(compare=THREE)
    widget.wait()
    assert page.state["_comparison"] == {}
    assert widget.comparison == {}


def test_weights_that_change_while_methods_are_compared_are_said_and_never_mixed(photo):
    import torch

    module = specimens.timm_vit()
    model = lw.wrap(module)
    shown = lw.explore(photo, [1, 2], model=model)
    shown.wait()
    with torch.no_grad():
        module.blocks[0].mlp.fc1.weight.mul_(1.5)
    shown.compare, shown.compared = "methods", THREE  # noticed: everything is computed anew
    shown.wait()
    fresh = model.encode(photo)
    for name, x in shown.comparison.items():
        np.testing.assert_allclose(x.maps, fresh.explain(1, name).maps, rtol=1e-5, atol=1e-7)

    changed = []

    def change(seen):
        if not changed and seen.new.get("pending"):
            with torch.no_grad():
                changed.append(module.blocks[0].mlp.fc1.weight.mul_(1.5))

    shown.observe(change, names=["_comparison"])
    shown.active = 1
    shown.wait()
    first, *others = sorted(shown.comm.state["_comparison"]["panes"], key=lambda pane: pane["method"] != "legrad")
    assert first["error"] == ""
    assert all("weights changed while methods were compared" in pane["error"] for pane in others)
    shown.unobserve(change, names=["_comparison"])
    shown.active = 0
    shown.wait()
    fresh = model.encode(photo)
    assert list(shown.comparison) == THREE
    for name, x in shown.comparison.items():
        np.testing.assert_allclose(x.maps, fresh.explain(1, name).maps, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- what travels


def test_a_comparison_that_was_held_back_changes_nothing(widget, page):
    old = page.question("a bird", compare=THREE, view={"compare": "methods", "compared": THREE})
    page.message({"kind": "ask", **old})
    page.ask("a fox", compare=[], view={"compare": "off", "compared": []})
    widget.wait()
    before = page.state["_comparison"]
    page.write(_request=old, compare="methods", compared=THREE, compare_scale="shared")
    widget.wait()
    assert (widget.compare, widget.compared, widget.compare_scale) == ("off", [], "own")
    assert page.state["_comparison"] == before == {}
    assert page.labels == ["a fox"]


def test_the_question_s_own_list_counts_whatever_the_traits_say(widget, page):
    page.ask("a cat", compare=THREE, view={"compare": "off"})
    widget.wait()
    assert (page.state["compare"], page.state["compared"]) == ("methods", THREE)
    assert names(page.state["_comparison"]) == THREE
    page.ask("a cat", compare=[])
    widget.wait()
    assert page.state["compare"] == "off"
    page.ask("a cat", compare=cheap(widget), view={"compare": "methods", "compared": []})
    widget.wait()
    assert widget.compared == page.state["compared"] == []  # what the browser resolved is what [] means here too
    assert names(page.state["_comparison"]) == cheap(widget)
    page.ask("a dog")  # an older page says nothing of it
    widget.wait()
    assert widget.compare == "methods"
    assert page.state["_comparison"]["label"] == "a dog"
    page.ask("a dog", compare=[], view={"compare": "prompts"})
    assert widget.compare == "prompts"
    assert page.state["_comparison"] == {}


def test_trait_writes_from_other_hosts_compare_too(widget, page):
    page.write(compare="methods", compared=["rollout"])
    widget.wait()
    assert names(page.state["_comparison"]) == ["rollout"]
    assert page.state["_comparison"]["rid"] is None


def test_the_page_cannot_write_the_comparison(widget, page):
    page.ask("a cat", compare=THREE)
    widget.wait()
    kept = widget._comparison
    page.write(_comparison={"panes": []})
    assert widget._comparison is kept


def test_a_page_that_reloads_finds_the_comparison(widget, page):
    page.ask("a fox", compare=THREE, view={"compare": "methods", "compared": THREE, "compare_scale": "shared"})
    widget.wait()
    state = widget.get_state()
    assert (state["compare"], state["compared"], state["compare_scale"]) == ("methods", THREE, "shared")
    assert state["_comparison"] == page.state["_comparison"]
    saved = widget.get_manager_state(widgets=[widget])["state"][widget.model_id]
    paths = sorted(tuple(buffer["path"]) for buffer in saved["buffers"])
    assert paths == [
        *(("_comparison", "panes", place, "maps", "data") for place in range(3)),
        ("_image", "data"),
        ("_result", "maps", "data"),
        ("_result", "targets", 0, "heads", "data"),
    ]


def test_a_new_picture_is_compared_anew(widget, page, photo):
    page.ask("a fox", compare=THREE)
    widget.wait()
    old = page.state["_comparison"]
    widget.image = photo[::-1].copy()
    widget.wait()
    new = page.state["_comparison"]
    assert new["image_rev"] == page.state["_image"]["rev"] > old["image_rev"]
    assert names(new) == THREE
    assert unpack(new["panes"][1]["maps"]).tobytes() != unpack(old["panes"][1]["maps"]).tobytes()


def test_a_classifier_compares_what_it_sees(classifier, photo):
    shown = lw.explore(photo, model=classifier, compare="methods", compared=THREE)
    shown.wait()
    page = shown.comm
    assert (page.opened["compare"], page.opened["compared"]) == ("methods", THREE)
    assert page.state["_comparison"]["label"] == page.result["predictions"][0]["name"]
    assert list(shown.comparison) == THREE


def test_without_threads_everything_is_there_when_the_call_returns(model, photo):
    from legrad_widget.widget.worker import Worker, inline

    shown = LeGradWidget(model, photo, "a cat", worker=Worker(start=inline), compare="methods", compared=THREE)
    assert list(shown.comparison) == THREE
    rid = shown.comm.ask("a fox", compare=["rollout"])
    assert shown.comm.state["_comparison"]["rid"] == rid
    assert shown.comm.status["state"] == "idle"
    assert shown.comparison["rollout"].label == "a fox"


def test_pages_and_python_at_once_end_with_the_comparison_of_what_stands(widget, page):
    def pages(client):
        for n in range(15):
            page.message({"kind": "ask", **page.question("a cat", "a dog", client=client, n=n, compare=THREE[: n % 4])})

    def python():
        for n in range(15):
            widget.active = n % len(widget.targets)
            widget.compare = ["methods", "off", "prompts"][n % 3]

    threads = [threading.Thread(target=job, args=args) for job, args in [(pages, ["a"]), (pages, ["b"]), (python, [])]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    widget.compare = "methods"
    widget.wait()
    assert page.status["state"] == "idle"
    assert page.state["_comparison"]["pending"] == []
    assert names(page.state["_comparison"]) == list(widget.comparison) == (widget.compared or cheap(widget))
    assert page.state["_comparison"]["label"] == widget.targets[widget.active]


def test_closing_ends_the_comparison(widget, page, slow_method):
    entered, go = slow_method("rollout")
    page.ask("a bird", compare=THREE)
    assert entered.wait(5)
    widget.close()
    heard = len(page.sent)
    go.set()
    widget.wait(1)
    time.sleep(0.05)
    assert len(page.sent) == heard


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("compare", "side by side", "compare is one of off, methods, prompts; arrived: 'side by side'"),
        ("compare", True, "compare is one of"),
        ("compared", "rollout", "a list of method names"),
        ("compared", ["rolout"], "there is no method 'rolout'; did you mean 'rollout'"),
        ("compared", [3], "named by a string"),
        ("compared", {"rollout": 1}, "a list of method names"),
        ("compare_scale", "log", "compare_scale is one of own, row, shared; arrived: 'log'"),
    ],
)
def test_values_that_cannot_be(widget, page, name, value, sentence):
    before, heard = getattr(widget, name), len(page.sent)
    with pytest.raises(ValueError, match=sentence):
        setattr(widget, name, value)
    assert getattr(widget, name) is before
    assert len(page.sent) == heard
    page.write(**{name: value})
    assert page.last["kind"] == "refused"
    assert page.updates(name)[-1] == page.opened[name]
    for content in (page.question("a fox", view={name: value}), page.question("a fox", compare=value)):
        if name == "compared" or "compare" not in content:
            page.message({"kind": "ask", **content})
            assert page.last["kind"] == "refused"
    widget.wait()
    assert page.labels == ["a cat", "a dog"]


def test_a_method_that_this_model_cannot_have_is_refused_with_its_reason(photo):
    averaging = lw.wrap(specimens.timm_vit(global_pool="avg", class_token=False))
    shown = lw.explore(photo, 1, model=averaging)
    shown.wait()
    page = shown.comm
    refused = [entry for entry in page.opened["_catalogue"] if not entry["available"]]
    for entry in refused:
        with pytest.raises(ValueError, match="cannot be compared here"):
            shown.compared = [entry["name"]]
        page.ask({"kind": "class", "index": 1}, compare=[entry["name"]])
        assert page.last["kind"] == "refused"
        assert entry["reason"] in page.last["message"]
    shown.compare = "methods"
    shown.wait()
    assert list(shown.comparison) == cheap(shown)


def test_only_methods_that_the_model_can_have_are_read(model):
    scope = Scope(3, None, {"rollout": "Rollout is defined for cls readouts; this model has 'map'"})
    assert rules.compared(["legrad", "raw_attention"], scope) == ["legrad", "raw_attention"]
    with pytest.raises(Refused, match="rollout cannot be compared here: Rollout is defined for cls readouts"):
        rules.compared(["legrad", "rollout"], scope)
    usual = Scope.of(model).usual
    assert usual == tuple(m.name for m in lw.list_methods() if m.refuses(model.vit) is None and not m.slow)
