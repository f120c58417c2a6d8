"""A over B among the chips: by mouse, by keys, from Python; it survives a reload and goes like any other chip."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit, picture

CELL = "w = lw.explore(lw.scene(['cat', 'dog'], seed=0).image, ['cat', 'dog'])\nw"


@pytest.fixture
def opposed(notebook: Notebook) -> Explorer:
    """A cat and a dog in one picture, and a chip for each."""
    explorer = Explorer.in_cell(notebook, CELL)
    assert explorer.chips == ["cat", "dog"]
    return explorer


def radio(explorer: Explorer, at: int) -> Locator:
    """The part of a chip that chooses it."""
    return explorer.root.locator("[role=radio]").nth(at)


def test_a_click_with_ctrl_asks_for_the_active_prompt_over_that_one(
    opposed: Explorer, notebook: Notebook, artifacts: Path, complaints: list[str]
) -> None:
    plain = opposed.pixels()
    expect(radio(opposed, 1)).to_have_attribute("title", "Ctrl-click or C: cat over dog")
    opposed.expect_answered(lambda: radio(opposed, 1).click(modifiers=["Control"]))
    assert opposed.chips == ["cat", "dog", "cat over dog"]
    assert opposed.active == 2
    assert opposed.pixels() != plain
    notebook.expect_value("[w.targets[2] == lw.Contrast('cat', 'dog'), w.explanation.signed]", [True, False])
    expect(opposed.get("score")).to_contain_text("p, cat or dog")

    # Both directions in one map: the method's own option, changed by hand.
    opposed.get("knobs").locator("summary").click()
    opposed.expect_answered(opposed.root.locator("[data-knob=relu]").uncheck)
    notebook.expect_value("w.explanation.signed", True)
    opposed.expect_answered(lambda: notebook.execute("w.targets = [*w.targets, lw.Contrast('dog', 'cat')]"))
    assert opposed.chips[-1] == "dog over cat"
    opposed.get("knobs").locator("summary").click()
    opposed.compare("prompts")
    assert opposed.panes == opposed.chips
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        picture(opposed, artifacts, f"contrast-{theme.lower()}")
    assert not audit(opposed)
    assert not complaints


def test_the_same_by_keys(opposed: Explorer, notebook: Notebook) -> None:
    radio(opposed, 1).click()
    opposed.page.keyboard.press("Control+ArrowLeft")
    expect(radio(opposed, 0)).to_be_focused()
    assert opposed.active == 1
    opposed.expect_answered(lambda: opposed.page.keyboard.press("c"))
    assert opposed.chips == ["cat", "dog", "dog over cat"]
    expect(radio(opposed, 2)).to_be_focused()
    notebook.expect_value("w.targets[2] == lw.Contrast('dog', 'cat')", True)
    opposed.page.keyboard.press("Delete")
    expect(opposed.get("chip")).to_have_count(2)
    notebook.expect_value("list(w.targets)", ["cat", "dog"])


def test_a_contrast_from_python_survives_a_reload_and_is_asked_again_with_the_others(
    opposed: Explorer, notebook: Notebook
) -> None:
    opposed.expect_answered(
        lambda: notebook.execute("w.targets = [lw.Contrast('cat', 'dog'), lw.Text('cat', templates=['a {}'])]")
    )
    assert opposed.chips == ["cat over dog", "cat"]
    notebook.reload()
    opposed.expect_painted()
    assert opposed.chips == ["cat over dog", "cat"]
    opposed.expect_answered(lambda: opposed.ask("a dog"))
    assert opposed.chips == ["cat over dog", "cat", "a dog"]
    notebook.expect_value("[w.targets[1].templates, w.targets[0].label]", [["a {}"], "cat over dog"])
