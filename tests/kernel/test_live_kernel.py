"""The widget in a real ipykernel: threads, subshells, running and awaiting cells, closing. No browser."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.kernel.kernel import Kernel, Page

pytestmark = pytest.mark.slow

SETUP = """
import asyncio, threading, time
import open_clip, torch
torch.set_num_threads(2)
import legrad_widget as lw
from tests import specimens
model = lw.wrap(specimens.clip(), tokenizer=open_clip.get_tokenizer("ViT-B-32"), name="tiny")
lw.explore(specimens.picture(), "warm up", model=model).wait()

def show(*prompts):
    widget = lw.explore(specimens.picture(), list(prompts), model=model)
    widget.wait()
    return widget
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    try:
        kernel.run(SETUP)
        yield kernel
    finally:
        kernel.shutdown()


@pytest.fixture(scope="module")
def subshell(kernel: Kernel) -> str:
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells (7.0 and newer do): widgets answer when the cell has ended")
    return kernel.create_subshell()


@pytest.fixture
def open_page(kernel: Kernel, subshell: str) -> Page:
    """A page on a widget made by a cell, greeted: from here on the kernel routes its messages to the subshell."""
    comm = kernel.run("w = show('a cat'); print(w.model_id)")["text"]
    page = Page(kernel, comm, subshell)
    page.hello()
    return page


def test_a_cell_shows_the_widget_with_its_answer(kernel: Kernel):
    shown = kernel.run("show('a cat', 'a dog')")["shown"]
    [data] = shown
    comm = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert data["text/plain"].startswith("<LeGradWidget tiny")
    state = kernel.states[comm]
    assert [entry["label"] for entry in state["_result"]["targets"]] == ["a cat", "a dog"]
    assert len(bytes(state["_result"]["maps"]["data"])) == 4 * 2 * 3 * 3 * 3
    assert bytes(state["_image"]["data"]).startswith(b"\x89PNG")
    assert state["_status"]["state"] == "idle"


def test_a_page_asks_and_python_sees_it(kernel: Kernel, open_page: Page):
    rid = open_page.ask("a fox", "a bird")
    kernel.until(lambda: open_page.answered(rid))
    assert {"kind": "accepted", "rid": rid} in open_page.answers("accepted")
    assert kernel.run("print(w.targets, w.explanation.label)")["text"] == "('a fox', 'a bird') a fox"


def test_questions_are_answered_while_a_cell_sleeps(kernel: Kernel, open_page: Page):
    """Each answer goes out in the context of its question; otherwise the second one would wait for the cell."""
    cell = kernel.start("time.sleep(3)")
    kernel.listen(0.3)
    for prompt in ("a fox", "a bird", "a car"):
        rid = open_page.ask(prompt)
        kernel.until(lambda rid=rid: open_page.answered(rid), timeout=2)
        assert not kernel.ended(cell)
    kernel.finish(cell)


def test_questions_are_answered_while_a_cell_sleeps_that_comes_after_one_that_set_a_trait(
    kernel: Kernel, open_page: Page
):
    """What Python set is answered to the page too, or the page's next message would be routed to the busy shell."""
    kernel.run("w.targets = 'a tree'; w.wait()")
    cell = kernel.start("time.sleep(2)")
    kernel.listen(0.3)
    rid = open_page.ask("a bus")
    kernel.until(lambda: open_page.answered(rid), timeout=1.5)
    assert not kernel.ended(cell)
    kernel.finish(cell)


def test_questions_are_answered_while_a_cell_awaits_even_where_trait_writes_are_held_back(
    kernel: Kernel, open_page: Page
):
    """The cell publishes on the comm and then awaits: trait writes of a real page stay in its buffer from here on."""
    cell = kernel.start("w.opacity = 0.3\nawait asyncio.sleep(2)")
    kernel.until(lambda: open_page.state.get("opacity") == 0.3)
    held_back = open_page.question("a fox")
    open_page.message(kind="ask", **held_back)
    kernel.until(lambda: open_page.answered(held_back["rid"]), timeout=1.5)
    rid = open_page.ask("a bird")
    kernel.until(lambda: open_page.answered(rid), timeout=1.5)
    assert not kernel.ended(cell)
    kernel.finish(cell)
    open_page.write(_request={"v": 1, "client": "page", **held_back}, targets=held_back["targets"])  # at last
    assert kernel.run("w.wait(); print(w.targets)")["text"] == "('a bird',)"
    assert open_page.results()[-2:] == [held_back["rid"], rid]


