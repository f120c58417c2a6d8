"""Out of the gallery: one page that its menu saves, opened from disk with the network off, and the table that leaves.

One story from a kernel to a page without one, as a person goes who sends an audit to somebody.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
from playwright.sync_api import Page, expect

from tests.e2e.explorer import ANSWER_MS
from tests.e2e.notebook import Notebook
from tests.e2e.test_appearance import AXE
from tests.e2e.test_inspect import SETUP, TAGGED_ERROR, Inspector
from tests.e2e.test_page import Opened, open_file  # noqa: F401  # a fixture

COUNT = 120


def gallery_of(page: Page) -> Inspector:
    """The gallery of a saved page."""
    return Inspector(cast(Notebook, SimpleNamespace(page=page)), page.locator("main"))


def violations(gallery: Inspector) -> list[str]:
    """What axe finds wrong, one line for each rule."""
    gallery.page.add_script_tag(path=AXE)
    found = gallery.root.evaluate("async root => (await axe.run(root)).violations")
    return [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found]


def taken(gallery: Inspector, button: str, file: Path) -> Path:
    """What a button of the menu hands over."""
    if gallery.get("export-panel").is_hidden():
        gallery.get("export").click()
    with gallery.page.expect_download(timeout=ANSWER_MS) as download:
        gallery.get(button).click()
    download.value.save_as(file)
    return file


def test_an_audit_is_sent_as_one_page_and_comes_back_as_a_table(
    notebook: Notebook,
    open_file: Callable[..., Opened],  # noqa: F811
    tmp_path: Path,
    artifacts: Path,
) -> None:
    notebook.page.set_viewport_size({"width": 1280, "height": 1600})
    notebook.execute(SETUP)
    notebook.execute(f"""
from pathlib import Path
from PIL import Image
files = [Path({str(tmp_path)!r}) / f"scene_{{i:03d}}.png" for i in range({COUNT})]
for file, picture in zip(files, world.images):
    Image.fromarray(picture).save(file)
