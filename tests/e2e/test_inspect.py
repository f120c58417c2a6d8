"""Why did it get this wrong? In JupyterLab: from a mistake in the table to the patches that caused it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.explorer import ANSWER_MS, Explorer
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import AXE, PICTURES

SETUP = """
import numpy as np
world = lw.builtin.shortcut_world(n=240, seed=3)
model = lw.load("shortcuts")
"""
TAGGED_ERROR = """
tagged = [i for i in r.errors.index if world.truth[i].tag and r.frame.loc[i, "predicted"] in world.truth[i].points_at
          and not world.truth[i].flipped and r.inspection.flip_set(i).size == 1]
row = int(tagged[0])
flip = r.inspection.flip_set(row)
"""
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Inspector:
    """One view of an `InspectWidget`."""

    def __init__(self, notebook: Notebook, output: Locator) -> None:
        self.notebook, self.page, self.output = notebook, notebook.page, output
        self.root = output.get_by_test_id("inspector")

    def get(self, name: str) -> Locator:
        """A part of the gallery, or of the open sample, by its test id."""
        return self.root.get_by_test_id(name)

    @property
    def explorer(self) -> Explorer:
        """The explorer beneath."""
        return Explorer(self.notebook, self.output.get_by_test_id("legrad"))

    def card(self, row: int) -> Locator:
        """The card of a sample."""
        return self.root.locator(f"[data-testid=card][data-row='{row}']:visible")

    def expect_scored(self, count: int) -> None:
        """Wait until every sample is scored."""
        expect(self.get("progress")).to_contain_text(f"{count} samples ·", timeout=ANSWER_MS)

    def open(self, row: int) -> None:
        """Find a sample by its name, and click it; wait until it is explained."""
        self.get("search").fill(f"sample {row}")
        self.page.evaluate(FRAMES)  # cards are laid out in the next frame: the one of before is hidden then
        self.card(row).click()
        expect(self.get("curve")).to_be_visible(timeout=ANSWER_MS)
        self.explorer.expect_painted()
        self.get("search").fill("")
        expect(self.card(row)).to_be_in_viewport()


@pytest.fixture
def inspector(notebook: Notebook) -> Inspector:
    """The gallery over scenes with planted shortcuts, everything scored."""
    notebook.page.set_viewport_size({"width": 1280, "height": 2000})
    notebook.execute(SETUP)
    source = "r = lw.inspect(model, list(world.images), list(world.labels), masks=list(world.masks), cache=False)\nr"
    shown = Inspector(notebook, notebook.run(source))
    shown.expect_scored(240)
    return shown


def test_a_cell_of_the_mistakes_narrows_the_gallery(inspector: Inspector, notebook: Notebook) -> None:
    cell = inspector.get("confusion").locator("td button").first
    count = int(cell.inner_text())
    true, _, taken = (cell.get_attribute("aria-label") or "").partition(":")[0].partition(" taken for ")
    assert count == notebook.value(f"len(r.cell({true!r}, {taken!r}))")
    cell.click()
    expect(inspector.get("shown")).to_have_text(f"{count} shown")
    expect(inspector.root.locator("[data-testid=card]:visible")).to_have_count(count)
    rows = inspector.root.locator("[data-testid=card]:visible").evaluate_all("all => all.map(it => +it.dataset.row)")
    assert sorted(rows) == notebook.value(f"[int(i) for i in r.cell({true!r}, {taken!r})]")
    inspector.get("confusion").locator("tbody th button").nth(1).click(modifiers=["Shift"])
    assert int(inspector.get("shown").inner_text().split()[0]) > count
    inspector.get("clear-filters").click()
    expect(inspector.get("shown")).to_have_text(f"{notebook.value('len(r.errors)')} shown")


def test_brushing_the_cue_away_changes_the_answer(inspector: Inspector, notebook: Notebook, artifacts: Path) -> None:
    notebook.execute(TAGGED_ERROR)
    row = notebook.value("row")
    predicted, true = notebook.value("(r.frame.loc[row, 'predicted'], r.frame.loc[row, 'label'])")
    inspector.open(row)
    expect(inspector.get("verdict")).to_contain_text(f"{true} taken for {predicted}")
    explorer = inspector.explorer
    explorer.expect_compared()
    contrasts = [f"{predicted} over {true}", f"{true} over {predicted}"]
    assert explorer.panes == contrasts
    inspector.get("plain").check()
    notebook.expect_value("r.plain", wanted=True)
    explorer.expect_compared()
    expect(explorer.root.get_by_test_id("pane")).to_have_count(4)
    assert explorer.panes == [*contrasts, predicted, true]
    inspector.get("plain").uncheck()
    notebook.expect_value("len(r.targets)", 2)

    inspector.get("flip-set").click()
    expect(inspector.get("flip-words")).to_contain_text("Without 1 patch", timeout=ANSWER_MS)
    patch = notebook.value("[int(x) for x in flip.patches[0]]")
    expect(inspector.get("flip-words")).to_have_attribute("data-patches", f"[[{patch[0]},{patch[1]}]]")

    expect(inspector.get("other-map")).to_have_text(
        "The explorer beneath draws LeGrad: Attention gradient is no method of its own there."
    )
    inspector.get("to-brush").click()
    expect(explorer.get("brush")).to_have_attribute("aria-pressed", "true")
    expect(explorer.get("picture")).to_be_focused()
    expect(explorer.get("picture")).to_be_in_viewport(ratio=1)
    expect(explorer.get("outcome")).to_be_in_viewport(ratio=1)
    press = explorer.page.keyboard.press
    for key, times in (("ArrowUp", 8), ("ArrowLeft", 8), ("ArrowDown", patch[0]), ("ArrowRight", patch[1])):
        for _ in range(times):
            press(key)
    press(" ")
    expect(explorer.get("moves")).to_have_attribute("aria-busy", "false", timeout=ANSWER_MS)
    assert notebook.value("[list(map(int, p)) for p in r._tools['brush']['args']['patches']]") == [patch]
    classes = "r._tools['brush']['classes']"
    best = f"max({classes}, key=lambda one: one['%s'])['label']"
    assert notebook.value(best % "before") == predicted
    assert notebook.value(best % "after") == notebook.value("r.class_names[flip.after]") != predicted
    expect(explorer.get("outcome")).to_have_text(re.compile(rf"Without 1 patch: (?!{predicted}).* \(was {predicted} "))
    explorer.get("brush-paste").check()
    nearest = notebook.value("int(r.neighbours(row).correct_true[0])")
    expect(explorer.get("brush-way")).to_contain_text(f"with those of sample {nearest} ({true})", timeout=ANSWER_MS)
    explorer.get("brush-donor").select_option(str(last := notebook.value("int(r.neighbours(row).correct_true[-1])")))
    expect(explorer.get("brush-way")).to_contain_text(f"with those of sample {last} ({true})", timeout=ANSWER_MS)
    expect(explorer.get("moves")).to_have_attribute("aria-busy", "false", timeout=ANSWER_MS)
    expect(explorer.get("brush-saw")).to_be_visible()
    last_scores = "[one[-1] for one in r._tools['brush']['curve']['after']]"
    changed = f"r.curve_after(row, r.without(row, [{patch}], 'paste', donor={last}, control=0))"
    assert notebook.value(last_scores) == pytest.approx(
        notebook.value(f"[float({changed}.true[-1]), float({changed}.predicted[-1])]"), abs=1e-4
    )
    expect(explorer.get("brush-curve").get_by_label(f"At the last layer: {true} ")).to_be_visible()
    explorer.get("trust").screenshot(path=artifacts / "inspect-paste.png")
    pasted = notebook.value(f"r.without(row, [{patch}], 'paste', donor={last}).classes[0].after")
    assert notebook.value(f"{classes}[0]['after']") == pytest.approx(pasted, abs=1e-5)


def test_a_mask_is_drawn_on_the_open_sample_and_compared_at_once(notebook: Notebook, artifacts: Path) -> None:
    notebook.page.set_viewport_size({"width": 1280, "height": 2000})
    notebook.execute(SETUP)
    source = "r = lw.inspect(model, list(world.images[:80]), list(world.labels[:80]), cache=False)\nr"
    inspector = Inspector(notebook, notebook.run(source))
    inspector.expect_scored(80)
    notebook.execute("""
