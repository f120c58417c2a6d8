"""What is asked for, in JupyterLab: templates, things like pictures, a control prompt, background correction."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

import legrad_widget as lw
from tests.e2e.explorer import ANSWER_MS, Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit, picture

CELL = "w = lw.explore(lw.scene(['cat', 'dog'], seed=0).image, ['cat', 'dog'])\nw"
COUNTED = """
forwards = []
hook = w.model.vit.module.register_forward_hook(lambda *_: forwards.append(1))
"""
PHOTO = ["a photo of a {}"]


def scene(*things: str, seed: int = 0) -> bytes:
    """A picture of things, as a PNG."""
    buffer = io.BytesIO()
    lw.scene(list(things), seed=seed).image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pair(notebook: Notebook) -> Explorer:
    """A cat and a dog in one picture, a chip for each, and the second file with its parts."""
    explorer = Explorer.in_cell(notebook, CELL)
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    expect(explorer.get("templates")).to_be_visible(timeout=ANSWER_MS)
    return explorer


def names(explorer: Explorer) -> list[str]:
    """The chips as they are read out."""
    radios = explorer.root.locator("[role=radio]")
    return [str(name) for name in radios.evaluate_all("all => all.map(one => one.ariaLabel)")]


def narrow(explorer: Explorer, width: int = 380) -> None:
    explorer.root.evaluate("(root, width) => { root.parentElement.style.width = `${width}px`; }", width)
    explorer.page.wait_for_timeout(300)


def too_wide(explorer: Explorer) -> list[str]:
    """What reaches over the widget's right edge."""
    return list(
        explorer.root.evaluate(
            """root => [...root.querySelectorAll('*')]
                .filter(it => it.checkVisibility() && !it.closest('[role=listbox]') && it.clientWidth > 1
                    && it.getBoundingClientRect().right > root.getBoundingClientRect().right + 1)
                .map(it => it.className || it.tagName)"""
        )
    )


def test_templates_are_edited_and_only_the_text_is_read_again(
    pair: Explorer, notebook: Notebook, artifacts: Path, complaints: list[str]
) -> None:
    notebook.execute(COUNTED)
    plain = pair.pixels()
    pair.get("templates").click()
    pair.expect_answered(pair.get("template-preset-2").click)
    assert pair.chips == ["cat", "dog"]
    assert names(pair) == ["cat in 7 templates", "dog in 7 templates"]
    assert pair.pixels() != plain
    notebook.expect_value("[len(t.templates) for t in w.targets]", [7, 7])
    notebook.expect_value("len(w.templates)", 7)
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        picture(pair, artifacts, f"templates-{theme.lower()}")
    assert not audit(pair)

    editor = pair.get("template-editor")
    editor.fill("a photo of a")
    pair.get("template-apply").click()
    expect(pair.root.get_by_role("alert").filter(has_text="needs {} once")).to_be_visible()
    editor.fill(PHOTO[0])
    pair.expect_answered(lambda: editor.press("Control+Enter"))
    assert names(pair) == ["a photo of a cat", "a photo of a dog"]
    pair.expect_answered(lambda: pair.ask("tree"))
    notebook.expect_value(f"w.targets[2] == lw.Text('tree', templates={PHOTO})", True)
    assert "lw.Text('tree', templates=['a photo of a {}'])" in notebook.value("w.code()")
    assert notebook.value("len(forwards)") == 0
    editor.press("Escape")
    expect(editor).to_be_hidden()
    notebook.reload()
    pair.expect_painted()
    assert names(pair)[2] == "a photo of a tree"
    expect(pair.get("templates")).to_contain_text("1", timeout=ANSWER_MS)
    pair.expect_answered(lambda: notebook.execute("w.templates = []"))
    assert names(pair) == ["cat", "dog", "tree"]
    assert not complaints


