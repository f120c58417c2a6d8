"""Results kept on disk under the digest of what they depend on, so that nothing is computed twice after a restart.

One SQLite file (standard library): every write is whole or not there, and several notebooks may share it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..explainer import Model
from .problem import InspectionError, InspectionWarning

SCHEMA = 1  # raise it when what is stored changes its meaning
_FILE = "results.sqlite"
_AT_ONCE = 500  # keys in one query
_TOGETHER, _WAIT = 64, 1.0  # so many results, or seconds, wait for each other


def default_folder() -> Path:
    """$LEGRAD_WIDGET_CACHE, or legrad_widget/ in the user's cache folder."""
    named = os.environ.get("LEGRAD_WIDGET_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "legrad_widget"


def digest(*parts: Any) -> bytes:
    """16 bytes that tell these values from all others: numbers, strings, bytes, arrays and tensors, in order."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        head, body = _flat(part)
        made.update(f"{head}:{len(body)};".encode())
        made.update(body)
    return made.digest()


def _flat(part: Any) -> tuple[str, Any]:
    if isinstance(part, bytes):
        return "bytes", part
    if isinstance(part, Tensor):
        values = part.detach().cpu().contiguous()
        return f"tensor{values.dtype}{tuple(values.shape)}", values.view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(part, np.ndarray):
        return f"array{part.dtype}{part.shape}", np.ascontiguousarray(part).tobytes()
    return type(part).__name__, repr(part).encode()


def digest_of_picture(image: Any) -> bytes:
    """The digest of what a picture shows: the bytes of a file, the pixels of anything else.

    Raises:
        OSError: a file cannot be read. TypeError: no picture.
    """
    if not isinstance(image, Image.Image) and isinstance(getattr(image, "image", None), Image.Image):
        image = image.image
    if isinstance(image, str | os.PathLike):
        return digest(Path(image).expanduser().read_bytes())
    if isinstance(image, bytes | bytearray | memoryview):
        return digest(bytes(image))
    if isinstance(image, Image.Image):
        orientation = image.getexif().get(0x0112, 1)
        return digest(image.mode, image.size, orientation, image.info.get("transparency"), image.tobytes())
    if isinstance(image, np.ndarray | Tensor):
        return digest(image)
    raise TypeError(f"this is no picture but {type(image).__name__}")


def digest_of_model(model: Model, vectors: Tensor) -> bytes:
    """The digest of a model that chooses among classes: its weights, its classes, and how it sees pictures."""
    made = [digest(name, value) for name, value in sorted(model.module.state_dict().items()) if _is_tensor(value)]
    return digest(
        SCHEMA, type(model.module).__qualname__, b"".join(made), vectors, model.logit_form(), model.preprocess
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def opened(where: bool | str | os.PathLike[str]) -> Cache:
    """The cache in a folder; False: none. True: in the user's own; where that cannot be written, none, and a warning.

    Raises:
        InspectionError: a folder that was named cannot be written.
    """
    if where is False:
        return Cache(None)
    if where is not True:
        return Cache(where)
    try:
        return Cache(default_folder())
    except InspectionError as error:
        warnings.warn(f"{error}; nothing is kept now", InspectionWarning, stacklevel=4)
        return Cache(None)


class Cache:
    """Bytes by (kind, key). ``None`` as folder: nothing is kept."""

    def __init__(self, folder: str | os.PathLike[str] | None):
        self._lock, self._base = threading.RLock(), None
        self._waiting: dict[tuple[str, bytes], bytes] = {}
        self._since = 0.0
        if folder is None:
            return
        path = Path(folder).expanduser()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._base = _opened(path / _FILE)
            weakref.finalize(self, self._base.close)
        except OSError as error:
            raise InspectionError(
                f"results cannot be kept in {path} ({error.strerror or error}); pass cache=another_folder, or "
                "cache=False to keep none"
            ) from error

    def get(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What is there of these keys."""
        wanted, found = list(keys), {}
        if self._base is None:
            return {}
        with self._lock:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = self._base.execute(
                    f"SELECT key, value FROM results WHERE kind = ? AND key IN ({marks})",
                    [kind, *part],
                )
                found.update({bytes(key): bytes(value) for key, value in rows})
            found.update({key: self._waiting[kind, key] for key in wanted if (kind, key) in self._waiting})
        return found

    def put(self, kind: str, values: Mapping[bytes, bytes], *, later: bool = False) -> None:
        """Keep these, all or none; a disk that is full is warned about, once, and nothing is kept from then on.

        ``later``: they may wait for others for about a second, so that many small ones cost one write.
        """
        if self._base is None:
            return
        with self._lock:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting |= {(kind, key): value for key, value in values.items()}
            if not later or len(self._waiting) >= _TOGETHER or time.monotonic() - self._since > _WAIT:
                self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:
            rows = [(kind, key, value) for (kind, key), value in self._waiting.items()]
            self._waiting = {}
            if self._base is None or not rows:
                return
            try:
                with self._base:
                    self._base.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
            except sqlite3.Error as error:
                self._base.close()
                self._base = None
                warnings.warn(f"results are no longer kept on disk: {error}", InspectionWarning, stacklevel=2)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self.flush()
            if self._base is not None:
                self._base.close()
                self._base = None


def _opened(file: Path) -> sqlite3.Connection:
    """The file, made if need be; one that is damaged is put aside under another name."""
    try:
        return _connected(file)
    except sqlite3.OperationalError as error:  # locked, or no room: nothing is wrong with what it holds
        raise OSError(str(error)) from error
    except sqlite3.DatabaseError as error:
        aside = file.with_suffix(".damaged")
        file.replace(aside)
        warnings.warn(
            f"the kept results are damaged ({error}); they are put aside as {aside}, and computed anew",
            InspectionWarning,
            stacklevel=4,
        )
        return _connected(file)


def _connected(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, check_same_thread=False, timeout=30)
    try:
        with base:
            base.execute(
                "CREATE TABLE IF NOT EXISTS results (kind TEXT, key BLOB, value BLOB, PRIMARY KEY (kind, key)) "
                "WITHOUT ROWID"
            )
    except sqlite3.Error:
        base.close()
        raise
    return base
