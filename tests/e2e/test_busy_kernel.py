"""While a cell runs: what needs no computation works at once, and the rest never spins for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook


@pytest.fixture
def busy(explorer: Explorer, notebook: Notebook) -> Iterator[Explorer]:
    """The widget, drawn, in a notebook whose kernel runs a long cell."""
    with notebook.busy():
        yield explorer


def test_scrubbing_layers_repaints_within_one_frame(busy: Explorer, notebook: Notebook) -> None:
    """Issue: "scrubbing layers repaints within one frame while the kernel runs `time.sleep(30)`"."""
    busy.choose_layer(1)
    expect(busy.root.locator("[data-layer='1']")).to_have_attribute("aria-selected", "true")
    watch = busy.stopwatch()
    count = busy.get("layer").count()
    seen = {busy.pixels()}
    for layer in range(2, count + 1):
        took = watch.press("ArrowRight", new_answer=False)
        assert took["frames"] <= 1, f"layer {layer} was painted {took['frames']} frames after the key"
        assert busy.painted_layers == str(layer)
        seen.add(busy.pixels())
    assert len(seen) == count, "every layer has a map of its own"
    notebook.expect_busy()


def test_a_new_prompt_is_answered_or_said_to_wait(busy: Explorer, notebook: Notebook) -> None:
    prompt = next(word for word in ("a dog", "a pizza", "a car") if word not in busy.chips)
    before = busy.painted
    busy.ask(prompt)
    busy.page.wait_for_function(
        """([root, before]) => root.dataset.painted !== before
            || root.querySelector("[data-testid=status]").dataset.kind === "waiting" """,
        arg=[busy.root.element_handle(), before],
        timeout=10_000,
    )
    if busy.painted == before:
        expect(busy.get("status")).to_contain_text("Waiting for the kernel")
    notebook.expect_busy()
    notebook.interrupt()
    expect(busy.get("score")).to_contain_text(prompt)
    busy.expect_status("idle")
    notebook.expect_value("w.targets[w.active]", prompt)


def test_what_was_changed_meanwhile_reaches_python_in_the_end(busy: Explorer, notebook: Notebook) -> None:
    busy.choose_layer(2)
    busy.get("opacity").fill("0.4")
    notebook.interrupt()
    notebook.expect_value("[w.layers, w.opacity]", [[2], 0.4])


def test_waiting_in_the_cell_that_asks(explorer: Explorer, notebook: Notebook) -> None:
    """`w.wait()` works in a cell with a browser attached."""
    cell = "w.targets = ['a dog']; w.wait(); print(len(w.explanation.maps) == len(w.explanation.layers))"
    assert "True" in notebook.run(cell).inner_text()
    expect(explorer.get("chip")).to_have_count(1)
    expect(explorer.get("score")).to_contain_text("a dog")