THREE = ["rollout", "legrad", "raw_attention"]


def test_methods_are_compared_while_a_cell_sleeps(kernel: Kernel, open_page: Page):
    """Several answers to one question, each from the worker: the next message still passes the cell."""
    cell = kernel.start("time.sleep(3)")
    kernel.listen(0.3)
    for prompt, methods in (("a fox", THREE), ("a bird", THREE[:1]), ("a bird", THREE)):
        rid = open_page.ask(prompt, compare=methods)
        kernel.until(lambda rid=rid: open_page.answered(rid), timeout=2)
        comparison = open_page.state["_comparison"]
        assert (comparison["rid"], comparison["label"], comparison["pending"]) == (rid, prompt, [])
        assert open_page.panes() == methods
        assert all(len(bytes(pane["maps"]["data"])) == 4 * 3 * 3 * 3 for pane in comparison["panes"])
        assert not kernel.ended(cell)
    kernel.finish(cell)
    assert kernel.run("print(list(w.comparison))")["text"] == str(THREE)


def test_tools_are_used_while_a_cell_sleeps(kernel: Kernel, open_page: Page):
    """Their entries come from the worker, several for one message: the next message still passes the cell."""
    cell = kernel.start("time.sleep(3)")
    kernel.listen(0.3)
    for n, (tool, args) in enumerate(
        {"norms": {"layer": 1}, "verify": {"top": 3}, "brush": {"patches": [[0, 0]]}}.items()
    ):
        rid, rev = f"page.t{n}", open_page.state["_result"]["rev"]
        asked = {"client": "page", "n": n, "rid": rid, "rev": rev, "target": 0, "tool": tool, "args": args}
        open_page.message(kind="tool", v=1, **asked)
        kernel.until(lambda tool=tool: open_page.state["_tools"].get(tool, {}).get("state") == "done", timeout=2)
        assert not kernel.ended(cell)
    tools = open_page.state["_tools"]
    assert len(bytes(tools["norms"]["map"]["data"])) == 4 * 3 * 3
    assert len(bytes(tools["effects"]["maps"]["data"])) == 4 * 3 * 4 * 3 * 3
    assert bytes(tools["brush"]["picture"]["data"]).startswith(b"\x89PNG")
    assert len(tools["verify"]["found"]) == 3
    kernel.finish(cell)


def test_a_comparison_is_cancelled_while_a_cell_sleeps(kernel: Kernel, open_page: Page):
    """The last method of three waits in its run until it is told to stop."""
    kernel.run("""
import dataclasses
from legrad_widget import explainer
find, entered = explainer.find, threading.Event()
def forever(tokens, aims, layers, tick, **knobs):
    entered.set()
    while True:
        tick(0, 9)
        time.sleep(0.005)
explainer.find = lambda name: dataclasses.replace(find(name), run=forever) if name == "raw_attention" else find(name)
""")
    cell = kernel.start("time.sleep(2)")
    kernel.listen(0.2)
    rid = open_page.ask("a ship", compare=THREE)
    kernel.until(lambda: open_page.panes() == THREE[:2], timeout=1.5)
    assert open_page.state["_status"]["state"] == "running"
    assert open_page.state["_comparison"]["pending"] == ["raw_attention"]
    open_page.message(kind="cancel", n=900)
    kernel.until(lambda: open_page.answered(rid), timeout=1.5)
    assert not kernel.ended(cell)
    assert open_page.panes() == THREE[:2]
    assert open_page.state["_comparison"]["pending"] == []
    kernel.finish(cell)
    kernel.run("assert entered.is_set(); explainer.find = find")
    rid = open_page.ask("a ship", compare=THREE)
    kernel.until(lambda: open_page.answered(rid))
    assert open_page.panes() == THREE


def test_a_comparison_that_was_held_back_while_a_cell_awaits_replays_nothing(kernel: Kernel, open_page: Page):
    cell = kernel.start("w.opacity = 0.3\nawait asyncio.sleep(2)")
    kernel.until(lambda: open_page.state.get("opacity") == 0.3)
    view = {"compare": "methods", "compared": THREE}
    held_back = open_page.question("a fox", compare=THREE, view=view)
    open_page.message(kind="ask", **held_back)
    kernel.until(lambda: open_page.answered(held_back["rid"]), timeout=1.5)
    assert open_page.panes() == THREE
    rid = open_page.ask("a fox", compare=[], view={"compare": "off", "compared": []})
    kernel.until(lambda: open_page.answered(rid), timeout=1.5)
    assert not kernel.ended(cell)
    kernel.finish(cell)
    open_page.write(_request={"v": 1, "client": "page", **held_back}, **view)  # at last
    assert kernel.run("w.wait(); print(w.compare, w.compared, w.comparison)")["text"] == "off [] {}"
    assert open_page.panes() == []


