"""Tests of the map in JupyterLab: patches brushed away, curves that grow, weights shuffled on a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.explorer import ANSWER_MS, Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import picture, seen_by_everyone

SUM = "float(sum(p.abs().sum() for p in w.model.vit.module.parameters()))"


@pytest.fixture
def trust(explorer: Explorer) -> Explorer:
    """The widget with its tests unfolded, high enough that nothing scrolls away."""
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    explorer.get("trust").locator("summary").first.click()
    expect(explorer.get("brush")).to_be_visible()
    return explorer


def drag(explorer: Explorer, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the picture to another, both in fractions of it, with the button down."""
    explorer.get("picture").scroll_into_view_if_needed()
    box = explorer.get("picture").bounding_box()
    assert box
    places = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in (start, end)]
    explorer.page.mouse.move(*places[0])
    explorer.page.mouse.down()
    explorer.page.mouse.move(*places[1], steps=6)
    explorer.page.mouse.up()


def settled(explorer: Explorer) -> None:
    """The numbers of the last stroke are on the screen."""
    expect(explorer.get("moves")).to_have_attribute("aria-busy", "false", timeout=ANSWER_MS)
    expect(explorer.get("moves").locator("li").first).to_contain_text("random patches")


def count(explorer: Explorer) -> int:
    """How many patches are painted."""
    return int(explorer.get("brush-count").inner_text().split()[0])


def test_a_stroke_says_what_the_model_sees_without_it(trust: Explorer, notebook: Notebook, artifacts: Path) -> None:
    trust.get("brush").click()
    drag(trust, (0.2, 0.3), (0.6, 0.5))
    settled(trust)
    first = count(trust)
    assert first > 3, "a quick drag paints the whole line"
    expect(trust.get("brushed")).to_be_visible()
    shown = trust.get("moves").locator("li").first.inner_text()
    bars = (
        trust.get("moves")
        .locator("li > span:nth-child(2)")
        .evaluate_all("all => all.map(bar => getComputedStyle(bar).backgroundImage)")
    )
    assert all("gradient" in bar for bar in bars), "old, new and the random band are drawn"
    drag(trust, (0.2, 0.6), (0.6, 0.7))
    settled(trust)
    assert count(trust) > first
    patches = "[list(map(int, p)) for p in w._tools['brush']['args']['patches']]"
    after = notebook.value(f"w.model.encode(w.image).without({patches}, 'drop', targets=w.targets[0]).targets[0].after")
    assert notebook.value("w._tools['brush']['targets'][0]['after']") == pytest.approx(after, abs=1e-5)
    trust.get("brush-block").check()
    trust.get("brush-layer").fill("2")
    expect(trust.get("brush-way")).to_contain_text("from layer 2 on", timeout=ANSWER_MS)
    settled(trust)
    picture(trust, artifacts, "trust-blocked")
    blocked = f"w.model.encode(w.image).without({patches}, 'block', from_layer=2, targets=w.targets[0])"
    after = notebook.value(f"{blocked}.targets[0].after")
    assert notebook.value("w._tools['brush']['targets'][0]['after']") == pytest.approx(after, abs=1e-5)
    trust.get("brush-drop").check()
    trust.page.keyboard.press("z")
    assert count(trust) == first
    settled(trust)
    expect(trust.get("moves").locator("li").first).to_contain_text(shown.splitlines()[0])
    trust.get("brush-clear").click()
    assert count(trust) == 0
    expect(trust.get("moves")).to_be_hidden()


def test_by_keys_alone(explorer: Explorer) -> None:
    press = explorer.page.keyboard.press
    explorer.get("picture").focus()
    press("b")
    expect(explorer.get("brush")).to_have_attribute("aria-pressed", "true")
    press("ArrowRight")
    press(" ")
    press("ArrowDown")
    press("Enter")
    assert count(explorer) == 2
    settled(explorer)
    press("Enter")
    assert count(explorer) == 1
    press("z")
    press("z")
    assert count(explorer) == 1
    press("b")
    press(" ")
    assert count(explorer) == 1, "with the brush off, Space hides the map as ever"


