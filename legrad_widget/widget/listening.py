"""What the browser says, as custom messages and trait writes. What does not fit is refused in a sentence.

Messages arrive on the kernel's main thread or on a subshell's. A question comes by two ways, and counts once.
"""

from __future__ import annotations

import contextvars
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

import traitlets

from .examples import Examples
from .live_part import live_part
from .message import Ask, Cancel, Example, Export, Fetch, Hello, Look, Message, Part, Use, read, read_look, read_request
from .question import Photo
from .rules import MAX_TARGETS, Refused
from .running import Running
from .state import PLUMBING, PUBLIC, QUESTION, read_active
from .upload import Uploads

log = logging.getLogger(__name__)

MAX_SENDERS = 256
_MISFITS = (ValueError, TypeError, KeyError, traitlets.TraitError)
"""What a message that does not fit raises, here and in ipywidgets."""


class Numbered(Protocol):
    """A message that a page has numbered."""

    @property
    def client(self) -> str:
        """The page."""

    @property
    def n(self) -> int:
        """Larger with every message of a kind."""


class Newest:
    """The newest number of every page and kind of message: hosts may replay older ones. At most 256 are kept."""

    def __init__(self, limit: int = MAX_SENDERS) -> None:
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._limit = limit

    def take(self, message: Numbered) -> bool:
        """Whether this page has not sent it before."""
        key = (type(message).__name__, message.client)
        if message.n <= self._numbers.get(key, -1):
            return False
        self._numbers[key] = message.n
        self._numbers.move_to_end(key)
        if len(self._numbers) > self._limit:
            self._numbers.popitem(last=False)
        return True


class Listening(Running):
    """The widget's ear: messages become traits and questions."""

    def _listen(self) -> None:
        self._uploads, self._newest = Uploads(), Newest()
        self._examples = Examples(self.model.vit.size)
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        rid = content.get("rid") if isinstance(content, Mapping) else None
        self._browser = contextvars.copy_context()
        try:
            self._handle(read(content, buffers or (), self._scope))
        except _MISFITS as error:
            self._refuse(error, rid)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Hello):
            self.send({"kind": "alive"})
            return
        if isinstance(message, Fetch):
            self.send(*live_part(message.hash))
            return
        if isinstance(message, Example):
            self._take_example(message)
            return
        if isinstance(message, Export):
            parts, buffers = self._handed_over(message.what)
            self.send({"kind": "exported", "rid": message.rid, **parts}, buffers)
            return
        with self._settled:
            if isinstance(message, Part):
                data = self._uploads.add(message)
                if data is not None:
                    self._take_picture(Photo(next(self._photos), data, message.name))
            elif self._newest.take(message):
                self._obey(message)

    def _handed_over(self, what: str) -> tuple[dict[str, Any], list[bytes]]:
        """What a page takes away with it: parts of a message, and its buffers."""
        raise Refused(f"there is no {what} of this widget")

    def _take_example(self, example: Example) -> None:
        """Read one more picture of a concept; with the last one the concept becomes a target, and the active one."""
        if len(self.targets) >= MAX_TARGETS:
            raise Refused(f"{MAX_TARGETS} targets are the most: remove one first")
        if (concept := self._examples.add(example)) is None:
            return
        with self._settled, self.hold_sync(), self.hold_trait_notifications():
            self.targets = [*self.targets, concept]
            self.active = len(self.targets) - 1

    def _obey(self, message: Ask | Look | Cancel | Use) -> None:
        if isinstance(message, Ask):
            self._take_ask(message)
        elif isinstance(message, Look):
            active = {} if message.active is None else {"active": message.active}
            self._take_look(message, {**message.view, **active})
        elif isinstance(message, Use):
            self._use(message)
        else:
            self.cancel()

    def _take_look(self, look: Look, state: Mapping[str, Any]) -> None:
        """An edit of the view. Every page is told what stands now, and then that it is the answer to this edit:
        until then the page that made it may have taken up an older state."""
        super().set_state({**state})
        self.send_state(list(state))
        self._look = {"client": look.client, "n": look.n, "taken": True}

    def _take_ask(self, ask: Ask) -> None:
        """A question's traits, and then the question; with the lock held."""
        targets = self._targets_of(ask.targets)
        self._quiet = True
        try:
            with self.hold_sync():  # every page hears of the question, the one that asks included
                if ask.templates is not None:
                    self.templates = ask.templates
                self.targets, self.method, self.knobs = targets, ask.method, ask.knobs
                self.active = read_active(ask.active, self)
                self.compare = ask.view.get("compare", self.compare)
                self.compared = ask.view.get("compared", self.compared)
                self._follow(ask.compare)
                super().set_state({name: value for name, value in ask.view.items() if name not in QUESTION})
        finally:
            self._quiet = False
        self.send({"kind": "accepted", "rid": ask.rid})
        self._ask(ask.rid)

    def _follow(self, names: tuple[str, ...] | None) -> None:
        """What a question compares is what is compared, whatever the traits said. None: it does not say."""
        if names is None or names == tuple(method.name for method in self._compared_methods):
            return
        if names:
            self.compare, self.compared = "methods", list(names)
        else:
            self.compare = "off"

    def _refuse(self, error: Exception, rid: Any = None) -> None:
        log.debug("refused a message from the browser", exc_info=error)
        known = rid if isinstance(rid, str) and len(rid) <= 128 else None
        self.send({"kind": "refused", "rid": known, "message": str(error)})

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Trait writes from the browser. They can be held back while a cell runs, when messages are not. So a
        question among them counts only if it is new, and the public traits that came with it only as part of that
        question; and traits of a view that a message brought already (``_look``) change nothing any more."""
        self._browser = contextvars.copy_context()
        state = {name: value for name, value in sync_data.items() if name not in PLUMBING}
        request = sync_data.get("_request")
        edits = {}
        if request or "_look" in sync_data:
            edits = {name: state.pop(name) for name in PUBLIC if name in state}
        try:
            with self._settled:
                if request:
                    ask = read_request(request, self._scope)
                    super().set_state({"_request": request})
                    if self._newest.take(ask):
                        self._take_ask(ask)
                elif "_look" in sync_data:
                    look = read_look(sync_data["_look"])
                    if self._newest.take(look):
                        self._take_look(look, edits)
                super().set_state(state)
        except _MISFITS as error:
            self._refuse(error, request.get("rid") if isinstance(request, Mapping) else None)
            self.send_state([name for name in sync_data if name in PUBLIC])
