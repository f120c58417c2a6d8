"""What the kernel tells on demand, in JupyterLab: ranks, head effects and ablations, one patch under the hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import audit, picture

TOOL_MS = 30_000
ENCODING = "lw.load('builtin').encode(w.image)"


@pytest.fixture
def tall(explorer: Explorer) -> Explorer:
    """A new widget, high enough that nothing scrolls away."""
    explorer.page.set_viewport_size({"width": 1280, "height": 1500})
    return explorer


@pytest.fixture
def effects(tall: Explorer) -> Explorer:
    """The matrix with the effects of all heads."""
    tall.get("heads").click()
    tall.get("measure-effect").check()
    expect(tall.root.locator("[data-sign]")).to_have_count(24, timeout=TOOL_MS)
    return tall


def cell(explorer: Explorer, layer: int, head: int) -> Locator:
    """The box of one head."""
    return explorer.root.locator(f"[data-head='{layer}.{head}']")


def number_of(box: Locator, name: str) -> float:
    """What a cell says after "estimate" or "measured"."""
    words = (box.get_attribute("aria-label") or "").replace("−", "-").replace("+", "")
    return float(words.partition(f"{name} ")[2].partition(",")[0])


def point_at(explorer: Explorer, row: int, column: int) -> None:
    """Walk to a patch by keys, from the upper left one."""
    explorer.get("picture").focus()
    rows, columns = 14, 14
    for key, times in (("ArrowUp", rows), ("ArrowLeft", columns), ("ArrowDown", row), ("ArrowRight", column)):
        for _ in range(times):
            explorer.page.keyboard.press(key)


def expect_overlay(explorer: Explorer, mark: str) -> None:
    """Wait until that map stands over the picture."""
    explorer.page.wait_for_function(
        "([root, mark]) => root.dataset.painted.split(':')[1] === mark",
        arg=[explorer.root.element_handle(), mark],
        timeout=TOOL_MS,
    )


def test_every_layer_shows_the_targets_rank_and_those_at_chance_are_grey(tall: Explorer, notebook: Notebook) -> None:
    keys = "('ranks', 'fitted_ranks', 'ranks_of', 'ranks_among')"
    ranks, fitted, of, among = notebook.value(f"[w._result['targets'][0][key] for key in {keys}]")
    assert tall.get("rank").all_inner_texts() == [f"raw #{rank:g}" for rank in ranks]
    assert tall.get("fitted-rank").all_inner_texts() == [f"fit #{rank:g}" for rank in fitted]
    assert len(ranks) == 6
    layers = tall.root.locator("[data-layer]")
    reliable = notebook.value("[bool(ok) for ok in lw.load('builtin').layer_reliability.reliable]")
    assert layers.evaluate_all("all => all.map(it => !it.hasAttribute('data-chance'))") == reliable
    assert "at chance here: layer 1 does no better than chance" in (layers.first.get_attribute("title") or "")
    assert f" of {of} ({among})" in (layers.last.get_attribute("title") or "")
    assert "by the fitted lens" in (layers.first.get_attribute("title") or "")


def test_effects_are_those_of_python_and_an_ablation_replaces_one(effects: Explorer, notebook: Notebook) -> None:
    values = notebook.value(f"{ENCODING}.head_effects(w.explanation.target).values.tolist()")
    for layer, head in ((1, 0), (4, 2), (6, 3)):
        estimate = number_of(cell(effects, layer, head), "estimate")
        assert estimate == pytest.approx(values[layer - 1][head], rel=1e-2, abs=1e-6)
    cell(effects, 6, 1).click(modifiers=["Control"])
    expect(cell(effects, 6, 1)).to_have_attribute("data-measured", "", timeout=TOOL_MS)
    change = notebook.value(f"{ENCODING}.ablate((6, 1), w.explanation.target).change")
    assert number_of(cell(effects, 6, 1), "measured") == pytest.approx(-change, rel=1e-2, abs=1e-6)
    assert effects.painted_layers == "effect.6.1", "the pointer rests on it: its effect map stands on the picture"


def test_the_top_heads_are_verified_and_stopped(effects: Explorer) -> None:
    effects.get("verify").click()
    expect(effects.root.locator("[data-measured]")).to_have_count(10, timeout=TOOL_MS)
    expect(effects.get("verify")).to_have_text("Verify top 10", timeout=TOOL_MS)
    effects.expect_answered(lambda: effects.ask("a blue square"))
    expect(effects.root.locator("[data-measured]")).to_have_count(0)
    expect(effects.root.get_by_role("grid")).to_have_attribute("aria-busy", "false", timeout=TOOL_MS)


def test_attention_stands_over_the_picture_while_a_is_held(tall: Explorer, notebook: Notebook) -> None:
    merged = tall.pixels()
    point_at(tall, 3, 5)
    tall.page.keyboard.down("a")
    expect_overlay(tall, "row.6.mean.3,5")
    expect(tall.get("readout")).to_contain_text("attention of row 4, column 6: layer 6, mean of heads")
    row = notebook.value(f"{ENCODING}.attention(6, None, (3, 5)).patches.tolist()")
    shown = float(tall.get("readout").locator("span:has-text('value') b").first.inner_text())
    assert shown == pytest.approx(row[3][5], rel=1e-2)
    attention = tall.pixels()
    assert attention != merged
    tall.page.keyboard.up("a")
    expect_overlay(tall, "all")
    assert tall.pixels() == merged
    tall.choose_layer(2)
    point_at(tall, 3, 5)
    tall.page.keyboard.down("a")
    expect_overlay(tall, "row.2.mean.3,5")
    assert tall.pixels() != attention
    tall.page.keyboard.up("a")


def test_the_lens_reads_a_patch(tall: Explorer) -> None:
    point_at(tall, 6, 6)
    tall.page.keyboard.press("l")
    expect(tall.get("readout")).to_contain_text("layer 6 reads: ", timeout=TOOL_MS)
    tall.page.keyboard.press("ArrowRight")
    expect(tall.get("readout")).to_contain_text("layer 6 reads: ", timeout=TOOL_MS)
    tall.page.keyboard.press("l")
    expect(tall.get("readout")).not_to_contain_text("reads")


def test_token_norms_stand_over_the_picture(tall: Explorer, notebook: Notebook) -> None:
    tall.get("norms").click()
    expect_overlay(tall, "norms.6")
    found = notebook.value(f"int({ENCODING}.token_norms(6).outliers.sum())")
    expect(tall.get("outlier")).to_have_count(found)
    expect(tall.get("readout")).to_contain_text("prefix tokens")
    tall.get("norms").click()
    expect_overlay(tall, "all")


def _effects(explorer: Explorer) -> None:
    explorer.get("heads").click()
    explorer.get("measure-effect").check()
    expect(explorer.root.locator("[data-sign]")).to_have_count(24, timeout=TOOL_MS)
    explorer.get("verify").click()
    expect(explorer.root.locator("[data-measured]")).to_have_count(10, timeout=TOOL_MS)
    expect(explorer.get("verify")).to_have_text("Verify top 10", timeout=TOOL_MS)


def _norms(explorer: Explorer) -> None:
    explorer.get("norms").click()
    expect_overlay(explorer, "norms.6")


def _attention(explorer: Explorer) -> None:
    point_at(explorer, 5, 5)
    explorer.page.keyboard.press("l")
    expect(explorer.get("readout")).to_contain_text("reads: ", timeout=TOOL_MS)
    explorer.page.keyboard.down("a")
    expect_overlay(explorer, "row.6.mean.5,5")


@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        ("tools-effects", _effects),
        ("tools-effects-dark", _effects),
        ("tools-effects-narrow", _effects),
        ("tools-norms", _norms),
        ("tools-norms-narrow", _norms),
        ("tools-attention-dark", _attention),
    ],
)
def test_it_is_seen_by_everyone(
    tall: Explorer, artifacts: Path, name: str, prepare: Callable[[Explorer], None], notebook: Notebook
) -> None:
    if name.endswith("narrow"):
        tall.root.evaluate("root => { root.parentElement.style.width = '300px'; }")
    if name.endswith("dark"):
        notebook.theme("Dark")
    try:
        prepare(tall)
        tall.page.wait_for_timeout(300)
        picture(tall, artifacts, name)
        assert not audit(tall)
        too_wide = tall.root.evaluate("root => root.scrollWidth - root.clientWidth")
        assert too_wide <= 0
    finally:
        tall.page.keyboard.up("a")
        if name.endswith("dark"):
            notebook.theme("Light")
