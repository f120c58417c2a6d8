"""The layout that the design promises: who imports whom, what files are called, what an import costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "legrad_widget"
HEAVY = ("torch", "torchvision", "open_clip", "timm", "anywidget", "ipywidgets", "IPython")
VAGUE = re.compile(r"(utils?|helpers?|managers?|common|misc)(_.*)?|.*_(utils?|helpers?|manager)")


def modules(folder: Path) -> list[Path]:
    """Python files below a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def public_methods() -> list[str]:
    """Names of the method files; their existence is their registration."""
    return [path.stem for path in modules(PACKAGE / "method") if not path.stem.startswith("_")]


def test_imports_follow_the_dependency_rules() -> None:
    # In a process of its own: it configures logging, which switches off the loggers that exist.
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run([sys.executable, "-c", code, "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout
    assert " 0 broken" in run.stdout


def test_a_new_family_file_is_out_of_reach_of_the_methods() -> None:
    """The contract lists families by name: a family that it does not name would be let through."""
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = {name for contract in contracts for name in contract.get("forbidden_modules", [])}
    families = {f"legrad_widget.models.{path.stem}" for path in (PACKAGE / "models").glob("from_*.py")}
    assert families, "no model family found"
    assert families <= forbidden


@pytest.mark.parametrize("folder", ["legrad_widget", "tests", "js/src"])
def test_no_file_has_a_name_that_says_nothing(folder: str) -> None:
    stems = {path: path.stem for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ts")}
    assert stems, f"nothing found in {folder}"
    assert not [str(path.relative_to(ROOT)) for path, stem in stems.items() if VAGUE.fullmatch(stem)]


@pytest.mark.parametrize("method", public_methods())
def test_every_method_has_an_oracle(method: str) -> None:
    assert (ROOT / "tests" / "oracles" / f"{method}.py").is_file()


def test_no_package_shares_its_name_with_a_public_function() -> None:
    import legrad_widget

    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {p.stem for p in PACKAGE.glob("*.py")}
    functions = {name for name in legrad_widget.__all__ if callable(getattr(legrad_widget, name))}
    assert not packages & functions


def test_importing_the_package_is_light() -> None:
    code = f"import sys, legrad_widget; print(*(name for name in {HEAVY} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == [], f"`import legrad_widget` imports {run.stdout}"


def test_every_public_name_resolves() -> None:
    import legrad_widget

    assert sorted(set(legrad_widget.__all__)) == sorted(legrad_widget.__all__)
    assert [name for name in legrad_widget.__all__ if not hasattr(legrad_widget, name)] == []
    assert set(legrad_widget.__all__) <= set(dir(legrad_widget))
