"""A browser page without a browser: it keeps the state that the kernel sent, and sends what the front end would."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

from ipywidgets.widgets.widget import _put_buffers

PARENT: contextvars.ContextVar[str] = contextvars.ContextVar("parent", default="nobody")
"""Which message the kernel counts its publications as an answer to."""


class Page:
    """The comm of one widget and the model behind it in the browser."""

    kernel = "there"

    def __init__(self, *, data: dict[str, Any], buffers: list[Any] | None = None, comm_id: str = "", **_: Any):
        self.comm_id = comm_id or f"comm-{id(self)}"
        self.state = self._state(data, buffers)
        self.opened = dict(self.state)
        self.sent: list[dict[str, Any]] = []  # everything from the kernel, in order
        self.buffers: list[Any] = []  # of the last message
        self.parents: list[str] = []
        self.threads: list[threading.Thread] = []
        self.closed = False
        self._handler: Any = None
        self._n = 0

    # what ipywidgets expects of a comm

    def on_msg(self, handler: Any) -> None:
        self._handler = handler

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_: Any) -> None:
        self.parents.append(PARENT.get())
        self.threads.append(threading.current_thread())
        self.sent.append(data)
        self.buffers = list(buffers or [])
        if data["method"] in ("update", "echo_update"):
            self.state.update(self._state(data, buffers))

    def close(self, *_: Any, **__: Any) -> None:
        self.closed = True

    # what the page does

    def message(self, content: Any, buffers: list[Any] | None = None) -> None:
        """A custom message."""
        self._deliver({"method": "custom", "content": content}, buffers)

    def write(self, **traits: Any) -> None:
        """``save_changes()``."""
        self._deliver({"method": "update", "state": traits, "buffer_paths": []}, [])

    def question(self, *targets: Any, client: str = "page", n: int | None = None, **parts: Any) -> dict[str, Any]:
        """The content of ``_request``."""
        self._n = self._n + 1 if n is None else n
        chips = [{"kind": "text", "text": target} if isinstance(target, str) else target for target in targets]
        filled = {"active": 0, "method": "legrad", "knobs": {}, "view": {}} | parts
        return {"v": 1, "client": client, "n": self._n, "rid": f"{client}.{self._n}", "targets": chips, **filled}

    def ask(self, *targets: Any, **parts: Any) -> str:
        """Ask by custom message; gives the rid."""
        content = self.question(*targets, **parts)
        self.message({"kind": "ask", **content})
        return str(content["rid"])

    # what the page has heard

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Custom messages from the kernel."""
        return [data["content"] for data in self.sent if data["method"] == "custom"]

    @property
    def last(self) -> dict[str, Any]:
        """The last custom message."""
        return self.messages[-1]

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.state["_result"])

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.state["_status"])

    @property
    def labels(self) -> list[str]:
        return [entry["label"] for entry in self.state["_result"]["targets"]]

    def updates(self, name: str) -> list[Any]:
        """Every value that the kernel sent for a trait after the comm was opened."""
        return [d["state"][name] for d in self.sent if d["method"] == "update" and name in d["state"]]

    def _deliver(self, data: dict[str, Any], buffers: list[Any] | None) -> None:
        """Handle a message as a kernel does: in a context of its own that names it as the parent."""

        def handle() -> None:
            PARENT.set(f"message {len(self.sent)}")
            self._handler({"content": {"data": data}, "buffers": buffers or []})

        contextvars.copy_context().run(handle)

    @staticmethod
    def _state(data: dict[str, Any], buffers: list[Any] | None) -> dict[str, Any]:
        state = dict(data["state"])
        _put_buffers(state, data.get("buffer_paths", []), list(buffers or []))
        return state