def test_python_compares_and_the_page_hears_of_it_while_the_next_cell_sleeps(kernel: Kernel, open_page: Page):
    text = kernel.run("w.compared, w.compare = ['rollout', 'legrad'], 'methods'; w.wait(); print(list(w.comparison))")
    assert text["text"] == "['rollout', 'legrad']"
    kernel.until(lambda: open_page.panes() == ["rollout", "legrad"])
    assert (open_page.state["compare"], open_page.state["compared"]) == ("methods", ["rollout", "legrad"])
    cell = kernel.start("time.sleep(2)")
    kernel.listen(0.3)
    rid = open_page.ask("a bus", compare=THREE)
    kernel.until(lambda: open_page.answered(rid), timeout=1.5)
    assert not kernel.ended(cell)
    kernel.finish(cell)


def test_without_a_subshell_a_question_waits_for_the_cell_and_is_not_lost(kernel: Kernel):
    comm = kernel.run("w = show('a cat'); print(w.model_id)")["text"]
    page = Page(kernel, comm, subshell=None)
    page.hello()
    cell = kernel.start("time.sleep(1)")
    kernel.listen(0.2)
    first, last = page.ask("a fox"), page.ask("a bird")
    kernel.finish(cell)
    kernel.until(lambda: page.answered(last))
    assert page.results()[-1] == last
    assert page.results().count(first) <= 1


def test_waiting_in_the_cell_that_asks(kernel: Kernel, open_page: Page):
    started = time.monotonic()
    text = kernel.run("w.targets = ['a dog', 'a boat']; w.wait(30); print([x.label for x in w.explanations])")["text"]
    assert text == "['a dog', 'a boat']"
    assert time.monotonic() - started < 20


def test_bad_messages_are_refused_quietly(kernel: Kernel, open_page: Page):
    heard = len(kernel.heard)
    open_page.message(kind="run", code="import os")
    open_page.message(kind="ask", n=1, rid="page.1", targets="x")
    open_page.write(opacity=17)
    kernel.until(lambda: len(open_page.answers("refused")) == 3)
    rid = open_page.ask("a fox")
    kernel.until(lambda: open_page.answered(rid))
    assert not [message for message in kernel.heard[heard:] if message["msg_type"] in ("error", "stream")]


def test_an_upload_in_parts(kernel: Kernel, open_page: Page):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((90, 40)).save(buffer, "PNG")
    data = buffer.getvalue()
    for part, piece in enumerate((data[:100], data[100:])):
        open_page.message(
            [piece], kind="image", n=100 + part, upload="u", name="grey.png", size=len(data), part=part, parts=2
        )
    kernel.until(lambda: open_page.state["_image"].get("original") == [90, 40])
    assert kernel.run("w.wait(); print(w.image.size, w.targets)")["text"] == "(90, 40) ('a cat',)"


def test_closing_every_widget_ends_the_thread(kernel: Kernel, open_page: Page):
    count = "sum(thread.name == 'legrad-widget' for thread in threading.enumerate())"
    assert kernel.run(f"print({count})")["text"] == "1"  # one model, one thread, many widgets
    kernel.run("import ipywidgets; ipywidgets.Widget.close_all()")
    code = f"until = time.monotonic() + 5\nwhile {count} and time.monotonic() < until: time.sleep(0.01)\nprint({count})"
    assert kernel.run(code)["text"] == "0"


def test_the_second_file_is_handed_over_while_a_cell_sleeps(kernel: Kernel, open_page: Page):
    """The tools of the page come with the first click on them, whatever the kernel runs."""
    from legrad_widget.widget import live_part

    wanted = live_part.hash_of(live_part.FILE.read_bytes())
    cell = kernel.start("time.sleep(2)")
    kernel.listen(0.3)
    open_page.message(kind="live", hash=wanted)
    kernel.until(lambda: open_page.answers("live"), timeout=1.5)
    assert not kernel.ended(cell)
    kernel.finish(cell)
    assert open_page.answers("live") == [{"kind": "live", "hash": wanted, "message": ""}]
    [buffers] = [
        message["buffers"]
        for message in kernel.heard
        if message["content"].get("data", {}).get("content", {}).get("kind") == "live"
    ]
    assert [bytes(part) for part in buffers] == [live_part.FILE.read_bytes()]
