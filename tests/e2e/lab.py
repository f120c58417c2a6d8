"""Servers of our own, JupyterLab first: free loopback port, temporary folders, nothing in the user's home."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import nbformat

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120

SETTINGS = {
    # Every cell stays in the page: no virtual scrolling that detaches a widget's output.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Light"},
}


class Server:
    """A running server. `url` is its address, `root` the folder that it works in."""

    def __init__(self, base: Path, command: Callable[[int, Path], list[str]], alive: str) -> None:
        """Start ``command(port, root)`` and wait until the path ``alive`` answers."""
        self.root = base / "work"
        self.root.mkdir(exist_ok=True)
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._alive = alive
        self._log_file = base / "server.log"
        self._log = self._log_file.open("wb")
        self._server = subprocess.Popen(
            command(port, self.root),
            env=environment(base),
            cwd=self.root,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait_until_ready()

    def close(self) -> None:
        """Stop the server, which stops its kernels."""
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(20)
        self._log.close()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                raise RuntimeError(f"the server ended at its start:\n{self._log_file.read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/{self._alive}", timeout=2):
                    return
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"the server did not answer within {START_SECONDS} s")


class Lab(Server):
    """JupyterLab, or Notebook 7 (``application="notebook"``), which shows the same front end one notebook a page."""

    def __init__(self, base: Path, application: Literal["lab", "notebook"] = "lab") -> None:
        super().__init__(base, partial(jupyter, application), "api/status")

    def write_notebook(self, name: str, *sources: str) -> str:
        """Put a notebook for the native kernel into the server's folder, with one code cell for each source."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.root / name)
        return name


def jupyter(application: str, port: int, root: Path) -> list[str]:
    """Jupyter without token or password: it listens on loopback, for the length of the tests."""
    module, app = {"lab": ("jupyterlab", "LabApp"), "notebook": ("notebook", "JupyterNotebookApp")}[application]
    return [
        sys.executable,
        "-m",
        module,
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        "--ServerApp.terminals_enabled=False",
        f"--{app}.expose_app_in_browser=True",
    ]


def environment(base: Path) -> dict[str, str]:
    """The caller's environment with every folder of Jupyter's moved into `base`."""
    config = base / "config"
    (config / "labconfig").mkdir(parents=True)
    (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    return os.environ | {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # The kernel imports the package that the tests import, installed or not.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
