"""Take pictures of the harness page, to be looked at: `python js/test/harness/look.py OUT_FOLDER [SCENE ...]`."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
VIEWS = {
    "light": ("scene=clip", 960, None),
    "dark": ("scene=clip&theme=dark", 960, None),
    "narrow": ("scene=clip", 400, None),
    "narrow-dark": ("scene=clip&theme=dark", 400, None),
    "wide": ("scene=clip", 1600, None),
    "wide-dark": ("scene=clip&theme=dark", 1600, None),
    "classifier": ("scene=classifier", 960, None),
    "signed": ("scene=signed", 960, None),
    "absent": ("scene=absent", 960, None),
    "letterbox": ("scene=letterbox", 960, None),
    "crop": ("scene=crop", 960, None),
    "deep": ("scene=deep&theme=dark", 960, None),
    "empty": ("scene=empty", 960, None),
    "static": ("scene=static", 960, None),
    "error": ("scene=error", 960, "error"),
    "running": ("scene=clip&delay=9000", 960, "running"),
    "patches": ("scene=clip", 960, "patches"),
    "layer": ("scene=clip", 960, "layer"),
    "typing": ("scene=classifier", 960, "typing"),
    "help": ("scene=clip", 960, "help"),
    "knobs": ("scene=clip", 960, "knobs"),
    "methods": ("scene=clip", 960, "methods"),
    "methods-dark": ("scene=clip&theme=dark", 960, "methods"),
    "methods-narrow": ("scene=clip", 360, "methods"),
    "pending": ("scene=clip&delay=3000", 960, "methods"),
    "prompts": ("scene=clip", 960, "prompts"),
    "heads": ("scene=clip", 960, "heads"),
    "heads-dark": ("scene=clip&theme=dark", 960, "heads"),
    "heads-deep": ("scene=deep", 960, "heads"),
    "heads-wide": ("scene=clip", 1600, "heads"),
    "heads-wide-dark": ("scene=deep&theme=dark", 1600, "heads"),
    "heads-400": ("scene=clip", 400, "heads"),
    "heads-narrow": ("scene=deep&theme=dark", 320, "heads"),
    "heads-signed": ("scene=signed", 960, "heads"),
    "heads-none": ("scene=clip", 960, "no-heads"),
    "tiny": ("scene=clip", 340, "knobs"),
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


def act(page: Page, what: str) -> None:
    """Bring the page into the state that its picture is about."""
    find = page.get_by_test_id
    if what == "error":
        find("prompt").fill("crash")
        find("prompt").press("Enter")
        page.get_by_text("Traceback").first.click()
    elif what == "running":
        find("prompt").fill("the sun")
        find("prompt").press("Enter")
        page.wait_for_timeout(3000)
    elif what == "patches":
        find("smooth").uncheck()
        find("picture").hover(position={"x": 130, "y": 270})
    elif what == "layer":
        page.locator("[data-layer='3']").click()
        page.locator("[data-layer='5']").click(modifiers=["Shift"])
        find("threshold").fill("0.4")
        find("picture").hover(position={"x": 140, "y": 280})
    elif what == "typing":
        find("prompt").press_sequentially("number 4")
        find("prompt").press("ArrowDown")
    elif what == "help":
        page.get_by_role("button", name="Keys").click()
    elif what in ("methods", "prompts"):
        compare(page, what)
    elif what in ("heads", "no-heads"):
        open_matrix(page, with_heads=what == "heads")
    elif what == "knobs":
        page.get_by_text("not available").click()
        page.get_by_text("Options").click()


def compare(page: Page, what: str) -> None:
    """Put methods or prompts side by side, with the cursor on a patch."""
    find = page.get_by_test_id
    find(f"compare-{what}").check()
    if what == "methods":
        page.locator("[data-testid=compared] summary").click()
        find("compare-tam").check()
        page.wait_for_timeout(2500)
    find("picture").hover(position={"x": 100, "y": 200})
    page.evaluate("scrollTo(0, 0)")


def open_matrix(page: Page, *, with_heads: bool) -> None:
    """Open the layer x head matrix; two heads merged and a third one previewed."""
    page.get_by_test_id("heads").click()
    if not with_heads:
        page.get_by_test_id("method-rollout").check()
        page.wait_for_timeout(500)
        return
    page.locator("[data-head='3.2']").click()
    page.locator("[data-head='5.3']").click(modifiers=["Shift"])
    page.locator("[data-head='6.0']").hover()


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Quiet, directory=ROOT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        for name in sys.argv[2:] or VIEWS:
            query, width, action = VIEWS[name]
            page = browser.new_page(viewport={"width": width, "height": 400}, device_scale_factor=1.5)
            page.on("console", lambda message: print(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: print("page error:", error))
            page.goto(f"http://127.0.0.1:{server.server_port}/js/test/harness/index.html?{query}")
            page.locator("html[data-ready='1']").wait_for()
            page.wait_for_timeout(400)
            if action:
                act(page, action)
                page.wait_for_timeout(500)
            page.screenshot(path=out / f"{name}.png", full_page=True)
            root = page.get_by_test_id("legrad")
            print(name, root.get_attribute("data-painted"), root.get_attribute("data-paint-ms"), root.bounding_box())
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
