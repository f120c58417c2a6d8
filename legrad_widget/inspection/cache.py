"""Results kept on disk under the digest of what they depend on, so that nothing is computed twice after a restart.

One SQLite file (standard library): every write is whole or not there, and several notebooks may share it. It holds at
most $LEGRAD_WIDGET_CACHE_GB gigabytes (4); what was written longest ago makes room.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from .identity import digest
from .problem import InspectionError, InspectionWarning

SCHEMA = 2  # raise it when what is stored changes its meaning
_FILE = "results.sqlite"
_AT_ONCE = 500  # keys in one query
_ROW = 100  # bytes that a result takes beside its value


def default_folder() -> Path:
    """$LEGRAD_WIDGET_CACHE, or legrad_widget/ in the user's cache folder."""
    named = os.environ.get("LEGRAD_WIDGET_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "legrad_widget"


def default_limit() -> int:
    """Bytes that results may take: $LEGRAD_WIDGET_CACHE_GB gigabytes, or 4.

    Raises:
        InspectionError: no number above 0.
    """
    said = os.environ.get("LEGRAD_WIDGET_CACHE_GB") or "4"
    try:
        limit = float(said) * 1e9
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise InspectionError(f"LEGRAD_WIDGET_CACHE_GB is how many gigabytes may be kept, above 0; arrived: {said!r}")
    return int(limit)


def opened(where: bool | str | os.PathLike[str]) -> Cache:
    """The cache in a folder; False: none. True: in the user's own; where that cannot be written, none, and a warning.

    Raises:
        InspectionError: a folder that was named cannot be written.
    """
    if where is False or where is None:
        return Cache(None)
    if where is not True:
        if not isinstance(where, str | os.PathLike):
            raise TypeError(f"cache is True, False or a folder; this is {type(where).__name__}")
        return Cache(where)
    try:
        return Cache(default_folder())
    except InspectionError as error:
        warnings.warn(f"{error}; nothing is kept now", InspectionWarning, stacklevel=4)
        return Cache(None)


class Cache:
    """Bytes by (kind, key). ``None`` as folder: nothing is kept.

    What is kept on disk stays below ``limit`` bytes; what was written longest ago makes room. A value that is not as it
    was written is not there, nor is one of another version of this library, which may compute otherwise.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, limit: int | None = None):
        self._lock = threading.RLock()
        self._base: sqlite3.Connection | None = None
        self._limit, self._told = 0, set[str]()
        if folder is None:
            return
        self._limit = default_limit() if limit is None else limit
        path = Path(folder).expanduser()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._open(path / _FILE)
        except OSError as error:
            raise InspectionError(
                f"results cannot be kept in {path} ({error.strerror or error}); pass cache=another_folder, or "
                "cache=False to keep none"
            ) from error

    def get(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What is there of these keys; nothing, and a warning, where it cannot be read."""
        wanted, kind = list(keys), _of_this_version(kind)
        with self._lock:
            if self._base is None:
                return {}
            try:
                return self._read(self._base, kind, wanted)
            except sqlite3.Error as error:
                self._cope(error, "read")
                return {}

    def put(self, kind: str, values: Mapping[bytes, bytes]) -> None:
        """Keep these, all or none; where they cannot be written there is a warning, once, and all else goes on."""
        rows = [(_of_this_version(kind), key, value, digest(value)) for key, value in values.items()]
        with self._lock:
            if self._base is None or not rows:
                return
            try:
                with self._base:
                    self._base.executemany(
                        "INSERT OR REPLACE INTO kept (kind, key, value, seal) VALUES (?, ?, ?, ?)", rows
                    )
                _make_room(self._base, self._limit)
            except sqlite3.Error as error:
                self._cope(error, "written")

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            if self._base is not None:
                self._base.close()
                self._base = None

    def _open(self, file: Path) -> None:
        self._file, self._base = file, (base := _opened(file))
        closing = weakref.finalize(self, base.close)
        closing.atexit = False  # a thread may still write then; every write is whole without it

    @staticmethod
    def _read(base: sqlite3.Connection, kind: str, wanted: list[bytes]) -> dict[bytes, bytes]:
        found = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            rows = base.execute(
                f"SELECT key, value, seal FROM kept WHERE kind = ? AND key IN ({','.join('?' * len(part))})",
                [kind, *part],
            )
            found.update({bytes(key): bytes(value) for key, value, seal in rows if digest(bytes(value)) == seal})
        return found

    def _cope(self, error: sqlite3.Error, what: str) -> None:
        """Go on without: a damaged file is put aside for a new one; else there is a warning, once."""
        if type(error) is sqlite3.DatabaseError:  # what it holds makes no sense; the kinds below are other troubles
            self.close()
            with suppress(OSError):
                _put_aside(self._file, error)
                self._open(self._file)
        elif what not in self._told:
            self._told.add(what)
            if self._base is not None:
                self._base.execute("PRAGMA busy_timeout = 100")  # waited for once; not half a minute each time
            warnings.warn(
                f"kept results cannot be {what} now ({error}); all else goes on", InspectionWarning, stacklevel=4
            )


def _of_this_version(kind: str) -> str:
    from .. import __version__

    return f"{kind} {__version__}.{SCHEMA}"


def _opened(file: Path) -> sqlite3.Connection:
    """The file, made if need be; one that is damaged is put aside under another name."""
    try:
        return _connected(file)
    except sqlite3.OperationalError as error:  # locked, or no room: nothing is wrong with what it holds
        raise OSError(str(error)) from error
    except sqlite3.DatabaseError as error:
        _put_aside(file, error)
        return _connected(file)


def _put_aside(file: Path, error: sqlite3.Error) -> None:
    aside = file.with_suffix(".damaged")
    file.replace(aside)
    warnings.warn(
        f"the kept results are damaged ({error}); they are put aside as {aside}, and computed anew",
        InspectionWarning,
        stacklevel=5,
    )


def _connected(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, check_same_thread=False, timeout=30)
    try:
        with base:
            base.execute("PRAGMA synchronous = OFF")  # a kernel that dies loses nothing; a computer that does may
            base.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file: only then can it shrink later
            base.execute("DROP TABLE IF EXISTS results")  # of a version before, without seals
            base.execute(
                "CREATE TABLE IF NOT EXISTS kept (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                "kind TEXT, key BLOB, value BLOB, seal BLOB, UNIQUE (kind, key))"
            )
    except sqlite3.Error:
        base.close()
        raise
    return base


def _make_room(base: sqlite3.Connection, limit: int) -> None:
    """Below ``limit`` bytes again, with a tenth to spare, by letting go of what was written longest ago."""
    page, pages, free = (
        base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    wanted = (pages - free) * page - limit
    if wanted <= 0:
        return
    with base:
        base.execute("DELETE FROM kept WHERE number <= ?", (_oldest(base, wanted + limit // 10),))
    if pages * page > 1.1 * limit:  # the limit was lowered; else the room is used again
        base.executescript(f"PRAGMA incremental_vacuum({pages - limit // page})")  # execute() would take one step of it


def _oldest(base: sqlite3.Connection, size: int) -> int:
    """Up to which number results go if ``size`` bytes of the oldest go."""
    last = 0
    for number, length in base.execute("SELECT number, length(value) FROM kept ORDER BY number"):
        last, size = int(number), size - length - _ROW
        if size <= 0:
            break
    return last
