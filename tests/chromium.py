"""Find Chromium for the browser tests: `python tests/chromium.py` prints its path or says what to do.

Looked for in this order: the variable CHROMIUM, the PATH, Playwright's own download. In CI on Debian,
as root, the distribution's package is installed when all of these fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
HELP = (
    "no Chromium found for the browser tests: install it (Debian: apt-get install chromium), or run "
    "`python -m playwright install chromium`, or name one with CHROMIUM=/path/to/chromium"
)


def find() -> str | None:
    """Path of a Chromium or Chrome, or None. A CHROMIUM that does not exist is an error, not a hint."""
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        if path is None:
            raise FileNotFoundError(f"CHROMIUM={named} is no program that can be run")
        return path
    return next(filter(None, map(shutil.which, [*NAMES, MAC])), None) or playwrights_own()


def playwrights_own() -> str | None:
    """The browser that `playwright install chromium` fetched, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return str(path) if path.is_file() else None


def may_install() -> bool:
    """Only in CI, as root, on a Debian: elsewhere the machine is its owner's."""
    in_ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    return in_ci and hasattr(os, "getuid") and os.getuid() == 0 and Path("/etc/debian_version").exists()


def install() -> None:
    """Install the distribution's package; its messages go to stderr."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        print("+", *command, file=sys.stderr)
        subprocess.run(command, env=env, stdout=sys.stderr, check=False)


def main() -> int:
    """Print the path; exit code 1 with one sentence when there is no browser."""
    try:
        path = find()
        if path is None and may_install():
            install()
            path = find()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print(path or HELP, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
