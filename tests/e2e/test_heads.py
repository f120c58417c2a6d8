"""The layer x head matrix in JupyterLab: looked along while a cell runs, chosen by mouse or keys, alike in Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import seen_by_everyone


@pytest.fixture
def matrix(explorer: Explorer) -> Explorer:
    """The widget with the matrix open, high enough that nothing scrolls away."""
    explorer.page.set_viewport_size({"width": 1280, "height": 1400})
    explorer.get("heads").click()
    expect(explorer.get("matrix")).to_be_visible()
    return explorer


def cell(explorer: Explorer, layer: int, head: int) -> Locator:
    """The box of one head."""
    return explorer.root.locator(f"[data-head='{layer}.{head}']")


def selected(explorer: Explorer) -> list[str]:
    """The heads that are marked as merged."""
    boxes = explorer.root.locator("[data-head][aria-selected=true]")
    return [str(name) for name in boxes.evaluate_all("all => all.map(box => box.dataset.head)")]


def row_of_numbers(explorer: Explorer, columns: int) -> list[float]:
    """The scaled values that the read-out tells along the first row of patches."""
    explorer.get("picture").focus()
    for _ in range(columns):
        explorer.page.keyboard.press("ArrowUp")
        explorer.page.keyboard.press("ArrowLeft")
    found = []
    for _ in range(columns):
        found.append(float(explorer.get("readout").locator("span:has-text('scaled') b").inner_text()))
        explorer.page.keyboard.press("ArrowRight")
    return found


@pytest.fixture
def busy(matrix: Explorer, notebook: Notebook) -> Iterator[Explorer]:
    """The matrix in a notebook whose kernel runs a long cell."""
    with notebook.busy():
        matrix.root.scroll_into_view_if_needed()
        yield matrix


def test_heads_are_seen_and_merged_while_the_kernel_is_busy(busy: Explorer, notebook: Notebook) -> None:
    whole = busy.pixels()
    seen = {whole}
    for head in range(4):
        cell(busy, 4, head).hover()
        expect(busy.root).to_have_attribute("data-painted", busy.painted.replace(busy.painted_layers, f"4.{head}"))
        seen.add(busy.pixels())
    assert len(seen) == 5, "every head has a map of its own"
    busy.page.mouse.move(2, 2)
    expect(busy.get("merged")).to_have_text(re.compile(r"^mean of all 6 layers, \d+ % from layer \d$"))
    assert busy.pixels() == whole
    cell(busy, 4, 1).click()
    cell(busy, 6, 3).click(modifiers=["Shift"])
    busy.page.mouse.move(2, 2)
    assert busy.painted_layers == "4.1,6.3"
    busy.get("weights-equal").check()
    expect(busy.get("floor")).to_contain_text("floor 0.")
    notebook.expect_busy()


def test_what_is_chosen_reaches_python_and_is_merged_alike(matrix: Explorer, notebook: Notebook) -> None:
    cell(matrix, 2, 3).click()
    cell(matrix, 5, 0).click(modifiers=["Shift"])
    cell(matrix, 5, 2).click(modifiers=["Shift"])
    notebook.expect_value("w.heads", {2: [3], 5: [0, 2]})
    for weights in ("paper", "equal"):
        matrix.get(f"weights-{weights}").check()
        notebook.expect_value("w.weights", weights)
        wanted = notebook.value("w.explanation.merged(heads=w.heads, weights=w.weights)[0].tolist()")
        assert row_of_numbers(matrix, len(wanted)) == pytest.approx(wanted, abs=0.0051)
        floor = notebook.value("w.explanation.floor(heads=w.heads, weights=w.weights)")
        expect(matrix.get("floor")).to_have_text(f"floor {floor:.2f}")
    cell(matrix, 5, 0).click(modifiers=["Shift"])
    notebook.expect_value("w.heads", {2: [3], 5: [2]})
    matrix.choose_layer(3)
    notebook.expect_value("[w.layers, w.heads]", [[3], None])


def test_what_python_chooses_is_shown(matrix: Explorer, notebook: Notebook) -> None:
    notebook.execute("w.heads = {3: [1], 4: 2}; w.weights = 'equal'")
    expect(matrix.get("merged")).to_contain_text("mean of layers 3-4 of 6, 2 heads, ")
    assert selected(matrix) == ["3.1", "4.2"]
    expect(matrix.get("weights-equal")).to_be_checked()
    notebook.execute("w.heads = 0")
    expect(matrix.get("merged")).to_contain_text("mean of all 6 layers, head 0, ")
    notebook.execute("w.heads = None")
    expect(matrix.get("merged")).to_have_text(re.compile(r"^mean of all 6 layers, \d+ % from layer \d$"))


def test_by_keys_alone(explorer: Explorer, notebook: Notebook) -> None:
    press = explorer.page.keyboard.press
    explorer.get("heads").focus()
    press("g")
    expect(explorer.get("matrix")).to_be_visible()
    explorer.root.get_by_role("grid").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        press(key)
    expect(explorer.get("merged")).to_have_text("layer 3 of 6, head 1")
    press("Enter")
    press("ArrowRight")
    press("Shift+Enter")
    notebook.expect_value("w.heads", {3: [1, 2]})
    press("Escape")
    notebook.expect_value("w.heads", None)
    explorer.get("heads").focus()
    press("ArrowDown")
    notebook.expect_value("w.heads", {layer: [0] for layer in range(1, 7)})
    press("ArrowRight")
    press("ArrowDown")
    notebook.expect_value("w.heads", {1: [1]})
    press("0")
    notebook.expect_value("[w.heads, w.layers]", [None, None])


def test_a_reload_brings_heads_and_weights_back(matrix: Explorer, notebook: Notebook) -> None:
    cell(matrix, 6, 2).click()
    matrix.get("weights-equal").check()
    notebook.expect_value("[w.heads, w.weights]", [{6: [2]}, "equal"])
    notebook.reload()
    again = Explorer(notebook, notebook.dom.get_by_test_id("legrad"))
    again.expect_painted()
    assert again.painted_layers == "6.2"
    expect(again.get("weights-equal")).to_be_checked()


def test_a_method_without_heads_says_so(matrix: Explorer) -> None:
    cell(matrix, 2, 1).click()
    matrix.expect_answered(lambda: matrix.choose_method("rollout"))
    expect(matrix.get("matrix")).to_contain_text("rollout has no maps of single heads")
    expect(matrix.get("merged")).to_have_text("up to layer 2 of 6")
    matrix.expect_answered(lambda: matrix.choose_method("cdam"))
    expect(matrix.root.locator("[data-head]")).to_have_count(4)


def test_many_cells_follow_the_pointer_within_a_frame(matrix: Explorer) -> None:
    """Previewing paints in the frame after the pointer's event: no canvas of the matrix is drawn again for it."""
    took = matrix.root.evaluate(
        """async root => {
            const boxes = [...root.querySelectorAll('[data-head]')];
            const frame = () => new Promise(done => requestAnimationFrame(done));
            const took = [];
            for (const box of boxes) {
                const before = root.dataset.painted;
                box.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
                let frames = 0;
                while (root.dataset.painted === before && frames < 10) { await frame(); frames += 1; }
                took.push(frames);
            }
            return took;
        }"""
    )
    assert len(took) == 24
    assert max(took) <= 2, took


@pytest.mark.parametrize("name", ["heads", "heads-dark", "heads-narrow", "heads-signed", "heads-forced"])
def test_it_is_seen_by_everyone(matrix: Explorer, artifacts: Path, name: str, notebook: Notebook) -> None:
    cell(matrix, 5, 1).click()
    cell(matrix, 6, 2).click(modifiers=["Shift"])
    if name == "heads-signed":
        matrix.expect_answered(lambda: matrix.choose_method("textspan"))
    seen_by_everyone(matrix, notebook, artifacts, name, "matrix")
