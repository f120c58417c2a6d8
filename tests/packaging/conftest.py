"""The archives that a release would upload, built once for the run."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Archives:
    """The sdist, the wheel made from it, and what lies in them: path without the top folder -> bytes."""

    sdist: Path
    wheel: Path
    in_sdist: dict[str, int]
    in_wheel: dict[str, int]

    def read(self, name: str) -> str:
        """Text of one file of the wheel."""
        with zipfile.ZipFile(self.wheel) as wheel:
            return wheel.read(name).decode()


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """`python -m build`: an sdist of the working tree, then a wheel from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    with tarfile.open(sdist) as tar:
        members = [(member.name.partition("/")[2], member.size) for member in tar if member.isfile()]
    with zipfile.ZipFile(wheel) as archive:
        files = {item.filename: item.file_size for item in archive.infolist()}
    return Archives(sdist, wheel, dict(members), files)