def test_specificity_is_pythons_follows_the_prompt_and_shows_the_controls_map(
    pair: Explorer, notebook: Notebook, artifacts: Path, complaints: list[str]
) -> None:
    value, select = pair.get("specificity-value"), pair.get("specificity")
    expect(value).to_be_empty()
    select.select_option("empty")
    expected = "format(w._shown.encoding.specificity(%s), '.2f')"
    expect(value).to_have_text(notebook.value(expected % "'cat'"), timeout=ANSWER_MS)
    pair.root.locator("[role=radio]").nth(1).click()
    expect(value).to_have_text(notebook.value(expected % "'dog'"), timeout=ANSWER_MS)
    pair.expect_answered(lambda: pair.ask("tree"))
    expect(value).to_have_text(notebook.value(expected % "'tree'"), timeout=ANSWER_MS)
    pair.choose_layer(5)
    expect(value).to_have_text(notebook.value(expected % "'tree', layers=5"))
    pair.get("all-layers").click()

    own = pair.pixels()
    expect(pair.get("picture")).to_have_attribute("data-absent", "")
    pair.expect_repainted(pair.get("specificity-map").click)
    assert "control" in pair.painted
    expect(pair.get("picture")).not_to_have_attribute("data-absent", "")  # there is no tree: its own map is faded
    assert pair.pixels() != own
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        picture(pair, artifacts, f"specificity-{theme.lower()}")
    pair.expect_repainted(pair.get("specificity-map").click)
    assert pair.pixels() == own

    select.select_option("own")
    pair.get("specificity-own").fill("dog")
    pair.get("specificity-own").press("Enter")
    expect(value).to_have_text(notebook.value(expected % "'tree', control='dog'"), timeout=ANSWER_MS)
    notebook.reload()
    pair.expect_painted()
    expect(value).to_have_text(notebook.value(expected % "'tree', control='dog'"), timeout=ANSWER_MS)
    expect(pair.get("specificity-own")).to_have_value("dog")
    pair.expect_answered(lambda: pair.choose_method("rollout"))
    expect(value).to_have_text("0.00")
    expect(pair.get("specificity-note")).to_contain_text("never sees the prompt")
    assert not audit(pair)
    assert not complaints


def test_background_correction_is_a_switch(pair: Explorer, notebook: Notebook, artifacts: Path) -> None:
    plain = pair.pixels()
    pair.expect_answered(pair.get("correction").check)
    notebook.expect_value("w.knobs", {"correction": "a photo of a"})
    expect(pair.get("correction-prompt")).to_have_value("a photo of a")
    pair.get("correction-threshold").focus()
    pair.expect_answered(lambda: pair.page.keyboard.press("Home"))
    notebook.expect_value("w.knobs['correction_threshold']", 0)
    assert pair.pixels() != plain
    picture(pair, artifacts, "correction")
    narrow(pair)
    pair.get("templates").click()
    picture(pair, artifacts, "targets-narrow")
    assert too_wide(pair) == []
    pair.expect_answered(pair.get("correction").uncheck)
    notebook.expect_value("w.knobs", {})
    expect(pair.get("correction-prompt")).to_be_hidden()


def drop(explorer: Explorer, zone: Locator, *files: tuple[str, bytes]) -> None:
    """Drop pictures on a place."""
    transfer = explorer.page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files)
                transfer.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
            return transfer;
        }""",
        [[name, list(data)] for name, data in files],
    )
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


def test_pictures_become_a_concept_among_the_chips(
    pair: Explorer, notebook: Notebook, artifacts: Path, complaints: list[str]
) -> None:
    cats = [
        {"name": f"cat {seed}.png", "mimeType": "image/png", "buffer": scene("cat", seed=seed)} for seed in (3, 4, 5)
    ]
    pair.expect_answered(lambda: pair.get("examples").set_input_files(cats))
    assert pair.chips == ["cat", "dog", "like 3 pictures"]
    assert pair.active == 2
    chip = pair.get("chip").nth(2)
    expect(chip.locator("img")).to_have_count(3)
    assert all(chip.locator("img").evaluate_all("all => all.map(img => img.naturalWidth)"))
    notebook.expect_value("[type(w.targets[2]).__name__, len(w.targets[2].images)]", ["Concept", 3])
    with Image.open(io.BytesIO(cats[0]["buffer"])) as sent:
        assert notebook.value("w.targets[2].images[0].getpixel((9, 9))") == list(sent.convert("RGB").getpixel((9, 9)))

    pair.expect_answered(lambda: drop(pair, pair.get("prompt"), ("tree.png", scene("tree", seed=2))))
    assert pair.chips[3] == "like tree"
    before = pair.painted
    drop(pair, pair.get("prompt"), ("a.png", scene("dog")), ("b.png", b"nothing that can be read"))
    pair.expect_status("error", "example 2 of 2, 'b.png'")
    assert pair.painted == before
    assert len(pair.chips) == 4
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        picture(pair, artifacts, f"concept-{theme.lower()}")
    assert not audit(pair)

    # It is opposed, compared, kept through a reload, and removed like any other.
    pair.root.locator("[role=radio]").nth(2).click()
    pair.expect_answered(lambda: pair.root.locator("[role=radio]").nth(1).click(modifiers=["Control"]))
    assert pair.chips[4] == "like 3 pictures over dog"
    notebook.reload()
    pair.expect_painted()
    assert pair.chips == ["cat", "dog", "like 3 pictures", "like tree", "like 3 pictures over dog"]
    expect(pair.get("chip").nth(4).locator("img")).to_have_count(3)
    pair.expect_answered(lambda: pair.choose_method("gradcam"))
    expect(pair.get("score")).to_contain_text("like 3 pictures over dog")
    pair.root.get_by_label("Remove like tree").click()
    notebook.expect_value("[type(t).__name__ for t in w.targets]", ["str", "str", "Concept", "Contrast"])
    assert not complaints