def test_curves_and_the_picture_under_the_slider(trust: Explorer, notebook: Notebook) -> None:
    trust.page.keyboard.press("f")
    curves = trust.get("curves")
    expect(curves).to_contain_text("random order 0.", timeout=ANSWER_MS)
    expect(curves.locator("polyline[data-kind=deletion]")).to_have_count(1)
    expect(curves.locator("polyline[data-kind=insertion]")).to_have_count(1)
    before = trust.pixels()
    trust.get("erase").fill("0.3")
    expect(trust.get("erased")).to_contain_text("patches erased")
    expect(trust.get("picture")).to_have_attribute("data-erasing", "")
    erased = trust.get("brushed").evaluate(
        """canvas => {
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let black = 0;
            for (let i = 3; i < pixels.length; i += 4) black += pixels[i] > 0;
            return black / (canvas.width * canvas.height);
        }"""
    )
    assert erased == pytest.approx(0.3, abs=0.01)
    trust.get("erase").fill("0")
    assert trust.pixels() == before


def test_shuffled_weights_leave_the_model_alone(trust: Explorer, notebook: Notebook) -> None:
    before = notebook.value(SUM)
    trust.get("run-randomise").click()
    expect(trust.get("randomise")).to_contain_text("passed", timeout=ANSWER_MS)
    expect(trust.get("stop-randomise")).to_be_hidden()
    shown = trust.get("randomise").locator("polyline[data-kind=rank]").get_attribute("points")
    assert shown is not None
    assert len(shown.split(" ")) == len(notebook.value("list(w._tools['randomise']['blocks'])"))
    assert notebook.value(SUM) == before


@pytest.mark.parametrize("name", ["trust", "trust-dark", "trust-narrow", "trust-forced", "trust-erased"])
def test_it_is_seen_by_everyone(trust: Explorer, artifacts: Path, name: str, notebook: Notebook) -> None:
    trust.get("run-curves").click()
    expect(trust.get("curves")).to_contain_text("random order 0.", timeout=ANSWER_MS)
    trust.get("run-randomise").click()
    expect(trust.get("randomise")).to_contain_text("passed", timeout=ANSWER_MS)
    trust.get("brush").click()
    drag(trust, (0.25, 0.35), (0.6, 0.5))
    settled(trust)
    if name == "trust-erased":
        trust.get("brush-clear").click()
        trust.get("erase").fill("0.4")
    seen_by_everyone(trust, notebook, artifacts, name, "trust")


# ---------------------------------------------------------------- several methods, and the method's card

AREAS = """
from legrad_widget.evaluate import perturbation
e = w.model.encode(w.image)
found = {n: [getattr(perturbation, k)(e, w.targets[w.active], w.comparison[n]).area
             for k in ('deletion', 'insertion', 'positive', 'negative')] for n in w.comparison}
"""


@pytest.fixture
def rivals(explorer: Explorer) -> Explorer:
    """Three methods side by side, with the fold of their curves open."""
    explorer.page.set_viewport_size({"width": 1280, "height": 1700})
    explorer.notebook.execute("w.compared = ['legrad', 'gradcam', 'rollout']; w.compare = 'methods'; w.wait()")
    explorer.expect_compared()
    explorer.get("contest").locator("summary").first.click()
    expect(explorer.get("run-faithfulness")).to_be_visible()
    return explorer


def measured(explorer: Explorer) -> list[list[str]]:
    """The table's columns beside the agreement, row by row."""
    rows = explorer.get("agreement").locator("tbody tr")
    return [
        list(row) for row in rows.evaluate_all("all => all.map(r => [...r.cells].slice(1, 5).map(c => c.textContent))")
    ]


