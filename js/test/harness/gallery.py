"""Take pictures of the gallery's page, and measure how it scrolls: `python js/test/harness/gallery.py OUT_FOLDER`."""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
VIEWS = {
    "light": ("", 1000, "open"),
    "dark": ("theme=dark", 1000, "tag"),
    "narrow": ("", 390, "open"),
    "narrow-dark": ("theme=dark", 390, ""),
    "many": ("classes=40&n=3000", 1000, ""),
    "running": ("state=running", 1000, "all"),
    "none": ("errors=0", 1000, ""),
    "stored": ("live=0", 1000, "open"),
    "help": ("", 1000, "help"),
    "maps": ("", 1000, "calibrate"),
    "maps-running": ("theme=dark&study=running", 390, "calibrate"),
    "groups": ("", 1000, "clusters"),
    "groups-dark": ("theme=dark", 1000, "clusters"),
    "groups-narrow": ("", 390, "clusters"),
    "cases": ("", 1000, "alignment"),
    "cases-dark": ("theme=dark", 1000, "alignment"),
    "cases-narrow": ("", 390, "alignment"),
}
SCROLL = """async (down) => {
  const box = document.querySelector("[data-testid=gallery]");
  const times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let i = 0; i < 240; i++) {
    box.scrollTop += down;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  times.sort((a, b) => a - b);
  return {
    frames: times.length, median: times[120], p95: times[228], worst: times[239],
    cards: document.querySelectorAll("[data-testid=card]").length, rows: box.scrollTop,
  };
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


def act(page: Page, what: str) -> None:
    """Bring the page into the state that its picture is about."""
    find = page.get_by_test_id
    if what == "open":
        find("card").nth(2).click()
        page.wait_for_timeout(300)
        if find("flip-set").is_visible():
            find("flip-set").click()
    elif what == "tag":
        find("card").nth(1).click(modifiers=["Control"])
        find("card").nth(5).click(modifiers=["Shift"])
        find("tag").fill("shortcut")
        find("tag").press("Enter")
        page.locator("[data-testid=confusion] td button").first.click()
    elif what == "all":
        find("errors-only").uncheck()
    elif what in ("calibrate", "clusters", "alignment"):
        find(f"open-{what}").click()
        find(f"start-{what}").click()
        page.wait_for_timeout(300)
        if what == "clusters":
            find("groups").locator("button").nth(1).click()
        elif what == "alignment":
            find("case-counts").locator("button").nth(2).click()
    elif what == "help":
        page.get_by_role("button", name="Keys").first.click()


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")

        def visit(query: str, width: int) -> Page:
            page = browser.new_page(viewport={"width": width, "height": 900}, device_scale_factor=1.5)
            page.on("console", lambda message: print(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: print("page error:", error))
            page.goto(f"http://127.0.0.1:{server.server_port}/js/test/harness/gallery.html?{query}")
            page.locator("html[data-ready='1']").wait_for()
            page.wait_for_timeout(700)
            return page

        for name in sys.argv[2:] or VIEWS:
            if name == "scroll":
                continue
            query, width, action = VIEWS[name]
            page = visit(query, width)
            if action:
                act(page, action)
                page.wait_for_timeout(500)
            page.screenshot(path=out / f"{name}.png", full_page=True)
            print(name, page.get_by_test_id("inspector").bounding_box())
            page.close()
        if not sys.argv[2:] or "scroll" in sys.argv[2:]:
            page = visit("n=10000&errors=1", 1000)
            # The processor's time of the page's thread: what a frame costs whoever else is busy on this machine.
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})

            def spent() -> float:
                metrics = session.send("Performance.getMetrics")["metrics"]
                return next(1000 * one["value"] for one in metrics if one["name"] == "TaskDuration")

            for down in (40, 372, 4000):
                before = spent()
                found = page.evaluate(SCROLL, down)
                cost = (spent() - before) / found["frames"]
                print(f"scroll {down} px a frame: {cost:.1f} ms of the page's thread each;", json.dumps(found))
        browser.close()


if __name__ == "__main__":
    main()
