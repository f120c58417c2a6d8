"""The conversation: one answer for each question, the newest wins, what fails is a sentence, nothing is lost."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import legrad_widget as lw
from legrad_widget.widget.wire import unpack


def until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


# ---------------------------------------------------------------- answers


def test_the_answer_travels_whole_and_equals_the_core(widget, page, model, photo):
    result = page.result
    maps = unpack(result["maps"])
    expected = model.encode(photo).explain(["a cat", "a dog"])
    assert maps.shape == (2, 3, 3, 3)
    for got, x in zip(maps, expected, strict=True):
        np.testing.assert_allclose(got, x.maps, rtol=0, atol=1e-7)
    assert page.labels == ["a cat", "a dog"]
    assert result["layers"] == [1, 2, 3]
    assert (result["merge"], result["default"], result["signed"]) == ("mean", "all", False)
    assert result["image_rev"] == page.state["_image"]["rev"]
    assert [entry["score"] for entry in result["targets"]] == pytest.approx([x.score for x in expected])
    assert result["targets"][0]["layer_scores"] == pytest.approx(expected[0].scores.tolist())


def test_result_and_rest_arrive_in_one_message(page):
    [update] = [data["state"] for data in page.sent if "_result" in data.get("state", {})]
    assert set(update) == {"_image", "_result", "_status"}
    assert update["_status"]["state"] == "idle"


def test_an_ask_is_accepted_then_answered_with_its_rid(widget, page):
    rid = page.ask("a bird", active=0)
    widget.wait()
    assert {"kind": "accepted", "rid": rid} in page.messages
    assert page.result["rid"] == page.status["rid"] == rid
    assert page.result["rev"] == page.status["rev"]
    assert widget.targets == ("a bird",)
    assert page.state["targets"] == [{"kind": "text", "text": "a bird"}]
    assert widget.explanation.label == "a bird"


def test_a_new_prompt_makes_no_vision_forward(widget, page, model):
    forwards = []
    handle = model.module.visual.register_forward_hook(lambda *_: forwards.append(1))
    try:
        page.ask("a new prompt")
        widget.wait()
        assert page.labels == ["a new prompt"]
        assert forwards == []
    finally:
        handle.remove()


def test_all_targets_of_a_question_are_computed_together(widget, page, calls):
    page.ask("a bird", "a fox", "a car", "a bus")
    widget.wait()
    assert calls == [("explain", 4)]


def test_going_back_is_answered_from_memory(widget, page, calls):
    first = page.result
    page.ask("a cat", "a dog", method="rollout")
    widget.wait()
    assert page.result["method"] == "rollout"
    assert page.result["merge"] == "last"
    rid = page.ask("a cat", "a dog")
    assert page.result["rid"] == rid  # at once, in the handler
    assert page.result["maps"]["data"] == first["maps"]["data"]
    assert page.result["rev"] > first["rev"]
    assert calls == [("explain", 2)]


def test_showing_another_target_computes_nothing(widget, page, calls):
    widget.active = 1
    assert widget.explanation.label == "a dog"
    page.message({"kind": "view", "v": 1, "client": "page", "n": 9, "view": {}, "active": 0})
    assert widget.explanation.label == "a cat"
    assert calls == []


def test_the_answer_is_published_as_an_answer_to_the_message_that_asked(widget, page):
    """ipykernel routes the next message of a comm to the shell that the comm last answered."""
    page.sent.clear(), page.parents.clear(), page.threads.clear()
    page.ask("a bird")
    widget.wait()
    assert len(set(page.parents)) == 1
    assert page.parents[0].startswith("message")
    assert page.threads[-1] is not threading.current_thread()


def test_after_a_browser_has_spoken_python_s_questions_are_answered_to_it_too(widget, page):
    page.message({"kind": "hello", "v": 1, "client": "page"})
    greeted = page.parents[-1]
    assert page.last == {"kind": "alive"}
    widget.targets = "a fox"
    widget.wait()
    assert page.parents[-1] == greeted
    assert "_result" in page.sent[-1]["state"]


# ---------------------------------------------------------------- the newest wins


def test_a_burst_is_answered_once_for_its_last_question(widget, page, busy, calls):
    with busy():
        rids = [page.ask("a" + " very" * n + " big cat") for n in range(8)]
    widget.wait()
    assert page.result["rid"] == rids[-1]
    assert [result["rid"] for result in page.updates("_result")[1:]] == [rids[-1]]
    assert len(calls) <= 2  # the first one may have begun
    assert widget.targets == ("a very very very very very very very big cat",)


def test_a_question_counts_once_whichever_way_it_comes(widget, page, calls):
    for first, second in [(page.message, page.write), (page.write, page.message)]:
        question = page.question("a bird", method=["raw_attention", "rollout"][first == page.write])

        def send(way, question=question):
            if way == page.write:
                page.write(_request=question, targets=question["targets"], method=question["method"])
            else:
                page.message({"kind": "ask", **question})

        send(first)
        widget.wait()
        assert page.result["rid"] == question["rid"]
        before = len(page.updates("_result"))
        send(second)
        widget.wait()
        assert len(page.updates("_result")) == before
    assert calls == [("explain", 1), ("explain", 1)]


def test_a_trait_write_that_was_held_back_changes_nothing(widget, page):
    """While an awaiting cell runs, ipywidgets holds trait writes back; they arrive when they are old."""
    old = page.question("a bird")
    page.message({"kind": "ask", **old})
    page.ask("a fox")
    widget.wait()
    widget.method = "rollout"
    widget.wait()
    before = page.result
    page.write(_request=old, targets=old["targets"], method="legrad", active=0, opacity=0.1)
    widget.wait()
    assert widget.targets == ("a fox",)
    assert widget.method == "rollout"
    assert page.result == before


def test_an_edit_of_the_view_that_was_held_back_does_not_undo_a_later_choice(widget, page):
    """The page says it twice; where a cell holds the trait write back, it arrives after later questions."""
    page.ask("a bird", "a fox", n=1)
    widget.wait()
    page.message({"v": 1, "kind": "view", "client": "page", "n": 2, "active": 1, "view": {"opacity": 0.2}})
    assert (widget.active, widget.opacity) == (1, 0.2)
    page.ask("a bird", "a fox", n=3, active=0, view={"opacity": 0.4})
    page.write(active=1, opacity=0.2, _look={"client": "page", "n": 2})
    assert (widget.active, widget.opacity) == (0, 0.4)
    page.write(active=1, opacity=0.3, _look={"client": "page", "n": 4})  # this one came first, and its message second
    page.message({"v": 1, "kind": "view", "client": "page", "n": 4, "active": 0, "view": {"opacity": 0.9}})
    assert (widget.active, widget.opacity) == (1, 0.3)


def test_an_edit_of_the_view_is_answered_with_what_stands_after_it(widget, page):
    """The page may have taken up the state of an older question meanwhile; every page hears of the edit."""
    page.ask("a bird", "a fox", n=1)
    widget.wait()
    edit = {"client": "page", "n": 2}
    for way in ("message", "write"):
        before = len(page.sent)
        if way == "message":
            page.message({"v": 1, "kind": "view", **edit, "active": 1, "view": {"opacity": 0.2}})
        else:
            page.write(active=0, opacity=0.3, _look=edit)
        view, look = [data["state"] for data in page.sent[before:] if data["method"] == "update"]
        assert view == {"active": widget.active, "opacity": widget.opacity}
        assert look == {"_look": {**edit, "taken": True}}
        edit = {"client": "page", "n": 3}
    assert (widget.active, widget.opacity) == (0, 0.3)


def test_replayed_and_older_questions_of_a_page_are_ignored_and_other_pages_count_for_themselves(widget, page):
    page.ask("a bird", client="one", n=5)
    widget.wait()
    heard = len(page.sent)
    page.ask("a fox", client="one", n=5)
    page.ask("a fox", client="one", n=4)
    assert len(page.sent) == heard
    page.ask("a car", client="two", n=1)
    widget.wait()
    assert page.labels == ["a car"]
    page.ask("a bus", client="one", n=6)
    widget.wait()
    assert page.labels == ["a bus"]


def test_python_s_question_wins_over_a_page_s_older_one(widget, page, busy):
    with busy():
        page.ask("a bird")
        widget.targets = ["a fox", "a car"]
    widget.wait()
    assert page.labels == ["a fox", "a car"]
    assert page.result["rid"] is None
    assert page.state["targets"] == [{"kind": "text", "text": "a fox"}, {"kind": "text", "text": "a car"}]


# ---------------------------------------------------------------- stopping


def test_cancel_drops_what_is_under_way_and_keeps_everything_else(widget, page, busy):
    before = page.result
    with busy():
        rid = page.ask("a bird")
        assert page.status["state"] in ("queued", "running")
        page.message({"kind": "cancel", "v": 1, "client": "page", "n": 99})
        assert (page.status["state"], page.status["rid"]) == ("idle", rid)
        widget.wait()  # nothing is under way
    time.sleep(0.05)
    assert page.result == before
    assert widget.targets == ("a bird",)  # the question stands, its answer does not
    assert widget.explanation is None
    page.ask("a fox")
    widget.wait()
    assert page.labels == ["a fox"]


def test_cancel_is_heard_between_layers(widget, page, model):
    """A text tower that is slow stands in for a slow method: the worker is inside explain when it is told to stop."""
    entered, go = threading.Event(), threading.Event()

    def slow(*_):
        entered.set()
        go.wait(10)

    handle = model.module.transformer.register_forward_hook(slow)
    try:
        page.ask("something slow")
        assert entered.wait(5)
        widget.cancel()
        assert page.status["state"] == "idle"
        go.set()
    finally:
        handle.remove()
    page.ask("a bird")
    widget.wait()
    assert page.labels == ["a bird"]
    assert all(result["targets"][0]["label"] != "something slow" for result in page.updates("_result"))


def test_closing_ends_the_thread_and_frees_the_model(photo):
    import gc
    import weakref

    import open_clip

    from legrad_widget.widget.worker import worker_of
    from tests import specimens

    own = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    one, two = (lw.explore(photo, "a cat", model=own) for _ in range(2))
    one.wait(), two.wait()
    worker, encoding = worker_of(own), weakref.ref(two._photo.encoding)
    assert worker.alive
    one.close()
    two.targets = "a dog"
    two.wait()
    assert two.explanation.label == "a dog"
    two.close()
    until(lambda: not worker.alive)
    assert two.explanation.label == "a dog"  # still readable
    gone = weakref.ref(own)
    del one, two, own
    gc.collect()
    assert encoding() is None
    assert gone() is None


def test_after_closing_nothing_is_computed_or_sent(widget, page, calls):
    widget.close()
    assert page.closed
    heard = len(page.sent)
    widget.targets = "a bird"
    widget.wait(1)
    widget.cancel()
    widget.close()
    assert len(page.sent) == heard
    assert calls == []


# ---------------------------------------------------------------- errors


def test_a_target_that_cannot_be_used_leaves_the_others_their_maps(widget, page):
    long = "word " * 150  # more than the 77 tokens of this text tower, or it is cut: either way the others answer
    vector = np.ones(5, np.float32)
    page.ask("a bird", "a fox")
    widget.wait()
    key = {"kind": "held", "key": widget._held.key_of(lw.Direction(vector)), "label": "too short"}
    page.ask("a bird", key, "a fox", long)
    with pytest.raises(ValueError, match=r"target 1 \('too short'\).*24 numbers; this one has 5"):
        widget.wait()
    entries = page.result["targets"]
    assert "this one has 5" in entries[1]["error"]
    assert [entry["error"] for entry in (entries[0], entries[2])] == ["", ""]
    maps = unpack(page.result["maps"])
    assert not maps[1].any()
    assert maps[0].any()
    assert maps[2].any()
    assert [x is None for x in widget.explanations][:3] == [False, True, False]
    assert page.status["state"] == "idle"


def test_a_failing_question_is_a_sentence_and_everything_stays(widget, page, model):
    before, image = page.result, page.state["_image"]

    def broken(*_):
        raise RuntimeError("CUDA error: out of memory\nmore lines")

    handle = model.module.transformer.register_forward_hook(broken)
    try:
        rid = page.ask("a broken question")
        with pytest.raises(RuntimeError, match="out of memory"):
            widget.wait()
    finally:
        handle.remove()
    status = page.status
    assert (status["state"], status["rid"]) == ("error", rid)
    assert status["message"] == "RuntimeError: CUDA error: out of memory"
    assert "Traceback" in status["detail"]
    assert "broken" in status["detail"]
    assert page.result == before
    assert page.state["_image"] == image
    page.ask("a bird")
    widget.wait()
    assert page.labels == ["a bird"]
    assert page.status["state"] == "idle"


def test_a_model_that_exits_does_not_leave_the_widget_waiting(widget, page, model):
    def leave(*_):
        raise SystemExit(2)

    handle = model.module.transformer.register_forward_hook(leave)
    try:
        page.ask("an exit")
        until(lambda: page.status["state"] == "error")
        with pytest.raises(SystemExit):
            widget.wait()
    finally:
        handle.remove()
    page.ask("a bird")
    widget.wait()


# ---------------------------------------------------------------- two widgets


def test_two_widgets_on_one_model_share_a_thread_and_not_a_question(widget, page, model, photo, busy):
    other = lw.explore(photo[::-1].copy(), "a tree", model=model)
    with busy():
        mine = page.ask("a bird")
        theirs = other.comm.ask("a fox")
    widget.wait(), other.wait()
    assert (page.result["rid"], other.comm.result["rid"]) == (mine, theirs)
    assert page.threads[-1] is other.comm.threads[-1]
    assert page.labels == ["a bird"]
    assert other.comm.labels == ["a fox"]


# ---------------------------------------------------------------- waiting


def test_wait_times_out_with_a_sentence_and_the_computation_goes_on(widget, page, busy):
    with busy():
        widget.targets = "a bird"
        with pytest.raises(TimeoutError, match=r"after 0.05 s.*wait\(timeout"):
            widget.wait(0.05)
    widget.wait()
    assert page.labels == ["a bird"]


def test_wait_inside_an_observer_does_not_deadlock(widget, page):
    heard = []

    def observer(change):
        widget.wait(10)
        heard.append(widget.explanation.label)

    widget.observe(observer, names=["targets"])
    widget.targets = "a bird"
    assert heard == ["a bird"]


def test_wait_on_the_computing_thread_is_refused_instead_of_hanging(widget, page):
    caught = []

    def observer(change):
        try:
            widget.wait(1)
        except RuntimeError as error:
            caught.append(str(error))

    widget.observe(observer, names=["_result"])
    widget.targets = "a bird"
    widget.wait()
    assert len(caught) == 1
    assert "wait for itself" in caught[0]


def test_an_observer_may_use_the_model_while_the_worker_does(widget, page, model, photo):
    """The worker has the model's lock and reports progress; the main thread has the widget's and wants the model."""
    seen = []
    widget.observe(lambda change: seen.append(model.encode(photo).explain("a tree").score), names=["opacity"])
    for n in range(10):
        page.ask(f"cat number {n}")
        widget.opacity = 0.05 * n
    widget.wait(20)
    assert len(seen) == 10


def test_progress_is_reported_at_most_ten_times_a_second(widget, page):
    from legrad_widget.widget.worker import Ticket

    widget._open = widget._rev = 77
    page.sent.clear()
    progress = widget._progress("computing LeGrad for 2 targets", None, 77, Ticket())
    started, step = time.monotonic(), 0
    while time.monotonic() - started < 0.45:
        progress(step := step + 1, 10**9)
    assert 2 <= len(page.sent) <= 5
    assert page.status["message"] == "computing LeGrad for 2 targets"
    widget._open = None


def test_headless_without_a_kernel(monkeypatch, model, photo):
    """In a script nobody is there to talk to; the answer is."""
    monkeypatch.undo()
    shown = lw.explore(photo, "a cat", model=model)
    shown.wait()
    assert shown.explanation.maps.shape == (3, 3, 3)
    assert shown.status.state == "idle"
    shown.close()


# ---------------------------------------------------------------- pictures, reloading, other threads


def test_a_picture_is_shown_even_if_nothing_can_be_said_about_it(model, photo):
    def broken(*_):
        raise RuntimeError("no text today")

    handle = model.module.transformer.register_forward_hook(broken)
    try:
        shown = lw.explore(photo, "never asked before", model=model)
        with pytest.raises(RuntimeError, match="no text today"):
            shown.wait()
    finally:
        handle.remove()
    page = shown.comm
    assert page.state["_image"]["original"] == [80, 60]
    assert page.state["_result"] == {}
    assert page.status["state"] == "error"
    assert shown.explanation is None
    shown.targets = "a cat"
    shown.wait()
    assert shown.explanation.label == "a cat"


def test_a_new_picture_forgets_the_old_one(widget, page, photo, calls):
    import gc
    import weakref

    old = weakref.ref(widget._photo.encoding)
    widget.image = photo[::-1].copy()
    widget.wait()
    gc.collect()
    assert old() is None
    widget.image = photo
    widget.wait()
    assert [kind for kind, _ in calls] == ["encode", "explain"] * 2
    assert page.result["image_rev"] == page.state["_image"]["rev"] == 3


def test_a_page_that_reloads_finds_everything(widget, page):
    page.ask("a fox", "a bird", active=1, view={"layers": [2, 3], "opacity": 0.4}, method="rollout")
    widget.wait()
    state = widget.get_state()
    assert (state["layers"], state["opacity"]) == ([2, 3], 0.4)
    for name in ("targets", "active", "method", "knobs", "_result", "_image", "_status"):
        assert state[name] == page.state[name], name
    saved = widget.get_manager_state(widgets=[widget])["state"][widget.model_id]
    paths = [tuple(buffer["path"]) for buffer in saved["buffers"]]
    assert sorted(paths) == [("_image", "data"), ("_result", "maps", "data")]


def test_pages_and_python_at_once_end_in_one_consistent_state(widget, page):
    """Two pages and two Python threads ask and set for a while; at rest, the answer is for the question that stands."""
    failures = []

    def pages(client):
        for n in range(40):
            page.message({"kind": "ask", **page.question(f"{client} {n}", client=client, n=n)})
            page.message({"kind": "view", "v": 1, "client": client, "n": n, "view": {"opacity": n / 40}})

    def python(name):
        for n in range(40):
            widget.targets = [f"{name} {n}", "a cat"][: 1 + n % 2]
            widget.layers = [1 + n % 3]

    def run(work, *args):
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001  (raised again below, in the test's own thread)
            failures.append(error)

    jobs = [(pages, "one"), (pages, "two"), (python, "three"), (python, "four")]
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    widget.wait()
    assert failures == []
    assert page.labels == list(widget.targets) == [x.label for x in widget.explanations]
    assert page.state["targets"] == [{"kind": "text", "text": target} for target in widget.targets]
    assert page.state["layers"] == widget.layers
    assert page.status["state"] == "idle"


def test_without_threads_everything_is_done_when_the_call_returns(model, photo):
    from legrad_widget.widget import LeGradWidget
    from legrad_widget.widget.worker import Worker, inline

    shown = LeGradWidget(model, photo, "a cat", worker=Worker(start=inline))
    assert shown.explanation.label == "a cat"
    rid = shown.comm.ask("a fox")
    assert shown.comm.result["rid"] == rid
    assert shown.comm.status["state"] == "idle"
    shown.targets = ["a bird", "a car"]
    assert [x.label for x in shown.explanations] == ["a bird", "a car"]
    shown.wait(0)
    shown.cancel()
    assert {thread is threading.main_thread() for thread in shown.comm.threads} == {True}


def test_a_model_that_was_trained_further_is_looked_at_again():
    import torch

    import legrad_widget as lw
    from tests import specimens

    module = specimens.timm_vit()
    model = lw.wrap(module)
    widget = lw.explore(specimens.picture(), [1, 2], model=model)
    widget.wait()
    before = widget.explanation.maps
    with torch.no_grad():
        module.blocks[0].mlp.fc1.weight.mul_(1.5)
    widget.targets = [1]
    widget.wait()
    fresh = model.encode(specimens.picture()).explain(1).maps
    np.testing.assert_allclose(widget.explanation.maps, fresh, rtol=1e-5, atol=1e-7)
    assert np.abs(before - fresh).max() > 1e-3 * np.abs(fresh).max()
    widget.targets = [1, 2]  # remembered, but of the model as it was
    widget.wait()
    np.testing.assert_allclose(widget.explanations[0].maps, fresh, rtol=1e-5, atol=1e-7)
    widget.close()
