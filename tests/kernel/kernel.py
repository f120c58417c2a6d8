"""A real ipykernel and a client that behaves like a page: it keeps widget state and speaks on a subshell."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipywidgets.widgets.widget import _put_buffers
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).parents[2]


class Kernel:
    """One kernel; ``heard`` is everything on its iopub channel, in order."""

    def __init__(self) -> None:
        import os

        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "IPYTHONDIR": os.devnull}
        self._manager, self._client = start_new_kernel(kernel_name="python3", env=env, startup_timeout=120)
        self.heard: list[dict[str, Any]] = []
        self.states: dict[str, dict[str, Any]] = {}

    def shutdown(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    @property
    def has_subshells(self) -> bool:
        """Whether comm messages can be handled beside a running cell."""
        reply = self._client.kernel_info(reply=True, timeout=20)
        return "kernel subshells" in reply["content"].get("supported_features", [])

    def create_subshell(self) -> str:
        """What JupyterLab does for the comms of widgets."""
        message = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(message)
        reply = self._client.get_control_msg(timeout=20)
        return str(reply["content"]["subshell_id"])

    def start(self, code: str) -> str:
        """Send a cell and come back at once; gives its message id."""
        return str(self._client.execute(code, store_history=False))

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell to its end; its printed text and shown data."""
        return self.finish(self.start(code))

    def finish(self, cell: str, timeout: float = 60) -> dict[str, Any]:
        """Wait for a cell's end."""
        self.until(lambda: self.ended(cell), timeout)
        mine = [message for message in self.heard if message["parent_header"].get("msg_id") == cell]
        errors = [message["content"] for message in mine if message["msg_type"] == "error"]
        assert not errors, "\n".join(errors[0]["traceback"])
        text = "".join(message["content"]["text"] for message in mine if message["msg_type"] == "stream")
        shown = [m["content"]["data"] for m in mine if m["msg_type"] in ("execute_result", "display_data")]
        return {"text": text.strip(), "shown": shown}

    def ended(self, cell: str) -> bool:
        """Whether a cell has ended, as far as was heard."""
        return any(
            message["msg_type"] == "status"
            and message["content"]["execution_state"] == "idle"
            and message["parent_header"].get("msg_id") == cell
            for message in self.heard
        )

    def until(self, condition: Callable[[], Any], timeout: float = 20) -> None:
        """Listen until ``condition()`` holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s; last heard: {self.heard[-3:]}"
            self._listen(0.05)

    def listen(self, seconds: float) -> None:
        """Listen for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._listen(left)

    def send(
        self, comm: str, data: dict[str, Any], subshell: str | None = None, buffers: list[bytes] | None = None
    ) -> None:
        """A message of the page to its widget."""
        message = self._client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.session.send(self._client.shell_channel.socket, message, buffers=buffers)

    def _listen(self, seconds: float) -> None:
        from queue import Empty

        try:
            message = self._client.get_iopub_msg(timeout=seconds)
        except Empty:
            return
        self.heard.append(message)
        if message["msg_type"] in ("comm_open", "comm_msg"):
            content = message["content"]
            if "state" in content["data"]:
                state = content["data"]["state"]
                _put_buffers(state, content["data"].get("buffer_paths", []), message["buffers"])
                self.states.setdefault(content["comm_id"], {}).update(state)


class Page:
    """One page that shows one widget."""

    def __init__(self, kernel: Kernel, comm: str, subshell: str | None):
        self.kernel, self.comm, self.subshell = kernel, comm, subshell
        self._n = 0

    @property
    def state(self) -> dict[str, Any]:
        return self.kernel.states[self.comm]

    def message(self, buffers: list[bytes] | None = None, **content: Any) -> None:
        data = {"method": "custom", "content": {"v": 1, "client": "page", **content}}
        self.kernel.send(self.comm, data, self.subshell, buffers)

    def write(self, **traits: Any) -> None:
        self.kernel.send(self.comm, {"method": "update", "state": traits, "buffer_paths": []}, self.subshell)

    def question(self, *prompts: str, **parts: Any) -> dict[str, Any]:
        self._n += 1
        targets = [{"kind": "text", "text": prompt} for prompt in prompts]
        question = {"n": self._n, "rid": f"page.{self._n}", "targets": targets, "active": 0, "method": "legrad"}
        return question | {"knobs": {}, "view": {}} | parts

    def ask(self, *prompts: str, **parts: Any) -> str:
        question = self.question(*prompts, **parts)
        self.message(kind="ask", **question)
        return str(question["rid"])

    def hello(self) -> None:
        """Greet, and wait for the answer."""
        before = len(self.answers("alive"))
        self.message(kind="hello")
        self.kernel.until(lambda: len(self.answers("alive")) > before)

    def answers(self, kind: str) -> list[dict[str, Any]]:
        """Custom messages of a kind, from the kernel to this widget."""
        contents = [
            message["content"]["data"].get("content", {})
            for message in self.kernel.heard
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == self.comm
        ]
        return [content for content in contents if content.get("kind") == kind]

    def answered(self, rid: str) -> bool:
        return bool(self.state["_result"].get("rid") == rid and self.state["_status"]["state"] == "idle")

    def results(self) -> list[str | None]:
        """The rid of every result that the kernel sent to this widget."""
        return [
            message["content"]["data"]["state"]["_result"].get("rid")
            for message in self.kernel.heard
            if message["msg_type"] == "comm_msg"
            and message["content"]["comm_id"] == self.comm
            and "_result" in message["content"]["data"].get("state", {})
        ]

    def panes(self) -> list[str]:
        """The methods whose panes are there."""
        return [pane["method"] for pane in self.state["_comparison"].get("panes", [])]