def test_every_compared_method_has_its_curves_and_its_areas_in_the_table(rivals: Explorer, notebook: Notebook) -> None:
    rivals.get("run-faithfulness").click()
    expect(rivals.get("stop-faithfulness")).to_be_hidden(timeout=ANSWER_MS)
    lines = rivals.get("faithfulness").locator("polyline[data-kind=method]")
    expect(lines).to_have_count(3)
    names = rivals.get("faithfulness").locator("text[data-ink]")
    assert names.all_text_contents() == rivals.panes
    expect(rivals.get("faithfulness").locator("polygon[data-kind=band]")).to_have_count(1)
    *rows, chance = measured(rivals)
    for row, wanted in zip(rows, notebook.value("list(found.values())", AREAS), strict=True):
        assert [float(text) for text in row] == pytest.approx(wanted, abs=0.00051)
    band = notebook.value(
        "perturbation.random_band(e, w.targets[w.active], count=3, steps=30, upto=1.0).height()", AREAS
    )
    assert [float(text) for text in chance[:2]] == pytest.approx([band, band], abs=0.00051)
    rivals.get("curve-insertion").check()
    expect(lines).to_have_count(3)

    # Choosing a method keeps them; the picture that the slider erases is then that method's.
    rivals.get("erase-by").fill("0.3")
    before = rivals.get("brushed").evaluate("canvas => canvas.toDataURL()")
    rivals.expect_answered(lambda: names.nth(2).click())
    notebook.expect_value("w.method", "rollout")
    assert measured(rivals)[0] == rows[0]
    expect(lines).to_have_count(3)
    assert rivals.get("brushed").evaluate("canvas => canvas.toDataURL()") != before
    rivals.get("erase-by").fill("0")

    # Another prompt has none of them.
    rivals.expect_answered(lambda: rivals.ask("a dog"))
    rivals.expect_compared()
    expect(lines).to_have_count(0)
    expect(rivals.get("agreement").locator("thead th")).to_have_count(3)


def test_measuring_is_stopped_and_keeps_what_it_has(rivals: Explorer, notebook: Notebook) -> None:
    notebook.execute("w.compared = []; w.wait()")
    rivals.expect_compared()
    rivals.get("run-faithfulness").click()
    expect(rivals.get("faithfulness").locator("polyline[data-kind=method]").first).to_be_visible(timeout=ANSWER_MS)
    rivals.get("stop-faithfulness").click()
    expect(rivals.get("stop-faithfulness")).to_be_hidden()
    notebook.expect_value("w._tools['faithfulness']['state']", "stopped")
    expect(rivals.get("faithfulness").locator("polyline[data-kind=method]").first).to_be_visible()


def test_the_card_of_a_method(explorer: Explorer, notebook: Notebook) -> None:
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    explorer.get("card").locator("summary").click()
    expect(explorer.get("formula")).to_contain_text("max(0, ∂sˡ/∂Aˡ[h, i, j])")
    expect(explorer.get("cost")).to_contain_text("forwards of this model", timeout=ANSWER_MS)
    said = notebook.value("[w._tools['card']['seconds'], w.explanation.seconds]")
    assert said[0] == said[1]
    expect(explorer.get("checked")).to_contain_text("not run")
    explorer.get("check").click()
    expect(explorer.get("checked")).to_contain_text("passed", timeout=ANSWER_MS)
    correlation = notebook.value("w._tools['randomise']['correlations'][-1]")
    assert f"{correlation:.1f}"[:3] in explorer.get("checked").inner_text()
    explorer.expect_answered(lambda: explorer.choose_method("gradcam"))
    expect(explorer.get("formula")).to_contain_text("w[k] = 1/n")
    expect(explorer.get("checked")).to_contain_text("not run")
    explorer.expect_answered(lambda: explorer.choose_method("legrad"))
    expect(explorer.get("checked")).to_contain_text("passed", timeout=ANSWER_MS)


@pytest.mark.parametrize("name", ["contest", "contest-dark", "contest-narrow", "contest-forced"])
def test_the_curves_of_all_are_seen_by_everyone(
    rivals: Explorer, artifacts: Path, name: str, notebook: Notebook
) -> None:
    notebook.execute("w.compared = []; w.wait()")
    rivals.expect_compared()
    rivals.get("run-faithfulness").click()
    expect(rivals.get("stop-faithfulness")).to_be_hidden(timeout=ANSWER_MS)
    rivals.get("card").locator("summary").click()
    expect(rivals.get("cost")).to_contain_text("forwards of this model", timeout=ANSWER_MS)
    seen_by_everyone(rivals, notebook, artifacts, name, "contest", "card", narrow=320)
