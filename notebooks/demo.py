"""Start JupyterLab on this machine only, with the quickstart notebook open, and print its address.

`make demo` runs this; so can you: `python notebooks/demo.py --port 8889 --headless`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "notebooks/01-quickstart.ipynb"
HOST = "127.0.0.1"
PREFERRED_PORT = 8888
START_SECONDS = 120


def main() -> int:
    """Run the demo until it is interrupted; the exit code is JupyterLab's."""
    parser = argparse.ArgumentParser(description="JupyterLab with the quickstart notebook open, on loopback")
    parser.add_argument("--port", type=int, help=f"port to use (default {PREFERRED_PORT}, or a free one)")
    parser.add_argument("--headless", action="store_true", help="do not open a browser")
    asked = parser.parse_args()

    if asked.port is not None and not is_free(asked.port):
        print(f"port {asked.port} is taken: choose another one with PORT=", file=sys.stderr)
        return 2
    port = asked.port or (PREFERRED_PORT if is_free(PREFERRED_PORT) else free_port())
    token = secrets.token_urlsafe(24)
    server = start(port, token)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        wait_until_ready(server, port, token)
        url = f"http://{HOST}:{port}/lab/tree/{NOTEBOOK}?token={token}"
        print(f"\n  JupyterLab is ready:\n\n    {url}\n\n  Ctrl+C stops it.\n", flush=True)
        if not asked.headless and has_desktop():
            webbrowser.open(url)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)


def is_free(port: int) -> bool:
    """Whether nothing listens on that port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(port: int, token: str) -> subprocess.Popen[bytes]:
    """JupyterLab as a child in its own process group, so that Ctrl+C reaches us alone; warnings only."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ip={HOST}", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={ROOT}", "--log-level=WARN"]
    if hasattr(os, "getuid") and os.getuid() == 0:
        command.append("--allow-root")
    # In the environment, not on the command line, where every user of the machine could read it.
    return subprocess.Popen(command, env=os.environ | {"JUPYTER_TOKEN": token}, start_new_session=True)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, token: str) -> None:
    """Return when the server answers; stop the program when it ended or stays silent."""
    request = urllib.request.Request(f"http://{HOST}:{port}/api/status", headers={"Authorization": f"token {token}"})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"JupyterLab ended at its start, with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise SystemExit(f"JupyterLab did not answer on port {port} within {START_SECONDS} s")


def has_desktop() -> bool:
    """Whether a browser window can be seen (a console browser is no help)."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its kernels."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
