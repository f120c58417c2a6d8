"""Undo, pinned views and export, in JupyterLab and in a saved page: what is kept is what was seen."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Download, expect

import legrad_widget as lw
from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit
from tests.e2e.test_page import Opened, open_file  # noqa: F401  (a fixture)


def undo(explorer: Explorer) -> None:
    explorer.page.keyboard.press("Control+z")


def drag_opacity(explorer: Explorer, *stops: float) -> None:
    """Drag the slider with the mouse, and stay a while at every stop."""
    explorer.get("opacity").scroll_into_view_if_needed()
    box = explorer.get("opacity").bounding_box()
    assert box
    mouse, y = explorer.page.mouse, box["y"] + box["height"] / 2
    at = [box["x"] + 8 + stop * (box["width"] - 16) for stop in stops]
    mouse.move(at[0], y)
    mouse.down()
    for x in at[1:]:
        mouse.move(x, y, steps=8)
        explorer.page.wait_for_timeout(700)
    mouse.up()


def saved(download: Download, folder: Path) -> Path:
    """The file that the page handed over."""
    file = folder / download.suggested_filename
    download.save_as(file)
    return file


# ---------------------------------------------------------------- undo


def test_every_act_is_taken_back_and_given_again(explorer: Explorer, notebook: Notebook) -> None:
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    explorer.page.wait_for_timeout(500)
    first, chips = explorer.pixels(), explorer.chips
    drag_opacity(explorer, 0.65, 0.4, 0.1)
    notebook.expect_value("w.opacity < 0.2", True)
    explorer.expect_repainted(lambda: explorer.choose_layer(3))
    explorer.get("colormap").press("v")  # the first that begins with it: viridis
    explorer.expect_answered(lambda: explorer.choose_method("rollout"))
    explorer.get("chip").first.get_by_label("Remove").click()
    notebook.expect_value("(len(w.targets), w.method)", [len(chips) - 1, "rollout"])

    explorer.get("picture").focus()
    explorer.expect_answered(lambda: undo(explorer))
    assert explorer.chips == chips
    assert explorer.active == 0
    explorer.expect_answered(lambda: undo(explorer))
    notebook.expect_value("w.method", "legrad")
    undo(explorer)
    notebook.expect_value("(w.colormap, w.layers)", ["inferno", [3]])
    explorer.expect_repainted(lambda: undo(explorer))
    notebook.expect_value("w.layers", None)
    undo(explorer)  # the drag, with its stops, as one
    notebook.expect_value("w.opacity", 0.65)
    expect(explorer.get("do-undo")).to_have_attribute("aria-disabled", "true")
    explorer.page.mouse.move(0, 0)
    explorer.page.wait_for_timeout(300)
    assert explorer.pixels() == first

    explorer.get("do-redo").click()
    notebook.expect_value("w.opacity < 0.2", True)
    explorer.page.keyboard.press("Control+Shift+z")
    notebook.expect_value("w.layers", [3])


def test_a_typed_prompt_is_one_act_and_the_box_keeps_its_own_undo(explorer: Explorer, notebook: Notebook) -> None:
    chips = explorer.chips
    explorer.get("prompt").click()
    explorer.page.keyboard.type("a rock", delay=20)
    explorer.page.wait_for_timeout(600)  # a map is shown before the prompt is whole
    explorer.page.keyboard.type("et", delay=20)
    expect(explorer.get("chip")).to_have_count(len(chips) + 1)
    explorer.page.keyboard.press("Control+z")  # the box's own: no prompt goes
    expect(explorer.get("chip")).to_have_count(len(chips) + 1)
    explorer.get("prompt").fill("a rocket")
    explorer.expect_answered(lambda: explorer.page.keyboard.press("Enter"))
    assert explorer.chips == [*chips, "a rocket"]
    explorer.get("picture").focus()
    undo(explorer)
    expect(explorer.get("chip")).to_have_count(len(chips))
    assert explorer.chips == chips
    notebook.expect_value("[str(t) for t in w.targets]", chips)


# ---------------------------------------------------------------- pins


def test_pinned_views_come_back_by_a_click_and_after_a_reload(
    explorer: Explorer, notebook: Notebook, artifacts: Path
) -> None:
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    explorer.get("picture").focus()
    explorer.page.keyboard.press("k")
    explorer.choose_layer(3)
    explorer.get("do-pin").click()
    pinned = explorer.pixels()
    explorer.expect_answered(lambda: explorer.choose_method("rollout"))
    explorer.get("picture").focus()
    explorer.page.keyboard.press("k")
    cards = explorer.get("pin")
    expect(cards).to_have_count(3)
    notebook.expect_value("[(p['method'], p['layers']) for p in w.pins]",
                          [["legrad", None], ["legrad", [3]], ["rollout", [3]]])  # fmt: skip
    explorer.get("chip").nth(1).get_by_role("radio").click()
    explorer.expect_answered(cards.nth(1).click)
    notebook.expect_value("(w.method, w.layers, w.active)", ["legrad", [3], 0])
    explorer.page.mouse.move(0, 0)
    explorer.page.wait_for_timeout(300)
    assert explorer.pixels() == pinned
    assert explorer.get("pins").locator("[aria-current=true]").count() == 1
    assert not audit(explorer)
    explorer.root.screenshot(path=artifacts / "pins.png")

    notebook.reload()
    again = Explorer(notebook, notebook.dom.get_by_test_id("legrad"))
    again.expect_painted()
    expect(again.get("pin")).to_have_count(3)
    again.expect_answered(again.get("pin").nth(2).click)
    notebook.expect_value("(w.method, w.layers)", ["rollout", [3]])
    again.get("pins").get_by_label("Take the pin").first.click()
    expect(again.get("pin")).to_have_count(2)
    notebook.expect_value("len(w.pins)", 2)
    again.get("picture").focus()
    undo(again)
    notebook.expect_value("len(w.pins)", 3)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pins_and_the_menu_look_designed(explorer: Explorer, notebook: Notebook, artifacts: Path, theme: str) -> None:
    explorer.page.set_viewport_size({"width": 1280 if theme == "Light" else 1000, "height": 1500})
    notebook.theme(theme)
    try:
        notebook.execute(
            "w.pins = [{'targets': ['a very long prompt that cannot fit on a card'], 'layers': [2, 4, 6]},"
            " *({'targets': list(w.targets), 'active': i % 2, 'layers': i + 1} for i in range(6))]"
        )
        expect(explorer.get("pin")).to_have_count(7)
        explorer.get("export").click()
        explorer.get("export-code").click()
        expect(explorer.root.locator("textarea[data-testid=export-lines]")).to_be_visible()
        explorer.page.wait_for_timeout(300)
        explorer.root.screenshot(path=artifacts / f"keeping-{theme.lower()}.png")
        assert not audit(explorer)
        assert explorer.root.evaluate("root => root.scrollWidth <= root.clientWidth")
    finally:
        notebook.theme("Light")


# ---------------------------------------------------------------- export


def test_what_is_exported_is_what_is_seen(explorer: Explorer, notebook: Notebook, tmp_path: Path) -> None:
    explorer.expect_repainted(lambda: explorer.choose_layer(4))
    explorer.get("export").click()
    with explorer.page.expect_download() as got:
        explorer.get("export-png").click()
    file = saved(got.value, tmp_path)
    label = notebook.value("w.explanation.label")
    assert file.name == f"{label.replace(' ', '-')}_legrad_layer-4-of-6.png"
    notebook.expect_value("w.layers", [4])
    place = (20, 86, 660, 726)  # of the picture with its map: words have other fonts
    ours = notebook.value(f"w.snapshot().crop({place}).resize((160, 160)).tobytes()")
    with Image.open(file) as opened:
        assert opened.width == 2 * 680
        seen = opened.convert("RGB").crop([2 * edge for edge in place])
        drawn = np.asarray(seen.resize((160, 160)), float)
    wanted = np.frombuffer(ours, np.uint8).reshape(drawn.shape).astype(float)
    assert np.abs(drawn - wanted).mean() < 3  # but for how the picture was enlarged

    with explorer.page.expect_download() as got:
        explorer.get("export-svg").click()
    texts = [
        text.text for text in ElementTree.parse(saved(got.value, tmp_path)).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert texts[0] == label
    assert "layer 4 of 6" in str(texts[1])
    assert len(texts) == 4

    with explorer.page.expect_download() as got:
        explorer.get("export-npz").click()
    x = lw.Explanation.load(saved(got.value, tmp_path))
    assert x.label == label
    assert [float(value) for value in x.maps.sum((1, 2))] == notebook.value(
        "[float(v) for v in w.explanation.maps.sum((1, 2))]"
    )

    explorer.get("export-code").click()
    lines = explorer.root.locator("textarea[data-testid=export-lines]")
    expect(lines).to_be_visible()
    assert lines.input_value() == notebook.value("w.code()")
    explorer.page.keyboard.press("Escape")
    expect(explorer.get("export-panel")).to_be_hidden()


# ---------------------------------------------------------------- a saved page


def test_a_saved_page_keeps_pins_and_undo_and_gives_pictures(
    tmp_path: Path,
    open_file: Callable[..., Opened],  # noqa: F811  (the fixture)
) -> None:
    widget = lw.explore(compare="methods", compared=["legrad", "rollout"])
    widget.wait()
    widget.compare = "off"
    targets = list(widget.targets)
    widget.pins = [
        {"targets": targets, "active": 1, "layers": 2},
        {"targets": targets, "method": "rollout", "layers": 6},
        {"targets": ["a unicorn"]},
    ]
    shown = open_file(widget.save_html(tmp_path / "page.html"))
    widget.close()
    explorer = shown.explorer
    explorer.expect_painted()
    cards = explorer.get("pin")
    expect(cards).to_have_count(3)
    expect(cards.nth(2)).to_have_attribute("aria-disabled", "true")
    expect(cards.nth(2)).to_contain_text("Not in this saved page")
    assert cards.locator("canvas").count() == 2
    explorer.expect_repainted(cards.nth(0).click)
    assert (explorer.active, explorer.painted_layers) == (1, "2")
    explorer.expect_repainted(cards.nth(1).click)
    expect(explorer.get("method-rollout")).to_be_checked()
    explorer.get("picture").focus()
    explorer.expect_repainted(lambda: undo(explorer))
    expect(explorer.get("method-legrad")).to_be_checked()
    assert (explorer.active, explorer.painted_layers) == (1, "2")
    explorer.get("export").click()
    expect(explorer.get("export-npz")).to_be_disabled()
    expect(explorer.get("export-note")).to_have_text("Data and Python need a live kernel.")
    with shown.page.expect_download() as got:
        explorer.get("export-png").click()
    with Image.open(io.BytesIO(saved(got.value, tmp_path).read_bytes())) as opened:
        assert opened.format == "PNG"
        assert opened.width == 2 * 680
    shown.expect_untroubled()
