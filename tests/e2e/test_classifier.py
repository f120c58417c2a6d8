"""A classifier in the widget: its guesses, and a box that completes class names."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

CLASSES = ["tabby cat", "tiger", "beagle", "pizza", "sports car"]
CELL = f"""
import timm, torch
torch.manual_seed(0)
vit = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes={len(CLASSES)})
w = lw.wrap(vit, class_names={CLASSES!r}).explore(lw.scene(seed=1).image)
w
"""


@pytest.fixture
def classifier(notebook: Notebook) -> Explorer:
    """A small classifier with random weights, on the built-in scene."""
    return Explorer.in_cell(notebook, CELL)


def test_its_first_guess_is_explained_unasked(classifier: Explorer) -> None:
    guesses = classifier.get("predictions").locator("li")
    expect(guesses).to_have_count(len(CLASSES))
    assert classifier.chips[0] in guesses.first.inner_text()
    assert classifier.chips[0] in CLASSES


def test_a_class_is_found_by_typing_a_part_of_it(classifier: Explorer, notebook: Notebook) -> None:
    box = classifier.get("prompt")
    box.press_sequentially("beag")
    expect(classifier.root.get_by_role("option", name="beagle")).to_be_visible()
    box.press("ArrowDown")
    classifier.expect_answered(lambda: box.press("Enter"))
    assert "beagle" in classifier.chips[-1]
    notebook.expect_value("w._result['targets'][-1]['target']['index']", CLASSES.index("beagle"))


def test_a_guess_can_be_clicked(classifier: Explorer) -> None:
    last = classifier.get("predictions").locator("li button").last
    name = last.locator("span").first.inner_text()
    classifier.expect_answered(last.click)
    expect(classifier.get("score")).to_contain_text(name)


def test_words_that_name_no_class_ask_nothing(classifier: Explorer) -> None:
    chips = classifier.chips
    classifier.ask("zzz")
    classifier.page.wait_for_timeout(500)
    assert classifier.chips == chips
    classifier.expect_status("idle")
