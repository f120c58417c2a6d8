"""What the wheel and the sdist carry, and what they must not."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Archives

pytestmark = pytest.mark.slow

MB = 1_000_000
BUNDLE = ("legrad_widget/static/widget.js", "legrad_widget/static/widget.css")
BUNDLE_BYTES = 60_000
SECOND = {"legrad_widget/static/live.js": 88_000, "legrad_widget/static/gallery.js": 34_000}
PAGES = ("legrad_widget/static/page.js", "legrad_widget/static/inspect-page.js")
PAGES_BYTES = 6_000
OTHERS = tuple(f"legrad_widget/static/{name}" for name in ("inspect.js", "inspect.css"))
WHEEL_BYTES = 15 * MB
WEIGHTS_BYTES = 8 * MB
NOT_OURS = re.compile(
    r"node_modules|\.venv|__pycache__|\.pyc$|\.ipynb_checkpoints|test-artifacts|(^|/)\.git/|\.log$|\.pt$"
)


def test_both_carry_the_bundle_within_its_budget(archives: Archives) -> None:
    for files in (archives.in_sdist, archives.in_wheel):
        assert {*BUNDLE, *SECOND, *PAGES, *OTHERS} <= set(files)
        assert sum(files[name] for name in BUNDLE) <= BUNDLE_BYTES
        assert sum(files[name] for name in PAGES) <= PAGES_BYTES
        assert all(files[name] <= most for name, most in SECOND.items())


def test_neither_carries_leavings(archives: Archives) -> None:
    found = [name for name in [*archives.in_sdist, *archives.in_wheel] if NOT_OURS.search(name)]
    assert not found


def test_the_wheel_holds_the_package_alone(archives: Archives) -> None:
    tops = {name.partition("/")[0] for name in archives.in_wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"legrad_widget"}
    assert "legrad_widget/py.typed" in archives.in_wheel


def test_the_sdist_can_be_worked_on(archives: Archives) -> None:
    wanted = ["pyproject.toml", "hatch_build.py", "Makefile", "README.md", "LICENSE", "js/package.json"]
    wanted += ["js/package-lock.json", "js/src/index.ts", "tests/test_layout.py"]
    assert set(wanted) <= set(archives.in_sdist)


def test_the_wheel_is_small_enough_to_download_without_thinking(archives: Archives) -> None:
    assert archives.wheel.stat().st_size <= WHEEL_BYTES


def test_the_built_in_models_are_there_and_small(archives: Archives) -> None:
    weights = {name: size for name, size in archives.in_wheel.items() if name.endswith(".safetensors")}
    names = {"open_clip_model", "translators", "shortcuts"}  # the model, its fitted lens, the shortcut classifier
    assert {Path(name).stem for name in weights} == names, weights
    assert sum(weights.values()) <= WEIGHTS_BYTES


def test_one_sprite_sheet_ships_and_all_can_be_had_from_the_sdist(archives: Archives) -> None:
    sheets = {path.name for path in (ROOT / "legrad_widget/builtin/assets").glob("*.webp")}
    assert {Path(name).name for name in archives.in_wheel if name.endswith(".webp")} == {"noto.webp"}
    assert {Path(name).name for name in archives.in_sdist if name.endswith(".webp")} == sheets


def test_licences_travel_with_what_they_cover(archives: Archives) -> None:
    names = {Path(name).name for name in archives.in_wheel if ".dist-info/licenses/" in name}
    assert {"LICENSE", "THIRD_PARTY_NOTICES.md"} <= names
    assert "legrad_widget/builtin/THIRD_PARTY_NOTICES.md" in archives.in_wheel


def test_one_version_everywhere(archives: Archives) -> None:
    import json

    import legrad_widget

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = Parser().parsestr(archives.read(f"legrad_widget-{project['version']}.dist-info/METADATA"))
    front = json.loads((ROOT / "js" / "package.json").read_text())
    assert {metadata["Version"], front["version"], legrad_widget.__version__} == {project["version"]}


def test_the_lock_file_names_no_download_address() -> None:
    lock = (ROOT / "js" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "registry" not in lock


def test_torch_and_torchvision_are_left_to_one_index(archives: Archives) -> None:
    """A pin on either one, or an index of our own, could give a pair that cannot be imported together."""
    requires = re.findall(r"^Requires-Dist: (torch(?:vision)?\b.*)$", archives.read(metadata_of(archives)), re.M)
    assert len(requires) == 2
    assert not [line for line in requires if "==" in line or "<" in line or "@" in line]


def metadata_of(archives: Archives) -> str:
    """Name of the METADATA file in the wheel."""
    return next(name for name in archives.in_wheel if name.endswith(".dist-info/METADATA"))


@pytest.fixture(scope="module")
def installed(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment that holds the wheel and nothing else."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(archives.wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return python


def run(python: Path, code: str, folder: Path, paths: str = "") -> str:
    """Run code with that Python, in an empty folder; what it printed."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_imports_on_its_own(installed: Path, tmp_path: Path) -> None:
    code = "import legrad_widget; print(legrad_widget.__version__, legrad_widget.__file__)"
    version, file = run(installed, code, tmp_path).split(maxsplit=1)
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert Path(file).is_relative_to(installed.parent.parent)


def test_the_wheel_explains_its_own_scene_with_its_own_model(installed: Path, tmp_path: Path) -> None:
    """Offline, away from the clone: weights, scenes and bundle all come out of the wheel."""
    code = """
import legrad_widget as lw
w = lw.explore()
w.wait()
assert "export" in str(w._esm)
print(lw.__file__, *w.explanation.maps.shape)
"""
    file, *shape = run(installed, code, tmp_path, sysconfig.get_paths()["purelib"]).split()
    assert Path(file).is_relative_to(installed.parent.parent)
    assert len(shape) == 3
    assert all(int(size) > 1 for size in shape)
