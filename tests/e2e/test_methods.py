"""The method toggle, the knobs of a method, and maps with signs."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.explorer import Explorer
from tests.e2e.notebook import Notebook

WITHOUT_ROLLOUT = """
w._catalogue = [
    {**entry, "available": False, "reason": "Rollout needs a class token; use LeGrad."} if entry["name"] == "rollout"
    else entry for entry in w._catalogue
]
"""


def test_the_whole_catalogue_can_be_chosen(explorer: Explorer, notebook: Notebook) -> None:
    wanted = notebook.value("[entry['name'] for entry in w._catalogue if entry['available']]")
    shown = explorer.root.locator("[data-testid^=method-]")
    assert shown.evaluate_all("all => all.map(it => it.value)") == notebook.value("[e['name'] for e in w._catalogue]")
    assert len(wanted) >= 6
    for name in wanted:
        if name != "legrad":
            explorer.expect_answered(lambda name=name: explorer.choose_method(name))
        notebook.expect_value("w.explanation.method", name)
        expect(explorer.get("heat")).to_be_visible()


def test_a_method_that_is_not_to_be_had_says_why(explorer: Explorer, notebook: Notebook) -> None:
    """By pointing, by keyboard (the list below the toggle) and to a screen reader."""
    notebook.execute(WITHOUT_ROLLOUT)
    rollout = explorer.get("method-rollout")
    expect(rollout).to_be_disabled()
    expect(rollout.locator("xpath=..")).to_have_attribute("title", re.compile("class token"))
    expect(rollout).to_have_accessible_description(re.compile("rollout: Rollout needs a class token"))
    summary = explorer.get("unavailable").locator("summary")
    expect(summary).to_have_text("1 not available for this model")
    summary.focus()
    explorer.page.keyboard.press("Enter")
    expect(explorer.get("unavailable").get_by_text("use LeGrad")).to_be_visible()


def test_the_toggle_is_walked_with_arrow_keys(explorer: Explorer, notebook: Notebook) -> None:
    order = notebook.value("[entry['name'] for entry in w._catalogue if entry['available']]")
    following = order[order.index("legrad") + 1]
    explorer.get("method-legrad").focus()
    explorer.expect_answered(lambda: explorer.page.keyboard.press("ArrowRight"))
    expect(explorer.get(f"method-{following}")).to_be_focused()
    notebook.expect_value("w.method", following)


def test_a_knob_changes_the_map_and_reset_brings_it_back(explorer: Explorer, notebook: Notebook) -> None:
    before = explorer.pixels()
    explorer.get("knobs").locator("summary").click()
    relu = explorer.root.locator("[data-knob=relu]")
    explorer.expect_answered(relu.uncheck)
    notebook.expect_value("w.knobs", {"relu": False})
    assert explorer.pixels() != before
    expect(explorer.get("knobs").locator("summary")).to_have_text("Options (1 changed)")
    explorer.expect_answered(explorer.get("reset-knobs").click)
    notebook.expect_value("w.knobs", {})
    expect(relu).to_be_checked()
    expect(explorer.get("reset-knobs")).to_be_hidden()
    assert explorer.pixels() == before


def test_the_knobs_are_those_of_the_signature(explorer: Explorer, notebook: Notebook) -> None:
    explorer.get("knobs").locator("summary").click()
    for name in ("legrad", "tam"):
        if name != "legrad":
            explorer.expect_answered(lambda name=name: explorer.choose_method(name))
        every = notebook.value(f"[k['name'] for e in w._catalogue if e['name'] == {name!r} for k in e['knobs']]")
        wanted = [knob for knob in every if not knob.startswith("correction")]  # these are one switch
        assert wanted != every
        expect(explorer.get("correction")).to_be_visible()
        knobs = explorer.root.locator("[data-knob]")
        expect(knobs).to_have_count(len(wanted))
        assert knobs.evaluate_all("all => all.map(it => it.dataset.knob)") == wanted


def test_a_number_out_of_bounds_is_refused_beside_its_knob(explorer: Explorer, notebook: Notebook) -> None:
    explorer.expect_answered(lambda: explorer.choose_method("tam"))
    painted = explorer.painted
    explorer.get("knobs").locator("summary").click()
    group = explorer.root.locator("[data-knob=group]")
    default = group.input_value()
    group.fill("-3")
    group.press("Enter")
    expect(explorer.get("knob-fault")).to_contain_text("group")
    assert len(explorer.get("knob-fault").inner_text().split()) >= 4
    notebook.expect_value("w.knobs", {})
    expect(group).to_have_value(default)
    assert explorer.painted == painted
    group.fill("2")
    explorer.expect_answered(lambda: group.press("Enter"))
    expect(explorer.get("knob-fault")).to_be_hidden()
    notebook.expect_value("w.knobs", {"group": 2})


def test_a_signed_map_has_zero_in_the_middle_and_says_for_and_against(explorer: Explorer, notebook: Notebook) -> None:
    explorer.expect_answered(lambda: explorer.choose_method("cdam"))
    low, high = notebook.value("[float(w.explanation.merged().min()), float(w.explanation.merged().max())]")
    assert low < 0 < high
    expect(explorer.get("colorbar")).to_have_attribute("aria-label", re.compile("zero, in the middle, is transparent"))
    expect(explorer.get("describe")).to_contain_text("strongest for it at row")
    expect(explorer.get("describe")).to_contain_text("strongest against it at row")
    expect(explorer.get("colormap")).to_be_disabled()

    explorer.get("smooth").uncheck()
    row, column = notebook.value(
        "[int(n) for n in np.unravel_index(w.explanation.merged().argmin(), (8, 8))]", "import numpy as np"
    )
    explorer.get("heat").scroll_into_view_if_needed()  # the look's controls are further down
    box = explorer.get("heat").bounding_box()
    assert box
    explorer.page.mouse.move(box["x"] + box["width"] * (column + 0.5) / 8, box["y"] + box["height"] * (row + 0.5) / 8)
    expect(explorer.get("readout")).to_contain_text("(against)")
    pixels = explorer.get("heat").evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
    )
    merged = notebook.value("w.explanation.merged().ravel().tolist()")
    for value, red, blue, alpha in zip(merged, pixels[::4], pixels[2::4], pixels[3::4], strict=True):
        if abs(value) < 0.02:
            assert alpha <= 2, "what speaks neither for nor against is clear"
        if abs(value) > 0.5:
            assert (red > blue) == (value > 0), "red speaks for, blue against"
