"""A person explores a picture: prompts, layers, methods, looks and views, in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.explorer import Explorer
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

HOSTILE = [
    pytest.param("<img src=x onerror='window.hacked = 1'><b>cat</b>", id="html"),
    pytest.param("a cat 🐱 and a dog 🐶", id="emoji"),
    pytest.param("صورة قطة, 猫の写真", id="other-scripts"),
]


WORDS = ("a dog", "a car", "a house", "an apple", "a tree", "a fish")


def another(explorer: Explorer) -> str:
    """A prompt that the built-in model knows and that is not asked yet."""
    return next(word for word in WORDS if word not in explorer.chips)


def opacity(explorer: Explorer) -> float:
    """How strongly the map is drawn over the picture, beyond its own opacity."""
    return float(explorer.get("heat").evaluate("canvas => getComputedStyle(canvas).opacity"))


# ------------------------------------------------------------------ prompts


def test_a_typed_prompt_changes_the_map(explorer: Explorer, complaints: list[str]) -> None:
    before = explorer.pixels()
    prompt = another(explorer)
    explorer.expect_answered(lambda: explorer.ask(prompt))
    assert explorer.pixels() != before
    assert explorer.chips[-1] == prompt
    assert explorer.active == len(explorer.chips) - 1
    explorer.notebook.expect_value("[w.targets[w.active], w.explanation is not None]", [prompt, True])
    explorer.expect_status("idle")
    assert not complaints


def test_typing_alone_previews_the_map(explorer: Explorer) -> None:
    prompt = another(explorer)
    box = explorer.get("prompt")
    explorer.expect_answered(lambda: box.press_sequentially(prompt, delay=20))
    expect(explorer.root.locator("[data-draft]")).to_have_count(1)
    box.press("Enter")
    expect(explorer.root.locator("[data-draft]")).to_have_count(0)
    assert explorer.chips.count(prompt) == 1
    expect(box).to_have_value("")


def test_a_known_prompt_needs_no_kernel(explorer: Explorer) -> None:
    first = explorer.chips[0]
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))
    chip = explorer.root.locator("[data-index='0'] [role=radio]")
    with explorer.notebook.busy():
        chip.click()
        expect(explorer.get("score")).to_contain_text(first)
        explorer.expect_status("idle")
    explorer.notebook.expect_value("w.active", 0)


@pytest.mark.parametrize("prompt", HOSTILE)
def test_text_stays_text(explorer: Explorer, page: Page, prompt: str) -> None:
    explorer.ask(prompt)
    expect(explorer.get("chip").last).to_have_attribute("title", prompt)
    explorer.notebook.expect_value("w.targets[-1]", prompt)
    explorer.expect_status("idle")
    assert explorer.get("chip").last.locator("bdi").inner_text() == prompt
    assert explorer.root.locator("img, bdi b").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("prompt", ["", "   "])
def test_an_empty_prompt_is_refused(explorer: Explorer, prompt: str) -> None:
    chips, painted = explorer.chips, explorer.painted
    explorer.ask(prompt)
    explorer.expect_status("error", "prompt")
    assert explorer.chips == chips
    assert explorer.painted == painted
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))


def test_an_endless_prompt_is_refused_and_the_next_one_works(explorer: Explorer) -> None:
    chips = explorer.chips
    explorer.ask("x" * 10_000)
    explorer.expect_status("error", "10")
    explorer.notebook.expect_value("len(w.targets)", len(chips))
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))
    explorer.expect_status("idle")


def test_a_word_the_model_never_saw_is_answered_honestly(explorer: Explorer) -> None:
    explorer.ask("aardvark")
    card = explorer.get("score")
    expect(card).to_contain_text("does not know", timeout=30_000)
    expect(card).to_contain_text("aardvark")
    expect(card).to_contain_text("try")
    expect(explorer.get("picture")).to_have_attribute("data-absent", "")
    assert opacity(explorer) < 0.5, "a map that means nothing must be faded"
    explorer.get("chip").first.get_by_role("radio").click()
    expect(card).not_to_contain_text("does not know")
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))


def test_a_removed_prompt_is_gone_in_both_places(explorer: Explorer) -> None:
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))
    left = explorer.chips[1:]
    explorer.get("chip").first.get_by_role("button", name="Remove").click()
    expect(explorer.get("chip")).to_have_count(len(left))
    assert explorer.chips == left
    explorer.notebook.expect_value("list(w.targets)", left)


# ------------------------------------------------------------------ layers


def test_one_layer_then_a_range_then_all(explorer: Explorer) -> None:
    merged = explorer.pixels()
    explorer.expect_repainted(lambda: explorer.choose_layer(2))
    assert explorer.painted_layers == "2"
    assert explorer.chosen_layers == [2]
    assert explorer.pixels() != merged

    fourth = explorer.root.locator("[data-layer='4']").bounding_box()
    second = explorer.root.locator("[data-layer='2']").bounding_box()
    assert fourth
    assert second
    mouse = explorer.page.mouse
    mouse.move(second["x"] + second["width"] / 2, second["y"] + second["height"] / 2)
    mouse.down()
    mouse.move(fourth["x"] + fourth["width"] / 2, fourth["y"] + fourth["height"] / 2, steps=6)
    mouse.up()
    expect(explorer.root.locator("[data-layer][aria-selected=true]")).to_have_count(3)
    explorer.notebook.expect_value("w.layers", [2, 3, 4])

    explorer.get("all-layers").click()
    explorer.notebook.expect_value("w.layers", None)
    expect(explorer.root).to_have_attribute("data-painted", explorer.painted.replace(explorer.painted_layers, "all"))
    assert explorer.pixels() == merged


def test_arrow_keys_scrub_and_leave_the_notebook_alone(explorer: Explorer, notebook: Notebook) -> None:
    notebook.run("'a second cell, to have somewhere to go'")
    position = "return [panel().content.activeCellIndex, panel().content.widgets.length];"
    explorer.choose_layer(3)
    before = notebook.js(position)
    for key, layers in [("ArrowRight", [4]), ("ArrowLeft", [3]), ("Home", [1]), ("Shift+ArrowRight", [1, 2])]:
        explorer.page.keyboard.press(key)
        notebook.expect_value("w.layers", layers)
    explorer.get("opacity").focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("ArrowDown")
    explorer.page.keyboard.press("ArrowDown")
    notebook.expect_value("round(w.opacity, 2)", 0.64)
    explorer.root.get_by_role("listbox", name="Layers").focus()
    explorer.page.keyboard.press("b")  # in a notebook: a new cell below
    explorer.page.keyboard.press("d")  # twice: the cell is gone
    explorer.page.keyboard.press("d")
    assert notebook.js(position) == before


def test_python_and_browser_merge_layers_alike(explorer: Explorer, notebook: Notebook) -> None:
    """The read-out of every patch in one row, against `merged()` of the same layers."""
    explorer.choose_layer(2)
    explorer.root.locator("[data-layer='4']").click(modifiers=["Shift"])
    notebook.expect_value("w.layers", [2, 3, 4])
    wanted = notebook.value("w.explanation.merged([2, 3, 4])[0].tolist()")
    picture = explorer.get("picture")
    picture.focus()
    shown = []
    explorer.page.keyboard.press("ArrowUp")
    for _ in range(len(wanted)):
        explorer.page.keyboard.press("ArrowUp")
        explorer.page.keyboard.press("ArrowLeft")
    for _ in wanted:
        shown.append(explorer.get("readout").inner_text())
        explorer.page.keyboard.press("ArrowRight")
    for number, text in zip(wanted, shown, strict=True):
        assert f"{number:.2f}"[:3] in text, (wanted, shown)


def test_play_walks_through_depth(explorer: Explorer) -> None:
    """With reduced motion, as here, play takes one step for each press."""
    explorer.get("play").click()
    expect(explorer.root.locator("[data-layer='1']")).to_have_attribute("aria-selected", "true")
    explorer.get("play").click()
    explorer.notebook.expect_value("w.layers", [2])


# ------------------------------------------------------------------ methods and looks


def test_the_method_toggle_asks_for_another_map(explorer: Explorer) -> None:
    before = explorer.pixels()
    seen = {before}
    for name in ("rollout", "raw_attention", "legrad"):
        explorer.expect_answered(lambda name=name: explorer.choose_method(name))
        explorer.notebook.expect_value("[w.method, w.explanation.method]", [name, name])
        seen.add(explorer.pixels())
    assert len(seen) == 3
    assert explorer.pixels() == before


@pytest.mark.parametrize(
    ("name", "change", "expression", "value"),
    [
        ("opacity", lambda it: it.fill("0.3"), "w.opacity", 0.3),
        ("threshold", lambda it: it.fill("0.5"), "w.threshold", 0.5),
        ("colormap", lambda it: it.select_option("viridis"), "w.colormap", "viridis"),
        ("smooth", lambda it: it.uncheck(), "w.smooth", False),
    ],
)
def test_a_look_repaints_and_reaches_python(explorer: Explorer, name, change, expression, value) -> None:  # type: ignore[no-untyped-def]
    before, painted = explorer.pixels(), explorer.painted
    change(explorer.get(name))
    explorer.notebook.expect_value(expression, value)
    assert explorer.pixels() != before
    assert explorer.painted == painted, "a look must not ask for another map"


@pytest.mark.parametrize(
    ("code", "control", "attribute", "shown"),
    [
        ("w.opacity = 0.25", "opacity", "value", "0.25"),
        ("w.colormap = 'cividis'", "colormap", "value", "cividis"),
        ("w.smooth = False", "smooth", "checked", False),
        ("w.method = 'rollout'", "method-rollout", "checked", True),
    ],
)
def test_what_python_sets_is_shown(explorer: Explorer, code: str, control: str, attribute: str, shown: object) -> None:
    explorer.notebook.execute(code)
    expect(explorer.get(control)).to_have_js_property(attribute, shown)


def test_targets_from_python_arrive_with_their_maps(explorer: Explorer) -> None:
    prompts = list(WORDS[:2])
    explorer.expect_answered(lambda: explorer.notebook.execute(f"w.targets = {prompts!r}; w.active = 1"))
    assert explorer.chips == prompts
    expect(explorer.get("score")).to_contain_text(prompts[1])


def test_the_read_out_names_the_patch_under_the_pointer(explorer: Explorer) -> None:
    box = explorer.get("heat").bounding_box()
    assert box
    rows, columns = explorer.notebook.value("list(w.explanation.maps.shape[1:])")
    explorer.page.mouse.move(box["x"] + box["width"] * (columns - 0.5) / columns, box["y"] + box["height"] * 0.5 / rows)
    expect(explorer.get("readout")).to_contain_text("row")
    text = explorer.get("readout").inner_text().replace("\n", " ")
    assert "1" in text, text
    assert str(columns) in text, text


def test_the_map_is_described_in_words(explorer: Explorer) -> None:
    expect(explorer.get("describe")).to_contain_text(explorer.chips[0])
    assert len(explorer.get("describe").inner_text()) > 40


# ------------------------------------------------------------------ views


def test_a_second_view_follows_and_leads(explorer: Explorer, notebook: Notebook) -> None:
    second = Explorer.in_cell(notebook, "w")
    prompt = another(explorer)
    explorer.expect_answered(lambda: explorer.ask(prompt))
    expect(second.get("chip").last).to_have_attribute("title", prompt)
    expect(second.get("score")).to_contain_text(prompt)
    second.choose_layer(3)
    expect(explorer.root.locator("[data-layer='3']")).to_have_attribute("aria-selected", "true")
    expect(explorer.root.locator("[data-layer][aria-selected=true]")).to_have_count(1)
    second.expect_answered(lambda: second.choose_method("rollout"))
    expect(explorer.get("method-rollout")).to_be_checked()
    notebook.expect_value("[w.method, w.layers]", ["rollout", [3]])


def test_a_second_browser_follows_and_leads(explorer: Explorer, notebook: Notebook, browser: Browser, lab: Lab) -> None:
    notebook.save()
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 1000})
    try:
        page = elsewhere.new_page()
        there = Notebook(page, lab, notebook.name, load=True)
        other = Explorer(there, there.dom.get_by_test_id("legrad"))
        other.expect_painted()
        prompt = another(explorer)
        explorer.expect_answered(lambda: explorer.ask(prompt))
        expect(other.get("score")).to_contain_text(prompt)
        other.expect_answered(lambda: other.choose_method("rollout"))
        expect(explorer.get("method-rollout")).to_be_checked()
    finally:
        elsewhere.close()


def test_closing_one_view_leaves_the_other_working(explorer: Explorer, notebook: Notebook) -> None:
    second = Explorer.in_cell(notebook, "w")
    notebook.js("const m = panel().content.model.sharedModel; m.deleteCell(m.cells.length - 1);")
    expect(second.root).to_have_count(0)
    explorer.expect_answered(lambda: explorer.ask(another(explorer)))


def test_a_reload_brings_the_state_back(explorer: Explorer, notebook: Notebook) -> None:
    prompt = another(explorer)
    explorer.expect_answered(lambda: explorer.ask(prompt))
    explorer.expect_answered(lambda: explorer.choose_method("rollout"))
    explorer.choose_layer(2)
    explorer.get("opacity").fill("0.3")
    explorer.get("colormap").select_option("viridis")
    notebook.expect_value("[w.layers, w.opacity, w.colormap]", [[2], 0.3, "viridis"])
    chips = explorer.chips

    notebook.reload()
    again = Explorer(notebook, notebook.dom.get_by_test_id("legrad"))
    again.expect_painted()
    assert again.chips == chips
    assert again.active == len(chips) - 1
    assert again.chosen_layers == [2]
    assert again.painted_layers == "2"
    expect(again.get("method-rollout")).to_be_checked()
    expect(again.get("opacity")).to_have_value("0.3")
    expect(again.get("colormap")).to_have_value("viridis")
    again.expect_answered(lambda: again.choose_method("legrad"))
    again.expect_answered(lambda: again.ask(another(again)))