labels, masks = list(world.labels[:{COUNT}]), list(world.masks[:{COUNT}])
r = lw.inspect(model, files, labels, masks=masks, cache=False)
r.wait()
r.clusters(3, test=False)
r.on_other_backgrounds(r.errors.index[:6])
""")
    notebook.execute(TAGGED_ERROR)
    row, errors = notebook.value("row"), notebook.value("len(r.errors)")
    true, predicted = notebook.value("[int(r.frame.loc[row, c]) for c in ('label_index', 'predicted_index')]")
    live = Inspector(notebook, notebook.run("r"))
    live.expect_scored(COUNT)

    file = taken(live, "export-page", tmp_path / "inspection.html")
    expect(live.get("export-note")).to_contain_text("inspection.html, ")
    live.output.screenshot(path=artifacts / "inspect-export.png")
    table = pd.read_csv(taken(live, "export-csv", tmp_path / "live.csv"), index_col="sample")
    assert sorted(table.index) == notebook.value("[int(i) for i in r.errors.index]")

    opened = open_file(file)
    gallery = gallery_of(opened.page)
    expect(gallery.get("progress")).to_contain_text(f"{COUNT} samples · {errors} wrong")
    expect(gallery.get("shown")).to_have_text(f"{errors} shown")
    gallery.root.locator(f"[data-pair='{true},{predicted}']").click()
    expect(gallery.get("shown")).to_have_text(f"{notebook.value(f'len(r.cell({true}, {predicted}))')} shown")

    gallery.card(row).click()
    expect(gallery.get("curve")).to_be_visible()
    expect(gallery.get("overview")).to_have_js_property("width", 384)
    expect(gallery.get("flip-words")).to_contain_text("Without 1 patch")
    patches = notebook.value("[[int(a), int(b)] for a, b in flip.patches]")
    expect(gallery.get("flip-words")).to_have_attribute("data-patches", str(patches).replace(" ", ""))
    expect(gallery.get("cases").locator("li")).to_have_count(2)
    expect(gallery.get("needs")).to_contain_text("needs Python and the model")
    neighbour = gallery.get("neighbours").locator("canvas").first
    opened.page.wait_for_function("canvas => canvas.width === 96", arg=neighbour.element_handle())
    opened.page.screenshot(path=artifacts / "inspect-page-light.png", full_page=True)
    assert not violations(gallery)

    gallery.get("note").fill('=1+1, "so"')
    gallery.get("close-sample").click()
    opened.page.keyboard.press("x")
    opened.page.keyboard.type("shortcut <b>?</b>")
    opened.page.keyboard.press("Enter")
    expect(gallery.card(row)).to_contain_text("shortcut <b>?</b>")
    gallery.get("clear-filters").click()
    gallery.get("filter-tags").select_option("shortcut <b>?</b>")
    expect(gallery.get("shown")).to_have_text("1 shown")
    table = pd.read_csv(taken(gallery, "export-csv", tmp_path / "marked.csv"), keep_default_na=False)
    assert table["sample"].tolist() == [row]
    said = table.iloc[0]
    assert said["path"] == notebook.value("str(files[row])")
    assert [said["label"], said["predicted"]] == notebook.value("[*r.frame.loc[row, ['label', 'predicted']]]")
    assert abs(said["margin"] - notebook.value("float(r.frame.loc[row, 'margin'])")) < 1e-6
    assert [said["tags"], said["note"]] == ["shortcut <b>?</b>", '\'=1+1, "so"']
    assert said["case_predicted"] == notebook.value("r.frame.loc[row, 'case_predicted']")
    expect(gallery.get("export-page")).to_be_hidden()
    gallery.get("export").click()
    assert notebook.value(f"str(r.read_tags({str(tmp_path / 'marked.csv')!r}))").startswith("Samples here: 1 of 1 row.")
    assert notebook.value("[*r.frame.loc[row, ['tags', 'note']]]") == ["shortcut <b>?</b>", '=1+1, "so"']
    expect(live.get("filter-tags")).to_contain_text("shortcut <b>?</b> (1)")

    gallery.get("clear-filters").click()
    gallery.get("open-clusters").click()
    groups = gallery.get("groups").locator("[data-group]")
    expect(groups).to_have_count(notebook.value("len(list(r.inspection.clustered))"))
    groups.first.click()
    size = notebook.value("len(list(r.inspection.clustered)[0])")
    expect(gallery.get("shown")).to_have_text(f"{size} shown")
    expect(gallery.get("start-clusters")).to_be_hidden()
    gallery.get("open-backgrounds").click()
    said = notebook.value("str(r.inspection.transplanted).split(chr(10))")
    expect(gallery.get("backgrounds-found").locator("p")).to_have_text(said)
    gallery.get("backgrounds-rows").locator("button").first.click()
    expect(gallery.get("overview")).to_have_js_property("width", 384)

    gallery.get("clear-filters").click()
    gallery.get("open-alignment").click()
    gallery.get("limit-iou").focus()
    for _ in range(30):
        opened.page.keyboard.press("ArrowLeft")
    notebook.execute("r.thresholds = lw.inspection.Thresholds(iou=0.2)")
    wanted = notebook.value("int((r.errors['case_predicted'] == 'confuser').sum())")
    confuser = gallery.get("case-counts").locator("[data-case='predicted confuser']")
    expect(confuser).to_have_text(str(wanted))
    confuser.click()
    expect(gallery.get("shown")).to_have_text(f"{wanted} shown")
    opened.expect_untroubled()

    for scheme, width in (("dark", 1280), ("light", 400)):
        other = open_file(file, color_scheme=scheme, viewport={"width": width, "height": 1100})
        view = gallery_of(other.page)
        view.root.locator("[data-testid=card]:visible").first.click()
        expect(view.get("overview")).to_have_js_property("width", 384)
        view.get("export").click()
        view.get("open-backgrounds").click()
        other.page.screenshot(path=artifacts / f"inspect-page-{scheme}-{width}.png", full_page=True)
        assert not violations(view)
        assert other.page.evaluate("document.documentElement.scrollWidth") <= width
        other.expect_untroubled()

    plain = open_file(file, java_script_enabled=False)
    expect(plain.page.locator("noscript table td").first).to_be_visible()
    expect(plain.page.locator("noscript p")).to_contain_text(f"{errors} of {COUNT} samples.")
