"""How it looks and whether everyone can use it: themes, a narrow column, an accessibility audit, pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = ROOT / "notebooks" / "images"


@pytest.fixture
def dark(notebook: Notebook) -> Iterator[None]:
    """JupyterLab's dark theme for one test."""
    notebook.theme("Dark")
    yield
    notebook.theme("Light")


def audit(explorer: Explorer) -> list[str]:
    """What axe finds wrong, one line for each rule."""
    assert AXE.is_file(), "axe-core is missing: run `npm ci` in js/"
    explorer.page.add_script_tag(path=AXE)
    found = explorer.root.evaluate("async root => (await axe.run(root)).violations")
    return [f"{rule['id']}: {rule['help']}: {[node['html'][:120] for node in rule['nodes']]}" for rule in found]


def picture(explorer: Explorer, artifacts: Path, name: str) -> None:
    """Save what the widget looks like; with UPDATE_PICTURES=1 also the pictures that the README shows."""
    whole = {"width": 1280, "height": int(explorer.root.bounding_box()["height"]) + 300}  # nothing lies over it
    explorer.page.set_viewport_size(whole)
    expect(explorer.root).not_to_have_attribute("data-outdated", "true")
    explorer.page.mouse.move(0, 0)
    explorer.root.screenshot(path=artifacts / f"{name}.png")
    shown = {"light": "widget", "dark": "widget-dark", "trust": "trust"}.get(name)
    if shown and os.environ.get("UPDATE_PICTURES") == "1":
        PICTURES.mkdir(exist_ok=True)
        explorer.root.screenshot(path=PICTURES / f"{shown}.png")


def seen_by_everyone(
    explorer: Explorer, notebook: Notebook, artifacts: Path, name: str, *parts: str, narrow: int = 300
) -> None:
    """Look at what is open, dressed as the end of ``name`` says (-dark, -narrow, -forced): axe finds nothing, and no
    part is wider than the widget."""
    dress = name.rpartition("-")[2]
    if dress == "narrow":
        explorer.root.evaluate("(root, width) => { root.parentElement.style.width = `${width}px`; }", narrow)
    if dress == "forced":
        explorer.page.emulate_media(forced_colors="active")
    if dress == "dark":
        notebook.theme("Dark")
    try:
        explorer.page.wait_for_timeout(300)
        picture(explorer, artifacts, name)
        assert not audit(explorer)
        for part in parts:
            too_wide = explorer.get(part).evaluate(
                "box => box.getBoundingClientRect().right - box.closest('.legrad').getBoundingClientRect().right"
            )
            assert too_wide <= 0
    finally:
        explorer.page.emulate_media(forced_colors="none")
        if dress == "dark":
            notebook.theme("Light")


def test_light(explorer: Explorer, artifacts: Path) -> None:
    picture(explorer, artifacts, "light")
    assert not audit(explorer)


def test_dark(explorer: Explorer, artifacts: Path, dark: None) -> None:
    background = explorer.root.evaluate("root => getComputedStyle(root).getPropertyValue('--jp-layout-color1')")
    assert background
    picture(explorer, artifacts, "dark")
    assert not audit(explorer)


@pytest.mark.parametrize("name", ["compare", "compare-dark"])
def test_methods_side_by_side(explorer: Explorer, artifacts: Path, name: str, request: pytest.FixtureRequest) -> None:
    if name == "compare-dark":
        request.getfixturevalue("dark")
    explorer.page.set_viewport_size({"width": 1280, "height": 2000})
    explorer.compare("methods")
    for part in ("compared", "knobs"):
        explorer.get(part).locator("summary").click()
    picture(explorer, artifacts, name)
    assert not audit(explorer)


@pytest.mark.parametrize("width", [380, 300])
def test_narrow(explorer: Explorer, artifacts: Path, width: int) -> None:
    explorer.page.set_viewport_size({"width": 1280, "height": 2000})
    explorer.root.evaluate("(root, width) => { root.parentElement.style.width = `${width}px`; }", width)
    explorer.compare("methods")
    for part in ("compared", "knobs"):
        explorer.get(part).locator("summary").click()
    expect(explorer.get("picture")).to_be_visible()
    explorer.page.wait_for_timeout(300)
    picture(explorer, artifacts, f"narrow-{width}")
    too_wide = explorer.root.evaluate(
        """root => [...root.querySelectorAll('*')]
            .filter(it => it.checkVisibility() && !it.closest('[role=listbox], [role=region]') && it.clientWidth > 1
                && it.getBoundingClientRect().right > root.getBoundingClientRect().right + 1)
            .map(it => it.className || it.tagName)"""
    )
    assert too_wide == []


def test_a_single_layer_in_patches(explorer: Explorer, artifacts: Path) -> None:
    explorer.choose_layer(3)
    explorer.get("smooth").uncheck()
    expect(explorer.root).to_have_attribute("data-painted", explorer.painted)
    picture(explorer, artifacts, "patches")


def test_everything_is_reached_by_tab_with_a_visible_focus(explorer: Explorer) -> None:
    """Tab from the prompt box to the end: every control that can be used, each with an outline or shadow."""
    explorer.get("prompt").focus()
    reached, bare = set(), []
    for _ in range(60):
        explorer.page.keyboard.press("Tab")
        inside, name, ring = explorer.root.evaluate(
            """root => {
                const it = document.activeElement;
                const style = getComputedStyle(it);
                const around = it.parentElement ? getComputedStyle(it.parentElement) : style;
                const ring = [style, around].some(s =>
                    (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none');
                return [root.contains(it), it.dataset.testid ?? it.className ?? it.tagName, ring];
            }"""
        )
        if not inside:
            break
        reached.add(name)
        if not ring:
            bare.append(name)
    assert {
        "picture",
        "opacity",
        "threshold",
        "colormap",
        "smooth",
        "play",
        "all-layers",
        "upload",
    } <= reached
    assert not bare
