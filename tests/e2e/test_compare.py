"""Methods or prompts side by side: what stands there, that it is linked, and that its numbers are Python's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

USUAL = "[e['title'] for e in w._catalogue if e['available'] and not e['slow']]"
AGREEMENT = """
from legrad_widget.evaluate.agreement import iou_top, rank_correlation
maps = [x.merged() for x in w.comparison.values()]
"""


def cells(explorer: Explorer) -> list[list[str]]:
    """The numbers of the table, row by row; "" on the diagonal."""
    rows = explorer.get("agreement").locator("tbody tr")
    return [
        list(row) for row in rows.evaluate_all("all => all.map(r => [...r.cells].slice(1).map(c => c.textContent))")
    ]


def test_methods_side_by_side_are_those_that_python_computed(explorer: Explorer, notebook: Notebook) -> None:
    explorer.compare("methods")
    assert explorer.panes == notebook.value(USUAL)
    assert notebook.value("[w.compare, len(w.comparison)]") == ["methods", len(explorer.panes)]
    assert len(set(explorer.pane_pixels())) == len(explorer.panes), "every method draws a map of its own"

    found = cells(explorer)
    wanted = notebook.value(
        "[[None if i == j else (rank_correlation if i < j else iou_top)(a, b) for j, b in enumerate(maps)]"
        " for i, a in enumerate(maps)]",
        AGREEMENT,
    )
    for row, numbers in zip(found, wanted, strict=True):
        for text, number in zip(row, numbers, strict=True):
            assert text == "" if number is None else float(text) == pytest.approx(number, abs=0.0051)


def test_one_cursor_for_all_panes(explorer: Explorer, notebook: Notebook) -> None:
    explorer.compare("methods")
    canvas = explorer.get("pane").nth(1).locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    explorer.page.mouse.move(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 5.5 / 8)
    expect(explorer.get("readout")).to_contain_text("row 6, column 3")
    values = explorer.get("pane").locator("b").all_inner_texts()
    wanted = notebook.value("[float(x.raw()[5, 2]) for x in w.comparison.values()]")
    for text, number in zip(values, wanted, strict=True):
        assert float(text) == pytest.approx(number, rel=0.01)
    framed = explorer.root.evaluate(
        """root => [...root.querySelectorAll('[data-testid=pane] div > div, [data-testid=picture] div > div')]
            .filter(it => !it.hidden && it.style.width === '12.5%').map(it => [it.style.left, it.style.top].join())"""
    )
    assert framed == ["25%,62.5%"] * (1 + len(explorer.panes))
    explorer.page.mouse.move(0, 0)
    expect(explorer.get("pane").locator("b").first).to_have_text("")

    explorer.get("picture").focus()
    explorer.page.keyboard.press("ArrowRight")
    expect(explorer.get("pane").locator("b").first).not_to_have_text("")


def test_layers_and_scale_are_those_of_all_panes(explorer: Explorer) -> None:
    explorer.compare("methods")
    before = explorer.pane_pixels()
    explorer.expect_repainted(lambda: explorer.choose_layer(2))
    after = explorer.pane_pixels()
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        note = explorer.get("pane").nth(i).locator("p").last
        if a == b:
            expect(note).to_contain_text("Has no layer 2")
        else:
            expect(note).to_be_hidden()
    assert sum(a != b for a, b in zip(before, after, strict=True)) >= 3

    ranges = explorer.get("pane").locator("p:first-of-type")
    own = [text for text in ranges.all_inner_texts() if not text.startswith("±")]
    assert len(set(own)) == len(own) >= 2
    explorer.get("scale-shared").check()
    shared = [text for text in ranges.all_inner_texts() if not text.startswith("±")]
    assert len(set(shared)) == 1
    explorer.notebook.expect_value("w.compare_scale", "shared")


def test_layer_by_layer_a_row_has_a_scale(explorer: Explorer, notebook: Notebook) -> None:
    explorer.compare("prompts")
    row = explorer.get("scale-row")
    expect(row).to_be_disabled()
    reason = explorer.root.locator(f"[id='{row.get_attribute('aria-describedby')}']")
    expect(reason).to_contain_text("rows make no difference")
    explorer.get("unfold").click()
    depth = notebook.value("len(w.model.vit.blocks)")
    expect(explorer.get("row")).to_have_count(len(explorer.chips))
    expect(explorer.get("pane")).to_have_count(depth * len(explorer.chips))
    expect(row).to_be_enabled()
    expect(explorer.get("compare-bar")).to_contain_text("each map's lowest")
    ranges = explorer.get("row").first.locator("p:first-of-type")
    assert len(set(ranges.all_inner_texts())) == depth
    row.check()
    expect(explorer.get("compare-bar")).to_contain_text("the row's lowest")
    notebook.expect_value("w.compare_scale", "row")
    low, high = notebook.value("(lambda m: [float(m.min()), float(m.max())])(w.explanations[0].maps)")
    for text in ranges.all_inner_texts():
        assert [float(part) for part in text.split(" … ")] == pytest.approx([low, high], rel=0.01)
    explorer.expect_repainted(lambda: explorer.get("row").first.get_by_role("button", name="layer 2").click())
    assert explorer.chosen_layers == [2]


def test_the_compared_methods_are_chosen_by_boxes(explorer: Explorer, notebook: Notebook) -> None:
    explorer.compare("methods")
    explorer.get("compared").locator("summary").click()
    explorer.get("compare-rollout").uncheck()
    explorer.get("compare-tam").check()
    explorer.expect_compared()
    names = notebook.value("w.compared")
    assert "tam" in names
    assert "rollout" not in names
    assert notebook.value("list(w.comparison)") == names
    assert explorer.panes == notebook.value("[e['title'] for e in w._catalogue if e['name'] in w.compared]")


def test_another_active_prompt_is_compared_anew(explorer: Explorer, notebook: Notebook) -> None:
    explorer.expect_answered(lambda: explorer.ask("a dog"))
    explorer.compare("methods")
    before = explorer.pane_pixels()
    explorer.expect_answered(lambda: explorer.get("chip").first.get_by_role("radio").click())
    explorer.expect_compared()
    assert notebook.value("w._comparison['label']") == explorer.chips[0]
    assert explorer.pane_pixels()[0] != before[0]


def test_prompts_side_by_side_need_no_kernel(explorer: Explorer, notebook: Notebook) -> None:
    explorer.expect_answered(lambda: explorer.ask("a dog"))
    asked = notebook.value("w._request['n']")
    explorer.compare("prompts")
    assert explorer.panes == explorer.chips
    assert len(set(explorer.pane_pixels())) == len(explorer.chips)
    explorer.get("pane").first.locator("button").click()
    assert explorer.active == 0
    notebook.expect_value("[w.compare, w.active]", ["prompts", 0])
    assert notebook.value("w._request['n']") == asked
    explorer.compare("off")
    expect(explorer.get("panes")).to_be_hidden()


def test_a_pane_becomes_the_large_picture(explorer: Explorer, notebook: Notebook) -> None:
    explorer.compare("methods")
    at = notebook.value("list(w.comparison).index('rollout')")
    explorer.expect_answered(lambda: explorer.get("pane").nth(at).locator("button").click())
    notebook.expect_value("w.method", "rollout")
    expect(explorer.get("method-rollout")).to_be_checked()


def test_it_works_by_keyboard_alone(explorer: Explorer, notebook: Notebook) -> None:
    explorer.get("compare-off").focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.expect_compared()
    notebook.expect_value("w.compare", "methods")
    explorer.get("compared").locator("summary").focus()
    explorer.page.keyboard.press("Enter")
    explorer.get("compare-rollout").focus()
    explorer.page.keyboard.press("Space")
    explorer.expect_compared()
    expect(explorer.get("compare-rollout")).to_be_focused()
    expect(explorer.get("compare-rollout")).not_to_be_checked()
    notebook.expect_value("'rollout' in w.comparison", wanted=False)
    explorer.get("agreement").get_by_role("region").focus()
    layers = explorer.chosen_layers
    explorer.page.keyboard.press("ArrowRight")
    assert explorer.chosen_layers == layers, "the arrows scroll the table"


def test_python_and_a_reload_bring_it_back(explorer: Explorer, notebook: Notebook) -> None:
    notebook.execute("w.compare = 'methods'; w.compared = ['legrad', 'rollout']; w.wait()")
    explorer.expect_compared()
    assert len(explorer.panes) == 2
    notebook.reload()
    again = Explorer(notebook, notebook.dom.get_by_test_id("legrad"))
    again.expect_painted()
    again.expect_compared()
    expect(again.get("compare-methods")).to_be_checked()
    assert len(again.panes) == 2
    assert all(again.pane_pixels())


def test_what_is_there_works_after_the_kernel_is_gone(open_notebook: Callable[[], Notebook]) -> None:
    notebook = open_notebook()
    explorer = Explorer.in_cell(notebook, "import legrad_widget as lw\nw = lw.explore(compare='methods')\nw")
    explorer.expect_compared()
    notebook.restart_kernel()
    before = explorer.pane_pixels()
    explorer.choose_layer(2)
    expect(explorer.root.locator("[data-layer='2']")).to_have_attribute("aria-selected", "true")
    assert explorer.pane_pixels() != before
    explorer.get("compare-prompts").check()
    expect(explorer.get("pane")).to_have_count(len(explorer.chips))
    expect(explorer.get("pane").first).to_have_attribute("data-state", "drawn")