row = int(r.errors.index[0])
side = world.images[row].shape[0]
ys, xs = np.nonzero(world.masks[row])
x0, y0, x1, y1 = (float(v) / side for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
""")
    inspector.open(notebook.value("row"))
    expect(inspector.get("open-alignment")).to_be_hidden()
    expect(inspector.get("against")).to_be_hidden()
    mouse = inspector.page.mouse

    def drag(*corners: tuple[float, float], let_go: bool = True) -> None:
        lies = inspector.get("overview").bounding_box()  # what is drawn on is what is seen
        for at, (x, y) in enumerate(corners):
            mouse.move(lies["x"] + x * lies["width"], lies["y"] + y * lies["height"], steps=4)
            if at == 0:
                mouse.down()
        if let_go:
            mouse.up()

    inspector.get("draw-box").click()
    x0, y0, x1, y1 = notebook.value("(x0, y0, x1, y1)")
    drag((x0, y0), (x1, y1))
    against = inspector.get("against")
    expect(against).to_be_visible(timeout=ANSWER_MS)
    expect(inspector.get("cases").locator("li")).to_have_count(2)
    expect(inspector.get("mask-says")).to_have_text("Outline: the mask you drew.")
    notebook.execute("""
box = np.zeros((side, side), bool)
box[round(y0 * side):round(y1 * side), round(x0 * side):round(x1 * side)] = True
drawn = r.inspection.masks.drawn[row]
""")
    assert notebook.value("float((drawn & box).sum() / (drawn | box).sum())") > 0.9  # a pixel of the screen is wider
    assert against.locator("td").first.inner_text() == notebook.value("f'{r.frame.loc[row, \"iou\"]:.2f}'")
    expect(inspector.get("open-alignment")).to_be_visible()
    expect(inspector.get("sort").locator("option[value=outside_mask]")).to_have_count(1)

    inspector.get("draw-lasso").click()
    before = notebook.value("int(drawn.sum())")
    inspector.page.keyboard.down("Shift")
    drag((0.02, 0.7), (0.3, 0.75), (0.28, 0.97), (0.03, 0.95))
    inspector.page.keyboard.up("Shift")
    notebook.expect_value(f"int(r.inspection.masks.drawn[row].sum()) > {before}", wanted=True)
    notebook.expect_value("bool(r.inspection.masks.drawn[row][round(0.85 * side), round(0.15 * side)])", wanted=True)
    inspector.page.wait_for_timeout(600)
    inspector.output.screenshot(path=artifacts / "inspect-mask.png")
    drag((0.5, 0.1), (0.9, 0.1), (0.9, 0.3), let_go=False)
    inspector.page.keyboard.press("Escape")
    mouse.up()
    inspector.page.keyboard.press("Escape")
    expect(inspector.get("draw-layer")).to_be_hidden()
    expect(inspector.get("draw-lasso")).to_be_focused()
    assert notebook.value("bool(r.inspection.masks.drawn[row][round(0.15 * side), round(0.85 * side)])") is False

    for theme, width in (("Dark", 1280), ("Light", 620)):
        notebook.theme(theme)
        inspector.page.set_viewport_size({"width": width, "height": 2600})
        inspector.page.wait_for_timeout(600)
        inspector.get("sample").screenshot(path=artifacts / f"inspect-mask-{theme.lower()}-{width}.png")
    inspector.page.add_script_tag(path=AXE)
    found = inspector.root.evaluate("async root => (await axe.run(root)).violations")
    assert not [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found]

    inspector.get("draw-clear").click()
    expect(against).to_be_hidden()
    expect(inspector.get("open-alignment")).to_be_hidden()
    notebook.expect_value("r.inspection.masks.any", wanted=False)


def test_tags_and_notes_end_up_in_the_table(inspector: Inspector, notebook: Notebook) -> None:
    cards = inspector.root.locator("[data-testid=card]:visible")
    rows = [int(cards.nth(at).get_attribute("data-row") or -1) for at in range(3)]
    cards.nth(0).click(modifiers=["Control"])
    cards.nth(2).click(modifiers=["Shift"])
    inspector.page.keyboard.press("x")
    inspector.page.keyboard.type("shortcut <b>?</b>")
    inspector.page.keyboard.press("Enter")
    notebook.expect_value("sorted(int(i) for i in r.tagged('shortcut <b>?</b>'))", sorted(rows))
    notebook.expect_value("sorted(int(i) for i in r.selected.index)", sorted(rows))
    expect(cards.nth(1)).to_contain_text("shortcut <b>?</b>")
    inspector.page.keyboard.press("Escape")
    inspector.page.keyboard.press("Home")
    inspector.page.keyboard.press("Enter")
    expect(inspector.get("sample")).to_be_visible()
    inspector.get("note").fill("the sticker, top right")
    inspector.get("note").blur()
    notebook.expect_value(f"r.frame.loc[{rows[0]}, 'note']", "the sticker, top right")
    inspector.get("next").click()
    notebook.expect_value("r.opened", rows[1])
    inspector.page.keyboard.press("Escape")
    expect(inspector.get("sample")).to_be_hidden()
    expect(inspector.get("gallery")).to_be_focused()


def test_it_works_while_a_cell_runs_and_after_a_reload(inspector: Inspector, notebook: Notebook) -> None:
    with notebook.busy():
        row = int(inspector.root.locator("[data-testid=card]:visible").nth(1).get_attribute("data-row") or -1)
        inspector.open(row)
        expect(inspector.get("curve")).to_be_visible()
        notebook.expect_busy()
    notebook.reload()
    again = Inspector(notebook, notebook.dom)
    again.expect_scored(240)
    expect(again.get("sample")).to_be_visible()
    expect(again.root.locator("[data-testid=card]:visible").first).to_be_visible()


def test_the_page_finds_which_map_to_trust_and_draws_another(
    inspector: Inspector, notebook: Notebook, artifacts: Path
) -> None:
    inspector.get("open-calibrate").click()
    inspector.get("start-calibrate").click()
    expect(inspector.get("stop-calibrate")).to_be_visible()
    cards = inspector.root.locator("[data-testid=card]:visible")
    cards.nth(2).click()  # it waits for a sample of the measurement at most
    expect(inspector.get("curve")).to_be_visible(timeout=ANSWER_MS)
    inspector.page.keyboard.press("Escape")
    expect(inspector.get("chosen")).to_contain_text("is drawn", timeout=3 * ANSWER_MS)
    rows = inspector.get("calibrate").locator("tbody tr")
    maps = notebook.value("[f'{o.method}/{o.weights}' for o in r.inspection.calibrated.overlays]")
    assert [rows.nth(at).get_attribute("data-map") for at in range(rows.count())] == [*maps, ""]
    expect(rows.nth(0)).to_have_attribute("aria-current", "true")
    inspector.output.screenshot(path=artifacts / "inspect-calibrate.png")

    rows.nth(1).get_by_role("button").click()
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    notebook.expect_value("f'{r.overlay.method}/{r.overlay.weights}'", maps[1])

    inspector.get("start-calibrate").click()
    inspector.get("stop-calibrate").click()
    expect(inspector.get("words-calibrate")).to_have_text("Stopped.", timeout=ANSWER_MS)
    notebook.expect_value("f'{r.overlay.method}/{r.overlay.weights}'", maps[1])


def test_the_page_groups_the_errors_and_narrows_to_a_group(
    inspector: Inspector, notebook: Notebook, artifacts: Path
) -> None:
    inspector.get("open-clusters").click()
    inspector.get("start-clusters").click()
    groups = inspector.get("groups").locator("[data-group]")
    expect(groups.first).to_contain_text("not tested", timeout=3 * ANSWER_MS)
    inspector.get("start-regions").click()
    expect(groups.first).to_contain_text("changed without its region", timeout=3 * ANSWER_MS)
    sizes = notebook.value("[len(card) for card in r.inspection.clustered]")
    expect(groups).to_have_count(len(sizes))
    groups.nth(1).click()
    expect(groups.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(inspector.get("shown")).to_have_text(f"{sizes[1]} shown")
    inspector.page.wait_for_timeout(600)
    inspector.output.screenshot(path=artifacts / "inspect-groups.png")
    groups.nth(1).click()
    expect(inspector.get("shown")).to_have_text(f"{sum(sizes)} shown")

    plane = inspector.get("plane")  # a rectangle around all of it
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    inspector.page.mouse.move(box["x"] + 2, box["y"] + 2)
    inspector.page.mouse.down()
    inspector.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=3)
    inspector.page.mouse.up()
    notebook.expect_value("len(r.selected)", sum(sizes))

    inspector.page.add_script_tag(path=AXE)
    found = inspector.root.evaluate("async root => (await axe.run(root)).violations")
    assert not [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found]
    notebook.theme("Dark")
    try:
        inspector.page.set_viewport_size({"width": 620, "height": 3200})
        inspector.page.wait_for_timeout(600)
        inspector.output.screenshot(path=artifacts / "inspect-groups-dark-narrow.png")
    finally:
        notebook.theme("Light")
        inspector.page.set_viewport_size({"width": 1280, "height": 2000})

    inspector.get("group-k").select_option("3")  # again, without asking the model
    expect(groups).to_have_count(3)
    expect(groups.first).to_contain_text("not tested")
    notebook.execute("r.overlay = type(r.overlay)('legrad')")
    expect(inspector.get("stale-clusters")).to_contain_text("the map is LeGrad now: group again")
    inspector.get("open-flips").click()
    inspector.get("start-flips").click()
    expect(inspector.get("flips-found")).to_contain_text(f"{sum(sizes)} of {sum(sizes)} errors", timeout=6 * ANSWER_MS)
    inspector.get("sort-flips").click()
    expect(inspector.get("sort")).to_have_value("flip_set")
    inspector.output.screenshot(path=artifacts / "inspect-flips.png")


def test_the_page_compares_all_with_masks_and_sliders_move_the_counts(
    inspector: Inspector, notebook: Notebook, artifacts: Path
) -> None:
    inspector.get("open-alignment").click()
    inspector.get("start-alignment").click()
    counts = inspector.get("case-counts")
    expect(counts.locator("tbody tr").first).to_be_visible(timeout=3 * ANSWER_MS)
    confuser = counts.locator("[data-case='predicted confuser']")
    count = "int((r.errors['case_predicted'] == 'confuser').sum())"
    before = notebook.value(count)
    expect(confuser).to_have_text(str(before))
    inspector.get("limit-iou").focus()
    for _ in range(30):
        inspector.page.keyboard.press("ArrowLeft")
    notebook.expect_value("round(r.thresholds.iou, 2)", 0.2)
    after = notebook.value(count)
    assert after > before
    expect(confuser).to_have_text(str(after))
    confuser.click()
    expect(inspector.get("shown")).to_have_text(f"{after} shown")
    chosen = inspector.get("filter-case_predicted").locator("option:checked")
    expect(chosen).to_have_text(f"Case: wrong: it looks at the object and calls it something else ({after})")
    inspector.output.screenshot(path=artifacts / "inspect-cases.png")
    inspector.page.add_script_tag(path=AXE)
    found = inspector.root.evaluate("async root => (await axe.run(root)).violations")
    assert not [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found]

    notebook.execute("r.selected = r.errors.index[:3]")
    inspector.get("open-backgrounds").click()
    inspector.get("only-selected").check()
    expect(inspector.get("cost-backgrounds")).to_have_text("of 3 samples: about 27 forwards")
    inspector.get("start-backgrounds").click()
    rows = inspector.get("backgrounds-rows").locator("tbody tr")
    expect(rows).to_have_count(3, timeout=3 * ANSWER_MS)
    said = notebook.value("str(r.inspection.transplanted).split(chr(10))")
    expect(inspector.get("backgrounds-found").locator("p")).to_have_text(said)
    inspector.output.screenshot(path=artifacts / "inspect-backgrounds.png")
    opened = rows.first.locator("button")
    opened.click()
    expect(inspector.get("sample")).to_contain_text(opened.inner_text())


@pytest.mark.parametrize(("theme", "width"), [("Light", 1280), ("Dark", 1280), ("Light", 620)])
def test_appearance(inspector: Inspector, notebook: Notebook, artifacts: Path, theme: str, width: int) -> None:
    notebook.execute(TAGGED_ERROR)
    inspector.open(notebook.value("row"))
    inspector.get("flip-set").click()
    expect(inspector.get("flip-words")).to_contain_text("Without", timeout=ANSWER_MS)
    inspector.explorer.expect_compared()
    if theme == "Dark":
        notebook.theme("Dark")
    inspector.page.set_viewport_size({"width": width, "height": 2600})
    try:
        inspector.page.wait_for_timeout(600)
        name = f"inspect-{theme.lower()}{'-narrow' if width < 700 else ''}"
        inspector.output.screenshot(path=artifacts / f"{name}.png")
        if name == "inspect-light" and os.environ.get("UPDATE_PICTURES") == "1":
            above, sample = inspector.output.bounding_box(), inspector.get("sample").bounding_box()
            clip = above | {"height": sample["y"] + sample["height"] - above["y"]}
            inspector.page.screenshot(path=PICTURES / "inspect.png", clip=clip)  # the explorer has its own
        inspector.page.add_script_tag(path=AXE)
        found = inspector.root.evaluate("async root => (await axe.run(root)).violations")
        assert not [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found]
    finally:
        notebook.theme("Light")


def test_ten_thousand_samples_scroll(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.page.set_viewport_size({"width": 1280, "height": 1200})
    notebook.execute(SETUP)
    notebook.execute("""
rng = np.random.default_rng(0)
count = 10_000
labels = rng.integers(0, 8, count)
logits = rng.normal(size=(count, 8)).astype("f4")
images = [world.images[i % 240] for i in range(count)]
""")
    inspector = Inspector(
        notebook, notebook.run("r = lw.inspect(model, images, labels.tolist(), logits=logits, cache=False)\nr")
    )
    inspector.expect_scored(10_000)
    errors = notebook.value("len(r.errors)")
    assert errors > 8000
    expect(inspector.get("shown")).to_have_text(f"{errors} shown", timeout=ANSWER_MS)
    session = inspector.page.context.new_cdp_session(inspector.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(1000 * float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    before = spent()
    frames = inspector.get("gallery").evaluate(
        """async box => {
            const times = [];
            let last = await new Promise(requestAnimationFrame);
            for (let i = 0; i < 180; i++) {
                box.scrollTop += 90;
                const now = await new Promise(requestAnimationFrame);
                times.push(now - last);
                last = now;
            }
            return times.sort((a, b) => a - b);
        }"""
    )
    cost = (spent() - before) / len(frames)
    with capsys.disabled():
        print(
            f"\n10,000 samples: {cost:.1f} ms of the page's thread for a frame; median {frames[90]:.1f} ms between two"
        )
    assert inspector.root.locator("[data-testid=card]").count() < 60
    assert inspector.get("gallery").evaluate("box => box.scrollTop") > 15_000
    assert cost < 16, "a frame costs less than a frame's time"
    inspector.get("gallery").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    last = inspector.root.locator(f"[data-testid=card][aria-posinset='{errors}']")
    expect(last).to_be_visible()
    expect(last.locator("canvas")).to_have_js_property("width", 96)


def test_a_saved_inspection_keeps_its_appearance_without_the_model(
    notebook: Notebook, tmp_path: Path, artifacts: Path
) -> None:
    notebook.page.set_viewport_size({"width": 1280, "height": 1600})
    notebook.execute(SETUP)
    notebook.execute(f"""
import os
import re
from pathlib import Path
from PIL import Image
files = []
for i in range(48):
    path = Path({str(tmp_path)!r}) / f"scene_{{i:03d}}.png"
    Image.fromarray(world.images[i]).save(path)
    files.append(path)
r = lw.inspect(model, files, list(world.labels[:48]), cache=False)
row = int(r.errors.index[0])
r.contrast(row)
r.tag("shortcut", where=[row])
r.clusters(2)
r.save({str(tmp_path / "audit")!r})
r.close()
""")
    inspector = Inspector(notebook, notebook.run(f"s = lw.open_inspection({str(tmp_path / 'audit')!r})\ns"))
    inspector.expect_scored(48)
    inspector.get("open-clusters").click()
    expect(inspector.get("groups").locator("[data-group]")).to_have_count(2)
    expect(inspector.get("needs-clusters")).to_contain_text("lw.open_inspection(folder, model=model)")
    expect(inspector.get("start-clusters")).to_be_hidden()
    expect(inspector.get("open-calibrate")).to_be_hidden()  # nothing was found
    inspector.root.screenshot(path=artifacts / "inspect-saved-groups.png")
    inspector.get("open-clusters").click()
    row = notebook.value("row")
    inspector.get("filter-tags").select_option("shortcut")
    expect(inspector.get("shown")).to_have_text("1 shown")
    card = inspector.card(row)
    expect(card).to_contain_text("shortcut")
    card.click()
    expect(inspector.get("needs")).to_contain_text("lw.open_inspection(folder, model=model)")
    expect(inspector.get("curve")).to_be_visible()
    inspector.page.wait_for_function(
        "canvas => canvas.width === 384", arg=inspector.get("overview").element_handle(), timeout=15_000
    )
    expect(inspector.get("flip-set")).to_be_hidden()
    expect(inspector.output.get_by_test_id("legrad")).to_have_count(0)
    inspector.get("note").fill("seen again")
    inspector.get("note").blur()
    notebook.expect_value("s.frame.loc[row, 'note']", "seen again")
    inspector.root.screenshot(path=artifacts / "inspect-saved.png")
